"""How a cost is taken apart into steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction

from billing.catalog import Band
from billing.rating.model import DayWeight, QuantityKey, QuoteStep, Share

_PICO = 10**12


def steps_of(
    bands: Sequence[Band],
    *,
    model: str,
    quantity: Fraction,
    billed_above: Fraction,
    per: Decimal,
    units: Decimal,
    per_shown: int,
) -> list[QuoteStep]:
    """The bands that a quantity went through, before cap and maximum, their amounts times the units.

    `billed_above` is the quantity above the last band's low bound after rounding up; `per_shown` turns quantities into the unit
    that is shown (3600: seconds into hours). A volume price has one step: all of the quantity at its band's price. Amounts are
    differences of rounded sums, so that they add up to the whole, rounded.
    """
    if model == "volume":
        band = next(band for band in bands if band.high is None or quantity <= Fraction(band.high))
        cost = Fraction(band.base) + Fraction(band.unit) * (quantity - Fraction(band.low))
        return [QuoteStep(Decimal(0), band.high, _decimal(quantity), band.unit, _decimal(cost * Fraction(units)))]
    steps: list[QuoteStep] = []
    before_pico = 0
    for band in bands:
        if quantity <= Fraction(band.low):
            break
        is_last = band.high is None or quantity <= Fraction(band.high)
        inside = billed_above if is_last else Fraction(band.high or 0) - Fraction(band.low)
        after = Fraction(band.base) + Fraction(band.unit) * inside / Fraction(per)
        after_pico = _pico(after * Fraction(units))
        unit_price = Fraction(band.unit) * per_shown / Fraction(per)
        steps.append(
            QuoteStep(
                _decimal(Fraction(band.low) / per_shown),
                None if band.high is None else _decimal(Fraction(band.high) / per_shown),
                _decimal(inside / per_shown),
                _decimal(unit_price) if per_shown != 1 else band.unit,
                _of_pico(after_pico - before_pico),
            )
        )
        before_pico = after_pico
    return steps


def _decimal(value: Fraction) -> Decimal:
    """Rounded half up to 12 decimals, without trailing zeros."""
    return _of_pico(_pico(value))


def _pico(value: Fraction) -> int:
    """Trillionths, rounded half up."""
    return (2 * value.numerator * _PICO + value.denominator) // (2 * value.denominator)


def _of_pico(pico: int) -> Decimal:
    """So many trillionths, without trailing zeros."""
    with localcontext(Context(prec=100)):
        plain = Decimal(pico).scaleb(-12)
        whole = plain.to_integral_value()
        return whole if whole == plain else plain.normalize()


def net_within(
    shares: Sequence[Share], *, inside: Mapping[QuantityKey, Decimal], weights: Mapping[tuple[str, str], DayWeight]
) -> tuple[Fraction, int]:
    """(net inside, net) in minor units: each resource's share of a charge by the part of its quantity that lies on some days.

    `weights`, by resource and meter, stand for the quantity of meters that have no quantity of a day.
    """
    net_inside, net = Fraction(0), 0
    for share in shares:
        weight = weights.get((share.resource_id, share.item)) if share.item_kind == "meter" else None
        if weight is not None:
            part = Fraction(weight.inside) / Fraction(weight.whole)
        else:
            quantity = inside.get((share.price_id, share.units, share.resource_id), Decimal(0))
            part = min(Fraction(quantity) / Fraction(share.quantity), Fraction(1))
        net += share.amount_minor
        net_inside += share.amount_minor * part
    return net_inside, net


def tax_minor(net_minor: int, percent: Decimal) -> int:
    """A tax on a net amount of minor units, rounded half up once."""
    percents, of = percent.as_integer_ratio()
    return (2 * percents * net_minor + 100 * of) // (200 * of)
