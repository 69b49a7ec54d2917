"""Events that are committed with their cause, and what is done with them afterwards.

A job of ours may act on a type (`claim`); the relay hands every event to its readers, who tell the world; and platforms read the
log along its order (`list_events`). Events are kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import structlog

from billing.kit.checks import EVERYTHING, Check, Scope
from billing.kit.sessions import NoAnswer, NoSession

if TYPE_CHECKING:
    from billing.kit.db import Connection, Database, Tx


NewEvent: TypeAlias = tuple[UUID, str, Mapping[str, object]]  # account, object, payload

RELAYED_AT_ONCE = 500
STUCK_AFTER_FAILURES = 5
_PAUSE_MAX = timedelta(hours=1)
# No event brings these about. A statement that takes too long, a deadlock or a lock that cannot be had may be an event's own.
_DATABASE_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.DiskFullError,
    asyncpg.TooManyConnectionsError,
    NoAnswer,
    NoSession,
)

_log = structlog.get_logger("billing.outbox")


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """Something that happened to an object of an account."""

    account_id: UUID
    event_id: UUID
    type: str
    object_id: str
    version: int
    """Of one object it never goes back: who has seen a higher one may drop this."""
    created_at: datetime
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event in the log's order: by the transaction that wrote it, then by version."""

    transaction_id: int
    event: OutboxEvent


Reader: TypeAlias = "Callable[[Tx, Sequence[OutboxEvent]], Awaitable[None]]"
"""Takes events in the transaction that marks them relayed; it raises to refuse them all."""


async def publish(tx: Tx, *, account_id: UUID, type: str, object_id: str, payload: Mapping[str, object]) -> None:
    """Store an event: it is there if and only if this transaction commits."""
    await publish_all(tx, type=type, events=[(account_id, object_id, payload)])


async def publish_all(tx: Tx, *, type: str, events: Sequence[NewEvent]) -> None:
    """Store events of one type, given as (account, object, payload), in one round trip."""
    await tx.connection.execute(
        """
        INSERT INTO outbox_events (account_id, event_id, type, object_id, payload, created_at)
        SELECT account_id, event_id, $5, object_id, payload::jsonb, $6
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS given (account_id, event_id, object_id, payload)
        """,
        [account_id for account_id, _, _ in events],
        [tx.new_id() for _ in events],
        [object_id for _, object_id, _ in events],
        [msgspec.json.encode(payload).decode() for _, _, payload in events],
        type,
        tx.now,
    )


async def next_version(tx: Tx) -> int:
    """A version for what is told of an object without an event."""
    return await tx.connection.fetchval("SELECT nextval('outbox_versions')")


async def claim(tx: Tx, *, types: Sequence[str]) -> OutboxEvent | None:
    """The oldest event of some types that nobody has acted on, held until the transaction ends and then done, or None."""
    row = await tx.connection.fetchrow(
        """
        UPDATE outbox_events SET dispatched_at = $2
        WHERE (account_id, event_id) = (
            SELECT account_id, event_id FROM outbox_events
            WHERE dispatched_at IS NULL AND type = ANY ($1)
            ORDER BY created_at, event_id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        RETURNING account_id, event_id, type, object_id, version, created_at, payload
        """,
        list(types),
        tx.now,
    )
    return None if row is None else _event(row)


async def relay(database: Database, *, readers: Sequence[Reader]) -> int:
    """Hand every event that was not relayed to all readers, in the transaction that marks it; returns how many were taken.

    Any number may run at once and be killed: an event is taken by all readers once, or stays. If a batch is refused, each of its
    events is tried alone; one that is refused again waits (1 s, doubled each time, at most an hour) and holds up nobody. Raises
    what keeps the database from taking any: no event is to blame for that, and all are tried again by the next run.
    """
    relayed = 0
    while True:
        events: Sequence[OutboxEvent] = ()
        try:
            async with database.transaction() as tx:
                events = await _claim_unrelayed(tx, limit=RELAYED_AT_ONCE)
                await _tell(tx, events, readers)
            relayed += len(events)
        except Exception:  # whichever event it was, the others must go on
            if not events:
                raise
            for event in events:
                relayed += await _relay_alone(database, event, readers)
        if len(events) < RELAYED_AT_ONCE:
            return relayed


async def _relay_alone(database: Database, event: OutboxEvent, readers: Sequence[Reader]) -> bool:
    try:
        async with database.transaction() as tx:
            is_mine = await _claim_one_unrelayed(tx, event)
            if is_mine:
                await _tell(tx, [event], readers)
            return is_mine
    except _DATABASE_AWAY:
        raise
    except Exception as error:
        _log.exception("event_refused", event_id=str(event.event_id), type=event.type, reason=repr(error))
        async with database.transaction() as tx:
            await _put_off(tx, event)
        return False


