"""Runs jobs: on a schedule, and when something wakes them. PgQueuer decides which process is asked, and no more.

What there is to do stands in the slices' own tables, so that a job may run twice, late, or be killed in its middle: the
next run goes on. Of several workers one runs a job in each period of its schedule (`kit/jobs.py`), though the queue may
ask two; the work of one that died is taken up after 30 s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence import qb
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Schedule
from pgqueuer.domain.settings import DBSettings

from billing.kit import jobs as job_states
from billing.kit.db import open_pool

if TYPE_CHECKING:
    from pgqueuer.ports.driver import Driver

    from billing.kit.db import Connection, Database

_SETTINGS = DBSettings(db_schema="queue")
_POOL_SIZE = 3  # one listens, two work the queue; jobs use the application's own pool
_RETRY_PAUSE_S = 1.0
_STOP_LIMIT_S = 10.0
_LOG_DAYS = 7

_log = structlog.get_logger("billing.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work to be done again and again: every so many seconds, and soon after `wake` of its name commits."""

    name: str
    every_s: int
    run: Callable[[Database], Awaitable[object]]

    @property
    def cron(self) -> str:
        """The schedule as PgQueuer takes it: five fields and the seconds. ValueError for what cron cannot say."""
        for unit_s, units, text in (
            (1, 60, "* * * * * */{}"),
            (60, 60, "*/{} * * * * 0"),
            (3600, 24, "0 */{} * * * 0"),
            (86400, 2, "0 0 * * * 0"),
        ):
            count, rest = divmod(self.every_s, unit_s)
            if rest == 0 and 0 < count < units and units % count == 0:
                return text.format(count)
        raise ValueError(f"{self.name}: {self.every_s} s is no part of a minute, an hour or a day")


async def wake(connection: Connection, *, job: str) -> None:
    """Have a job run as soon as this transaction has committed, besides its schedule."""
    await _queries(AsyncpgDriver(connection)).enqueue(job, None)  # pyright: ignore[reportArgumentType]  # a pool's connection will do


class Worker:
    """Runs jobs until it is stopped, and starts anew after a lost database."""

    def __init__(self, *, dsn: str, database: Database, jobs: Sequence[Job]) -> None:
        self._dsn = dsn
        self._database = database
        self._jobs = (*jobs, Job(name="queue.prune", every_s=3600, run=_prune))
        self._worker_id: UUID = uuid4()
        self._stopping = asyncio.Event()
        self._queue: PgQueuer | None = None

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            try:
                await self._run_queue()
            except Exception as error:  # whatever it was, the work must go on
                _log.warning("worker_restarts", reason=repr(error), pause_s=_RETRY_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RETRY_PAUSE_S)

    def stop(self) -> None:
        """Take no new work; `run` returns when the jobs under way are done."""
        self._stopping.set()
        if self._queue is not None:
            self._queue.shutdown.set()

    async def _run_queue(self) -> None:
        pool = await open_pool(self._dsn, size=_POOL_SIZE)
        try:
            driver = AsyncpgPoolDriver(pool)
            self._queue = PgQueuer(driver, channel=_SETTINGS.channel, queries=_queries(driver))
            async with self._database.reading() as tx:
                periods_s = [(job.name, job.every_s) for job in self._jobs]
                await job_states.register(tx.connection, periods_s=periods_s)
            for job in self._jobs:
                self._register(self._queue, job)
            if not self._stopping.is_set():
                await self._queue.run(shutdown_on_listener_failure=True)
        finally:
            self._queue = None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pool.close(), _STOP_LIMIT_S)

    def _register(self, queue: PgQueuer, job: Job) -> None:
        async def run_woken(_: object) -> None:
            await self._run(job)

        async def run_scheduled(schedule: Schedule) -> None:
            # The instant at which the queue gave it to us, by the database's clock.
            period_at = job_states.period_of(schedule.updated, every_s=job.every_s)
            with structlog.contextvars.bound_contextvars(job=job.name, period_at=period_at.isoformat()):
                try:
                    await self._run_once(job, period_at)
                except Exception:  # the database is away: the next period comes
                    _log.exception("job_not_noted")

        queue.schedule(job.name, job.cron, accepts_context=False)(run_scheduled)
        queue.entrypoint(job.name, concurrency_limit=1, accepts_context=False)(run_woken)

    async def _run_once(self, job: Job, period_at: datetime) -> None:
        """Run a job for a period, unless somebody did or does."""
        async with self._database.reading() as tx:
            is_mine = await job_states.begin(
                tx.connection, job=job.name, period_at=period_at, worker_id=self._worker_id
            )
        if not is_mine:
            return
        failure = await self._run(job)
        async with self._database.reading() as tx:
            await job_states.end(
                tx.connection, job=job.name, period_at=period_at, worker_id=self._worker_id, failure=failure
            )

    async def _run(self, job: Job) -> str | None:
        """Run a job; why it failed, or None. The next run tries again, and the queue itself needs to know nothing of it."""
        with structlog.contextvars.bound_contextvars(job=job.name):
            try:
                await job.run(self._database)
            except Exception as error:
                _log.exception("job_failed")
                return repr(error)
        return None


def _queries(driver: Driver) -> Queries:
    return Queries(
        driver,
        qbe=qb.QueryBuilderEnvironment(_SETTINGS),
        qbq=qb.QueryQueueBuilder(_SETTINGS),
        qbs=qb.QuerySchedulerBuilder(_SETTINGS),
    )


async def _prune(database: Database) -> None:
    """Forget what the queue did more than a week ago."""
    async with database.transaction() as tx:
        for statement in (
            "DELETE FROM queue.pgqueuer_log WHERE created < now() - make_interval(days => $1)",
            "DELETE FROM queue.pgqueuer_statistics WHERE created < now() - make_interval(days => $1)",
        ):
            await tx.connection.execute(statement, _LOG_DAYS)
