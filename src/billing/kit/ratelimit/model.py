"""What is limited, and what is left of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

WINDOW_S = 3600
WINDOW_US = WINDOW_S * 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Limit(NamedTuple):
    """So many calls of a class within the last hour."""

    name: str
    calls: int


class Quota(NamedTuple):
    """What is left of a limit, and when there will be more of it: the whole seconds until the next call leaves the window.

    With nothing left, that is when the next call is admitted. 0 when no call is in the window.
    """

    limit: Limit
    remaining: int
    resets_in_s: int


class Verdict(NamedTuple):
    """Whether a call is admitted, and what is left of each of its limits after it. `now_s` is in seconds since 1970."""

    is_admitted: bool
    quotas: tuple[Quota, ...]
    now_s: int

    @property
    def scarcest(self) -> Quota:
        """The quota with the least remaining, of several the one that is so for longest."""
        if len(self.quotas) == 1:
            return self.quotas[0]
        return min(self.quotas, key=lambda quota: (quota.remaining, -quota.resets_in_s))


class Windows(Protocol):
    """Keeps the calls of the last hour by holder: an API key, an address."""

    async def take(self, holder: str, limits: Sequence[Limit]) -> Verdict:
        """Count a call in all of the limits, or in none if one of them is used up."""
        ...

    async def peek(self, holder: str, limits: Sequence[Limit]) -> Verdict:
        """What a call would hear, without counting one."""
        ...

    async def close(self) -> None:
        """Let go of what is held."""
        ...


def microseconds(instant: datetime) -> int:
    """The microseconds from 1970 to an aware instant."""
    return (instant - _EPOCH) // _MICROSECOND


def quota_of(limit: Limit, *, used: int, next_to_leave_us: int, now_us: int) -> Quota:
    """What is left of a limit with `used` calls in the window.

    `next_to_leave_us` is when the call was made that must leave for one more to be admitted; before anything is refused,
    the oldest. It counts for as long as it is less than an hour ago.
    """
    if not used:
        return Quota(limit, limit.calls, 0)
    wait_us = next_to_leave_us + WINDOW_US - now_us
    return Quota(limit, max(limit.calls - used, 0), -(-wait_us // 1_000_000))
