"""Calls beyond what a process has under way at once wait in line, and are turned away when it takes too long; connections beyond
what it holds wait outside."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from litestar import get

from billing.accounts import routes
from billing.app import health
from billing.kit.web import Answer
from tests.support.house import open_house
from tests.support.serving import serving

MOST, CALLS = 3, 30
ASK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@get("/hold")
async def hold(held: asyncio.Event) -> Answer:
    """A call that is under way for as long as the test wants."""
    await held.wait()
    return Answer.of({"status": "ok"})


class TestTooManyCalls:
    async def test_are_served_one_after_the_other(self, database_dsn: str):
        async with open_house(database_dsn, public=routes.HANDLERS, reads_max=MOST) as house:
            jane = await house.open_account()
            replies = await asyncio.gather(*(house.call("GET", "/v1/account", key=jane.key) for _ in range(CALLS)))
            assert Counter(reply.status for reply in replies) == {200: CALLS}

    async def test_are_turned_away_when_it_takes_too_long_but_for_the_probe_of_life(self, database_dsn: str):
        held = asyncio.Event()
        plain = [hold, health.show_live]
        async with open_house(
            database_dsn, public=routes.HANDLERS, plain=plain, values={"held": held}, calls_max=1, reads_max=1
        ) as house:
            jane = await house.open_account()
            holding = asyncio.create_task(house.call("GET", "/hold"))
            await asyncio.sleep(0)
            busy = await house.call("GET", "/v1/account", key=jane.key)
            assert (busy.status, busy.code, busy.headers["Retry-After"]) == (503, "unavailable", "1")
            assert busy.headers["X-Request-Id"]
            assert busy.headers["Cache-Control"] == "no-store"
            assert (await house.call("GET", "/livez")).status == 200
            written = await house.call("PUT", "/v1/account", key=jane.key, body={"name": "Jane"})
            assert written.status == 200, "reads take no place of a write"
            held.set()
            assert (await holding).status == 200
            assert (await house.call("GET", "/v1/account", key=jane.key)).status == 200

    async def test_count_no_more_once_their_caller_is_gone(self, database_dsn: str):
        async with open_house(database_dsn, public=routes.HANDLERS, reads_max=1) as house:
            jane = await house.open_account()
            for ticks in range(5):
                gone = asyncio.create_task(house.call("GET", "/v1/account", key=jane.key))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                gone.cancel()
                await asyncio.wait([gone])
            assert (await house.call("GET", "/v1/account", key=jane.key)).status == 200


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as opened:
        opened.sendall(ASK)
        yield opened


class TestTooManyConnections:
    def test_wait_until_another_ends(self, database_dsn: str, tmp_path: Path):
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path)}
        with serving(tmp_path, "--no-worker", LINESERVE_CONNECTIONS_AT_ONCE=str(MOST), **settings) as server:
            port = urlsplit(server.ready["base_url"]).port
            assert port is not None
            with connected(port) as first, connected(port) as second, connected(port) as third:
                for inside in (first, second, third):
                    assert inside.recv(100).startswith(b"HTTP/1.1 200")
                with connected(port) as outside:
                    outside.settimeout(0.3)
                    try:
                        heard = outside.recv(100)
                    except TimeoutError:
                        heard = b""
                    assert heard == b""
                    first.close()
                    outside.settimeout(5)
                    assert outside.recv(100).startswith(b"HTTP/1.1 200")
