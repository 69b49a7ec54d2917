"""How the amount of a charge is taken apart: steps, cap and maximum, and its parts; from a rating, or from what lines said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING
from uuid import UUID

from billing import rating
from billing.analytics.model import (
    ChargeKey,
    ChargePart,
    Correction,
    Count,
    DayQuantity,
    ExplainedCharge,
    RatedCharge,
)
from billing.analytics.rules.usage import plain

if TYPE_CHECKING:
    from billing.analytics.model import ExplainedPrice
    from billing.catalog import Band
    from billing.invoices import BilledLine

_EXACT = Context(prec=200)


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a quantity comes to before and after cap and maximum."""

    billed_quantity: Fraction
    steps: list[rating.QuoteStep]
    subtotal: Fraction
    capped: Fraction
    cost: Fraction


def rated_charge(
    charge: RatedCharge, *, price: ExplainedPrice, count: Count, parts: Sequence[ChargePart]
) -> ExplainedCharge:
    """A charge of the rating statement, taken apart."""
    quantity = Fraction(count.quantity) / Fraction(count.denominator)
    above = Fraction(charge.billed_above) / Fraction(count.denominator)
    cost = _cost_of(price, quantity=quantity, billed_above=above, units=charge.key.units)
    return _explained(
        charge.key,
        price,
        cost,
        count=count,
        unit_quantity=plain(quantity / price.unit_s),
        usage_cost=charge.usage_cost,
        cost_told=charge.cost,
        amount_minor=charge.amount_minor,
        parts=parts,
    )


def billed_charge(lines: Sequence[BilledLine], *, price: ExplainedPrice) -> ExplainedCharge:
    """The charge that lines say there was: sums of what they say. Steps are shown where they come to the very cost."""
    first = lines[0]
    key = ChargeKey(first.charge_kind, first.price_id, first.line.resource_id, first.line.units)
    told = _sum([one.line.unrounded for one in lines])
    with localcontext(_EXACT):
        usage_cost = told if key.kind == "usage" else (price.minimum or Decimal(0)) - told
    quantity = Fraction(_sum([one.line.quantity for one in lines]))
    cost = None
    if key.kind == "usage" and quantity > 0:
        cost = _cost_of_told(price, quantity=quantity, units=key.units)
        if plain(cost.cost) != usage_cost:
            cost = None
    is_whole = key.kind == "usage" and price.model != "hourly"  # of hourly plans lines tell the billed hours alone
    return _explained(
        key,
        price,
        cost,
        count=None,
        unit_quantity=plain(quantity) if is_whole else None,
        usage_cost=usage_cost,
        cost_told=told,
        amount_minor=sum(one.line.amount_minor for one in lines),
        parts=_parts_of(lines),
    )


def says_the_same(charge: ExplainedCharge, lines: Sequence[BilledLine]) -> bool:
    """Whether a charge as it is rated now has the very parts that lines told of, whatever was written since."""
    told = {(part.project_id, part.region): part for part in _parts_of(lines)}
    rated = {(part.project_id, part.region): part for part in charge.parts}
    if told.keys() != rated.keys():
        return False
    return all(
        (part.amount_minor, part.unrounded, _told_quantity(lines, place))
        == (rated[place].amount_minor, rated[place].unrounded, _shown_quantity(charge, rated[place]))
        for place, part in told.items()
    )


def find_correction(line: BilledLine, lines: Sequence[BilledLine]) -> Correction | None:
    """What a correction line corrects, given all lines of its charge up to its document; None for another line."""
    if line.line.kind != "correction":
        return None
    place = line.line.project_id, line.line.region
    earlier = [
        one
        for one in lines
        if (one.line.project_id, one.line.region) == place and one.document_period < line.document_period
    ]
    billed_minor = sum(one.line.amount_minor for one in earlier)
    return Correction(rated_minor=billed_minor + line.line.amount_minor, billed=earlier, billed_minor=billed_minor)


def decided_on(days: Sequence[DayQuantity], *, aggregation: str | None) -> date | None:
    """The first day with the highest value of the month, or the last day with a value; None where all days count."""
    if aggregation == "max":
        return max(days, key=lambda day: (day.reading, -day.day.toordinal())).day
    return days[-1].day if aggregation == "last" else None


