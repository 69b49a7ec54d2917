"""When a message is sent: quiet hours, and the schedule of tries."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from billing.notifications.model import QuietHours

# After the first try, the second, ...; after the last one a delivery has failed.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360, 720, 1440))
# So urgent that it is sent in quiet hours too.
NEVER_QUIET = frozenset({"account.suspended"})
_MINUTE = timedelta(minutes=1)


def next_attempt_at(tries: int, *, now: datetime) -> datetime | None:
    """When a delivery is tried again after so many tries that failed, or None: it has failed."""
    return now + PAUSES[tries - 1] if tries <= len(PAUSES) else None


def is_quiet(instant: datetime, *, quiet: QuietHours, timezone: str) -> bool:
    """Whether the clocks of a zone show an hour in which it is quiet; `start` is, `end` is not. The same twice: never."""
    shown = instant.astimezone(ZoneInfo(timezone)).time()
    if quiet.start <= quiet.end:
        return quiet.start <= shown < quiet.end
    return shown >= quiet.start or shown < quiet.end


def quiet_until(now: datetime, *, quiet: QuietHours | None, timezone: str) -> datetime | None:
    """The first minute from now on in which it is not quiet, or None if it is not quiet now.

    The clocks of the zone are asked minute by minute, so that hours which a change of the clocks skips or repeats count as
    they are shown.
    """
    if quiet is None or not is_quiet(now, quiet=quiet, timezone=timezone):
        return None
    instant = now.replace(second=0, microsecond=0)
    while is_quiet(instant, quiet=quiet, timezone=timezone):
        instant += _MINUTE
    return instant
