"""The SQL of usage events; they are taken in by the function ingest_usage in sql/functions/metering.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.metering.model import IngestResult, QuarantinedEvent, UsageEvent, VoidOutcome

if TYPE_CHECKING:
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


async def list_quarantined(
    connection: Connection,
    *,
    limit: int,
    offset: int = 0,
    account_id: UUID | None = None,
    resource_id: str | None = None,
    reasons: Sequence[str] | None = None,
    after: QuarantinedEvent | None = None,
) -> list[QuarantinedEvent]:
    """Events still in quarantine, oldest first; with `after`, those that follow it."""
    rows = await connection.fetch(
        """
        SELECT account_id, source, event_id, resource_id, meter, quantity, occurred_at, reason, recorded_at
        FROM quarantined_events
        WHERE resolved_at IS NULL AND ($1::uuid IS NULL OR account_id = $1) AND ($2::text IS NULL OR resource_id = $2)
            AND ($3::text[] IS NULL OR reason = ANY ($3))
            AND ($6::timestamptz IS NULL
                OR (recorded_at, account_id, source, event_id) > ($6, $7::uuid, $8::text, $9::text))
        ORDER BY recorded_at, account_id, source, event_id
        LIMIT $4 OFFSET $5
        """,
        account_id,
        resource_id,
        None if reasons is None else list(reasons),
        limit,
        offset,
        after.recorded_at if after else None,
        after.event.account_id if after else None,
        after.event.source if after else None,
        after.event.event_id if after else None,
    )
    return [
        QuarantinedEvent(
            UsageEvent(
                row["account_id"],
                row["source"],
                row["event_id"],
                row["resource_id"],
                row["meter"],
                row["quantity"],
                row["occurred_at"],
            ),
            row["reason"],
            row["recorded_at"],
        )
        for row in rows
    ]


async def count_quarantined(connection: Connection, *, account_id: UUID | None = None) -> int:
    """How many events are still in quarantine."""
    return await connection.fetchval(
        "SELECT count(*) FROM quarantined_events WHERE resolved_at IS NULL AND ($1::uuid IS NULL OR account_id = $1)",
        account_id,
    )
