"""Calls beyond what a process has under way at once: turned away at once, and come again."""

from __future__ import annotations

import asyncio
from collections import Counter

from billing.accounts import routes
from billing.app import health
from tests.support.house import open_house

MOST, CALLS = 3, 30


class TestTooManyCalls:
    async def test_are_turned_away_and_the_others_served(self, database_dsn: str):
        async with open_house(database_dsn, public=routes.HANDLERS, plain=[health.show_live], calls_max=MOST) as house:
            jane = await house.open_account()
            replies = await asyncio.gather(*(house.call("GET", "/v1/account", key=jane.key) for _ in range(CALLS)))
            assert Counter(reply.status for reply in replies) == {200: MOST, 503: CALLS - MOST}
            busy = next(reply for reply in replies if reply.status == 503)
            assert (busy.code, busy.headers["Retry-After"]) == ("unavailable", "1")
            assert busy.headers["X-Request-Id"]
            assert busy.headers["Cache-Control"] == "no-store"
            assert (await house.call("GET", "/v1/account", key=jane.key)).status == 200

    async def test_never_hold_up_the_probe_of_life(self, database_dsn: str):
        async with open_house(database_dsn, public=routes.HANDLERS, plain=[health.show_live], calls_max=1) as house:
            jane = await house.open_account()
            calls = [house.call("GET", "/v1/account", key=jane.key) for _ in range(5)]
            replies = await asyncio.gather(*calls, *(house.call("GET", "/livez") for _ in range(5)))
            assert [reply.status for reply in replies[5:]] == [200] * 5

    async def test_count_no_more_once_their_caller_is_gone(self, database_dsn: str):
        async with open_house(database_dsn, public=routes.HANDLERS, calls_max=1) as house:
            jane = await house.open_account()
            for ticks in range(5):
                gone = asyncio.create_task(house.call("GET", "/v1/account", key=jane.key))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                gone.cancel()
                await asyncio.wait([gone])
            assert (await house.call("GET", "/v1/account", key=jane.key)).status == 200
