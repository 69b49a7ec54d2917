"""Handlers as operations: what follows from path, signature and guard."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgspec

from billing.core.errors import (
    AccountSuspended,
    BillingError,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    InvalidParameter,
    IpNotAllowed,
    NotFound,
    Unauthorized,
    Unavailable,
)
from billing.kit.web.card_numbers import CardNumberRefused
from billing.kit.web.endpoints import SUSPENDED_OK, permission_of
from billing.kit.web.errors import InternalError, PayloadTooLarge, RateLimited, UnsupportedMediaType, status_of_family
from billing.kit.web.openapi.described import DESCRIBED, Described, Media
from billing.kit.web.paging import Meta
from billing.kit.web.rate_limits import RATE_CLASS

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from billing.kit.auth import Plane

_PARAMETER = re.compile(r"{(\w+):(\w+)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    path: str
    """Below the base, its parameters as `{name}`."""
    parameters: tuple[str, ...]
    plane: Plane
    permission: str
    """`read` or `write` of the public API, a scope of the operator API."""
    description: str
    described: Described
    answer: type[msgspec.Struct] | Media | None
    is_command: bool
    suspended_ok: bool
    rate_class: str | None

    @property
    def takes_key(self) -> bool:
        """Whether an Idempotency-Key may be sent."""
        return self.is_command and self.method == "POST"

    @property
    def takes_body(self) -> bool:
        """Whether a body may be sent."""
        return self.described.body is not None

    @property
    def is_paged(self) -> bool:
        """Whether the answer is a page of a list."""
        if not isinstance(self.answer, type):
            return False
        return typing.get_type_hints(self.answer).get("meta") is Meta

    @property
    def has_tag(self) -> bool:
        """Whether the answer has an ETag: what is read and is no part of a list."""
        return self.method == "GET" and not self.is_paged

    def errors(self) -> dict[int, list[type[BillingError]]]:
        """Everything that it may refuse with, by status."""
        found: dict[int, list[type[BillingError]]] = {}
        for error in dict.fromkeys([*self._common_errors(), *self.described.errors]):
            found.setdefault(status_of_family(error), []).append(error)
        return dict(sorted(found.items()))

    def _common_errors(self) -> Iterator[type[BillingError]]:
        yield InvalidParameter
        if self.described.needs_key:
            yield IdempotencyKeyRequired
        yield from (Unauthorized, Forbidden)
        if self.plane == "public":
            yield IpNotAllowed
            if self.permission == "write" and not self.suspended_ok:
                yield AccountSuspended
        yield NotFound
        if self.takes_key:
            yield from (IdempotencyInProgress, IdempotencyKeyReused)
        if self.takes_body or self.method == "POST":
            yield from (PayloadTooLarge, UnsupportedMediaType)
            if self.plane == "public":
                yield CardNumberRefused
        yield from (RateLimited, InternalError, Unavailable)


def operations_of(handlers: Sequence[HTTPRouteHandler], *, plane: Plane) -> list[Operation]:
    """The operations of a plane, in order. Raises TypeError for a handler that is not described, or whose name is taken."""
    found = [_operation(handler, path, plane) for handler in handlers for path in sorted(handler.paths)]
    names = [operation.id for operation in found]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise TypeError(f"several handlers of the {plane} API have the same name: {', '.join(doubled)}")
    return found


def _operation(handler: HTTPRouteHandler, path: str, plane: Plane) -> Operation:
    function = cast("Callable[..., Any]", handler.fn)
    described = handler.opt.get(DESCRIBED)
    if not isinstance(described, Described):
        raise TypeError(f"{function.__module__}.{function.__name__} has no Described in its opt")
    names = list(inspect.signature(function).parameters)
    (method,) = handler.http_methods
    return Operation(
        id=function.__name__,
        method=str(method),
        path=_PARAMETER.sub(r"{\1}", path if path.startswith("/") else f"/{path}"),
        parameters=tuple(name for name, _ in _PARAMETER.findall(path)),
        plane=plane,
        permission=permission_of(names, plane),
        description=inspect.cleandoc(function.__doc__ or ""),
        described=described,
        answer=_answer_of(function, described),
        is_command="command" in names,
        suspended_ok=bool(handler.opt.get(SUSPENDED_OK)),
        rate_class=handler.opt.get(RATE_CLASS),
    )


def _answer_of(function: Callable[..., Any], described: Described) -> type[msgspec.Struct] | Media | None:
    returned = typing.get_type_hints(function).get("return")
    if isinstance(returned, type) and issubclass(returned, msgspec.Struct):
        return returned
    if described.answer is None and described.statuses != (204,):
        raise TypeError(f"{function.__module__}.{function.__name__} does not say what it answers with")
    return described.answer
