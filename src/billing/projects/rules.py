"""What is held against a report of a resource before anything is looked up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.metering import Span

SERVICES = ("compute", "storage", "messaging")  # there are more where the catalogue says so

PROJECT_PREFIX = "proj"
RESTORABLE_FOR = timedelta(days=7)
RESOURCE_ID_LONGEST = 200

UNITS_MAX = Decimal(10) ** 15
UNITS_DECIMALS = 12
AHEAD_MAX = timedelta(minutes=5)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9998, 12, 31, tzinfo=UTC)


def is_restorable(deleted_at: datetime, *, now: datetime) -> bool:
    """Whether a project that was deleted at an instant can still be restored: for 7 days, the last instant included."""
    return now - deleted_at <= RESTORABLE_FOR


def holds_at(span: Span, instant: datetime) -> bool:
    """Whether a span covers an instant; its end does not belong to it."""
    return span.start_at <= instant and (span.end_at is None or instant < span.end_at)


def units_reason(units: Decimal) -> str | None:
    """Why a resource may not have so many units, or None."""
    if units <= 0:
        return "must be greater than 0"
    if units.adjusted() > UNITS_MAX.adjusted() or units > UNITS_MAX:
        return "is too large"
    exponent = units.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > UNITS_DECIMALS:
        return f"must have at most {UNITS_DECIMALS} decimals"
    return None


def effective_at_reason(effective_at: datetime, *, now: datetime) -> str | None:
    """Why a state may not begin at an instant, or None: any age since 1970, at most 5 minutes ahead."""
    if not _EARLIEST <= effective_at <= _LATEST:
        return "is out of range"
    return "must be at most 5 minutes ahead" if effective_at > now + AHEAD_MAX else None
