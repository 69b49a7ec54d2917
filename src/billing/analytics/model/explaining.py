"""How an amount came about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from billing.catalog import Aggregation, Band, ItemKind, PriceDefinition, PriceModel
from billing.core.period import Period
from billing.invoices import BilledLine, CreditNoteBasis, Invoice, InvoiceTax, WholeCreditNote
from billing.ledger import PostedTransfer
from billing.rating import ChargeKind, QuoteStep


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedLine:
    """A line of a finalised document that is to be explained."""

    invoice_id: UUID
    ordinal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCreditNote:
    """A credit note of an operator that is to be explained."""

    credit_note_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedUsage:
    """What a plan or meter cost in a month (None: the running one), of one resource or of all."""

    kind: ItemKind
    item: str
    resource_id: str | None
    period: Period | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPrice:
    """A price as it was given and what it compiles to. `unit` is a meter's."""

    price_id: UUID
    rate_card_id: UUID
    rate_card: str
    is_contract: bool
    kind: ItemKind
    item: str
    service: str
    region: str | None
    model: PriceModel
    scope: str
    definition: PriceDefinition
    valid_from: datetime
    valid_to: datetime | None
    bands: list[Band]
    step: Decimal | None
    minimum_quantity: Decimal
    per: Decimal
    cap: Decimal | None
    maximum: Decimal | None
    minimum: Decimal | None
    unit: str | None
    aggregation: Aggregation | None

    @property
    def unit_s(self) -> int:
        """By what a count is divided to be shown: seconds of an hour for an hourly plan."""
        return 3600 if self.model == "hourly" else 1


@dataclass(frozen=True, slots=True)
class ChargeKey:
    """What a charge of an account and month is known by. `resource_id` is empty where it pools resources."""

    kind: ChargeKind
    price_id: UUID
    resource_id: str
    units: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedCharge:
    """A charge as the rating statement has it; `billed_above` is what lies above its band's low bound, rounded up."""

    key: ChargeKey
    quantity: Decimal
    denominator: Decimal
    billed_above: Decimal
    usage_cost: Decimal
    cost: Decimal
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePart:
    """A charge's part in one project and region. `quantity` is None where lines alone tell of it."""

    project_id: UUID
    project_name: str
    region: str
    quantity: Decimal | None
    amount_minor: int
    unrounded: Decimal


@dataclass(frozen=True, slots=True)
class DayQuantity:
    """What one UTC day adds to a quantity; `reading` is the day's own aggregate."""

    day: date
    reading: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceShare:
    """A resource's part of a charge, day by day."""

    resource_id: str
    name: str
    type: str
    project_id: UUID
    region: str
    quantity: Decimal
    amount_minor: int
    days: list[DayQuantity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What was counted for a charge: `days` and all resources sum to `quantity`; `resources` are the first of them."""

    quantity: Decimal
    denominator: Decimal
    days: list[DayQuantity]
    resources: list[ResourceShare]
    resources_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCharge:
    """How a charge came about. Without `count` it is put together from what lines say.

    `unit_quantity` and `billed_quantity` are in the unit of the price, the second after rounding up. `subtotal` is what the steps
    come to, before cap and maximum. None and no steps: it cannot be told from lines alone, to the last decimal.
    """

    key: ChargeKey
    price: ExplainedPrice
    count: Count | None
    unit_quantity: Decimal | None
    billed_quantity: Decimal | None
    steps: list[QuoteStep]
    subtotal: Decimal | None
    cap: Decimal | None
    is_capped: bool
    is_at_maximum: bool
    usage_cost: Decimal
    cost: Decimal
    amount_minor: int
    parts: list[ChargePart]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a correction line says: its part of the charge as its close rated it, less what earlier lines had said."""

    rated_minor: int
    billed: list[BilledLine]
    billed_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedInvoice:
    """The document of a line: taxes on the sum of its lines, and its transfers."""

    invoice: Invoice
    taxes: list[InvoiceTax]
    transfers: list[PostedTransfer]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCreditNote:
    """A credit note of an operator: its parts, what it started from, and its transfers with those of its refunds."""

    whole: WholeCreditNote
    basis: CreditNoteBasis
    transfers: list[PostedTransfer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How an amount came about. `charges` are the first of `charges_total`; a line has one, or none when nothing is left of it.

    `has_changed`: usage or states of the month were written to after it was billed (for a line: after its close saw it).
    """

    currency: str
    period: Period
    counted_until: datetime
    is_billed: bool
    has_changed: bool
    line: BilledLine | None
    correction: Correction | None
    invoice: ExplainedInvoice | None
    charges: list[ExplainedCharge]
    charges_total: int
    credit_note: ExplainedCreditNote | None = None
