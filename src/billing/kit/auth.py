"""Who is calling: the caller of the public API and the operator, read from a bearer key.

The slices that keep keys implement the two readers; this module knows only what a key looks like and which plane it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

Permission = Literal["read", "write"]
Plane = Literal["public", "operator", "plain"]

OPERATOR_SCOPES = ("accounts", "catalog", "metering", "billing", "payments", "audit")
EVERY_SCOPE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated key of the public API with its account."""

    account_id: UUID
    key_id: UUID
    permissions: frozenset[str]
    account_status: str
    currency: str
    expires_at: datetime | None = None
    ip_whitelist: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """An authenticated operator key with its scopes."""

    key_id: UUID
    name: str
    scopes: frozenset[str]

    def has_scope(self, scope: str) -> bool:
        """Whether the key opens this part of the operator API."""
        return EVERY_SCOPE in self.scopes or scope in self.scopes


class CallerReader(Protocol):
    """Reads the key of a public call."""

    async def __call__(self, *, token: str, ip: str) -> Caller:
        """The caller of a key. Raises Unauthorized for an unknown, expired or revoked key, IpNotAllowed for its address."""
        ...


class OperatorReader(Protocol):
    """Reads the key of an operator call."""

    async def __call__(self, *, token: str, ip: str) -> Operator:
        """The operator of a key. Raises Unauthorized for an unknown, expired or revoked key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Both readers, and the proxies (addresses or networks) whose X-Forwarded-For is believed."""

    read_caller: CallerReader
    read_operator: OperatorReader
    trusted_proxies: Sequence[str] = ()
