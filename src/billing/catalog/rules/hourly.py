"""hourly: min(billed hours × hourly_price, monthly_price); the quantity is in seconds."""

from __future__ import annotations

from decimal import Decimal

from billing.catalog.model import Band, PriceShape
from billing.catalog.rules.exact import ZERO

HOUR_S = 3600
# An hour of a plan with a monthly price alone costs a 672nd: the shortest month, too, reaches the full price.
HOURS_OF_MONTHLY_PRICE = 672


def hourly(
    *,
    hourly_price: Decimal | None = None,
    monthly_price: Decimal | None = None,
    increment_s: int = HOUR_S,
    minimum_s: int = 0,
) -> PriceShape:
    """One band without end in steps of the increment, capped at the monthly price. At least one price is given."""
    if hourly_price is not None:
        unit, per = hourly_price, HOUR_S
    else:
        assert monthly_price is not None, "an hourly price names an hourly or a monthly price"
        unit, per = monthly_price, HOUR_S * HOURS_OF_MONTHLY_PRICE
    return PriceShape(
        bands=(Band(ZERO, None, ZERO, unit),),
        step=Decimal(increment_s),
        minimum_quantity=Decimal(minimum_s),
        per=Decimal(per),
        cap=monthly_price,
    )
