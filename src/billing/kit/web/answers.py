"""Answers: how values become JSON without a float, and how they are sent."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import msgspec

from billing.kit.web.cors import cors_headers
from billing.kit.web.representations import Sent, choose

if TYPE_CHECKING:
    from litestar.types import HTTPScope, Send

JSON_TYPE = "application/json"
HeaderLines = list[tuple[bytes, bytes]]

_encoder = msgspec.json.Encoder(decimal_format="number")
# A time that is not yet in whole seconds of UTC. It may also be somebody's text, so it only chooses the careful way.
_OTHER_TIME = re.compile(rb'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?!Z")')
# How a Decimal with an exponent is written, such as 1E-7 or 1E+2; somebody's text may hold that too. That the pattern begins
# with a letter makes the search ten times as fast.
_EXPONENT = re.compile(rb"E[+-]\d")
ANSWERED = "answered"
"""Under this name a scope holds the status of its answer."""
_BODILESS = frozenset({204, 304})


def encode(value: object) -> bytes:
    """JSON of an answer: Decimal('25.00') is written 25.00, Decimal('1E-7') 0.0000001, an instant in whole seconds with `Z`."""
    encoded = _encoder.encode(value)
    if _OTHER_TIME.search(encoded) is None and _EXPONENT.search(encoded) is None:
        return encoded
    return _encoder.encode(_plain(msgspec.to_builtins(value, builtin_types=(Decimal, datetime), str_keys=True)))


def _plain(value: object) -> object:
    """The value with numbers without exponent and instants in whole seconds of UTC."""
    match value:
        case dict():
            return {key: _plain(member) for key, member in cast("dict[str, object]", value).items()}
        case list() | tuple():
            return [_plain(member) for member in cast("list[object]", value)]
        case Decimal():
            return msgspec.Raw(format(value, "f").encode())
        case datetime():
            if value.tzinfo is None:
                raise ValueError("an instant without a zone cannot be shown")
            return value.astimezone(UTC).replace(microsecond=0)
        case _:
            return value


class Answer:
    """A complete answer: status, headers and the bytes of the body. HEAD gets the headers alone."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        *,
        status: int = 200,
        body: bytes = b"",
        media_type: str = JSON_TYPE,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers: dict[str, str] = dict(headers or {})
        if body or status != 204:
            self.headers.setdefault("Content-Type", media_type)

    @classmethod
    def of(cls, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """The JSON answer of a struct or dict; none for 204."""
        return cls(status=status, body=b"" if status == 204 else encode(value), headers=headers)

    async def send(self, scope: HTTPScope, send: Send, *, beside: HeaderLines, origins: Collection[str] = ()) -> None:
        """Send it (ASGI) in the form that the request asks for, with further headers, and those for pages of some origins."""
        sent = await choose(scope, Sent(self.status, self.headers, self.body))
        headers = [(_wire_name(name), value.encode("latin-1")) for name, value in sent.headers.items()]
        if sent.status not in _BODILESS:
            headers.append((b"content-length", b"%d" % len(sent.body)))
        headers += beside
        if origins:
            headers += cors_headers(origins, method=scope["method"], asked=scope["headers"], answer=headers)
        cast("dict[str, Any]", scope)[ANSWERED] = sent.status
        await send({"type": "http.response.start", "status": sent.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else sent.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


@lru_cache
def _wire_name(name: str) -> bytes:
    return name.lower().encode("latin-1")
