"""Taking in what the platform reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from billing.core.errors import NotFound
from billing.metering import rules
from billing.metering.model import (
    IngestResult,
    PriceMissing,
    Resource,
    ResourceDeleted,
    ResourceRegionFixed,
    StateReport,
    UsageEvent,
)
from billing.metering.store import events as event_store
from billing.metering.store import periods, resources

if TYPE_CHECKING:
    from billing.kit.db import Connection, Tx

REPLAY_CHUNK = 1_000
_CURABLE = ("resource_unknown", "outside_resource_life", "meter_unknown", "price_missing")


class ResourceKey(TypedDict):
    """What names a resource."""

    account_id: UUID
    resource_id: str


@dataclass(frozen=True, slots=True)
class RecordedState:
    """What a report of a resource did: `is_created`, the resource was new; `is_changed`, its history is another now."""

    is_created: bool
    is_changed: bool


async def record_state(tx: Tx, report: StateReport) -> RecordedState:
    """Store what a resource is from an instant on. Reports may come in any order; the same one again changes nothing.

    Raises ResourceRegionFixed, ResourceDeleted (the resource ended before), PriceMissing (the plan has none in that month).
    """
    connection = tx.connection
    key: ResourceKey = {"account_id": report.account_id, "resource_id": report.resource_id}
    await resources.lock_resource(connection, **key)
    known = await resources.find_resource(connection, **key, at=tx.now)
    if known is not None:
        await _refuse_contradiction(connection, known, report)
    if report.plan is not None and not await resources.is_plan_priced(
        connection, account_id=report.account_id, plan=report.plan, region=report.region, at=report.effective_at
    ):
        raise PriceMissing(details={"plan": report.plan})
    is_newest = not await resources.has_state_after(connection, **key, at=report.effective_at)
    await resources.upsert_resource(connection, report, is_newest=is_newest, now=tx.now)
    await resources.insert_move(connection, **key, now=tx.now)
    is_changed = await resources.upsert_state_point(connection, report, now=tx.now)
    if is_changed:
        await _follow_up(tx, report)
    return RecordedState(is_created=known is None, is_changed=is_changed)


async def _refuse_contradiction(connection: Connection, known: Resource, report: StateReport) -> None:
    if known.region != report.region:
        raise ResourceRegionFixed(details={"region": known.region})
    deleted_at = await resources.find_deletion(connection, account_id=known.account_id, resource_id=known.resource_id)
    if deleted_at is not None and report.effective_at >= deleted_at and report.status != "deleted":
        raise ResourceDeleted(details={"deleted_at": deleted_at})


async def _follow_up(tx: Tx, report: StateReport) -> None:
    key: ResourceKey = {"account_id": report.account_id, "resource_id": report.resource_id}
    # Day rows before versions, as ingest locks them: no two locks cross.
    await resources.refold_after(tx.connection, **key, since=report.effective_at)
    await replay_quarantine(tx, **key)
    await periods.touch_periods_from(tx.connection, account_id=report.account_id, since=report.effective_at, now=tx.now)


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
