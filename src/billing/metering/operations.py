"""Taking in what the platform reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.errors import NotFound
from billing.metering import rules
from billing.metering.model import (
    IngestResult,
    PriceMissing,
    Resource,
    ResourceDeleted,
    ResourceRegionFixed,
    Status,
    UsageEvent,
)
from billing.metering.store import events as event_store
from billing.metering.store import periods, resources

if TYPE_CHECKING:
    from billing.kit.db import Connection, Tx

REPLAY_CHUNK = 1_000
_CURABLE = ("resource_unknown", "outside_resource_life", "meter_unknown", "price_missing")


@dataclass(frozen=True, slots=True)
class RecordedState:
    """What a report of a resource did: `is_created`, the resource was new; `is_changed`, its history is another now."""

    is_created: bool
    is_changed: bool


async def record_state(
    tx: Tx,
    *,
    account_id: UUID,
    resource_id: str,
    project_id: UUID,
    type: str,
    service: str,
    name: str,
    region: str,
    status: Status,
    effective_at: datetime,
    plan: str | None,
    units: Decimal,
) -> RecordedState:
    """Store what a resource is from an instant on. Reports may come in any order; the same one again changes nothing.

    Raises ResourceRegionFixed, ResourceDeleted (the resource ended before), PriceMissing (the plan has none in that month).
    """
    connection = tx.connection
    await resources.lock_resource(connection, account_id=account_id, resource_id=resource_id)
    known = await resources.find_resource(connection, account_id=account_id, resource_id=resource_id, at=tx.now)
    if known is not None:
        await _refuse_contradiction(connection, known, region=region, status=status, effective_at=effective_at)
    if plan is not None and not await resources.is_plan_priced(
        connection, account_id=account_id, plan=plan, region=region, at=effective_at
    ):
        raise PriceMissing(details={"plan": plan})
    is_newest = not await resources.has_state_after(
        connection, account_id=account_id, resource_id=resource_id, at=effective_at
    )
    await resources.upsert_resource(
        connection,
        account_id=account_id,
        resource_id=resource_id,
        project_id=project_id,
        type=type,
        service=service,
        name=name,
        region=region,
        effective_at=effective_at,
        deleted_at=effective_at if status == "deleted" else None,
        is_newest=is_newest,
        now=tx.now,
    )
    await resources.insert_move(connection, account_id=account_id, resource_id=resource_id, now=tx.now)
    is_changed = await resources.upsert_state_point(
        connection,
        account_id=account_id,
        resource_id=resource_id,
        effective_at=effective_at,
        plan=plan,
        units=units,
        status=status,
        now=tx.now,
    )
    if is_changed:
        await _follow_up(tx, account_id=account_id, resource_id=resource_id, since=effective_at)
    return RecordedState(is_created=known is None, is_changed=is_changed)


async def _refuse_contradiction(
    connection: Connection, known: Resource, *, region: str, status: Status, effective_at: datetime
) -> None:
    if known.region != region:
        raise ResourceRegionFixed(details={"region": known.region})
    deleted_at = await resources.find_deletion(connection, account_id=known.account_id, resource_id=known.resource_id)
    if deleted_at is not None and effective_at > deleted_at and status != "deleted":
        raise ResourceDeleted(details={"deleted_at": deleted_at})


async def _follow_up(tx: Tx, *, account_id: UUID, resource_id: str, since: datetime) -> None:
    # Day rows before versions, as ingest locks them: no two locks cross.
    await resources.refold_after(tx.connection, account_id=account_id, resource_id=resource_id, since=since)
    await replay_quarantine(tx, account_id=account_id, resource_id=resource_id)
    await periods.touch_periods_from(tx.connection, account_id=account_id, since=since, now=tx.now)


async def ingest(tx: Tx, events: Sequence[UsageEvent], *, is_backfill: bool = False) -> list[IngestResult]:
    """Store and count events in this transaction; one result each, in order. Acknowledged means durable and billable."""
    objections = [rules.objection_to(event, now=tx.now, is_backfill=is_backfill) for event in events]
    return await event_store.insert_events(tx.connection, events, objections=objections, now=tx.now)


async def void(tx: Tx, *, account_id: UUID, source: str, event_id: str) -> None:
    """Take an event out of the count as if it had not been sent; a month that was billed is corrected by the next close.

    Again is harmless. Raises NotFound.
    """
    outcome = await event_store.void_event(
        tx.connection, account_id=account_id, source=source, event_id=event_id, now=tx.now
    )
    if outcome == "unknown":
        raise NotFound


async def replay_quarantine(tx: Tx, *, account_id: UUID | None = None, resource_id: str | None = None) -> int:
    """Take in again what waits for a resource, a meter or a price; returns how many events are billed now."""
    billed, last = 0, None
    while waiting := await event_store.list_quarantined(
        tx.connection,
        limit=REPLAY_CHUNK,
        account_id=account_id,
        resource_id=resource_id,
        reasons=_CURABLE,
        after=last,  # what cannot be billed yet does not keep from those behind it
    ):
        results = await event_store.insert_events(
            tx.connection, [held.event for held in waiting], objections=[None] * len(waiting), now=tx.now
        )
        billed += sum(result.outcome == "accepted" for result in results)
        last = waiting[-1]
    return billed
