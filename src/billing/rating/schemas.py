"""Wire shapes of quotes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta as Bound
from msgspec import Struct, field

from billing import metering
from billing.catalog import InlinePrice
from billing.core import money
from billing.core.errors import Fault, InvalidParameter
from billing.rating.model import QuotedLine, QuoteRequest

LINES_MAX = 100
QUANTITY_MAX = Decimal(10) ** 29

Name = Annotated[str, Bound(min_length=1, max_length=100)]


class QuoteLineIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to price: hours of a plan or a quantity of a meter. A `price` given inline prices a draft."""

    plan: Name | None = None
    meter: Name | None = None
    region: Annotated[str, Bound(min_length=1, max_length=50)] | None = None
    quantity: Decimal | None = None
    hours: Decimal | None = None
    units: Decimal | None = None
    price: InlinePrice | None = None


class QuoteIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /quotes."""

    currency: Annotated[str, Bound(min_length=3, max_length=3)]
    account_id: str | None = None
    at: datetime | None = None
    lines: Annotated[list[QuoteLineIn], Bound(min_length=1, max_length=LINES_MAX)]


class StepOut(Struct, frozen=True, kw_only=True):
    """One band that the quantity went through, before cap and maximum."""

    low: Decimal = field(name="from")
    to: Decimal | None
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal


class QuoteLineOut(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line and what it would cost."""

    plan: str | None = None
    meter: str | None = None
    region: str | None = None
    quantity: Decimal | None = None
    hours: Decimal | None = None
    units: Decimal
    amount: Decimal
    unrounded: Decimal
    steps: list[StepOut]
    cap_applied: bool


class QuoteOut(Struct, frozen=True, kw_only=True):
    """POST /quotes: lines in order, and their sum."""

    currency: str
    lines: list[QuoteLineOut]
    total: Decimal


def read_requests(lines: Sequence[QuoteLineIn]) -> list[QuoteRequest]:
    """The lines as rating takes them. Raises InvalidParameter with every fault of every line."""
    faults = [fault for index, line in enumerate(lines) for fault in _line_faults(line, f"lines[{index}]")]
    if faults:
        raise InvalidParameter(faults)
    return [
        QuoteRequest(
            kind="meter" if line.plan is None else "plan",
            item=line.plan or line.meter or "",
            region=line.region,
            quantity=(line.quantity if line.plan is None else line.hours) or Decimal(0),
            units=Decimal(1) if line.units is None else line.units,
            terms=line.price,
        )
        for line in lines
    ]


def _line_faults(line: QuoteLineIn, path: str) -> list[Fault]:
    faults: list[Fault] = []
    if (line.plan is None) == (line.meter is None):
        return [Fault("body", path, "must name either a plan or a meter")]
    wanted, other = ("hours", "quantity") if line.meter is None else ("quantity", "hours")
    given = {"hours": line.hours, "quantity": line.quantity}
    amount = given[wanted]
    if amount is None:
        faults.append(Fault("body", f"{path}.{wanted}", "is required"))
    elif not 0 <= amount < QUANTITY_MAX:
        faults.append(Fault("body", f"{path}.{wanted}", "must be from 0 to below 10^29"))
    elif not metering.has_storable_decimals(amount):
        faults.append(Fault("body", f"{path}.{wanted}", "has more than 12 decimals"))
    if given[other] is not None:
        faults.append(Fault("body", f"{path}.{other}", f"does not belong to a {'plan' if line.plan else 'meter'}"))
    if line.units is not None:
        faults.extend(Fault("body", f"{path}.units", reason) for reason in _units_reasons(line.units, line.meter))
    kind = "plan" if line.meter is None else "meter"
    if line.price is not None and line.price.kind != kind:
        faults.append(Fault("body", f"{path}.price.model", f"is not a model for a {kind}"))
    return faults


def _units_reasons(units: Decimal, meter: str | None) -> list[str]:
    if meter is not None:
        return ["does not belong to a meter"]
    if not 0 < units <= 1_000_000:
        return ["must be above 0 and at most 1000000"]
    return ["has more than 12 decimals"] if units != round(units, 12) else []


def show_quote(sent: QuoteIn, requests: Sequence[QuoteRequest], quoted: Sequence[QuotedLine]) -> QuoteOut:
    """The answer to a quote."""
    return QuoteOut(
        currency=sent.currency,
        lines=[
            QuoteLineOut(
                plan=line.plan,
                meter=line.meter,
                region=line.region,
                quantity=line.quantity,
                hours=line.hours,
                units=request.units,
                amount=money.to_major(result.amount_minor, sent.currency),
                unrounded=result.unrounded,
                steps=[
                    StepOut(
                        low=step.low,
                        to=step.to,
                        quantity=step.quantity,
                        unit_price=step.unit_price,
                        amount=step.amount,
                    )
                    for step in result.steps
                ],
                cap_applied=result.cap_applied,
            )
            for line, request, result in zip(sent.lines, requests, quoted, strict=True)
        ],
        total=money.to_major(sum(result.amount_minor for result in quoted), sent.currency),
    )
