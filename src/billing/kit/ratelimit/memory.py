"""Windows in this process's memory: the calls of the last hour per holder and limit, in marks.

A mark is an instant and how many calls there were by then. Up to `MARKS_MAX` calls an hour each has its own. Of a larger limit,
calls within the same 10,000th of an hour share one, which ends with the last of them: they count for up to 0.36 s longer than
an hour, and what a process keeps for a holder is bounded, however many calls it makes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from billing.kit.ratelimit.model import WINDOW_US, Limit, Quota, Verdict, microseconds, quota_of

if TYPE_CHECKING:
    from billing.kit.db import Clock

K = TypeVar("K")
V = TypeVar("V")

MARKS_MAX = 10_000
_STEP_US = WINDOW_US // MARKS_MAX
_SPARE_MARKS = 256  # so many that ended are kept before room is made


class Recent(Generic[K, V]):
    """Values that are forgotten once nobody asked for them for an hour or two, without ever looking through all of them.

    What is asked for moves to the new half; each hour the old half goes and the new one is the old one. With `size_max`, a
    full new half makes the halves turn early: what was not asked for lately goes before its time.
    """

    def __init__(self, *, size_max: int | None = None) -> None:
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._turned_at_us = 0
        self._size_max = size_max

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def get(self, key: K, *, now_us: int) -> V | None:
        """The value of a key, if it is not forgotten."""
        self._turn_when_due(now_us)
        value = self._new.get(key)
        if value is None and (value := self._old.pop(key, None)) is not None:
            self._new[key] = value
        return value

    def set(self, key: K, value: V) -> None:
        """Keep a value."""
        self._new[key] = value

    def _turn_when_due(self, now_us: int) -> None:
        self._turned_at_us = min(self._turned_at_us, now_us)  # the clock may be set back
        is_full = self._size_max is not None and len(self._new) >= self._size_max
        if is_full or now_us - self._turned_at_us >= WINDOW_US:
            self._old, self._new, self._turned_at_us = self._new, {}, now_us


class _Calls:
    """The calls of a holder under a limit, oldest first."""

    __slots__ = ("_at_us", "_first", "_gone", "_totals", "used")

    def __init__(self) -> None:
        self.used = 0
        self._at_us = array("q")
        self._totals = array("q")  # of all calls up to each mark, those that left included
        self._first = 0  # the first mark that counts
        self._gone = 0  # the calls before it

    @property
    def marks(self) -> int:
        """How many marks are kept."""
        return len(self._at_us)

    def add(self, at_us: int) -> None:
        """One more call, none of which was later."""
        self.used += 1
        if self._at_us and self._at_us[-1] >= at_us:
            self._totals[-1] += 1
        else:
            self._totals.append(self._gone + self.used)
            self._at_us.append(at_us)

    def at_us(self, place: int) -> int:
        """When the call at a place was made."""
        return self._at_us[bisect_right(self._totals, self._gone + place, self._first) if place > 0 else self._first]

    def turn(self, now_us: int, latest_us: int) -> None:
        """Let go of those made an hour ago or more. None is later than `latest_us`, unless the clock was set back."""
        at_us = self._at_us
        if not at_us:
            return
        if at_us[-1] > latest_us:  # nobody waits longer than an hour for that
            at_us = self._at_us = array("q", [min(made_us, latest_us) for made_us in at_us])
        if at_us[self._first] <= now_us - WINDOW_US:
            self._leave_until(now_us - WINDOW_US)

    def _leave_until(self, until_us: int) -> None:
        first = bisect_right(self._at_us, until_us, self._first)
        if first == len(self._at_us):
            del self._at_us[:], self._totals[:]
            self._first = self._gone = self.used = 0
            return
        self.used -= self._totals[first - 1] - self._gone
        self._gone = self._totals[first - 1]
        if first > _SPARE_MARKS and 2 * first > len(self._at_us):
            del self._at_us[:first], self._totals[:first]
            first = 0
        self._first = first


class MemoryWindows:
    """Windows that one process alone keeps. Nothing here waits, so no two calls are judged at once."""

    def __init__(self, clock: Clock, *, holders_max: int | None = None) -> None:
        self._clock = clock
        self._calls: Recent[tuple[str, str], _Calls] = Recent(size_max=holders_max)

    async def take(self, holder: str, limits: Sequence[Limit]) -> Verdict:
        """Count a call in all of the limits, or in none if one of them is used up."""
        return self.judge(holder, limits, counts=True)

    async def peek(self, holder: str, limits: Sequence[Limit]) -> Verdict:
        """What a call would hear, without counting one."""
        return self.judge(holder, limits, counts=False)

    async def close(self) -> None:
        """Nothing is held."""

    def marks(self, holder: str, limit: Limit) -> int:
        """How many marks are kept of a holder's calls."""
        return self._window(holder, limit, microseconds(self._clock())).marks

    def judge(self, holder: str, limits: Sequence[Limit], *, counts: bool) -> Verdict:
        """`take` or `peek`, at once."""
        now_us = microseconds(self._clock())
        windows = [(limit, self._window(holder, limit, now_us)) for limit in limits]
        is_admitted = not [True for limit, calls in windows if calls.used >= limit.calls]
        if is_admitted and counts:
            for limit, calls in windows:
                calls.add(_marked_us(limit, now_us))
        quotas = tuple([_quota(limit, calls, now_us) for limit, calls in windows])
        return Verdict(is_admitted, quotas, now_us // 1_000_000)

    def _window(self, holder: str, limit: Limit, now_us: int) -> _Calls:
        """The calls of the last hour."""
        key = (holder, limit.name)
        calls = self._calls.get(key, now_us=now_us)
        if calls is None:
            calls = _Calls()
            self._calls.set(key, calls)
        calls.turn(now_us, _marked_us(limit, now_us))
        return calls


def _marked_us(limit: Limit, now_us: int) -> int:
    """The instant under which a call counts."""
    return now_us if limit.calls <= MARKS_MAX else -(-now_us // _STEP_US) * _STEP_US


def _quota(limit: Limit, calls: _Calls, now_us: int) -> Quota:
    used = calls.used
    next_to_leave_us = calls.at_us(used - limit.calls) if used else now_us
    return quota_of(limit, used=used, next_to_leave_us=next_to_leave_us, now_us=now_us)
