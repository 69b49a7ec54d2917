"""package: ceil(max(q − included, 0) / package_size) × package_price."""

from __future__ import annotations

from decimal import Decimal

from billing.catalog.model import Band, PriceShape
from billing.catalog.rules.exact import ZERO
from billing.catalog.rules.per_unit import free_band


def package(*, package_size: Decimal, package_price: Decimal, included: Decimal = ZERO) -> PriceShape:
    """Bands as of per_unit, in steps of the size. The rating divides by the size last, as 10 for 3 is no decimal."""
    bands = (*free_band(included), Band(included, None, ZERO, package_price))
    return PriceShape(bands=bands, step=package_size, per=package_size)
