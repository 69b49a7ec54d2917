"""per_unit: max(q − included, 0) × unit_price."""

from __future__ import annotations

from decimal import Decimal

from billing.catalog.model import Band, PriceShape
from billing.catalog.rules.exact import ZERO


def per_unit(*, unit_price: Decimal, included: Decimal = ZERO) -> PriceShape:
    """A free band of the included quantity, if any, then one band without end."""
    return PriceShape(bands=(*free_band(included), Band(included, None, ZERO, unit_price)))


def free_band(included: Decimal) -> tuple[Band, ...]:
    """The band of an included quantity; none for 0, as a band's bounds must rise."""
    return (Band(ZERO, included, ZERO, ZERO),) if included else ()
