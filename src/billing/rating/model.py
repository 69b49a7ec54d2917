"""What rating yields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple
from uuid import UUID

from billing.catalog import ItemKind, PriceTerms
from billing.core.errors import Refused
from billing.core.period import Period

ChargeKind = Literal["usage", "minimum"]
QuantityKey = tuple[UUID, Decimal, str]  # price, units, resource


@dataclass(frozen=True, slots=True)
class Charge:
    """The cost of one price for one account (or resource and units) in a period.

    `quantity` / `denominator` is the quantity in the price's unit; hourly plans count in seconds. `cost` has 12 decimals, in major
    units; `amount_minor` is it rounded half up. `charge_resource_id` is empty when the charge pools the account's resources.
    """

    kind: ChargeKind
    account_id: UUID
    price_id: UUID
    charge_resource_id: str
    units: Decimal
    quantity: Decimal
    denominator: Decimal
    billed_quantity: Decimal
    cost: Decimal
    amount_minor: int
    cap_applied: bool | None


@dataclass(frozen=True, slots=True)
class Line:
    """The part of a charge in one project and region. `type` is empty where it pools resources of several types."""

    kind: ChargeKind
    account_id: UUID
    price_id: UUID
    charge_resource_id: str
    units: Decimal
    project_id: UUID
    region: str
    type: str
    resource_name: str | None
    quantity: Decimal
    denominator: Decimal
    amount_minor: int
    unrounded: Decimal


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a line that one resource used, and what kind of price it came from."""

    kind: ChargeKind
    account_id: UUID
    price_id: UUID
    units: Decimal
    project_id: UUID
    region: str
    resource_id: str
    resource_name: str
    type: str
    service: str
    item_kind: Literal["plan", "meter"]
    item: str
    shows_as: str | None
    quantity: Decimal
    denominator: Decimal
    billed_quantity: Decimal
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A quantity for which no price is in force: it cannot be billed until one is there."""

    account_id: UUID
    kind: Literal["plan", "meter"]
    item: str
    resource_id: str


@dataclass(frozen=True, slots=True)
class UnbilledMonth:
    """What an account used in a month that no close has rated, in minor units, tax included."""

    period: Period
    total_minor: int


@dataclass(frozen=True, slots=True)
class DayWeight:
    """How much of a resource's aggregates of a `max` or `last` meter, summed over the days of a month, lies on some of its days."""

    inside: Decimal
    whole: Decimal


class DaysOfMonth(NamedTuple):
    """Some whole UTC days of an account's month, from midnight to midnight."""

    account_id: UUID
    period: Period
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ReserveBasis:
    """What a wallet's reserve is made of, in minor units of the account's currency, tax included.

    `months`: those that no close has rated, oldest first. `next_day_minor`: 24 hours more of each resource that is billable now.
    """

    months: tuple[UnbilledMonth, ...]
    next_day_minor: int

    @property
    def unbilled_minor(self) -> int:
        """What all those months come to."""
        return sum(month.total_minor for month in self.months)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRequest:
    """One line to quote. `quantity` is in the meter's units, or hours of a plan; `terms` price a draft."""

    kind: ItemKind
    item: str
    region: str | None
    quantity: Decimal
    units: Decimal
    terms: PriceTerms | None


@dataclass(frozen=True, slots=True)
class QuoteStep:
    """One band that a quantity went through; `to` None: without end. `amount` has 12 decimals."""

    low: Decimal
    to: Decimal | None
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class QuotedLine:
    """What one line would cost; `unrounded` has 12 decimals."""

    amount_minor: int
    unrounded: Decimal
    steps: list[QuoteStep]
    cap_applied: bool


class PriceMissing(Refused):
    """No price is in force for what is asked."""

    message = "No price is in force for this plan or meter"
