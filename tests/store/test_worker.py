"""Jobs over a real queue: on time, woken, once, and whatever happens to the database or to other workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from billing.kit.db import Database, open_pool
from billing.kit.worker import Job, Worker, wake

HOUR_S = 3600


class Counting:
    """Counts its runs; `reached` waits for a number of them."""

    def __init__(self, fail_first: bool = False) -> None:
        self.runs = 0
        self._fail_first = fail_first
        self._ran = asyncio.Event()

    async def __call__(self, _: Database) -> None:
        self.runs += 1
        self._ran.set()
        if self._fail_first and self.runs == 1:
            raise RuntimeError("the first run fails")

    async def reached(self, runs: int, *, limit_s: float = 15) -> None:
        async with asyncio.timeout(limit_s):
            while self.runs < runs:
                self._ran.clear()
                await self._ran.wait()


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    pool = await open_pool(database_dsn, size=2)
    yield Database(pool)
    await pool.close()


@asynccontextmanager
async def working(dsn: str, database: Database, *jobs: Job) -> AsyncIterator[Worker]:
    worker = Worker(dsn=dsn, database=database, jobs=jobs)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, 15)


def job(run: Callable[[Database], Awaitable[object]], *, every_s: int = HOUR_S) -> Job:
    return Job(name="count", every_s=every_s, run=run)


class TestSchedule:
    async def test_runs_a_job_again_and_again_though_a_run_failed(self, database_dsn: str, database: Database) -> None:
        counting = Counting(fail_first=True)
        async with working(database_dsn, database, job(counting, every_s=1)):
            await counting.reached(3)

    async def test_runs_a_job_in_one_of_two_workers(self, database_dsn: str, database: Database) -> None:
        counts = [Counting(), Counting()]
        async with (
            working(database_dsn, database, job(counts[0], every_s=2)),
            working(database_dsn, database, job(counts[1], every_s=2)),
        ):
            await asyncio.sleep(7)
        assert 2 <= sum(count.runs for count in counts) <= 4

    async def test_takes_up_what_a_dead_worker_left(self, database_dsn: str, database: Database) -> None:
        counting = Counting()
        async with working(database_dsn, database, job(counting, every_s=1)):
            await counting.reached(1)
        await execute(
            database_dsn, "UPDATE queue.pgqueuer_schedules SET status = 'picked', heartbeat = now() - interval '31 s'"
        )
        async with working(database_dsn, database, job(counting, every_s=1)):
            await counting.reached(2)

    async def test_goes_on_after_the_database_dropped_every_connection(
        self, database_dsn: str, database: Database
    ) -> None:
        counting = Counting()
        async with working(database_dsn, database, job(counting, every_s=1)):
            await counting.reached(1)
            for _ in range(3):
                await asyncio.sleep(0.3)  # between runs: what is cut off while it notes its end is taken up after 30 s
                await execute(
                    database_dsn,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                await counting.reached(counting.runs + 1)


class TestWake:
    async def test_runs_a_job_at_once_when_the_transaction_commits(self, database_dsn: str, database: Database) -> None:
        counting = Counting()
        async with working(database_dsn, database, job(counting)):
            async with database.transaction() as tx:
                await wake(tx.connection, job="count")
                await asyncio.sleep(0.5)
                assert counting.runs == 0
            await counting.reached(1, limit_s=5)

    async def test_does_nothing_when_the_transaction_is_rolled_back(
        self, database_dsn: str, database: Database
    ) -> None:
        async with database.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await wake(connection, job="count")
            await transaction.rollback()
        counting = Counting()
        async with working(database_dsn, database, job(counting)):
            await asyncio.sleep(1)
        assert counting.runs == 0


class TestPeriod:
    @pytest.mark.parametrize(
        ("every_s", "cron"),
        [
            (1, "* * * * * */1"),
            (10, "* * * * * */10"),
            (60, "*/1 * * * * 0"),
            (900, "*/15 * * * * 0"),
            (3600, "0 */1 * * * 0"),
            (6 * 3600, "0 */6 * * * 0"),
            (86400, "0 0 * * * 0"),
        ],
    )
    def test_is_said_in_cron(self, every_s: int, cron: str) -> None:
        assert Job(name="x", every_s=every_s, run=Counting()).cron == cron

    @pytest.mark.parametrize("every_s", [0, -1, 7, 61, 90, 5 * 3600, 2 * 86400])
    def test_must_be_a_part_of_a_minute_an_hour_or_a_day(self, every_s: int) -> None:
        with pytest.raises(ValueError, match="no part of"):
            _ = Job(name="x", every_s=every_s, run=Counting()).cron


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
