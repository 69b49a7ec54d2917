"""K9: a worker that closes a month is stopped in the midst, loses its session as the server takes it from who is idle in a
transaction for too long, and goes on after another one has done its work: no invoice is there twice, and no number."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from billing import invoices
from billing.core.period import Period
from billing.invoices.operations import closing
from tests.support.cloud import Cloud, open_cloud, price

ROOT = Path(__file__).parents[2]
ROUNDS, ROUNDS_NIGHTLY = 3, 200
ACCOUNTS, CHUNK = 24, 4
FIRST = Period(2004, 1)


async def start(dsn: str, instant: datetime) -> Process:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.closer", dsn, instant.isoformat(), cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    assert await hear(worker) == "ready"
    return worker


async def hear(worker: Process) -> str:
    assert worker.stdout is not None
    async with asyncio.timeout(90):
        return (await worker.stdout.readline()).decode().strip()


def tell(worker: Process, run_id: UUID) -> None:
    assert worker.stdin is not None
    worker.stdin.write(f"{run_id}\n".encode())


async def stop_and_go_on(
    cloud: Cloud, owner: asyncpg.Connection[asyncpg.Record], worker: Process, run_id: UUID, *, after_s: float
) -> str:
    """Let the worker sleep in its work while we do the rest of it; how it ended then."""
    tell(worker, run_id)
    session = int(await hear(worker))
    await asyncio.sleep(after_s)
    worker.send_signal(signal.SIGSTOP)
    await owner.execute("SELECT pg_terminate_backend($1)", session)
    run = await invoices.complete(cloud.database, run_id=run_id)
    assert run.status == "completed"
    worker.send_signal(signal.SIGCONT)
    return await hear(worker)


class TestWorker:
    async def test_that_sleeps_past_its_session_finishes_nothing_twice(
        self, database_dsn: str, seed: int, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rounds = ROUNDS_NIGHTLY if pytestconfig.getoption("--nightly") else ROUNDS
        monkeypatch.setattr(closing, "CHUNK", CHUNK)
        rng, ended = random.Random(seed), Counter[str]()
        since = datetime(FIRST.year, FIRST.month, 1, tzinfo=UTC)
        owner = await asyncpg.connect(database_dsn)
        async with open_cloud(database_dsn) as cloud:
            vps = price(service="compute", model="hourly", plan="small", hourly_price="0.01")
            await cloud.publish(vps, valid_from=since)
            for _ in range(ACCOUNTS):
                await cloud.report(await cloud.open_account(), plan="small", effective_at=since)
            worker, period, whole_s = await start(database_dsn, cloud.clock.now), FIRST, 0.3
            for _ in range(rounds):
                run_id = await cloud.request(period)
                began = time.monotonic()
                ended[await stop_and_go_on(cloud, owner, worker, run_id, after_s=rng.uniform(0, whole_s))] += 1
                whole_s = min(time.monotonic() - began, 0.5)
                period = period.next()
            assert worker.stdin is not None
            worker.stdin.close()
            await worker.wait()
            issued = await owner.fetch("SELECT period, count(*) AS count FROM invoices GROUP BY period")
            assert [row["count"] for row in issued] == [ACCOUNTS] * rounds
            assert await cloud.broken() == []
        await owner.close()
        sys.stdout.write(f"seed {seed}: {rounds} rounds, the sleeper ended {dict(ended)}\n")
