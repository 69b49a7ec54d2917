"""From when until when prices are in force: whole UTC months, none of them finalised."""

from __future__ import annotations

from datetime import datetime

from billing.catalog.model import PriceChangeInsidePeriod
from billing.core.period import Period


def starting_period(instant: datetime) -> Period:
    """The month that starts at an aware instant. Raises PriceChangeInsidePeriod if none does."""
    period = Period.containing(instant)
    if period.start != instant:
        raise PriceChangeInsidePeriod
    return period


def first_changed_period(*, old_end: datetime | None, new_end: datetime | None) -> Period | None:
    """The first month that moving the end of prices changes; None if the end stays."""
    if old_end == new_end:
        return None
    return Period.containing(min(end for end in (old_end, new_end) if end is not None))
