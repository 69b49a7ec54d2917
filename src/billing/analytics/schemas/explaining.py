"""Explanations put on the wire."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

from billing.analytics import rules
from billing.analytics.model import (
    ChargePart,
    Correction,
    ExplainedCharge,
    ExplainedInvoice,
    ExplainedPrice,
    Explanation,
    ResourceShare,
)
from billing.analytics.schemas.credit_notes import show_credit_note, show_transfer
from billing.analytics.schemas.explanations import (
    LINE_KIND,
    LINE_PREFIX,
    BandOut,
    BilledOut,
    ChargeOut,
    CompiledOut,
    CorrectionOut,
    DayOut,
    ExplanationAnswer,
    ExplanationOut,
    InvoiceOut,
    LineOut,
    PartOut,
    PriceOut,
    ReadingOut,
    ResourceOut,
    StepOut,
    TaxOut,
)
from billing.analytics.schemas.transactions import PeriodShown
from billing.core import ids, money
from billing.invoices import BilledLine
from billing.rating import QuoteStep

_EXACT = Context(prec=200)


def show_explanation(explanation: Explanation) -> ExplanationAnswer:
    """How an amount came about."""
    currency, line = explanation.currency, explanation.line
    return ExplanationAnswer(
        explanation=ExplanationOut(
            currency=currency,
            period=PeriodShown(start=explanation.period.start, end=explanation.period.shown_end),
            counted_until=explanation.counted_until,
            status="billed" if explanation.is_billed else "open",
            changed_since=explanation.has_changed,
            line=None if line is None else _line(line, currency),
            correction=None if explanation.correction is None else _correction(explanation.correction, currency),
            charges=[_charge(charge, currency) for charge in explanation.charges],
            charges_total=explanation.charges_total,
            invoice=None if explanation.invoice is None else _invoice(explanation.invoice),
            credit_note=None if explanation.credit_note is None else show_credit_note(explanation.credit_note),
        )
    )


def _charge(charge: ExplainedCharge, currency: str) -> ChargeOut:
    price, count = charge.price, charge.count
    return ChargeOut(
        kind=charge.key.kind,
        source="usage" if count is not None else "lines",
        plan=price.item if price.kind == "plan" else None,
        meter=price.item if price.kind == "meter" else None,
        service=price.service,
        resource_id=charge.key.resource_id or None,
        units=_short(charge.key.units),
        price=_price(price),
        aggregation=price.aggregation,
        counted_in=_counted_in(price),
        quantity=None if count is None else _short(count.quantity),
        denominator=None if count is None else _short(count.denominator),
        days=None if count is None else [DayOut(date=day.day, quantity=_short(day.quantity)) for day in count.days],
        resources=None if count is None else [_resource(one, price, currency) for one in count.resources],
        resources_total=None if count is None else count.resources_total,
        unit=_unit(price),
        unit_quantity=charge.unit_quantity,
        billed_quantity=charge.billed_quantity,
        steps=None if charge.subtotal is None else [_step(step) for step in charge.steps],
        subtotal=charge.subtotal,
        cap=None if charge.cap is None else _short(charge.cap),
        cap_applied=charge.is_capped,
        maximum=price.maximum,
        maximum_applied=charge.is_at_maximum,
        usage_cost=_short(charge.usage_cost),
        minimum=price.minimum,
        cost=_short(charge.cost),
        amount=money.to_major(charge.amount_minor, currency),
        parts=[_part(part, currency) for part in charge.parts],
    )


def _step(step: QuoteStep) -> StepOut:
    return StepOut(
        low=step.low, to=step.to, quantity=step.quantity, unit_price=_short(step.unit_price), amount=step.amount
    )


def _unit(price: ExplainedPrice) -> str:
    if price.kind == "plan":
        return "hour" if price.model == "hourly" else "month"
    return price.unit or ""


def _counted_in(price: ExplainedPrice) -> str:
    """What quantities and days are in, which sum up without a remainder."""
    if price.kind == "plan":
        return "second"
    return f"{price.unit} × second" if price.aggregation == "time_weighted" else price.unit or ""


def _price(price: ExplainedPrice) -> PriceOut:
    return PriceOut(
        id=ids.encode("price", price.price_id),
        rate_card_id=ids.encode("card", price.rate_card_id),
        rate_card=price.rate_card,
        contract=price.is_contract,
        model=price.model,
        scope=price.scope,
        region=price.region,
        valid_from=price.valid_from,
        valid_to=price.valid_to,
        definition=price.definition,
        compiled=CompiledOut(
            bands=[BandOut(low=band.low, high=band.high, base=band.base, unit=band.unit) for band in price.bands],
            step=price.step,
            minimum_quantity=price.minimum_quantity,
            per=price.per,
            cap=price.cap,
            maximum=price.maximum,
            minimum=price.minimum,
        ),
    )


def _resource(resource: ResourceShare, price: ExplainedPrice, currency: str) -> ResourceOut:
    return ResourceOut(
        id=resource.resource_id,
        name=resource.name,
        type=resource.type,
        project_id=ids.encode("proj", resource.project_id),
        region=resource.region,
        quantity=_short(resource.quantity),
        amount=money.to_major(resource.amount_minor, currency),
        decided_on=rules.decided_on(resource.days, aggregation=price.aggregation),
        days=[
            ReadingOut(date=day.day, quantity=_short(day.quantity), reading=_short(day.reading))
            for day in resource.days
        ],
    )


def _part(part: ChargePart, currency: str) -> PartOut:
    return PartOut(
        project_id=ids.encode("proj", part.project_id),
        project=part.project_name,
        region=part.region,
        quantity=None if part.quantity is None else _short(part.quantity),
        unrounded=_short(part.unrounded),
        amount=money.to_major(part.amount_minor, currency),
    )


def _line(billed: BilledLine, currency: str) -> LineOut:
    line = billed.line
    return LineOut(
        id=_line_id(billed),
        kind=line.kind,
        description=line.description,
        project_id=ids.encode("proj", line.project_id),
        project=line.project_name,
        region=line.region,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price,
        unrounded=_short(line.unrounded),
        amount=money.to_major(line.amount_minor, currency),
    )


def _line_id(billed: BilledLine) -> str:
    return ids.encode_part(LINE_PREFIX, billed.invoice_id, LINE_KIND, billed.line.ordinal)


def _correction(correction: Correction, currency: str) -> CorrectionOut:
    return CorrectionOut(
        rated_amount=money.to_major(correction.rated_minor, currency),
        billed=[
            BilledOut(
                id=_line_id(line),
                invoice_id=ids.encode("inv", line.invoice_id),
                invoice_number=line.number,
                amount=money.to_major(line.line.amount_minor, currency),
            )
            for line in correction.billed
        ],
        billed_amount=money.to_major(correction.billed_minor, currency),
        difference=money.to_major(correction.rated_minor - correction.billed_minor, currency),
    )


def _invoice(explained: ExplainedInvoice) -> InvoiceOut:
    invoice = explained.invoice
    currency = invoice.currency
    return InvoiceOut(
        id=ids.encode("inv", invoice.invoice_id),
        number=invoice.number,
        kind=invoice.kind,
        issued_at=invoice.issued_at,
        subtotal=money.to_major(invoice.subtotal_minor, currency),
        taxes=[
            TaxOut(
                name=tax.name,
                rate=tax.percent,
                base=money.to_major(tax.base_minor, currency),
                amount=money.to_major(tax.amount_minor, currency),
            )
            for tax in explained.taxes
        ],
        tax=money.to_major(invoice.tax_minor, currency),
        amount=money.to_major(invoice.total_minor, currency),
        transfers=[show_transfer(one) for one in explained.transfers],
    )


def _short(value: Decimal) -> Decimal:
    """Without trailing zeros, and without an exponent."""
    with localcontext(_EXACT):
        whole = value.to_integral_value()
        return whole if whole == value else value.normalize()
