"""Prices, rate cards, meters and tax rates, and the errors of this slice.

Refused                        422
├── PriceChangeInsidePeriod    a price starts or ends inside a month
├── PeriodFinalized            a finalised month would change
├── PriceExists                the same plan or meter, region, currency, account and start twice
├── MeterServiceDiffers        a price names a meter of another service
└── MeterInUse                 a meter's aggregation or service can no longer change
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from billing.core.errors import Refused

PriceModel = Literal["per_unit", "graduated", "volume", "package", "flat", "hourly"]
ItemKind = Literal["plan", "meter"]
Scope = Literal["resource", "account"]
BillableState = Literal["running", "stopped"]
Aggregation = Literal["sum", "max", "last", "time_weighted"]
ShowsAs = Literal["hours", "storage_gb", "bandwidth_gb", "messages_sent"]


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The price of the quantities up to `up_to`, inclusive; null is without end."""

    up_to: Decimal | None
    unit_price: Decimal
    flat: Decimal | None = None


class PriceTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a price costs, as it was given: a model and its members. Members that the model does not take stay None.

    Amounts are in major units of a currency that the terms do not name, quantities in the meter's units.
    """

    model: PriceModel
    scope: Scope | None = None
    unit_price: Decimal | None = None
    included: Decimal | None = None
    tiers: list[Tier] | None = None
    package_size: Decimal | None = None
    package_price: Decimal | None = None
    amount: Decimal | None = None
    hourly_price: Decimal | None = None
    monthly_price: Decimal | None = None
    increment_s: int | None = None
    minimum_s: int | None = None
    billable: list[BillableState] | None = None
    discount_percent: Decimal | None = None
    maximum: Decimal | None = None
    minimum: Decimal | None = None

    @property
    def kind(self) -> ItemKind:
        """What the model prices: a plan or a meter."""
        return "plan" if self.model in {"flat", "hourly"} else "meter"


class PriceDefinition(PriceTerms, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A price of a rate card as it was given and is kept: terms for one plan or meter, in one region or in all."""

    service: str
    plan: str | None = None
    meter: str | None = None
    region: str | None = None

    @property
    def item(self) -> str:
        """The plan or meter. Raises ValueError while the price names none."""
        item = self.plan if self.kind == "plan" else self.meter
        if item is None:
            raise ValueError(f"a price of the model {self.model} names a {self.kind}")
        return item


@dataclass(frozen=True, slots=True)
class Band:
    """Quantities above `low` (exclusive) up to `high` (inclusive; None: without end) cost base + unit × (x − low)."""

    low: Decimal
    high: Decimal | None
    base: Decimal
    unit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceShape:
    """What a price model yields before the discount; the members are those of CompiledPrice."""

    bands: tuple[Band, ...]
    step: Decimal | None = None
    minimum_quantity: Decimal = Decimal(0)
    per: Decimal = Decimal(1)
    cap: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPrice:
    """A price as the rating statement reads it; the discount is in base, unit and cap.

    The band is the one with low < q ≤ high; q = 0 costs 0. With x = q − low: x is rounded up to the step, then raised
    to the minimum quantity, and costs min(min(base + unit × x / per, cap) × units, maximum). Hourly: q in seconds.
    `minimum` is the least that a charge with a quantity above 0 may come to; the close makes up the difference.
    """

    bands: tuple[Band, ...]
    step: Decimal | None
    minimum_quantity: Decimal
    per: Decimal
    cap: Decimal | None
    maximum: Decimal | None
    minimum: Decimal | None
    scope: Scope
    billable: tuple[BillableState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What is counted and how. `shows_as` names the member under which usage and trends show it."""

    meter: str
    service: str
    name: str
    unit: str
    aggregation: Aggregation
    shows_as: ShowsAs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """A dated set of prices in one currency, general or an account's contract; half-open, by whole UTC months."""

    rate_card_id: UUID
    name: str
    currency: str
    account_id: UUID | None
    valid_from: datetime
    valid_to: datetime | None
    created_at: datetime
    prices_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price of a rate card, as it was given."""

    price_id: UUID
    definition: PriceDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledItem:
    """A plan or meter, and the last month that is finalised with a line of it."""

    kind: ItemKind
    item: str
    last_period: date


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRate:
    """A tax of a country from a UTC date on, until a newer rate of the same name; 0 percent ends it."""

    country: str
    name: str
    percent: Decimal
    valid_from: date


class PriceChangeInsidePeriod(Refused):
    """A price starts or ends inside a UTC month."""

    message = "Prices start and end at the first instant of a UTC month"


class PeriodFinalized(Refused):
    """A month that is finalised for one of the plans or meters would change."""

    def __init__(self, items: Sequence[BilledItem]) -> None:
        listed = [{billed.kind: billed.item, "last_period": f"{billed.last_period:%Y-%m}"} for billed in items]
        super().__init__("A month that is already invoiced would change", details={"finalized": listed})


class PriceExists(Refused):
    """The same plan or meter, region, currency and account has a price with this start."""

    def __init__(self, definitions: Sequence[PriceDefinition]) -> None:
        listed = [{price.kind: price.item, "region": price.region} for price in definitions]
        super().__init__("There is already a price with this start", details={"prices": listed})


class MeterServiceDiffers(Refused):
    """Prices name meters that belong to other services."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        listed = [{"meter": meter.meter, "service": meter.service} for meter in meters]
        super().__init__("A price names a meter of another service", details={"meters": listed})


class MeterInUse(Refused):
    """Usage or prices hold the meter to what it is."""

    def __init__(self, meter: Meter, *, member: str) -> None:
        message = f"The meter is in use: its {member} cannot change"
        super().__init__(message, details={"meter": meter.meter, member: getattr(meter, member)})
