"""When a message is sent again, and when an endpoint has failed for too long."""

from __future__ import annotations

from datetime import datetime, timedelta

# The wait after each failed try but the last: ten tries within a little over three days.
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
TRIES_MAX = len(WAITS) + 1
RETRY_AFTER_MAX = timedelta(hours=24)
FAILING_MAX = timedelta(days=5)
FAILURES_MIN = 12  # more than one message makes by itself
SECRET_OVERLAP = timedelta(hours=24)
SLOW_MS = 3_000


def next_try_at(tries: int, *, now: datetime, retry_after_s: int | None) -> datetime | None:
    """When a message whose so-manieth try failed is sent again; None: it is given up.

    A receiver may ask for a longer wait than the schedule's, up to a day, never for a shorter one.
    """
    if tries >= TRIES_MAX:
        return None
    asked = min(timedelta(seconds=retry_after_s or 0), RETRY_AFTER_MAX)
    return now + max(WAITS[tries - 1], asked)


def has_failed_too_long(*, failing_since: datetime, failures: int, now: datetime) -> bool:
    """Whether an endpoint is disabled: five days of failures alone, of more than one message."""
    return failures >= FAILURES_MIN and now - failing_since >= FAILING_MAX


def read_retry_after(text: str | None, *, now: datetime) -> int | None:
    """The seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3); None for anything else."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  heavy, and rarely needed

    if text is None or not text.isascii() or len(text) > 40:
        return None
    if text.strip().isdigit():
        return min(int(text), 10**9)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        return None
    return max(0, int((at - now).total_seconds()))
