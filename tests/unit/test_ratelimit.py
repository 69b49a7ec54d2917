"""Windows of calls in memory: exact, moving, all limits or none; what memory they keep."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Sequence
from datetime import timedelta

import pytest

from billing.kit.ratelimit import WINDOW_S, Limit, MemoryWindows, Quota, Recent
from billing.kit.ratelimit.memory import MARKS_MAX
from billing.kit.ratelimit.model import WINDOW_US
from tests.support.house import Clock

GENERAL, BILLING, PROJECT = Limit("general", 1000), Limit("billing", 100), Limit("project", 500)
TWO = Limit("two", 2)
HOUR = timedelta(seconds=WINDOW_S)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def windows(clock: Clock) -> MemoryWindows:
    return MemoryWindows(clock)


async def admitted(windows: MemoryWindows, *limits: Limit, calls: int, holder: str = "key") -> int:
    """How many of some simultaneous calls are admitted."""
    verdicts = await asyncio.gather(*(windows.take(holder, limits) for _ in range(calls)))
    return sum(verdict.is_admitted for verdict in verdicts)


class TestTake:
    @pytest.mark.parametrize(
        ("limits", "expected"), [((GENERAL,), 1000), ((BILLING, GENERAL), 100), ((PROJECT, GENERAL), 500)]
    )
    async def test_admits_exactly_the_limit_of_5000_at_once(
        self, windows: MemoryWindows, limits: Sequence[Limit], expected: int
    ) -> None:
        assert await admitted(windows, *limits, calls=5000) == expected

    async def test_counts_a_refused_call_nowhere(self, windows: MemoryWindows) -> None:
        assert await admitted(windows, BILLING, GENERAL, calls=300) == 100
        verdict = await windows.peek("key", [GENERAL])
        assert verdict.scarcest.remaining == 900

    async def test_refuses_a_class_when_the_general_limit_is_used_up(self, windows: MemoryWindows) -> None:
        assert await admitted(windows, GENERAL, calls=1000) == 1000
        assert await admitted(windows, BILLING, GENERAL, calls=1) == 0
        assert (await windows.peek("key", [BILLING])).scarcest.remaining == 100

    async def test_keeps_holders_apart(self, windows: MemoryWindows) -> None:
        assert await admitted(windows, TWO, calls=3, holder="one") == 2
        assert await admitted(windows, TWO, calls=3, holder="other") == 2


class TestWindow:
    async def test_lets_each_call_go_exactly_an_hour_after_it_was_made(
        self, windows: MemoryWindows, clock: Clock
    ) -> None:
        await windows.take("key", [TWO])
        clock.advance(timedelta(minutes=20))
        await windows.take("key", [TWO])
        clock.advance(HOUR - timedelta(minutes=20) - MICROSECOND)
        refused = await windows.take("key", [TWO])
        assert (refused.is_admitted, refused.scarcest) == (False, Quota(TWO, 0, 1))
        clock.advance(MICROSECOND)
        assert (await windows.take("key", [TWO])).is_admitted
        assert (await windows.take("key", [TWO])).scarcest == Quota(TWO, 0, 20 * 60)

    async def test_is_full_again_after_an_hour_of_rest(self, windows: MemoryWindows, clock: Clock) -> None:
        assert await admitted(windows, BILLING, GENERAL, calls=200) == 100
        clock.advance(HOUR)
        assert (await windows.peek("key", [BILLING])).scarcest == Quota(BILLING, 100, 0)
        assert await admitted(windows, BILLING, GENERAL, calls=200) == 100

    async def test_never_holds_more_than_the_limit_in_any_hour(self, windows: MemoryWindows, clock: Clock) -> None:
        made: list[float] = []
        chance = random.Random(7)
        for _ in range(3000):
            clock.advance(timedelta(seconds=chance.expovariate(1 / 9)))
            if (await windows.take("key", [BILLING])).is_admitted:
                made.append(clock().timestamp())
        assert max(sum(1 for one in made if start <= one < start + WINDOW_S) for start in made) == 100

    @pytest.mark.parametrize("jump", [timedelta(minutes=10), timedelta(days=1), timedelta(days=366)])
    async def test_holds_nobody_longer_than_an_hour_when_the_clock_was_wrong(
        self, windows: MemoryWindows, clock: Clock, jump: timedelta
    ) -> None:
        clock.advance(jump)
        assert await admitted(windows, TWO, calls=2) == 2
        clock.advance(-jump)
        assert (await windows.take("key", [TWO])).scarcest == Quota(TWO, 0, WINDOW_S)
        clock.advance(HOUR)
        assert await admitted(windows, TWO, calls=3) == 2


class TestVerdict:
    async def test_shows_the_limit_with_the_least_remaining(self, windows: MemoryWindows) -> None:
        verdict = await windows.take("key", [BILLING, GENERAL])
        assert verdict.quotas == (Quota(BILLING, 99, WINDOW_S), Quota(GENERAL, 999, WINDOW_S))
        assert verdict.scarcest.limit is BILLING
        await admitted(windows, GENERAL, calls=950)
        assert (await windows.peek("key", [BILLING, GENERAL])).scarcest == Quota(GENERAL, 49, WINDOW_S)

    async def test_of_two_that_are_used_up_shows_the_longer_wait(self, windows: MemoryWindows, clock: Clock) -> None:
        short, long = Limit("short", 1), Limit("long", 1)
        await windows.take("key", [short])
        clock.advance(timedelta(minutes=1))
        await windows.take("key", [long])
        assert (await windows.take("key", [short, long])).scarcest == Quota(long, 0, WINDOW_S)

    async def test_waits_for_as_many_calls_as_a_lowered_limit_needs(self, windows: MemoryWindows, clock: Clock) -> None:
        for _ in range(3):
            await windows.take("key", [Limit("class", 3)])
            clock.advance(timedelta(minutes=1))
        refused = await windows.take("key", [Limit("class", 1)])
        assert refused.scarcest == Quota(Limit("class", 1), 0, WINDOW_S - 60)


class TestRecent:
    def test_forgets_after_an_hour_or_two_what_nobody_asks_for(self) -> None:
        recent: Recent[str, int] = Recent()
        assert recent.get("left", now_us=0) is None
        recent.set("left", 1)
        recent.set("asked", 2)
        assert recent.get("asked", now_us=WINDOW_US) == 2
        assert recent.get("asked", now_us=2 * WINDOW_US) == 2
        assert recent.get("left", now_us=2 * WINDOW_US) is None
        assert len(recent) == 1

    def test_holds_no_more_than_it_may(self) -> None:
        recent: Recent[int, int] = Recent(size_max=10)
        for number in range(1000):
            assert recent.get(number, now_us=0) is None
            recent.set(number, number)
        assert len(recent) <= 20
        assert recent.get(999, now_us=0) == 999


class TestMarks:
    """What a process keeps of a holder does not grow with his calls, however many he may make."""

    LARGE = Limit("general", 12_000)

    async def test_are_bounded_for_a_limit_that_nobody_reaches(self, windows: MemoryWindows, clock: Clock) -> None:
        unlimited, kept = Limit("general", 1_000_000_000), set[int]()
        for _ in range(3):
            for _ in range(30_000):
                clock.advance(timedelta(milliseconds=60))
                windows.judge("key", [unlimited], counts=True)
            kept.add(windows.marks("key", unlimited))
        assert max(kept) <= 2 * MARKS_MAX
        assert (await windows.peek("key", [unlimited])).scarcest.remaining in range(10**9 - 60_010, 10**9 - 59_989)

    def test_go_with_their_calls(self, windows: MemoryWindows, clock: Clock) -> None:
        kept: list[int] = []
        for _ in range(6):
            for _ in range(BILLING.calls * 10):
                clock.advance(HOUR / BILLING.calls)
                assert windows.judge("key", [BILLING], counts=True).is_admitted
            kept.append(windows.marks("key", BILLING))
        assert max(kept) <= 3 * BILLING.calls + 256

    def test_of_a_large_limit_never_let_more_calls_in_within_an_hour(
        self, windows: MemoryWindows, clock: Clock
    ) -> None:
        made: list[float] = []
        chance = random.Random(8)
        for _ in range(40_000):
            clock.advance(timedelta(seconds=chance.expovariate(5)))
            if windows.judge("key", [self.LARGE], counts=True).is_admitted:
                made.append(clock().timestamp())
        most = max(bisect_left(made, start + WINDOW_S) - place for place, start in enumerate(made))
        assert most == self.LARGE.calls

    async def test_of_a_large_limit_end_within_half_a_second_after_an_hour(
        self, windows: MemoryWindows, clock: Clock
    ) -> None:
        assert await admitted(windows, self.LARGE, calls=13_000) == 12_000
        refused = await windows.take("key", [self.LARGE])
        assert refused.scarcest.resets_in_s in {WINDOW_S, WINDOW_S + 1}
        clock.advance(HOUR + timedelta(seconds=0.5))
        assert await admitted(windows, self.LARGE, calls=1) == 1
