"""From the terms of a price to its bands."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import TypeVar

from billing.catalog.model import BillableState, CompiledPrice, PriceShape, PriceTerms
from billing.catalog.rules.exact import EXACT, ZERO
from billing.catalog.rules.flat import flat
from billing.catalog.rules.hourly import HOUR_S, hourly
from billing.catalog.rules.package import package
from billing.catalog.rules.per_unit import per_unit
from billing.catalog.rules.tiered import graduated, volume

T = TypeVar("T")

BILLABLE_DEFAULT: tuple[BillableState, ...] = ("running", "stopped")


def compile_price(terms: PriceTerms) -> CompiledPrice:
    """The bands of a price without faults, exact. The discount is in base, unit and cap, not in maximum and minimum."""
    with localcontext(EXACT):
        shape = _discounted(_shape(terms), terms.discount_percent or ZERO)
    is_plan = terms.kind == "plan"
    return CompiledPrice(
        bands=shape.bands,
        step=shape.step,
        minimum_quantity=shape.minimum_quantity,
        per=shape.per,
        cap=shape.cap,
        maximum=terms.maximum,
        minimum=terms.minimum,
        scope="resource" if is_plan else terms.scope or "account",
        billable=tuple(terms.billable or BILLABLE_DEFAULT) if is_plan else (),
    )


def _shape(terms: PriceTerms) -> PriceShape:
    match terms.model:
        case "per_unit":
            return per_unit(unit_price=_given(terms.unit_price), included=terms.included or ZERO)
        case "graduated":
            return graduated(tiers=_given(terms.tiers))
        case "volume":
            return volume(tiers=_given(terms.tiers))
        case "package":
            return package(
                package_size=_given(terms.package_size),
                package_price=_given(terms.package_price),
                included=terms.included or ZERO,
            )
        case "flat":
            return flat(amount=_given(terms.amount))
        case "hourly":
            return hourly(
                hourly_price=terms.hourly_price,
                monthly_price=terms.monthly_price,
                increment_s=terms.increment_s or HOUR_S,
                minimum_s=terms.minimum_s or 0,
            )


def _discounted(shape: PriceShape, discount_percent: Decimal) -> PriceShape:
    if not discount_percent:
        return shape
    share = (100 - discount_percent) / 100
    return replace(
        shape,
        bands=tuple(replace(band, base=band.base * share, unit=band.unit * share) for band in shape.bands),
        cap=None if shape.cap is None else shape.cap * share,
    )


def _given(value: T | None) -> T:
    """A member that the faults of its price would have named, were it missing."""
    assert value is not None, "only a price without faults compiles"
    return value
