"""What is held against an event before the database looks at it."""

from __future__ import annotations

from datetime import datetime
from decimal import Context, Decimal, localcontext

from billing.metering.model import AHEAD_WINDOW, LATE_WINDOW, QUANTITY_DECIMALS, QUANTITY_MAX, UsageEvent

_EXACT = Context(prec=150)


def objection_to(event: UsageEvent, *, now: datetime, is_backfill: bool) -> str | None:
    """Why an event is quarantined, or None. Quantities: 0 up to 10^29 exclusive; times: 35 days back, 5 minutes ahead."""
    if event.quantity < 0:
        return "negative_quantity"
    if event.quantity >= QUANTITY_MAX:
        return "quantity_too_large"
    if event.occurred_at > now + AHEAD_WINDOW:
        return "too_early"
    if event.occurred_at < now - LATE_WINDOW and not is_backfill:
        return "too_late"
    return None


def has_storable_decimals(quantity: Decimal) -> bool:
    """Whether a finite quantity has at most 12 decimals."""
    exponent = quantity.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -QUANTITY_DECIMALS:
        return True
    with localcontext(_EXACT):
        scaled = quantity.scaleb(QUANTITY_DECIMALS)
        return quantity.is_finite() and scaled == scaled.to_integral_value()
