"""Of four schedulers that start at once, two of which are killed, one runs each job in each period (quality K10)."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import Process
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest

from billing.kit import jobs
from billing.kit.db import open_pool
from billing.kit.jobs import TAKEN_OVER_AFTER, period_of
from tests.support import scheduler

if TYPE_CHECKING:
    from billing.kit.db import Pool

ROOT = Path(__file__).parents[2]
JOBS = 6
SCHEDULERS = 4
SKEWS_S = (0.0, 0.4, -0.3, 0.7)


async def start(dsn: str, name: str, skew_s: float) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.scheduler", dsn, name, str(JOBS), str(skew_s), cwd=ROOT
    )


async def count_runs(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    return await connection.fetchval("SELECT count(*) FROM seen_runs")


async def reach(connection: asyncpg.Connection[asyncpg.Record], more: int) -> None:
    """Wait until so many more runs began."""
    wanted = await count_runs(connection) + more
    async with asyncio.timeout(60):
        while await count_runs(connection) < wanted:  # noqa: ASYNC110  other processes make them
            await asyncio.sleep(0.05)


def _worker(number: int) -> UUID:
    return UUID(int=number)


async def _now(pool: Pool) -> datetime:
    async with pool.acquire() as connection:
        return await connection.fetchval("SELECT now()")


class TestSchedulers:
    async def test_run_each_job_once_in_a_period_though_two_of_four_are_killed(
        self, database_dsn: str, seed: int, pytestconfig: pytest.Config
    ) -> None:
        rounds = 50 if pytestconfig.getoption("--nightly") else 1
        sys.stdout.write(f"seed {seed}: {rounds} of 50 rounds\n")
        chance = random.Random(seed)
        connection = await asyncpg.connect(database_dsn)
        await connection.execute(scheduler.TABLE)
        try:
            for number in range(rounds):
                await self._round(database_dsn, connection, number, chance)
            twice = await connection.fetch(
                "SELECT job, period_at, array_agg(worker) FROM seen_runs GROUP BY job, period_at HAVING count(*) > 1"
            )
            assert twice == []
        finally:
            await connection.close()

    async def _round(
        self, dsn: str, connection: asyncpg.Connection[asyncpg.Record], number: int, chance: random.Random
    ) -> None:
        """Start four at once, kill two while they work, let the others go on."""
        names = [f"{number}-{letter}" for letter in "abcd"]
        processes = dict(
            zip(
                names,
                await asyncio.gather(*(start(dsn, name, skew_s) for name, skew_s in zip(names, SKEWS_S, strict=True))),
                strict=True,
            )
        )
        doomed = chance.sample(names, 2)
        try:
            await reach(connection, JOBS)
            for name in doomed:
                await asyncio.sleep(chance.random() / 2)
                processes[name].kill()
            await reach(connection, 4 * JOBS)
        finally:
            for process in processes.values():
                if process.returncode is None:
                    process.kill()
            await asyncio.gather(*(process.wait() for process in processes.values()))
            # What the dead held is taken up after 30 s; the next round shall not wait for it.
            await connection.execute("UPDATE queue.pgqueuer_schedules SET status = 'queued'")


class TestBegin:
    async def test_gives_a_period_to_one_of_many_who_ask_at_once(self, database_dsn: str) -> None:
        pool = await open_pool(database_dsn, size=SCHEDULERS)
        chance = random.Random(10)
        workers = [_worker(number) for number in range(SCHEDULERS)]
        start_at = period_of(await _now(pool), every_s=60)
        try:
            async with pool.acquire() as connection:
                await jobs.register(connection, periods_s=[("job", 60)])

            async def ask(number: int, round_number: int) -> bool:
                period_at = start_at + timedelta(minutes=round_number)
                async with pool.acquire() as connection:
                    is_mine = await jobs.begin(connection, job="job", period_at=period_at, worker_id=workers[number])
                    if is_mine and chance.random() < 0.5:  # the others die
                        await jobs.end(
                            connection, job="job", period_at=period_at, worker_id=workers[number], failure=None
                        )
                    return is_mine

            for round_number in range(50):
                asked = await asyncio.gather(*(ask(number, round_number) for number in range(SCHEDULERS)))
                assert sum(asked) == 1
            assert not any([await ask(0, earlier) for earlier in range(50)])
        finally:
            await pool.close()

    async def test_gives_what_a_dead_one_began_to_one_other(self, database_dsn: str) -> None:
        pool = await open_pool(database_dsn, size=SCHEDULERS)
        dead, *others = [_worker(number) for number in range(SCHEDULERS)]
        period_at = period_of(await _now(pool), every_s=3600)
        try:
            async with pool.acquire() as connection:
                await jobs.register(connection, periods_s=[("job", 3600)])
                assert await jobs.begin(connection, job="job", period_at=period_at, worker_id=dead)
                await connection.execute("UPDATE jobs SET started_at = started_at - $1::interval", TAKEN_OVER_AFTER)

            async def ask(worker_id: UUID) -> bool:
                async with pool.acquire() as connection:
                    return await jobs.begin(connection, job="job", period_at=period_at, worker_id=worker_id)

            assert sum(await asyncio.gather(*map(ask, others))) == 1
            async with (
                pool.acquire() as connection
            ):  # who was thought dead comes back: its end is no longer of interest
                await jobs.end(connection, job="job", period_at=period_at, worker_id=dead, failure="late")
                [state] = await jobs.list_jobs(connection)
            assert (state.finished_at, state.reason, state.failures) == (None, None, 0)
        finally:
            await pool.close()
