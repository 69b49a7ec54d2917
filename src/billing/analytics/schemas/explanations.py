"""Wire shapes of explanations: what is asked, and how an amount came about."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from billing import accounts
from billing.analytics.model import AskedCreditNote, AskedLine, AskedUsage
from billing.analytics.schemas.transactions import PeriodShown
from billing.catalog import PriceDefinition
from billing.core import ids
from billing.core.errors import Fault, InvalidParameter, NotFound
from billing.core.period import Period

LINE_PREFIX = "line"
LINE_KIND = 1
CREDIT_NOTE_PREFIX = "cn"


class ExplainQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /account/explain: a line of an invoice, a credit note, or a plan or meter in a month, of one resource or of all."""

    invoice_line: accounts.ShortText | None = None
    credit_note: accounts.ShortText | None = None
    plan: accounts.ShortText | None = None
    meter: accounts.ShortText | None = None
    resource_id: accounts.ShortText | None = None
    period: str | None = None


class BandOut(Struct, frozen=True, kw_only=True):
    """Quantities above `low` up to `high` cost base + unit × (quantity − low) / per."""

    low: Decimal
    high: Decimal | None
    base: Decimal
    unit: Decimal


class CompiledOut(Struct, frozen=True, kw_only=True):
    """What a price compiles to; hourly plans count in seconds."""

    bands: list[BandOut]
    step: Decimal | None
    minimum_quantity: Decimal
    per: Decimal
    cap: Decimal | None
    maximum: Decimal | None
    minimum: Decimal | None


class PriceOut(Struct, frozen=True, kw_only=True):
    """The price of a charge."""

    id: str
    rate_card_id: str
    rate_card: str
    contract: bool
    model: str
    scope: str
    region: str | None
    valid_from: datetime
    valid_to: datetime | None
    definition: PriceDefinition
    compiled: CompiledOut


class DayOut(Struct, frozen=True, kw_only=True):
    """What a UTC day adds to a quantity."""

    date: date
    quantity: Decimal


class ReadingOut(DayOut, frozen=True, kw_only=True):
    """The same of a resource, with the day's own aggregate."""

    reading: Decimal


class ResourceOut(Struct, frozen=True, kw_only=True):
    """A resource's part of a charge. `decided_on`: the day of the highest or last value of the month."""

    id: str
    name: str
    type: str
    project_id: str
    region: str
    quantity: Decimal
    amount: Decimal
    decided_on: date | None
    days: list[ReadingOut]


class StepOut(Struct, frozen=True, kw_only=True):
    """One band that the quantity went through, before cap and maximum."""

    low: Decimal = field(name="from")
    to: Decimal | None
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal


class PartOut(Struct, frozen=True, kw_only=True):
    """A charge's part in one project and region: cost and amount by its share of the quantity."""

    project_id: str
    project: str
    region: str
    quantity: Decimal | None
    unrounded: Decimal
    amount: Decimal


class ChargeOut(Struct, frozen=True, kw_only=True):
    """How a charge came about, from what was counted to its amount."""

    kind: str
    source: Literal["usage", "lines"]
    plan: str | None
    meter: str | None
    service: str
    resource_id: str | None
    units: Decimal
    price: PriceOut
    aggregation: str | None
    counted_in: str
    quantity: Decimal | None
    denominator: Decimal | None
    days: list[DayOut] | None
    resources: list[ResourceOut] | None
    resources_total: int | None
    unit: str
    unit_quantity: Decimal | None
    billed_quantity: Decimal | None
    steps: list[StepOut] | None
    subtotal: Decimal | None
    cap: Decimal | None
    cap_applied: bool
    maximum: Decimal | None
    maximum_applied: bool
    usage_cost: Decimal
    minimum: Decimal | None
    cost: Decimal
    amount: Decimal
    parts: list[PartOut]


class BilledOut(Struct, frozen=True, kw_only=True):
    """What an earlier line said."""

    id: str
    invoice_id: str
    invoice_number: str
    amount: Decimal


class CorrectionOut(Struct, frozen=True, kw_only=True):
    """What a correction corrects: `rated_amount` less `billed_amount` is `difference`, the line's amount."""

    rated_amount: Decimal
    billed: list[BilledOut]
    billed_amount: Decimal
    difference: Decimal


class LineOut(Struct, frozen=True, kw_only=True):
    """The line that is explained, as its document shows it."""

    id: str
    kind: str
    description: str
    project_id: str
    project: str
    region: str
    quantity: Decimal
    unit: str
    unit_price: Decimal | None
    unrounded: Decimal
    amount: Decimal


