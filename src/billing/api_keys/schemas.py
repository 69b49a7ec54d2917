"""Keys on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec
from msgspec import Struct

from billing import accounts
from billing.api_keys import rules
from billing.api_keys.model import ApiKey, IssuedKey
from billing.core import ids
from billing.kit.auth import Permission
from billing.kit.web import Meta

KEY_PREFIX = "key"


class KeyShown(Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: str
    name: str
    prefix: str
    permissions: list[Permission]
    last_used: datetime | None
    created_at: datetime
    expires_at: datetime | None
    ip_whitelist: list[str]


class KeyIssued(Struct, frozen=True, kw_only=True):
    """A key with its secret, shown once; a replay of the same answer shows null."""

    id: str
    name: str
    key: str | None
    permissions: list[Permission]
    expires_at: datetime | None
    created_at: datetime
    prefix: str
    ip_whitelist: list[str]


class KeyAnswer(Struct, frozen=True, kw_only=True):
    """GET /account/api-keys/{id}."""

    api_key: KeyShown


class KeysAnswer(Struct, frozen=True, kw_only=True):
    """GET /account/api-keys."""

    api_keys: list[KeyShown]
    meta: Meta


class KeyIssuedAnswer(Struct, frozen=True, kw_only=True):
    """POST /account/api-keys."""

    api_key: KeyIssued


class IpRange(accounts.CheckedText):
    """An IPv4 or IPv6 address, or a CIDR range."""

    __slots__ = ()

    reason = staticmethod(rules.range_reason)
    wire_schema: ClassVar = {"type": "string", "format": "ip-range", "minLength": 2, "maxLength": 43}


class KeyCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /account/api-keys."""

    name: accounts.ShortText
    permissions: Annotated[list[Permission], msgspec.Meta(min_length=1, max_length=len(rules.PERMISSIONS))]
    expires_at: datetime | None = None
    ip_whitelist: Annotated[list[IpRange], msgspec.Meta(max_length=rules.IP_RANGES_MAX)] | None = None


def show(key: ApiKey) -> KeyShown:
    """A key without its secret."""
    return KeyShown(
        id=ids.encode(KEY_PREFIX, key.key_id),
        name=key.name,
        prefix=key.prefix,
        permissions=list(key.permissions),
        last_used=key.last_used_at,
        created_at=key.created_at,
        expires_at=key.expires_at,
        ip_whitelist=list(key.ip_whitelist),
    )


def show_issued(issued: IssuedKey) -> KeyIssued:
    """A new key with its secret."""
    return KeyIssued(
        id=ids.encode(KEY_PREFIX, issued.key_id),
        name=issued.key.name,
        key=issued.secret,
        permissions=list(issued.key.permissions),
        expires_at=issued.key.expires_at,
        created_at=issued.key.created_at,
        prefix=issued.key.prefix,
        ip_whitelist=list(issued.key.ip_whitelist),
    )
