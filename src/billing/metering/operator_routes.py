"""The operator's routes of metering, below /operator/v1: usage events and the quarantine."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from litestar import get, post

from billing import accounts
from billing.core import ids
from billing.kit import patience
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Batch, Command, Described, RawBody, RawQuery, meta
from billing.metering import operations, schemas
from billing.metering.model import IngestResult, UsageEvent
from billing.metering.operations.intake import SMALL, Intake
from billing.metering.plain_batches import read_plain
from billing.metering.schemas import (
    EVENTS_MAX,
    MEDIA_TYPE,
    EventsOut,
    EventsQuery,
    QuarantineOut,
    QuarantineQuery,
    ReplayIn,
    ReplayOut,
    UsageEventIn,
    VoidIn,
    VoidOut,
)
from billing.metering.store import events as store

if TYPE_CHECKING:
    from billing.kit.db import Tx


@post(
    "/events",
    opt={
        DESCRIBED: Described(
            summary="Send usage events",
            section="Metering",
            answer=EventsOut,
            body=Batch(item=UsageEventIn, max_items=EVENTS_MAX, media_type=MEDIA_TYPE),
            query=EventsQuery,
        ),
        "audited": False,
    },
)  # the platform's data, not an operator's act
async def ingest_events(
    metering_operator: Operator, body: RawBody, query: RawQuery, command: Command, intake: Intake
) -> Answer:
    """Take in a batch of usage events: what is accepted is durable and billable with this answer.

    Each event has a result of its own, in order: `accepted`, `duplicate` (the same was there), `quarantined` (understood, but
    not billable yet) or `rejected`. A batch can safely be sent again.
    """
    is_backfill = query.read(EventsQuery).backfill
    items = body.read_json_array(UsageEventIn, media_type=MEDIA_TYPE, max_items=EVENTS_MAX, read_plain=read_plain)
    judged = [schemas.judge(item) for item in items]
    events = [one for one in judged if isinstance(one, UsageEvent)]

    def show(stored: Iterable[IngestResult]) -> EventsOut:
        following = iter(stored)
        results = [one if isinstance(one, IngestResult) else next(following) for one in judged]
        return schemas.show_results(items, results)

    async def work(tx: Tx) -> EventsOut:
        return show(await operations.ingest(tx, events, is_backfill=is_backfill))

    if len(events) <= SMALL and not is_backfill and not command.is_keyed:
        with suppress(Exception):  # it may have been another call's, so this one is tried alone
            return Answer.of(show(await intake.take(events)))
    return await command.run(work, status=200)


@get(
    "/events/quarantine",
    opt={DESCRIBED: Described(summary="List quarantined events", section="Metering", query=QuarantineQuery)},
)
async def list_quarantine(metering_operator: Operator, query: RawQuery, db: Database) -> QuarantineOut:
    """Events that were understood but cannot be billed yet, oldest first, with reasons."""
    wanted, page = query.read_page(QuarantineQuery)
    account_id = schemas.read_account(wanted.account_id)
    async with db.snapshot() as tx:
        found = await store.list_quarantined(tx.connection, account_id=account_id, page=page)
    return QuarantineOut(events=[schemas.show_quarantined(one) for one in found.items], meta=meta(page, found))


@post(
    "/events/quarantine/replay",
    opt={
        DESCRIBED: Described(
            summary="Replay quarantined events", section="Metering", answer=ReplayOut, body=ReplayIn, body_optional=True
        )
    },
)
async def replay_quarantine(metering_operator: Operator, body: RawBody, command: Command) -> Answer:
    """Take in again what waits for a resource, a meter or a price."""
    account_id = schemas.read_account(body.read(ReplayIn, optional=True).account_id)

    async def work(tx: Tx) -> ReplayOut:
        if account_id is not None:
            await accounts.get_account(tx.connection, account_id=account_id)
        accepted = await operations.replay_quarantine(tx, account_id=account_id)
        left = await store.count_quarantined(tx.connection, account_id=account_id)
        return ReplayOut(accepted=accepted, quarantined=left)

    with patience.within(None):  # it takes in all that waits
        return await command.run(work, status=200)


@post(
    "/events/{source:str}/{event_id:str}/void",
    opt={DESCRIBED: Described(summary="Void a usage event", section="Metering", answer=VoidOut, body=VoidIn)},
)
async def void_event(
    metering_operator: Operator, source: str, event_id: str, body: RawBody, command: Command
) -> Answer:
    """Take an event out of the count; a month that was billed is corrected by the next close."""
    account_id = ids.expect("acc", body.read(VoidIn).account_id)

    async def work(tx: Tx) -> VoidOut:
        await operations.void(tx, account_id=account_id, source=source, event_id=event_id)
        return VoidOut(id=event_id, source=source, status="voided")

    return await command.run(work, status=200)


HANDLERS = [ingest_events, list_quarantine, replay_quarantine, void_event]