def _told_quantity(lines: Sequence[BilledLine], place: tuple[UUID, str]) -> Decimal:
    return _sum([one.line.quantity for one in lines if (one.line.project_id, one.line.region) == place])


def _shown_quantity(charge: ExplainedCharge, part: ChargePart) -> Decimal | None:
    """The quantity that a line of a part shows."""
    if charge.key.kind == "minimum":
        return Decimal(1)
    if charge.price.model == "hourly":
        return charge.billed_quantity
    assert charge.count is not None, "a charge that was rated was counted"
    assert part.quantity is not None, "and so were its parts"
    return plain(Fraction(part.quantity) / Fraction(charge.count.denominator))


def _explained(
    key: ChargeKey,
    price: ExplainedPrice,
    cost: _Cost | None,
    *,
    count: Count | None,
    unit_quantity: Decimal | None,
    usage_cost: Decimal,
    cost_told: Decimal,
    amount_minor: int,
    parts: Sequence[ChargePart],
) -> ExplainedCharge:
    with localcontext(_EXACT):
        cap = None if price.cap is None else price.cap * key.units
    return ExplainedCharge(
        key=key,
        price=price,
        count=count,
        unit_quantity=unit_quantity,
        billed_quantity=None if cost is None else plain(cost.billed_quantity),
        steps=[] if cost is None else cost.steps,
        subtotal=None if cost is None else plain(cost.subtotal),
        cap=cap,
        is_capped=cost is not None and cost.capped < cost.subtotal,
        is_at_maximum=usage_cost == price.maximum if cost is None else cost.cost < cost.capped,
        usage_cost=usage_cost,
        cost=cost_told,
        amount_minor=amount_minor,
        parts=list(parts),
    )


def _cost_of(price: ExplainedPrice, *, quantity: Fraction, billed_above: Fraction, units: Decimal) -> _Cost:
    """The cost of a quantity as the bands see it (hourly plans: seconds), and how it comes about."""
    band = _band_of(price, quantity)
    subtotal = (Fraction(band.base) + Fraction(band.unit) * billed_above / Fraction(price.per)) * Fraction(units)
    capped = subtotal if price.cap is None else min(subtotal, Fraction(price.cap) * Fraction(units))
    steps = rating.steps_of(
        price.bands,
        model=price.model,
        quantity=quantity,
        billed_above=billed_above,
        per=price.per,
        units=units,
        per_shown=price.unit_s,
    )
    return _Cost(
        billed_quantity=(Fraction(band.low) + billed_above) / price.unit_s,
        steps=steps,
        subtotal=subtotal,
        capped=capped,
        cost=capped if price.maximum is None else min(capped, Fraction(price.maximum)),
    )


def _cost_of_told(price: ExplainedPrice, *, quantity: Fraction, units: Decimal) -> _Cost:
    """The same of a quantity that lines tell of: of an hourly plan the billed hours, else what was used."""
    if price.model == "hourly":
        return _cost_of(price, quantity=quantity * price.unit_s, billed_above=quantity * price.unit_s, units=units)
    above = quantity - Fraction(_band_of(price, quantity).low)
    if price.step is not None:
        step = Fraction(price.step)
        above = -(-above // step) * step
    return _cost_of(price, quantity=quantity, billed_above=max(above, Fraction(price.minimum_quantity)), units=units)


def _band_of(price: ExplainedPrice, quantity: Fraction) -> Band:
    return next(band for band in price.bands if band.high is None or quantity <= Fraction(band.high))


def _parts_of(lines: Sequence[BilledLine]) -> list[ChargePart]:
    """The parts that lines tell of, in the order of project id and region; several lines of one place add up."""
    parts: dict[tuple[UUID, str], ChargePart] = {}
    for one in lines:
        line = one.line
        place = line.project_id, line.region
        before = parts.get(place)
        parts[place] = (
            ChargePart(
                project_id=line.project_id,
                project_name=line.project_name,
                region=line.region,
                quantity=None,
                amount_minor=line.amount_minor,
                unrounded=line.unrounded,
            )
            if before is None
            else replace(
                before,
                amount_minor=before.amount_minor + line.amount_minor,
                unrounded=_sum([before.unrounded, line.unrounded]),
            )
        )
    return [parts[place] for place in sorted(parts)]


def _sum(values: Sequence[Decimal]) -> Decimal:
    """A sum without rounding."""
    with localcontext(_EXACT):
        return sum(values, Decimal(0))
