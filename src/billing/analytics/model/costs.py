"""Costs by group and day, and trends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from billing.analytics.model.usage import Figure, ServiceUsage
from billing.catalog import ItemKind, PriceModel
from billing.core.period import Period

Interval = Literal["day", "week", "month"]
Grouping = Literal["service", "project", "region", "day", "week", "month"]
Metric = Literal["cost", "resources", "storage", "bandwidth"]


@dataclass(frozen=True, slots=True)
class DaySpan:
    """Whole UTC days, from `first_day` to before `end_day`."""

    first_day: date
    end_day: date


@dataclass(frozen=True, slots=True)
class BilledMonth:
    """A finalised month, and whether its sums are kept and stand."""

    period: Period
    is_kept: bool


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A completed run and how far the months that it closed are looked through: up to an account, by id."""

    run_id: UUID
    period: Period
    finished_at: datetime
    last_account_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCosts:
    """Which costs are asked for: finalised months whose sums are `kept`, other days in such months, and open months."""

    account_id: UUID
    days: DaySpan
    kept: list[Period]
    billed: list[DaySpan]
    open_periods: list[Period]
    now: datetime
    grouping: Grouping | None = None
    project_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PlaceShare:
    """What resources of a type cost in one group. `share` is in 10^-40 minor units here and below."""

    key: str
    name: str
    type: str | None
    share: int
    resource_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class RunShare:
    """What resources of a type cost on each day from `first_day` to `last_day`, both within."""

    first_day: date
    last_day: date
    type: str | None
    share: int


@dataclass(frozen=True, slots=True)
class Presence:
    """The days of a month on which a resource used something, as bits: the lowest is the month's first day."""

    month: date
    type: str | None
    resource_id: str
    days: int


@dataclass(frozen=True, slots=True)
class DayShares:
    """Costs by day and type, and who was there."""

    runs: list[RunShare]
    presences: list[Presence]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedShare:
    """A resource's share of a line, with what is shown of it. `quantity` is None when the line's usage is gone."""

    share: int
    service: str
    resource_id: str | None
    resource_name: str
    type: str | None
    price_id: UUID
    item_kind: ItemKind
    model: PriceModel
    step: Decimal | None
    minimum_quantity: Decimal
    shows_as: Figure | None
    denominator: int
    quantity: Decimal | None


@dataclass(frozen=True, slots=True)
class DayQuantityRun:
    """What each day from `first_day` to `last_day` adds to a quantity, in 10^-40 units."""

    first_day: date
    last_day: date
    quantity: int


@dataclass(frozen=True, slots=True)
class TypeCost:
    """What a group's resources of one type cost, and how many they are. No type: nothing is left of what was billed."""

    type: str | None
    count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class CostGroup:
    """A group's cost, its tenths of a percent of the whole, and its types. `key` is a day where time groups."""

    key: str
    name: str
    amount_minor: int
    per_mille: int
    types: list[TypeCost]


@dataclass(frozen=True, slots=True)
class DayCost:
    """What one UTC day cost."""

    day: date
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectUsage:
    """What a project used in some days: services and days each sum to the whole. `message_price`: as in `Usage`."""

    project_id: UUID
    days: DaySpan
    services: list[ServiceUsage]
    message_price: Decimal | None
    daily: list[DayCost]

    @property
    def total_minor(self) -> int:
        """What all services come to."""
        return sum(service.amount_minor for service in self.services)


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """A bucket's first day and value; a cost is in minor units."""

    date: date
    value: Decimal | int
