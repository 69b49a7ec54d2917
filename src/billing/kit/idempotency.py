"""Idempotency-Key: what was answered under a key, and the lock that its running request holds.

The lock is a session lock of PostgreSQL: it goes when its connection goes, so no key is stuck behind a dead process.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import UUID

import msgspec

from billing.core.errors import IdempotencyInProgress, InvalidParameter

if TYPE_CHECKING:
    import asyncpg

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
    lock_id: int = field(init=False)
    """The 64 bits that its session lock is taken on."""

    def __post_init__(self) -> None:
        digest = hashlib.sha256(f"{self.account_id}\n{self.route}\n{self.key}".encode()).digest()
        object.__setattr__(self, "lock_id", int.from_bytes(digest[:8], "big", signed=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of an earlier request with the same key; `status` is None until it was answered."""

    fingerprint: bytes
    intent: dict[str, Any] | None
    status: int | None
    body: bytes
    headers: dict[str, str]


class KeptAnswer(Protocol):
    """The answer that a retry will hear."""

    @property
    def status(self) -> int:
        """Its HTTP status."""
        ...

    @property
    def body(self) -> bytes:
        """Its bytes."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that are its own."""
        ...


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


async def hold(
    connection: Connection, taken: Sequence[tuple[Attempt, bool]], *, given_back: Sequence[int]
) -> list[tuple[bool, Kept | None]]:
    """Give back session locks by their ids, then take those of attempts where that is wanted (True), waiting for none.

    Says of each attempt whether its lock was taken, and what is kept under its key after that.
    """
    attempts = [attempt for attempt, _ in taken]
    rows = await connection.fetch(
        "SELECT is_mine, fingerprint, intent, status, body, headers FROM hold_keys($1, $2, $3, $4, $5)",
        given_back,
        [attempt.lock_id if is_wanted else None for attempt, is_wanted in taken],
        *_columns(attempts),
    )
    return [(row["is_mine"], None if row["fingerprint"] is None else _kept(row)) for row in rows]


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


async def insert_intents(
    connection: Connection, intents: Sequence[tuple[Attempt, Mapping[str, Any]]], *, now: datetime
) -> None:
    """Keep intents that are yet to be answered. Raises IdempotencyInProgress when one of their keys has been used meanwhile."""
    attempts = [attempt for attempt, _ in intents]
    done = await connection.execute(
        """
        INSERT INTO idempotency_keys (account_id, route, key, fingerprint, intent, created_at)
        SELECT account_id, route, key, fingerprint, intent, $6
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::jsonb[])
            AS given (account_id, route, key, fingerprint, intent)
        ON CONFLICT DO NOTHING
        """,
        *_columns(attempts),
        [attempt.fingerprint for attempt in attempts],
        [_json(intent) for _, intent in intents],
        now,
    )
    if done != f"INSERT 0 {len(intents)}":
        raise IdempotencyInProgress


async def update_answers(connection: Connection, answers: Sequence[tuple[Attempt, KeptAnswer]]) -> None:
    """Answer intents; of one that has been answered meanwhile the first answer stays."""
    attempts = [attempt for attempt, _ in answers]
    await connection.execute(
        """
        UPDATE idempotency_keys SET status = given.status, body = given.body, headers = given.headers
        FROM unnest(
            ARRAY(SELECT unnest($1::uuid[])), ARRAY(SELECT unnest($2::text[])), ARRAY(SELECT unnest($3::text[])), $4::integer[],
            $5::bytea[], $6::jsonb[]
        ) AS given (account_id, route, key, status, body, headers)
        WHERE idempotency_keys.account_id = given.account_id AND idempotency_keys.route = given.route
            AND idempotency_keys.key = given.key AND idempotency_keys.status IS NULL
        """,
        *_columns(attempts),
        [answer.status for _, answer in answers],
        [answer.body for _, answer in answers],
        [_json(answer.headers) for _, answer in answers],
    )


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


def _kept(row: asyncpg.Record) -> Kept:
    return Kept(
        fingerprint=row["fingerprint"],
        intent=None if row["intent"] is None else msgspec.json.decode(row["intent"]),
        status=row["status"],
        body=row["body"] or b"",
        headers=msgspec.json.decode(row["headers"] or "{}"),
    )


def _columns(attempts: Sequence[Attempt]) -> tuple[list[UUID], list[str], list[str]]:
    return (
        [attempt.account_id for attempt in attempts],
        [attempt.route for attempt in attempts],
        [attempt.key for attempt in attempts],
    )


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
