"""The SQL of usage events; they are taken in by the function ingest_usage in sql/functions/metering.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.page import Page, PageRequest
from billing.core.period import Period
from billing.metering.model import IngestResult, QuarantinedEvent, UsageEvent, VoidOutcome

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def insert_events(
    connection: Connection, events: Sequence[UsageEvent], *, objections: Sequence[str | None], now: datetime
) -> list[IngestResult]:
    """Store and count events; one result each, in order."""
    rows = await connection.fetch(
        "SELECT outcome, reason FROM ingest_usage($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [event.account_id for event in events],
        [event.source for event in events],
        [event.event_id for event in events],
        [event.resource_id for event in events],
        [event.meter for event in events],
        [event.quantity for event in events],
        [event.occurred_at for event in events],
        list(objections),
        now,
    )
    return [IngestResult(row["outcome"], row["reason"]) for row in rows]


async def void_event(
    connection: Connection, *, account_id: UUID, source: str, event_id: str, now: datetime
) -> VoidOutcome:
    """Take an event out of the count; `again` when it was before."""
    return await connection.fetchval("SELECT void_usage($1, $2, $3, $4)", account_id, source, event_id, now)


async def set_aside(
    connection: Connection, *, account_id: UUID, resource_id: str, since: datetime | None, most: int
) -> tuple[bool, list[Period]]:
    """Take a resource's events outside its life, from an instant on, out of the count.

    Whole day rows, oldest first, as many as hold up to `most` such events; without an instant at least one. Returns whether some
    are left for another time, and the months that changed.
    """
    row = await connection.fetchrow(
        "SELECT is_more, months FROM set_aside_usage($1, $2, $3, $4)", account_id, resource_id, since, most
    )
    assert row is not None
    return row["is_more"], [Period(month.year, month.month) for month in row["months"]]


async def list_quarantined(
    connection: Connection, *, page: PageRequest, account_id: UUID | None = None
) -> Page[QuarantinedEvent]:
    """One page of the events still in quarantine, oldest first."""
    rows = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT account_id, source, event_id, resource_id, meter, quantity, occurred_at, reason, recorded_at
            FROM quarantined_events
            WHERE resolved_at IS NULL AND ($1::uuid IS NULL OR account_id = $1)
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $2::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE (recorded_at, account_id, source, event_id) > (coalesce($5::timestamptz, '-infinity'),
                coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'), coalesce($7::text, ''), coalesce($8::text, ''))
            ORDER BY recorded_at, account_id, source, event_id
            LIMIT $3 OFFSET $4
        ) AS page ON true
        ORDER BY page.recorded_at, page.account_id, page.source, page.event_id
        """,
        account_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID, str, str),
    )
    found = [
        QuarantinedEvent(_event(row), row["reason"], row["recorded_at"]) for row in rows if row["event_id"] is not None
    ]
    return page.cut(
        found,
        total=rows[0]["total"],
        key=lambda held: (held.recorded_at, held.event.account_id, held.event.source, held.event.event_id),
    )


async def list_waiting_of(
    connection: Connection, *, account_id: UUID, resource_id: str, limit: int
) -> list[UsageEvent]:
    """A resource's events in quarantine that may be billed after all, by source and id."""
    rows = await connection.fetch(
        """
        SELECT account_id, source, event_id, resource_id, meter, quantity, occurred_at
        FROM quarantined_events
        WHERE resolved_at IS NULL AND account_id = $1 AND resource_id = $2
            AND reason IN ('resource_unknown', 'outside_resource_life', 'meter_unknown', 'price_missing')
        ORDER BY source, event_id
        LIMIT $3
        """,
        account_id,
        resource_id,
        limit,
    )
    return [_event(row) for row in rows]


async def list_untried(
    connection: Connection, *, account_id: UUID, tried_before: datetime, limit: int
) -> list[UsageEvent]:
    """An account's events in quarantine that may be billed after all and were not judged since an instant, longest ago first."""
    rows = await connection.fetch(
        """
        SELECT account_id, source, event_id, resource_id, meter, quantity, occurred_at
        FROM quarantined_events
        WHERE resolved_at IS NULL AND account_id = $1
            AND reason IN ('resource_unknown', 'outside_resource_life', 'meter_unknown', 'price_missing')
            AND (tried_at IS NULL OR tried_at < $2)
        ORDER BY tried_at NULLS FIRST, source, event_id
        LIMIT $3
        """,
        account_id,
        tried_before,
        limit,
    )
    return [_event(row) for row in rows]


async def list_waiting_accounts(connection: Connection, *, after: UUID | None, limit: int) -> list[UUID]:
    """Accounts with events in quarantine that may be billed after all, by id; those that follow `after`.

    Steps from one account to the next in the index: it costs the same however many events each has.
    """
    rows = await connection.fetch(
        """
        WITH RECURSIVE waiting AS (
            (SELECT account_id, 1 AS ordinal FROM quarantined_events
            WHERE resolved_at IS NULL AND ($1::uuid IS NULL OR account_id > $1)
                AND reason IN ('resource_unknown', 'outside_resource_life', 'meter_unknown', 'price_missing')
            ORDER BY account_id LIMIT 1)
            UNION ALL
            SELECT next.account_id, waiting.ordinal + 1
            FROM waiting
            CROSS JOIN LATERAL (
                SELECT account_id FROM quarantined_events
                WHERE resolved_at IS NULL AND account_id > waiting.account_id
                    AND reason IN ('resource_unknown', 'outside_resource_life', 'meter_unknown', 'price_missing')
                ORDER BY account_id LIMIT 1
            ) AS next
            WHERE waiting.ordinal < $2
        )
        SELECT account_id FROM waiting ORDER BY account_id
        """,
        after,
        limit,
    )
    return [row["account_id"] for row in rows]


async def claim_replay(connection: Connection, *, account_id: UUID) -> bool:
    """Be the only one who replays an account's quarantine until the transaction ends; False when another is at it."""
    return await connection.fetchval(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('quarantine ' || $1::text, 0))", str(account_id)
    )


async def count_quarantined(connection: Connection, *, account_id: UUID | None = None) -> int:
    """How many events are still in quarantine."""
    return await connection.fetchval(
        "SELECT count(*) FROM quarantined_events WHERE resolved_at IS NULL AND ($1::uuid IS NULL OR account_id = $1)",
        account_id,
    )


def _event(row: asyncpg.Record) -> UsageEvent:
    return UsageEvent(
        row["account_id"],
        row["source"],
        row["event_id"],
        row["resource_id"],
        row["meter"],
        row["quantity"],
        row["occurred_at"],
    )
