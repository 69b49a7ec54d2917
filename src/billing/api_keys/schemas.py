"""Keys on the wire."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from billing import accounts
from billing.api_keys import rules
from billing.api_keys.model import ApiKey, IssuedKey
from billing.core import ids
from billing.core.errors import Fault, InvalidParameter
from billing.kit.auth import Permission
from billing.kit.web import Meta

KEY_PREFIX = "key"
_NAME_LONGEST = 200


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


class KeyCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /account/api-keys."""

    name: str
    permissions: list[Permission]
    expires_at: datetime | None = None
    ip_whitelist: list[str] | None = None


def refuse_faults(wanted: KeyCreate, *, now: datetime) -> None:
    """Raises InvalidParameter with every fault of a key that is asked for at an instant."""
    faults: list[Fault] = []
    name = accounts.text_reason(wanted.name, longest=_NAME_LONGEST)
    if name is not None:
        faults.append(Fault("body", "name", name))
    if not wanted.permissions:
        faults.append(Fault("body", "permissions", "must name at least one of read, write"))
    expiry = None if wanted.expires_at is None else _expiry_reason(wanted.expires_at, now=now)
    if expiry is not None:
        faults.append(Fault("body", "expires_at", expiry))
    faults.extend(_range_faults(wanted.ip_whitelist or []))
    if faults:
        raise InvalidParameter(faults)


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


def _expiry_reason(expires_at: datetime, *, now: datetime) -> str | None:
    if expires_at.tzinfo is None:
        return "must have a time zone"
    try:
        expires_at.astimezone(UTC)
    except OverflowError:
        return "is out of range"
    return "must be in the future" if rules.has_expired(expires_at, now=now) else None


def _range_faults(texts: list[str]) -> list[Fault]:
    if len(texts) > rules.IP_RANGES_MAX:
        return [Fault("body", "ip_whitelist", f"must have at most {rules.IP_RANGES_MAX} addresses or ranges")]
    faults: list[Fault] = []
    for index, text in enumerate(texts):
        try:
            rules.parse_range(text)
        except ValueError:
            reason = "must be an IP address, or a CIDR range without host bits, such as 10.0.0.0/8"
            faults.append(Fault("body", f"ip_whitelist[{index}]", reason))
    return faults
