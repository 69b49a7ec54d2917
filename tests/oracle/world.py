"""A plain description of what is rated: accounts, resources with their states and events, meters and rate cards.

Prices stay the definitions that an operator sends; nothing here knows bands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, NotRequired, Required, TypedDict
from uuid import UUID

Model = Literal["per_unit", "graduated", "volume", "package", "flat", "hourly"]
Aggregation = Literal["sum", "max", "last", "time_weighted"]
Status = Literal["running", "stopped", "deleting", "deleted"]
Kind = Literal["plan", "meter"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US


class Tier(TypedDict):
    """A band of a graduated or volume price as it is sent; `up_to` is inclusive, None without end."""

    up_to: Decimal | None
    unit_price: Decimal
    flat: NotRequired[Decimal]


class Definition(TypedDict, total=False):
    """A price as it is sent: operator API, "A price"."""

    service: Required[str]
    model: Required[Model]
    plan: str
    meter: str
    region: str
    scope: Literal["resource", "account"]
    unit_price: Decimal
    included: Decimal
    tiers: list[Tier]
    package_size: Decimal
    package_price: Decimal
    amount: Decimal
    hourly_price: Decimal
    monthly_price: Decimal
    increment_s: int
    minimum_s: int
    billable: list[Literal["running", "stopped"]]
    discount_percent: Decimal
    maximum: Decimal
    minimum: Decimal


@dataclass(frozen=True, slots=True)
class Account:
    """Who is billed, and in which currency."""

    account_id: UUID
    currency: str


@dataclass(frozen=True, slots=True)
class Price:
    """A price definition with its card's currency, start (a month's), end (exclusive) and account, if a contract."""

    price_id: UUID
    definition: Definition
    currency: str
    valid_from: datetime
    valid_to: datetime | None = None
    account_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class StatePoint:
    """What a resource is from an instant on."""

    effective_at: datetime
    status: Status
    plan: str | None = None
    units: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Event:
    """A usage event of a resource: a quantity, or a gauge's reading."""

    meter: str
    quantity: Decimal
    occurred_at: datetime
    is_voided: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One billable thing with its state points and events, both in any order."""

    account_id: UUID
    resource_id: str
    project_id: UUID
    region: str
    type: str
    service: str
    points: tuple[StatePoint, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a rating depends on. `meters` holds each meter's aggregation."""

    accounts: dict[UUID, Account] = field(default_factory=dict[UUID, Account])
    resources: list[Resource] = field(default_factory=list[Resource])
    meters: dict[str, Aggregation] = field(default_factory=dict[str, Aggregation])
    prices: list[Price] = field(default_factory=list[Price])


def micros(instant: datetime) -> int:
    """Microseconds of an aware instant since the epoch."""
    return (instant - EPOCH) // MICROSECOND


def instant_of(microseconds: int) -> datetime:
    """The instant of microseconds since the epoch, UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def month_start(year: int, month: int) -> datetime:
    """The first instant of a UTC month; months beyond 12 roll over."""
    return datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)


def scope_of(definition: Definition) -> Literal["resource", "account"]:
    """The scope of a price: resource for plans, account for meters unless it says otherwise."""
    return definition.get("scope", "resource" if "plan" in definition else "account")
