"""Keys: what a program shows to prove whose it is and what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from billing.core.errors import Refused
from billing.kit.auth import Permission

Scope = Literal["accounts", "catalog", "metering", "billing", "payments", "audit", "*"]

PUBLIC_PREFIX = "ls_prod_"
OPERATOR_PREFIX = "ls_op_"
KEYS_MAX = 200
"""Keys that an account may make and hold: each has calls of its own an hour, which nobody multiplies at will."""


class TooManyKeys(Refused):
    """The account has as many keys as it may."""

    message = f"An account has at most {KEYS_MAX} API keys; revoke one first"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of an account, without its secret. No `ip_whitelist` means any address; no `expires_at` means for ever."""

    key_id: UUID
    account_id: UUID
    name: str
    prefix: str
    permissions: tuple[Permission, ...]
    ip_whitelist: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key at the only moment when its secret is known."""

    key: ApiKey
    secret: str

    @property
    def key_id(self) -> UUID:
        """The key's id."""
        return self.key.key_id


@dataclass(frozen=True, slots=True)
class OperatorKey:
    """An operator's key, without its secret. No `expires_at` means for ever."""

    key_id: UUID
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedOperatorKey:
    """An operator's key at the only moment when its secret is known."""

    key_id: UUID
    name: str
    scopes: tuple[Scope, ...]
    secret: str
