"""Idempotency-Key: what was answered under a key, and the lock that its running request holds.

The lock is a session lock of PostgreSQL: it goes when its connection goes, so no key is stuck behind a dead process.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import msgspec

from billing.core.errors import InvalidParameter

if TYPE_CHECKING:
    from billing.kit.db import Connection

KEPT = timedelta(days=7)
HEADER = "Idempotency-Key"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_EXACT = Context(prec=200)
_canonical_encoder = msgspec.json.Encoder(order="deterministic", enc_hook=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A request that carries a key: whose it is, its route, the key and what it asks for."""

    account_id: UUID
    route: str
    key: str
    fingerprint: bytes

    @property
    def lock_id(self) -> int:
        """The 64 bits that its session lock is taken on."""
        digest = hashlib.sha256(f"{self.account_id}\n{self.route}\n{self.key}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of an earlier request with the same key; `status` is None until it was answered."""

    fingerprint: bytes
    intent: dict[str, Any] | None
    status: int | None
    body: bytes
    headers: dict[str, str]


def read_key(values: list[str]) -> str | None:
    """The key of a request's headers, or None. Raises InvalidParameter for several, or one that is no key."""
    if not values:
        return None
    if len(values) > 1:
        raise InvalidParameter.one("header", HEADER, "is given more than once")
    if _KEY.fullmatch(values[0]) is None:
        raise InvalidParameter.one("header", HEADER, "must be 1 to 255 visible ASCII characters")
    return values[0]


def fingerprint(*values: object) -> bytes:
    """SHA-256 of parsed values: the order of members and the zeros of 100.00 make no difference."""
    plain = msgspec.to_builtins(values, builtin_types=(Decimal,), str_keys=True, enc_hook=str)
    return hashlib.sha256(_canonical_encoder.encode(_canonical(plain))).digest()


def _canonical(value: object) -> object:
    match value:
        case Decimal():
            return str(value.normalize(_EXACT))
        case dict():
            return {name: _canonical(member) for name, member in cast("dict[str, object]", value).items()}
        case list() | tuple():
            return [_canonical(member) for member in cast("list[object]", value)]
        case _:
            return value


async def try_lock(connection: Connection, *, attempt: Attempt) -> bool:
    """Take the session lock of an attempt's key; False when a running request has it.

    A caller that is cancelled meanwhile cannot know whether it was taken: the lock then goes with its session.
    """
    try:
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", attempt.lock_id))
    except asyncio.CancelledError:
        connection.terminate()
        raise


async def unlock(connection: Connection, *, attempt: Attempt) -> None:
    """Give the session lock back; nothing to do once its connection is gone."""
    if connection.is_closed():
        return
    try:
        await connection.execute("SELECT pg_advisory_unlock($1)", attempt.lock_id)
    except asyncio.CancelledError:
        connection.terminate()
        raise


async def find(connection: Connection, *, attempt: Attempt) -> Kept | None:
    """What is kept under an attempt's key, or None."""
    row = await connection.fetchrow(
        """
        SELECT fingerprint, intent, status, body, headers
        FROM idempotency_keys
        WHERE account_id = $1 AND route = $2 AND key = $3
        """,
        attempt.account_id,
        attempt.route,
        attempt.key,
    )
    if row is None:
        return None
    return Kept(
        fingerprint=row["fingerprint"],
        intent=None if row["intent"] is None else msgspec.json.decode(row["intent"]),
        status=row["status"],
        body=row["body"] or b"",
        headers=msgspec.json.decode(row["headers"] or "{}"),
    )


async def insert_answer(
    connection: Connection, *, attempt: Attempt, status: int, body: bytes, headers: Mapping[str, str], now: datetime
) -> bool:
    """Keep an answer beside its effect, in the same transaction; False when the key has been used meanwhile."""
    inserted = await connection.fetchval(
        """
        INSERT INTO idempotency_keys (account_id, route, key, fingerprint, status, body, headers, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT DO NOTHING
        RETURNING true
        """,
        attempt.account_id,
        attempt.route,
        attempt.key,
        attempt.fingerprint,
        status,
        body,
        _json(headers),
        now,
    )
    return bool(inserted)


async def insert_intent(connection: Connection, *, attempt: Attempt, intent: Mapping[str, Any], now: datetime) -> bool:
    """Keep an intent that is yet to be answered; False when the key has been used meanwhile."""
    inserted = await connection.fetchval(
        """
        INSERT INTO idempotency_keys (account_id, route, key, fingerprint, intent, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING
        RETURNING true
        """,
        attempt.account_id,
        attempt.route,
        attempt.key,
        attempt.fingerprint,
        _json(intent),
        now,
    )
    return bool(inserted)


async def update_answer(
    connection: Connection, *, attempt: Attempt, status: int, body: bytes, headers: Mapping[str, str]
) -> bool:
    """Answer an intent; False when it has been answered meanwhile: the first answer stays."""
    updated = await connection.fetchval(
        """
        UPDATE idempotency_keys
        SET status = $4, body = $5, headers = $6
        WHERE account_id = $1 AND route = $2 AND key = $3 AND status IS NULL
        RETURNING true
        """,
        attempt.account_id,
        attempt.route,
        attempt.key,
        status,
        body,
        _json(headers),
    )
    return bool(updated)


async def delete_expired(connection: Connection, *, now: datetime) -> int:
    """Forget answers kept for longer than 7 days, over all accounts, and say how many."""
    count = await connection.fetchval(
        """
        WITH gone AS (DELETE FROM idempotency_keys WHERE created_at < $1 RETURNING account_id)
        SELECT count(*) FROM gone
        """,
        now - KEPT,
    )
    return int(count)


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
