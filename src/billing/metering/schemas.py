"""Wire shapes of usage events (CloudEvents 1.0) and the quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from msgspec import Meta as Bound
from msgspec import Struct

from billing.core import ids
from billing.core.errors import Fault, NotFound
from billing.kit.web import BatchItem, Meta, PageQuery, values
from billing.metering.model import IngestResult, QuarantinedEvent, UsageEvent
from billing.metering.rules import has_storable_decimals

EVENTS_MAX = 1_000
MEDIA_TYPE = "application/cloudevents-batch+json"

Name = Annotated[str, Bound(min_length=1, max_length=200)]
MeterName = Annotated[str, Bound(min_length=1, max_length=100)]


class UsageData(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The data of a usage event: how much of a meter an account used."""

    account_id: Name
    meter: MeterName
    quantity: Decimal


class UsageEventIn(Struct, frozen=True, kw_only=True):
    """A CloudEvent of type `usage`; its subject is the resource. Extension attributes are left alone."""

    accepts_unknown: ClassVar[bool] = True

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Literal["usage"]
    subject: Name
    time: datetime
    data: UsageData


class EventsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /events: `backfill` lifts the limit of 35 days back."""

    backfill: bool = False


class ResultOut(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event."""

    id: str | None
    source: str | None
    status: str
    reason: str | None = None


class EventsOut(Struct, frozen=True, kw_only=True):
    """POST /events: counts, and a result for each event in order."""

    accepted: int
    duplicates: int
    quarantined: int
    rejected: int
    results: list[ResultOut]


class QuarantineQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /events/quarantine."""

    account_id: str | None = None


class QuarantinedOut(Struct, frozen=True, kw_only=True):
    """An event that waits, and why."""

    id: str
    source: str
    account_id: str
    resource_id: str
    meter: str
    quantity: Decimal
    time: datetime
    reason: str
    received_at: datetime


class QuarantineOut(Struct, frozen=True, kw_only=True):
    """GET /events/quarantine."""

    events: list[QuarantinedOut]
    meta: Meta


class VoidIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /events/{source}/{id}/void: whose event it is."""

    account_id: str


class VoidOut(Struct, frozen=True, kw_only=True):
    """The event that no longer counts."""

    id: str
    source: str
    status: Literal["voided"]


class ReplayIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /events/quarantine/replay: of one account, or of all."""

    account_id: str | None = None


class ReplayOut(Struct, frozen=True, kw_only=True):
    """How many events are billed now, and how many still wait."""

    accepted: int
    quarantined: int


Judged = UsageEvent | IngestResult


def judge(item: BatchItem[UsageEventIn]) -> Judged:
    """The event of a batch's item, or why it is rejected: every fault of it."""
    if item.value is None:
        return IngestResult("rejected", _told(item.faults))
    sent = item.value
    account_id = _account_of(sent.data.account_id)
    if account_id is None:
        return IngestResult("rejected", "account_unknown")
    if not has_storable_decimals(sent.data.quantity):
        return IngestResult("rejected", "data.quantity has more than 12 decimals")
    return UsageEvent(account_id, sent.source, sent.id, sent.subject, sent.data.meter, sent.data.quantity, sent.time)


@lru_cache(maxsize=10_000)  # the same accounts come again and again
def _account_of(text: str) -> UUID | None:
    return ids.decode("acc", text)


def _told(faults: Sequence[Fault]) -> str:
    return "; ".join(f"{fault.path} {fault.reason}".strip() for fault in faults)


def show_results(items: Sequence[BatchItem[UsageEventIn]], results: Sequence[IngestResult]) -> EventsOut:
    """The answer to a batch."""
    counts = Counter(result.outcome for result in results)
    return EventsOut(
        accepted=counts["accepted"],
        duplicates=counts["duplicate"],
        quarantined=counts["quarantined"],
        rejected=counts["rejected"],
        results=[
            ResultOut(id=_text(item, "id"), source=_text(item, "source"), status=result.outcome, reason=result.reason)
            for item, result in zip(items, results, strict=True)
        ],
    )


def _text(item: BatchItem[UsageEventIn], name: Literal["id", "source"]) -> str | None:
    if item.value is not None:
        return item.value.id if name == "id" else item.value.source
    try:
        return values.read_text(item.members.get(name))
    except ValueError:
        return None


def show_quarantined(held: QuarantinedEvent) -> QuarantinedOut:
    """An event that waits."""
    event = held.event
    return QuarantinedOut(
        id=event.event_id,
        source=event.source,
        account_id=ids.encode("acc", event.account_id),
        resource_id=event.resource_id,
        meter=event.meter,
        quantity=event.quantity,
        time=event.occurred_at,
        reason=held.reason,
        received_at=held.recorded_at,
    )


def read_account(text: str | None) -> UUID | None:
    """The account that a filter names, if any. Raises NotFound for what cannot be one's id."""
    account_id = None if text is None else ids.decode("acc", text)
    if text is not None and account_id is None:
        raise NotFound
    return account_id
