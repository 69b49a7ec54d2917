"""Windows of calls that processes share in a real Valkey: as exact as in memory, and what happens while it is away."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from billing.kit.ratelimit import Limit, MemoryWindows, SharedWindows
from tests.support.house import Clock
from tests.support.valkey import ValkeyServer, valkey

GENERAL, BILLING, PROJECT = Limit("general", 1000), Limit("billing", 100), Limit("project", 500)
PROCESSES = 4
_CALLER = """
import asyncio, json, sys
from billing.kit.db import system_clock
from billing.kit.ratelimit import Limit, MemoryWindows, SharedWindows
async def main(url, calls):
    windows = SharedWindows(url, spare=MemoryWindows(system_clock), answer_limit_s=60)
    asked = [(c, [Limit(c, n), Limit("general", 1000)]) for c, n in (("billing", 100), ("project", 500))]
    asked.append(("general", [Limit("general", 1000)]))
    verdicts = await asyncio.gather(*(windows.take(f"key of {c}", limits) for c, limits in asked for _ in range(calls)))
    print(json.dumps({c: sum(v.is_admitted for v in verdicts[i * calls:][:calls]) for i, (c, _) in enumerate(asked)}))
    await windows.close()
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def windows(server: ValkeyServer, clock: Clock) -> AsyncIterator[SharedWindows]:
    opened = SharedWindows(server.url, spare=MemoryWindows(clock), clock=clock, rest_s=0)
    yield opened
    await opened.close()


async def admitted(windows: SharedWindows, holder: str, *limits: Limit, calls: int) -> int:
    """How many of some simultaneous calls are admitted."""
    verdicts = await asyncio.gather(*(windows.take(holder, limits) for _ in range(calls)))
    return sum(verdict.is_admitted for verdict in verdicts)


class TestTake:
    def test_admits_exactly_the_limits_of_5000_calls_at_once_of_four_processes(self, server: ValkeyServer) -> None:
        command = [sys.executable, "-c", _CALLER, server.url, str(5000 // PROCESSES)]
        callers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
        counts = [json.loads(caller.communicate(timeout=120)[0]) for caller in callers]
        assert {name: sum(count[name] for count in counts) for name in counts[0]} == {
            "billing": 100,
            "project": 500,
            "general": 1000,
        }

    async def test_counts_a_refused_call_nowhere(self, windows: SharedWindows) -> None:
        assert await admitted(windows, "refused", BILLING, GENERAL, calls=300) == 100
        assert (await windows.peek("refused", [GENERAL])).scarcest.remaining == 900

    async def test_judges_every_sequence_as_memory_does(self, windows: SharedWindows, clock: Clock) -> None:
        memory = MemoryWindows(clock)
        chance = random.Random(11)
        limits = [Limit("few", 3), Limit("some", 7), Limit("some", 4)]
        for _ in range(1500):
            clock.advance(timedelta(seconds=chance.choice([0, 0.000001, 1, 59.5, 400, 3599.999999, 3600, -20])))
            asked = chance.sample(limits[:2], chance.choice([1, 2])) if chance.random() < 0.9 else limits[2:]
            if chance.random() < 0.2:
                assert await windows.peek("same", asked) == await memory.peek("same", asked)
            else:
                assert await windows.take("same", asked) == await memory.take("same", asked)

    async def test_goes_by_the_servers_clock_when_it_is_given_none(self, server: ValkeyServer, clock: Clock) -> None:
        windows = SharedWindows(server.url, spare=MemoryWindows(clock))
        verdict = await windows.take("real time", [GENERAL])
        assert verdict.now_s > clock().timestamp() + 365 * 86400
        await windows.close()

    async def test_forgets_a_key_that_rests(self, server: ValkeyServer, windows: SharedWindows) -> None:
        await windows.take("rests", [GENERAL])
        reply = _ask(server, b"PTTL lineserve:calls:{rests}:general\r\n")
        assert 3_000_000 < int(reply.strip(b":\r\n")) <= 3_600_000


class TestServerAway:
    @pytest.fixture
    def mortal(self, tmp_path: Path) -> Iterator[ValkeyServer]:
        with valkey(tmp_path) as running:
            yield running

    async def test_counts_in_memory_until_it_is_back_and_raises_an_alarm_once(
        self, mortal: ValkeyServer, clock: Clock
    ) -> None:
        windows = SharedWindows(mortal.url, spare=MemoryWindows(clock), clock=clock, rest_s=0)
        with structlog.testing.capture_logs() as logs:
            assert await admitted(windows, "key", BILLING, GENERAL, calls=60) == 60
            mortal.kill()
            assert await admitted(windows, "key", BILLING, GENERAL, calls=300) == 100
            mortal.start()
            assert await admitted(windows, "key", BILLING, GENERAL, calls=300) == 100
        assert [log["event"] for log in logs] == ["rate_limits_not_shared", "rate_limits_shared_again"]
        await windows.close()

    async def test_does_not_hang_on_a_server_that_says_nothing(self, clock: Clock) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            windows = SharedWindows(url, spare=MemoryWindows(clock), clock=clock, answer_limit_s=0.05)
            async with asyncio.timeout(30):
                assert await admitted(windows, "key", BILLING, GENERAL, calls=300) == 100
            await windows.close()

    async def test_is_left_alone_for_a_while(self, clock: Clock) -> None:
        with socket.socket() as refusing:
            refusing.bind(("127.0.0.1", 0))
            url = f"redis://127.0.0.1:{refusing.getsockname()[1]}/0"
            windows = SharedWindows(url, spare=MemoryWindows(clock), clock=clock, rest_s=3600)
            assert await admitted(windows, "key", BILLING, GENERAL, calls=1) == 1
            refusing.listen()
            assert await admitted(windows, "key", BILLING, GENERAL, calls=300) == 99
            await windows.close()

    async def test_that_refuses_the_script_is_as_good_as_away(self, mortal: ValkeyServer, clock: Clock) -> None:
        _ask(mortal, b"SET lineserve:calls:{key}:general text\r\n")
        windows = SharedWindows(mortal.url, spare=MemoryWindows(clock), clock=clock)
        with structlog.testing.capture_logs() as logs:
            assert await admitted(windows, "key", GENERAL, calls=1200) == 1000
        assert [log["event"] for log in logs] == ["rate_limits_not_shared"]
        await windows.close()


def _ask(server: ValkeyServer, command: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as asking:
        asking.sendall(command)
        return asking.recv(200)
