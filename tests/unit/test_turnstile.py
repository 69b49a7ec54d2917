"""Places for calls: the first in line has the next one, and nobody waits for longer than he may."""

from __future__ import annotations

import asyncio

from billing.kit.web.turnstile import Turnstile


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class TestTurnstile:
    async def test_lets_in_as_many_as_there_are_places(self):
        turnstile = Turnstile(2)
        assert [turnstile.take() for _ in range(3)] == [True, True, False]
        turnstile.leave()
        assert [turnstile.take() for _ in range(2)] == [True, False]

    async def test_gives_a_place_to_the_first_in_line(self):
        turnstile = Turnstile(1)
        assert turnstile.take()
        first, second = asyncio.create_task(turnstile.wait()), asyncio.create_task(turnstile.wait())
        await settle()
        assert turnstile.in_line == 2
        turnstile.leave()
        assert await first
        assert not second.done()
        assert not turnstile.take()
        turnstile.leave()
        assert await second
        turnstile.leave()
        assert turnstile.take()

    async def test_sends_away_who_waited_in_vain(self):
        turnstile = Turnstile(1, wait_s=0.05)
        assert turnstile.take()
        loop = asyncio.get_running_loop()
        began = loop.time()
        early = asyncio.create_task(turnstile.wait())
        await asyncio.sleep(0.02)
        late = asyncio.create_task(turnstile.wait())
        assert not await early
        assert loop.time() - began >= 0.045
        assert not late.done()
        assert not await late
        turnstile.leave()
        assert turnstile.take()

    async def test_loses_no_place_to_who_went_away(self):
        turnstile = Turnstile(1)
        for ticks in range(4):
            assert turnstile.take()
            waiting = asyncio.create_task(turnstile.wait())
            await settle()
            waiting.cancel()
            for _ in range(ticks):
                await asyncio.sleep(0)
            turnstile.leave()
            await asyncio.wait([waiting])
        for _ in range(4):
            assert turnstile.take()
            waiting = asyncio.create_task(turnstile.wait())
            await settle()
            turnstile.leave()  # the place is his, and he goes before he knows
            waiting.cancel()
            await asyncio.wait([waiting])
        assert turnstile.take()
