"""The SQL of keys. Keys are found by digest before their account is known; every other statement names the account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from billing.api_keys import rules
from billing.api_keys.model import ApiKey, OperatorKey, Scope
from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_LOCK = 7_302_646_011_935  # of the advisory locks: keys of an account are made one at a time
USE_NOTED_EVERY = timedelta(minutes=1)


class MarkUsed(Protocol):
    """Notes a use of a key of one kind."""

    async def __call__(self, connection: Connection, *, digest: bytes, now: datetime) -> None:
        """Note a use at an instant."""
        ...


class PresentedKey(NamedTuple):
    """A key as authentication needs it, with the state of its account."""

    digest: bytes
    key_id: UUID
    account_id: UUID
    permissions: frozenset[str]
    ip_whitelist: tuple[str, ...]
    expires_at: datetime | None
    last_used_at: datetime | None
    account_status: str
    currency: str


class PresentedOperatorKey(NamedTuple):
    """An operator's key as authentication needs it."""

    digest: bytes
    key_id: UUID
    name: str
    scopes: tuple[Scope, ...]
    expires_at: datetime | None
    last_used_at: datetime | None


async def lock_account(connection: Connection, *, account_id: UUID) -> None:
    """Hold the making of the account's keys until the transaction ends, so that their count holds."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, $2))", account_id, _LOCK)


async def count_keys(connection: Connection, *, account_id: UUID, now: datetime) -> int:
    """How many keys of the account let somebody in."""
    return await connection.fetchval(
        """
        SELECT count(*) FROM api_keys
        WHERE account_id = $1 AND revoked_at IS NULL AND coalesce(expires_at, 'infinity') > $2
        """,
        account_id,
        now,
    )


async def insert_key(connection: Connection, *, key: ApiKey, digest: bytes) -> None:
    """Store a new key by the digest of its secret."""
    await connection.execute(
        """
        INSERT INTO api_keys (digest, key_id, account_id, name, prefix, permissions, ip_whitelist, created_at,
                              expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7::cidr[], $8, $9)
        """,
        digest,
        key.key_id,
        key.account_id,
        key.name,
        key.prefix,
        list(key.permissions),
        list(key.ip_whitelist),
        key.created_at,
        key.expires_at,
    )


async def find_presented(connection: Connection, *, digests: Sequence[bytes]) -> dict[bytes, PresentedKey]:
    """The unrevoked keys with these digests and their accounts' state. Authentication's one read."""
    records = await connection.fetch(
        """
        SELECT api_keys.digest, api_keys.key_id, api_keys.account_id, api_keys.permissions,
               api_keys.ip_whitelist::text[] AS ip_whitelist, api_keys.expires_at, api_keys.last_used_at,
               accounts_v.status AS account_status, accounts_v.currency
        FROM api_keys
        JOIN accounts_v ON accounts_v.account_id = api_keys.account_id
        WHERE api_keys.digest = ANY ($1::bytea[]) AND api_keys.revoked_at IS NULL
        """,
        digests,
    )
    return {
        record["digest"]: PresentedKey(
            digest=record["digest"],
            key_id=record["key_id"],
            account_id=record["account_id"],
            permissions=frozenset(record["permissions"]),
            ip_whitelist=tuple(record["ip_whitelist"]),
            expires_at=record["expires_at"],
            last_used_at=record["last_used_at"],
            account_status=record["account_status"],
            currency=record["currency"],
        )
        for record in records
    }


async def get_key(connection: Connection, *, account_id: UUID, key_id: UUID) -> ApiKey:
    """One key of the account that is not revoked. Raises NotFound."""
    record = await connection.fetchrow(
        """
        SELECT account_id, key_id, name, prefix, permissions, ip_whitelist, created_at, expires_at, last_used_at
        FROM api_keys
        WHERE account_id = $1 AND key_id = $2 AND revoked_at IS NULL
        """,
        account_id,
        key_id,
    )
    if record is None:
        raise NotFound
    return _key(record)


async def find_key_for_share(connection: Connection, *, account_id: UUID, key_id: UUID) -> ApiKey | None:
    """One unrevoked key of the account, held against revocation until the transaction ends, or None."""
    record = await connection.fetchrow(
        """
        SELECT account_id, key_id, name, prefix, permissions, ip_whitelist, created_at, expires_at, last_used_at
        FROM api_keys
        WHERE account_id = $1 AND key_id = $2 AND revoked_at IS NULL
        FOR SHARE
        """,
        account_id,
        key_id,
    )
    return None if record is None else _key(record)


async def list_keys(connection: Connection, *, account_id: UUID, page: PageRequest) -> Page[ApiKey]:
    """One page of the account's keys that are not revoked, newest first."""
    records = await connection.fetch(
        """
        WITH live AS NOT MATERIALIZED (
            SELECT account_id, key_id, name, prefix, permissions, ip_whitelist, created_at, expires_at, last_used_at
            FROM api_keys
            WHERE account_id = $1 AND revoked_at IS NULL
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $2::boolean THEN (SELECT count(*) FROM live) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM live
            WHERE (created_at, key_id) < (
                coalesce($5::timestamptz, 'infinity'), coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY created_at DESC, key_id DESC
            LIMIT $3 OFFSET $4
        ) AS page ON true
        ORDER BY page.created_at DESC, page.key_id DESC
        """,
        account_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [_key(record) for record in records if record["key_id"] is not None]
    return page.cut(found, total=records[0]["total"], key=lambda key: (key.created_at, key.key_id))


async def mark_revoked(connection: Connection, *, account_id: UUID, key_id: UUID, now: datetime) -> ApiKey:
    """Revoke a key: effective with the commit. Raises NotFound when the account has no such unrevoked key."""
    revoked = await connection.fetchrow(
        """
        UPDATE api_keys SET revoked_at = $3
        WHERE account_id = $1 AND key_id = $2 AND revoked_at IS NULL
        RETURNING account_id, key_id, name, prefix, permissions, ip_whitelist, created_at, expires_at, last_used_at
        """,
        account_id,
        key_id,
        now,
    )
    if revoked is None:
        raise NotFound
    return _key(revoked)


async def mark_used(connection: Connection, *, digest: bytes, now: datetime) -> None:
    """Note a use of a key, unless one was noted within the last minute."""
    await connection.execute(
        """
        UPDATE api_keys SET last_used_at = $2::timestamptz
        WHERE digest = $1 AND (last_used_at IS NULL OR last_used_at <= $2::timestamptz - $3::interval)
        """,
        digest,
        now,
        USE_NOTED_EVERY,
    )


async def insert_operator_key(
    connection: Connection,
    *,
    key_id: UUID,
    digest: bytes,
    name: str,
    scopes: Sequence[Scope],
    created_at: datetime,
    expires_at: datetime | None,
) -> None:
    """Store a new operator's key by the digest of its secret."""
    await connection.execute(
        """
        INSERT INTO operator_keys (digest, key_id, name, scopes, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        digest,
        key_id,
        name,
        list(scopes),
        created_at,
        expires_at,
    )


async def find_presented_operators(
    connection: Connection, *, digests: Sequence[bytes]
) -> dict[bytes, PresentedOperatorKey]:
    """The unrevoked operators' keys with these digests."""
    records = await connection.fetch(
        """
        SELECT digest, key_id, name, scopes, expires_at, last_used_at
        FROM operator_keys
        -- an array whose length no plan is made for: one is kept, instead of a new one for each call
        WHERE digest = ANY (ARRAY(SELECT unnest($1::bytea[]))) AND revoked_at IS NULL
        """,
        digests,
    )
    return {
        record["digest"]: PresentedOperatorKey(
            digest=record["digest"],
            key_id=record["key_id"],
            name=record["name"],
            scopes=tuple(record["scopes"]),
            expires_at=record["expires_at"],
            last_used_at=record["last_used_at"],
        )
        for record in records
    }


async def mark_operator_used(connection: Connection, *, digest: bytes, now: datetime) -> None:
    """Note a use of an operator's key, unless one was noted within the last minute."""
    await connection.execute(
        """
        UPDATE operator_keys SET last_used_at = $2::timestamptz
        WHERE digest = $1 AND (last_used_at IS NULL OR last_used_at <= $2::timestamptz - $3::interval)
        """,
        digest,
        now,
        USE_NOTED_EVERY,
    )


async def has_operator_keys(connection: Connection) -> bool:
    """Whether there is an operator's key that is not revoked."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM operator_keys WHERE revoked_at IS NULL)"))


async def list_operator_keys(connection: Connection) -> list[OperatorKey]:
    """The operators' keys that are not revoked, newest first."""
    records = await connection.fetch(
        """
        SELECT key_id, name, scopes, created_at, expires_at, last_used_at
        FROM operator_keys
        WHERE revoked_at IS NULL
        ORDER BY created_at DESC, key_id DESC
        """
    )
    return [
        OperatorKey(
            key_id=record["key_id"],
            name=record["name"],
            scopes=tuple(record["scopes"]),
            created_at=record["created_at"],
            expires_at=record["expires_at"],
            last_used_at=record["last_used_at"],
        )
        for record in records
    ]


async def mark_operator_revoked(connection: Connection, *, key_id: UUID, now: datetime) -> None:
    """Revoke an operator's key; it opens nothing from this commit on."""
    await connection.execute(
        "UPDATE operator_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL", key_id, now
    )


def _key(record: asyncpg.Record) -> ApiKey:
    ranges: Sequence[rules.IPNetwork] = record["ip_whitelist"]
    return ApiKey(
        key_id=record["key_id"],
        account_id=record["account_id"],
        name=record["name"],
        prefix=record["prefix"],
        permissions=tuple(record["permissions"]),
        ip_whitelist=tuple(rules.show_range(network) for network in ranges),
        created_at=record["created_at"],
        expires_at=record["expires_at"],
        last_used_at=record["last_used_at"],
    )