class TaxOut(Struct, frozen=True, kw_only=True):
    """A tax on the sum of a document's lines; `rate` in percent."""

    name: str
    rate: Decimal
    base: Decimal
    amount: Decimal


class TransferOut(Struct, frozen=True, kw_only=True):
    """A transfer of the books for the document."""

    number: int
    template: str
    source: str
    destination: str
    amount: Decimal
    effective_at: datetime
    recorded_at: datetime


class InvoiceOut(Struct, frozen=True, kw_only=True):
    """The document of the line."""

    id: str
    number: str
    kind: str
    issued_at: datetime
    subtotal: Decimal
    taxes: list[TaxOut]
    tax: Decimal
    amount: Decimal
    transfers: list[TransferOut]


class CreditedOut(Struct, frozen=True, kw_only=True):
    """A part of a credit note, net: of a line of its invoice, or of the whole (null)."""

    line: str | None
    description: str | None
    amount: Decimal


class CreditTaxOut(TaxOut, frozen=True, kw_only=True):
    """A tax in a credit note, and how much of it the invoice's credit notes before had taken back, of how much."""

    credited_before: Decimal
    invoiced: Decimal


class GivenBackOut(Struct, frozen=True, kw_only=True):
    """Where a part that had been paid went: a refund of a payment, a promotional credit, or the wallet."""

    to: Literal["payment", "credit", "wallet"]
    id: str | None
    amount: Decimal
    status: str


class CreditNoteOut(Struct, frozen=True, kw_only=True):
    """A credit note of an operator: net and taxes are `amount`; `lowered` of it was not paid, the rest is `given_back`."""

    id: str
    number: str
    kind: str
    reason: str
    issued_at: datetime
    invoice_id: str
    invoice_number: str
    invoiced: Decimal
    credited_before: Decimal
    lines: list[CreditedOut]
    net: Decimal
    taxes: list[CreditTaxOut]
    tax: Decimal
    amount: Decimal
    lowered: Decimal
    given_back: list[GivenBackOut]
    transfers: list[TransferOut]


class ExplanationOut(Struct, frozen=True, kw_only=True):
    """How an amount came about."""

    currency: str
    period: PeriodShown
    counted_until: datetime
    status: Literal["open", "billed"]
    changed_since: bool
    line: LineOut | None
    correction: CorrectionOut | None
    charges: list[ChargeOut]
    charges_total: int
    invoice: InvoiceOut | None
    credit_note: CreditNoteOut | None


class ExplanationAnswer(Struct, frozen=True, kw_only=True):
    """GET /account/explain."""

    explanation: ExplanationOut


def read_asked(query: ExplainQuery) -> AskedLine | AskedCreditNote | AskedUsage:
    """What is to be explained. Raises InvalidParameter with every fault, NotFound for what cannot be a line's id."""
    faults: list[Fault] = []
    given = [name for name in ("plan", "meter") if getattr(query, name) is not None]
    if query.invoice_line is not None or query.credit_note is not None:
        alone = "invoice_line" if query.invoice_line is not None else "credit_note"
        names = ("credit_note", "resource_id", "period")
        others = [*given, *(name for name in names if name != alone and getattr(query, name) is not None)]
        faults = [Fault("query", name, f"does not go together with {alone}") for name in others]
    elif not given:
        faults.append(Fault("query", "invoice_line", "is required, or a plan or meter"))
    elif len(given) == 2:
        faults.append(Fault("query", "meter", "does not go together with plan"))
    period = None
    if query.period is not None:
        try:
            period = Period.parse(query.period)
        except ValueError as error:
            faults.append(Fault("query", "period", str(error)))
    if faults:
        raise InvalidParameter(faults)
    if query.invoice_line is not None:
        return _asked_line(query.invoice_line)
    if query.credit_note is not None:
        return AskedCreditNote(credit_note_id=ids.expect(CREDIT_NOTE_PREFIX, query.credit_note))
    return AskedUsage(
        kind="meter" if query.plan is None else "plan",
        item=query.plan or query.meter or "",
        resource_id=query.resource_id,
        period=period,
    )


def _asked_line(text: str) -> AskedLine:
    part = ids.decode_part(LINE_PREFIX, text)
    if part is None or part[1] != LINE_KIND or part[2] >= 2**31:
        raise NotFound
    invoice_id, _, ordinal = part
    return AskedLine(invoice_id=invoice_id, ordinal=ordinal)
