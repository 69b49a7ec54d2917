"""What the platform reports: resources, their states, usage events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from billing.core.errors import Refused

Status = Literal["running", "stopped", "deleting", "deleted"]
VoidOutcome = Literal["voided", "again", "unknown"]
Outcome = Literal["accepted", "duplicate", "quarantined", "rejected"]

LATE_WINDOW = timedelta(days=35)
AHEAD_WINDOW = timedelta(minutes=5)
QUANTITY_MAX = Decimal(10) ** 29
QUANTITY_DECIMALS = 12


@dataclass(frozen=True, slots=True)
class Resource:
    """One billable thing and the state it is in."""

    account_id: UUID
    resource_id: str
    project_id: UUID
    type: str
    service: str
    name: str
    region: str
    created_at: datetime
    status: Status
    plan: str | None
    units: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """What the platform says a resource is from an instant on."""

    account_id: UUID
    resource_id: str
    project_id: UUID
    type: str
    service: str
    name: str
    region: str
    status: Status
    effective_at: datetime
    plan: str | None
    units: Decimal


@dataclass(frozen=True, slots=True)
class Span:
    """What a resource was from `start_at` to `end_at` (exclusive; None: still so)."""

    plan: str | None
    units: Decimal
    status: Status
    start_at: datetime
    end_at: datetime | None


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """A quantity of a meter that a resource used at an instant; `(account_id, source, event_id)` counts once."""

    account_id: UUID
    source: str
    event_id: str
    resource_id: str
    meter: str
    quantity: Decimal
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of one event; `reason` says why it was quarantined or rejected."""

    outcome: Outcome
    reason: str | None


@dataclass(frozen=True, slots=True)
class QuarantinedEvent:
    """An event that was understood but cannot be billed yet."""

    event: UsageEvent
    reason: str
    recorded_at: datetime


class ResourceRegionFixed(Refused):
    """A resource's region is fixed at its first report."""

    message = "The region of a resource is fixed at its first report"


class ResourceDeleted(Refused):
    """The resource ended before the instant of this report."""

    message = "The resource was deleted before this instant"


class PriceMissing(Refused):
    """No price is in force for the plan in the account's currency."""

    message = "No price is in force for this plan"
