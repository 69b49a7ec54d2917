"""What a route says of itself beside its signature: for the API's description, and held by the edge.

A handler carries it in its `opt`: `@get("/account/wallets", opt={DESCRIBED: Described(...)})`. Its docstring is the
description, its return type the answer, its guard the permission; what those cannot say stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import msgspec

    from billing.core.errors import BillingError

DESCRIBED: Final = "described"
"""Under this name a handler's `opt` says what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A body that is an array."""

    item: type[msgspec.Struct]
    max_items: int
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An answer that is no JSON."""

    media_type: str
    says: str


Body: TypeAlias = "type[msgspec.Struct] | Batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a route is. `body` and `query` are the schemas that its handler reads; the edge refuses to read others."""

    summary: str
    section: str
    answer: type[msgspec.Struct] | Media | None = None
    """Of a handler that returns an Answer; None for one that returns a struct, and for 204."""
    statuses: tuple[int, ...] = (200,)
    body: Body | None = None
    body_optional: bool = False
    query: type[msgspec.Struct] | None = None
    errors: tuple[type[BillingError], ...] = ()
    """What it refuses by itself. What follows from the signature is added: 400, 401, 403, 404, 409, 413, 415, 429, 500, 503."""
    needs_key: bool = False
    """Whether it requires an Idempotency-Key."""
    located: bool = False
    """Whether its answer has a Location."""
    is_extension: bool = False
    """Whether it is beyond the published contract of the API."""

    @property
    def body_schema(self) -> type[msgspec.Struct] | None:
        """What the body, or each item of it, is read as."""
        return self.body.item if isinstance(self.body, Batch) else self.body
