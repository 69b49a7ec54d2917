"""flat: amount × billable seconds / seconds of the month; the quantity is that fraction of the month."""

from __future__ import annotations

from decimal import Decimal

from billing.catalog.model import Band, PriceShape
from billing.catalog.rules.exact import ZERO


def flat(*, amount: Decimal) -> PriceShape:
    """One band without end: a whole month is the quantity 1."""
    return PriceShape(bands=(Band(ZERO, None, ZERO, amount),))
