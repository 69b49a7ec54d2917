"""A form posted to a gateway of text messages, once.

Neither gateway knows keys of ours, so that what was sent without an answer is never sent again: whatever happens after the
request has gone out is `unknown`, unless the answer says clearly that the message was not taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx2
import msgspec

from billing.notifications.model import ANSWER_LOST, Outcome

_ANSWER_BYTES_MAX = 65_536
_CALL_MAX_S = 45.0
_TIMEOUT = httpx2.Timeout(20.0, connect=10.0)
# Nothing of the request was sent.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_REASON_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What is posted where, and how the sender shows who it is."""

    url: str
    fields: Mapping[str, str]
    headers: Mapping[str, str]
    auth: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a gateway answered: a status, and JSON, or None for anything else."""

    status: int
    body: object


async def post(form: Form, *, handing_over: Callable[[], Awaitable[None]]) -> Answered | Outcome:
    """Post a form; the answer, or the outcome where there is none."""
    await handing_over()
    try:
        async with (
            asyncio.timeout(_CALL_MAX_S),
            httpx2.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client,
            client.stream(
                "POST", form.url, data=dict(form.fields), headers=dict(form.headers), auth=form.auth
            ) as response,
        ):
            content = await _read(response)
    except _NOT_SENT as error:
        return Outcome(kind="failed", reason=bounded(f"{type(error).__name__}: {error}"), is_gateway_down=True)
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
        return Outcome(kind="unknown", reason=f"{ANSWER_LOST}: {type(error).__name__}")
    if content is None:
        return Outcome(kind="unknown", reason=f"{ANSWER_LOST}: too long")
    return Answered(response.status_code, _json(content))


def outcome_of_status(answered: Answered, *, reason: str | None) -> Outcome:
    """What a status other than success says: of our own request, of the gateway, or nothing that is certain."""
    told = bounded(f"{answered.status} {reason or ''}".strip())
    match answered.status:
        case 401 | 402 | 404 | 405 | 407 | 429:  # our credentials, our address of it, our balance, our pace
            return Outcome(kind="failed", reason=told, is_gateway_down=True)
        case 403:
            return Outcome(kind="failed", reason=told)
        case status if 400 <= status < 500:
            return Outcome(kind="refused", reason=told)
        case _:
            return Outcome(kind="unknown", reason=told)


def bounded(text: str) -> str:
    """A reason as it is kept: one line, not long."""
    return " ".join("".join(symbol if symbol.isprintable() else " " for symbol in text).split())[:_REASON_MAX]


async def _read(response: httpx2.Response) -> bytes | None:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > _ANSWER_BYTES_MAX:
            return None
    return bytes(content)


def _json(content: bytes) -> object:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
