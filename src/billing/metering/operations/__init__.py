"""Taking in what the platform reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from billing.core.errors import NotFound
from billing.kit import worker
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
from billing.metering.store import periods, resources, states

if TYPE_CHECKING:
    from billing.kit.db import Connection, Tx

REPLAY_CHUNK = 1_000
SETTLED_AT_ONCE = 5_000  # events that one report or request bears besides its own work
ACCOUNTS = 1_000
REPLAY_JOB = "metering.replay"
SETTLE_JOB = "metering.settle"
SETTLING = timedelta(
    minutes=2
)  # longer than any statement or idle transaction lives: who counts by the old life has ended
_SHORTENING = ("deleting", "deleted")


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
    if report.plan is not None and not await states.is_plan_priced(
        connection, account_id=report.account_id, plan=report.plan, region=report.region, at=report.effective_at
    ):
        raise PriceMissing(details={"plan": report.plan})
    is_newest = not await states.has_state_after(connection, **key, at=report.effective_at)
    await resources.upsert_resource(connection, report, is_newest=is_newest, now=tx.now)
    await resources.insert_move(connection, **key, now=tx.now)
    is_changed = await states.upsert_state_point(connection, report, now=tx.now)
    if is_changed:
        await states.end_states(connection, **key, since=report.effective_at)
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
    if report.status in _SHORTENING:
        await states.lock_days(tx.connection, **key, since=report.effective_at)
    await states.refold_after(tx.connection, **key, since=report.effective_at)
    if report.status in _SHORTENING:
        await _shorten(tx, key, since=report.effective_at)
    waiting = await event_store.list_waiting_of(tx.connection, **key, limit=SETTLED_AT_ONCE)
    await _judge_again(tx, waiting)
    if len(waiting) == SETTLED_AT_ONCE:
        await worker.wake(tx.connection, job=REPLAY_JOB)
    await periods.touch_periods_from(tx.connection, account_id=report.account_id, since=report.effective_at, now=tx.now)


async def _shorten(tx: Tx, key: ResourceKey, *, since: datetime) -> None:
    """Take usage outside a life that became shorter out of the count; what is much, and what comes meanwhile, a job does."""
    is_more, _ = await event_store.set_aside(tx.connection, **key, since=since, most=SETTLED_AT_ONCE)
    settled_at = tx.now + SETTLING
    await resources.upsert_shortened(
        tx.connection, **key, due_at=tx.now if is_more else settled_at, settled_at=settled_at
    )
    if is_more:
        await worker.wake(tx.connection, job=SETTLE_JOB)


async def settle_shortened(tx: Tx) -> bool:
    """Take usage outside of one resource's life out of the count, a part of it when it is much; False when nothing is due."""
    claimed = await resources.claim_shortened(tx.connection, now=tx.now)
    if claimed is None:
        return False
    account_id, resource_id = claimed
    key: ResourceKey = {"account_id": account_id, "resource_id": resource_id}
    is_more, months = await event_store.set_aside(tx.connection, **key, since=None, most=SETTLED_AT_ONCE)
    if months:  # and those after them, over which a gauge's level holds
        await periods.touch_periods_from(tx.connection, account_id=account_id, since=min(months).start, now=tx.now)
    if not is_more:
        await resources.settle_shortened(tx.connection, **key, now=tx.now)
    return True


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


async def replay_quarantine(tx: Tx, *, account_id: UUID | None = None) -> int:
    """Take in again what waits for a resource, a meter or a price, of one account or of all, the least lately judged first.

    As much as one transaction bears; the quarantine's job goes on with the rest. Returns how many events are billed now.
    """
    wanted = (
        [account_id]
        if account_id
        else await event_store.list_waiting_accounts(tx.connection, after=None, limit=ACCOUNTS)
    )
    waiting: list[UsageEvent] = []
    for one in wanted:
        waiting += await event_store.list_untried(
            tx.connection, account_id=one, tried_before=tx.now, limit=SETTLED_AT_ONCE - len(waiting)
        )
    # In one call: several would lock day rows and versions in turns, and cross with ingest.
    return await _judge_again(tx, waiting)


async def replay_turn(tx: Tx, *, account_id: UUID, tried_before: datetime) -> int:
    """The next chunk of an account's quarantine; returns how many events it held, 0 while another is at it."""
    if not await event_store.claim_replay(tx.connection, account_id=account_id):
        return 0
    waiting = await event_store.list_untried(
        tx.connection, account_id=account_id, tried_before=tried_before, limit=REPLAY_CHUNK
    )
    await _judge_again(tx, waiting)
    return len(waiting)


async def _judge_again(tx: Tx, waiting: Sequence[UsageEvent]) -> int:
    if not waiting:
        return 0
    results = await event_store.insert_events(tx.connection, waiting, objections=[None] * len(waiting), now=tx.now)
    return sum(result.outcome == "accepted" for result in results)
