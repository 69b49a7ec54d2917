"""K6: the way to the database is slow, silent, half-open or reset. Callers hear soon that it is, and all is well soon after."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from tests.support.proxy import BadLine, Fault
from tests.support.serving import Serving, serving

CALLERS = 4
POOL, BESIDE = 6, 4  # connections of the program; those of its sandbox gateway
SOON_S = 5.5  # a key is looked up for 2.5 s at most, twice by who came while another look-up was under way
HEALED_S = 5.0
LASTS_S, LASTS_NIGHTLY_S = 4.0, 30.0


@dataclass
class Heard:
    """What callers heard while the line was bad, and how long they waited."""

    began_at: float = float("inf")
    statuses: Counter[int] = field(default_factory=Counter)
    longest_s: float = 0.0
    under_way_s: float = 0.0
    """The longest of those that were under way when it became bad: their statement is waited for."""
    bare: int = 0
    """Answers of 503 that do not say when to come back."""


def ask(server: Serving, heard: Heard, until: float) -> None:
    """Call again and again until a time comes."""
    with server.operator() as caller:
        while time.monotonic() < until:
            began = time.monotonic()
            answer = caller.get("/accounts", timeout=60)
            took_s = time.monotonic() - began
            if began > heard.began_at + 0.1:
                heard.longest_s = max(heard.longest_s, took_s)
            else:
                heard.under_way_s = max(heard.under_way_s, took_s)
            heard.statuses[answer.status_code] += 1
            heard.bare += answer.status_code == 503 and "retry-after" not in answer.headers
            time.sleep(0.05)


def live_through(server: Serving, line: BadLine, fault: Fault, *, lasts_s: float) -> tuple[Heard, float]:
    """What is heard during a fault that begins under load, and how long it takes then until ten calls in a row are right."""
    heard = Heard()
    until = time.monotonic() + lasts_s
    threads = [threading.Thread(target=ask, args=(server, heard, until)) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    line.fault = fault
    heard.began_at = time.monotonic()
    time.sleep(lasts_s - 0.3)
    line.fault = "none"
    healed_at = time.monotonic()
    right = 0
    with server.operator() as caller:
        while right < 10 and time.monotonic() < healed_at + 60:
            right = right + 1 if caller.get("/accounts", timeout=60).status_code == 200 else 0
    took_s = time.monotonic() - healed_at
    for thread in threads:
        thread.join(timeout=70)
    return heard, took_s


async def backends(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lineserve-billing'"
        )
    finally:
        await connection.close()


@pytest.fixture
def line(database_server: Path) -> Iterator[BadLine]:
    with BadLine(database_server / "socket" / ".s.PGSQL.5432").running() as opened:
        yield opened


class TestLine:
    def test_that_is_bad_is_told_soon_and_forgotten_soon(
        self, database_server: Path, database_dsn: str, line: BadLine, tmp_path: Path, pytestconfig: pytest.Config
    ) -> None:
        is_nightly = pytestconfig.getoption("--nightly")
        faults: tuple[Fault, ...] = ("reset", "silent", "half-open", "slow") if is_nightly else ("reset", "half-open")
        name = database_dsn.partition("@/")[2].partition("?")[0]
        settings = {
            "DATABASE_URL": f"postgresql://lineserve_owner@127.0.0.1:{line.port}/{name}",
            "LINESERVE_HOME": str(tmp_path),
            "LINESERVE_DATABASE_POOL_SIZE": str(POOL),
        }
        with serving(tmp_path, "--no-worker", **settings) as server:
            for fault in faults:
                lasts_s = LASTS_NIGHTLY_S if is_nightly else LASTS_S
                heard, took_s = live_through(server, line, fault, lasts_s=lasts_s)
                sys.stdout.write(
                    f"{fault} for {lasts_s:.0f} s: {dict(heard.statuses)}, at most {heard.longest_s:.1f} s, "
                    f"under way {heard.under_way_s:.1f} s, right {took_s:.1f} s after\n"
                )
                assert set(heard.statuses) <= {200, 503}
                assert heard.bare == 0
                assert fault == "slow" or heard.statuses[503] > 0
                assert took_s <= HEALED_S
                assert asyncio.run(backends(database_dsn)) <= POOL + BESIDE
                assert fault == "slow" or heard.longest_s <= SOON_S
