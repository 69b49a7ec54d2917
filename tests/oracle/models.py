"""What a quantity costs, from the price's definition, in exact fractions.

Order: model (with included quantity and hourly cap), discount, units, maximum. A quantity of 0 costs 0 in every model.
Plan quantities are billable seconds for `hourly` and the billable part of the month for `flat`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.oracle.world import Definition, Tier

TRILLION = 10**12


def model_cost(definition: Definition, quantity: Fraction) -> Fraction:
    """The model's own cost of a quantity above 0, before discount, units and maximum."""
    match definition["model"]:
        case "per_unit":
            return max(quantity - _included(definition), Fraction(0)) * Fraction(definition.get("unit_price", 0))
        case "graduated":
            return _graduated(definition.get("tiers", []), quantity)
        case "volume":
            return _volume(definition.get("tiers", []), quantity)
        case "package":
            beyond = max(quantity - _included(definition), Fraction(0))
            packages = _ceil(beyond / Fraction(definition.get("package_size", 1)))
            return packages * Fraction(definition.get("package_price", 0))
        case "flat":
            return quantity * Fraction(definition.get("amount", 0))
        case "hourly":
            return _hourly(definition, quantity)


def charge_cost(definition: Definition, quantity: Fraction, units: Fraction) -> Fraction:
    """The exact cost of a charge; `units` is 1 for meters."""
    if quantity <= 0:
        return Fraction(0)
    cost = model_cost(definition, quantity)
    discount = definition.get("discount_percent")
    if discount is not None:
        cost *= 1 - Fraction(discount) / 100
    cost *= units
    maximum = definition.get("maximum")
    return cost if maximum is None else min(cost, Fraction(maximum))


def minimum_cost(definition: Definition, quantity: Fraction, cost_trillionths: int) -> Fraction:
    """What is missing to the price's minimum, for a charge with a quantity above 0."""
    minimum = definition.get("minimum")
    if minimum is None or quantity <= 0:
        return Fraction(0)
    return max(Fraction(minimum) - Fraction(cost_trillionths, TRILLION), Fraction(0))


def billed_hours(definition: Definition, seconds: Fraction) -> Fraction:
    """Hours of an hourly price: seconds rounded up once to the increment, at least the minimum."""
    if seconds <= 0:
        return Fraction(0)
    increment_s = definition.get("increment_s", 3600)
    billed_s = max(_ceil(seconds / increment_s) * increment_s, definition.get("minimum_s", 0))
    return Fraction(billed_s, 3600)


def half_up(value: Fraction) -> int:
    """The nearest whole number of a fraction that is not negative; half goes up."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _included(definition: Definition) -> Fraction:
    return Fraction(definition.get("included", 0))


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def _graduated(tiers: list[Tier], quantity: Fraction) -> Fraction:
    cost, low = Fraction(0), Fraction(0)
    for tier in tiers:
        if quantity <= low:
            break
        up_to = tier["up_to"]
        high = quantity if up_to is None else min(quantity, Fraction(up_to))
        cost += Fraction(tier.get("flat", 0)) + (high - low) * Fraction(tier["unit_price"])
        low = high if up_to is None else Fraction(up_to)
    return cost


def _volume(tiers: list[Tier], quantity: Fraction) -> Fraction:
    tier = next(tier for tier in tiers if tier["up_to"] is None or quantity <= Fraction(tier["up_to"]))
    return Fraction(tier.get("flat", 0)) + quantity * Fraction(tier["unit_price"])


def _hourly(definition: Definition, seconds: Fraction) -> Fraction:
    hours = billed_hours(definition, seconds)
    hourly, monthly = definition.get("hourly_price"), definition.get("monthly_price")
    if hourly is not None:
        cost = hours * Fraction(hourly)
    else:
        assert monthly is not None, "an hourly price names at least one of its two prices"
        cost = hours * Fraction(monthly) / 672
    return cost if monthly is None else min(cost, Fraction(monthly))
