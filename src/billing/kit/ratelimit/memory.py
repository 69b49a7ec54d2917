"""Windows in this process's memory: a queue of instants per holder and limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from billing.kit.ratelimit.model import WINDOW_US, Limit, Quota, Verdict, microseconds, quota_of

if TYPE_CHECKING:
    from billing.kit.db import Clock

K = TypeVar("K")
V = TypeVar("V")


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


class MemoryWindows:
    """Windows that one process alone keeps. Nothing here waits, so no two calls are judged at once."""

    def __init__(self, clock: Clock, *, holders_max: int | None = None) -> None:
        self._clock = clock
        self._calls: Recent[tuple[str, str], deque[int]] = Recent(size_max=holders_max)

    async def take(self, holder: str, limits: Sequence[Limit]) -> Verdict:
        """Count a call in all of the limits, or in none if one of them is used up."""
        return self.judge(holder, limits, counts=True)

    async def peek(self, holder: str, limits: Sequence[Limit]) -> Verdict:
        """What a call would hear, without counting one."""
        return self.judge(holder, limits, counts=False)

    async def close(self) -> None:
        """Nothing is held."""

    def judge(self, holder: str, limits: Sequence[Limit], *, counts: bool) -> Verdict:
        """`take` or `peek`, at once."""
        now_us = microseconds(self._clock())
        windows = [self._window(holder, limit, now_us) for limit in limits]
        is_admitted = all(len(calls) < limit.calls for calls, limit in zip(windows, limits, strict=True))
        if is_admitted and counts:
            for calls in windows:
                calls.append(now_us)
        quotas = [_quota(limit, calls, now_us) for calls, limit in zip(windows, limits, strict=True)]
        return Verdict(is_admitted, tuple(quotas), now_us // 1_000_000)

    def _window(self, holder: str, limit: Limit, now_us: int) -> deque[int]:
        """The calls of the last hour, oldest first."""
        key = (holder, limit.name)
        calls = self._calls.get(key, now_us=now_us)
        if calls is None:
            calls = deque[int]()
            self._calls.set(key, calls)
        if calls and calls[-1] > now_us:  # the clock was set back: nobody waits longer than an hour for that
            kept = [min(made_us, now_us) for made_us in calls]
            calls.clear()
            calls.extend(kept)
        while calls and calls[0] <= now_us - WINDOW_US:
            calls.popleft()
        return calls


def _quota(limit: Limit, calls: deque[int], now_us: int) -> Quota:
    used = len(calls)
    next_to_leave_us = calls[max(used - limit.calls, 0)] if used else now_us
    return quota_of(limit, used=used, next_to_leave_us=next_to_leave_us, now_us=now_us)
