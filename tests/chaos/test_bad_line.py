"""K6: the way to the database is slow, silent, half-open or reset. Callers hear soon that it is, and all is well soon after.

Some read, others top up and send usage, each call until it is acknowledged, as one who pays does: whatever was under way when the
line became bad, and whether its commit got through or not, it is done once.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from tests.chaos.test_kills import NO_LIMITS, Load, open_accounts, unexpected_in
from tests.support.proxy import BadLine, Fault
from tests.support.serving import Serving, serving

READERS = 2
POOL, BESIDE = 6, 4  # connections of the program; those of its sandbox gateway
SOON_S = 3.0  # for 2.5 s in all each of these calls may wait for the database; none of them is made to wait longer
HEALED_S = 5.0
LASTS_S: dict[Fault, float] = {"reset": 1.0, "half-open": 3.5, "slow": 4.0}
LASTS_NIGHTLY_S: dict[Fault, float] = {"reset": 30.0, "silent": 30.0, "half-open": 30.0, "slow": 30.0}


@dataclass
class Heard:
    """How calls were answered, and how long the longest took."""

    statuses: Counter[int] = field(default_factory=Counter)
    longest_s: float = 0.0
    bare: int = 0
    """Answers of 503 that do not say when to come back."""

    def note(self, answer: httpx2.Response, took_s: float) -> None:
        self.statuses[answer.status_code] += 1
        self.longest_s = max(self.longest_s, took_s)
        self.bare += answer.status_code == 503 and "retry-after" not in answer.headers


@dataclass
class Ears:
    """What all callers hear, by the time of the answer."""

    heard: Heard = field(default_factory=Heard)

    def since_now(self) -> Heard:
        """What they hear from now on."""
        self.heard = Heard()
        return self.heard


class Caller(httpx2.Client):
    """A caller who takes the time."""

    def __init__(self, ears: Ears) -> None:
        super().__init__(trust_env=False, timeout=60)
        self._ears = ears

    def request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Response:
        began = time.monotonic()
        answer = super().request(method, url, **given)
        self._ears.heard.note(answer, time.monotonic() - began)
        return answer


@contextmanager
def callers(server: Serving, load: Load, ears: Ears) -> Iterator[None]:
    """Readers and writers, for the length of the block."""
    is_over = threading.Event()
    url, headers = (
        server.ready["operator_url"] + "/accounts",
        {"Authorization": f"Bearer {server.ready['operator_key']}"},
    )

    def read() -> None:
        with Caller(ears) as caller:
            while not is_over.wait(0.05):
                caller.get(url, headers=headers)

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for client in load.clients:
        client.http = Caller(ears)
    load.point_to(server)
    load.start()
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        is_over.set()
        load.end()
        for reader in readers:
            reader.join(timeout=70)


def live_through(server: Serving, line: BadLine, ears: Ears, fault: Fault, *, lasts_s: float) -> tuple[Heard, float]:
    """What is heard during a fault that begins under load, and how long it takes then until ten calls in a row are right."""
    time.sleep(0.3)
    heard = ears.since_now()
    line.fault = fault
    time.sleep(lasts_s)
    line.fault = "none"
    healed_at = time.monotonic()
    right = 0
    with server.operator() as caller:
        while right < 10 and time.monotonic() < healed_at + 60:
            right = right + 1 if caller.get("/accounts", timeout=60).status_code == 200 else 0
    return heard, time.monotonic() - healed_at


async def backends(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lineserve-billing'"
        )
    finally:
        await connection.close()


async def done_once(dsn: str, load: Load) -> int:
    """How many top-ups and events were acknowledged: each is there once, and so is each charge."""
    connection = await asyncpg.connect(dsn)
    try:
        payments = await connection.fetchval("SELECT count(*) FROM payments")
        charges = await connection.fetchval("SELECT count(*) FROM sandbox.charges")
        settled = await connection.fetchval("SELECT count(*) FROM payments WHERE status = 'completed'")
        credited = await connection.fetchval("SELECT count(*) FROM transfers WHERE template = 'topup.settled'")
        events = await connection.fetchval("SELECT count(*) FROM usage_events")
        counted = await connection.fetchval("SELECT sum(quantity)::bigint FROM usage_events")
    finally:
        await connection.close()
    paid, sent = load.acknowledged("payment"), load.acknowledged("event")
    assert len(paid) == len(set(paid)) == payments
    assert (
        settled == credited <= charges <= payments
    )  # what the gateway was not heard of is pending, and asked about later
    assert len(set(sent)) == len(sent) == events == counted
    return len(paid) + len(sent)


@pytest.fixture
def line(database_server: Path) -> Iterator[BadLine]:
    with BadLine(database_server / "socket" / ".s.PGSQL.5432").running() as opened:
        yield opened


class TestLine:
    def test_that_is_bad_is_told_soon_and_forgotten_soon(
        self, database_server: Path, database_dsn: str, line: BadLine, tmp_path: Path, pytestconfig: pytest.Config
    ) -> None:
        lasting = LASTS_NIGHTLY_S if pytestconfig.getoption("--nightly") else LASTS_S
        name = database_dsn.partition("@/")[2].partition("?")[0]
        settings = {
            "DATABASE_URL": f"postgresql://lineserve_owner@127.0.0.1:{line.port}/{name}",
            "LINESERVE_HOME": str(tmp_path),
            "LINESERVE_DATABASE_POOL_SIZE": str(POOL),
            **NO_LIMITS,
        }
        ears = Ears()
        with serving(tmp_path, "--no-worker", **settings) as server:
            load = open_accounts(server, tmp_path)
            with callers(server, load, ears):
                for fault, lasts_s in lasting.items():
                    heard, took_s = live_through(server, line, ears, fault, lasts_s=lasts_s)
                    sys.stdout.write(
                        f"{fault} for {lasts_s:.0f} s: {dict(heard.statuses)}, at most {heard.longest_s:.1f} s, "
                        f"right {took_s:.1f} s after\n"
                    )
                    assert set(heard.statuses) <= {200, 201, 409, 503}
                    assert heard.statuses[503] > 0
                    assert heard.bare == 0
                    assert heard.longest_s <= SOON_S
                    assert took_s <= HEALED_S
                    assert asyncio.run(backends(database_dsn)) <= POOL + BESIDE
            assert unexpected_in(server) == []
        sys.stdout.write(f"{asyncio.run(done_once(database_dsn, load))} writes acknowledged, each done once\n")