async def _tell(tx: Tx, events: Sequence[OutboxEvent], readers: Sequence[Reader]) -> None:
    if events:
        for reader in readers:
            await reader(tx, events)


async def _claim_unrelayed(tx: Tx, *, limit: int) -> list[OutboxEvent]:
    rows = await tx.connection.fetch(
        """
        WITH held AS (
            SELECT account_id, event_id FROM outbox_events
            WHERE relayed_at IS NULL AND relay_due_at <= $1
            ORDER BY relay_due_at, version, event_id
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        ), relayed AS (
            UPDATE outbox_events SET relayed_at = $1
            FROM held
            WHERE outbox_events.account_id = held.account_id AND outbox_events.event_id = held.event_id
            RETURNING outbox_events.*
        )
        SELECT account_id, event_id, type, object_id, version, created_at, payload FROM relayed
        ORDER BY version, event_id
        """,
        tx.now,
        limit,
    )
    return [_event(row) for row in rows]


async def _claim_one_unrelayed(tx: Tx, event: OutboxEvent) -> bool:
    """Whether it was still there to relay; another relay may have taken it meanwhile."""
    found = await tx.connection.fetchval(
        """
        UPDATE outbox_events SET relayed_at = $3
        WHERE account_id = $1 AND event_id = $2 AND relayed_at IS NULL
        RETURNING true
        """,
        event.account_id,
        event.event_id,
        tx.now,
    )
    return bool(found)


async def _put_off(tx: Tx, event: OutboxEvent) -> None:
    await tx.connection.execute(
        """
        UPDATE outbox_events
        SET relay_failures = relay_failures + 1,
            relay_due_at = $3::timestamptz + least(interval '1 second' * 2 ^ least(relay_failures, 30), $4)
        WHERE account_id = $1 AND event_id = $2 AND relayed_at IS NULL
        """,
        event.account_id,
        event.event_id,
        tx.now,
        _PAUSE_MAX,
    )


async def list_events(
    connection: Connection,
    *,
    after: tuple[int, int],
    limit: int,
    types: Sequence[str] = (),
    account_id: UUID | None = None,
) -> list[LoggedEvent]:
    """Events that follow (transaction, version) in the log's order, of all types and accounts unless told.

    Events of a transaction appear once every transaction that began before it has ended, so that nothing is ever stored before
    an event that was seen: whoever goes on behind the last one misses none, however late it commits.
    """
    rows = await connection.fetch(
        """
        SELECT transaction_id::text::bigint AS transaction_id, account_id, event_id, type, object_id, version, created_at, payload
        FROM outbox_events
        WHERE (transaction_id, version) > ($1::bigint::text::xid8, $2)
          AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
          AND (cardinality($3::text[]) = 0 OR type = ANY ($3))
          AND ($4::uuid IS NULL OR account_id = $4)
        ORDER BY transaction_id, version, event_id
        LIMIT $5
        """,
        *after,
        list(types),
        account_id,
        limit,
    )
    return [LoggedEvent(row["transaction_id"], _event(row)) for row in rows]


async def get_horizon(connection: Connection) -> int:
    """The transaction before which the log is whole: whatever is stored from now on stands behind it."""
    return await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")


async def run_checks(connection: Connection, scope: Scope = EVERYTHING, *, types: Sequence[str]) -> list[Check]:
    """Events must not lie there for a day: neither those of types that somebody acts on, nor any that is to be relayed."""
    row = await connection.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM outbox_events
             WHERE dispatched_at IS NULL AND type = ANY ($1) AND created_at < $2::timestamptz - interval '1 day') AS unacted,
            (SELECT count(*) FROM outbox_events
             WHERE relayed_at IS NULL AND (created_at < $2::timestamptz - interval '1 day' OR relay_failures >= $3)) AS unrelayed
        """,
        list(types),
        scope.now,
        STUCK_AFTER_FAILURES,
    )
    assert row is not None
    return [
        Check("outbox events are acted on within a day", row["unacted"]),
        Check("outbox events are relayed within a day, and none is refused again and again", row["unrelayed"]),
    ]


def _event(row: asyncpg.Record) -> OutboxEvent:
    return OutboxEvent(
        account_id=row["account_id"],
        event_id=row["event_id"],
        type=row["type"],
        object_id=row["object_id"],
        version=row["version"],
        created_at=row["created_at"],
        payload=msgspec.json.decode(row["payload"]),
    )
