"""A worker process that runs jobs which write down that they ran: `python -m tests.support.scheduler DSN NAME JOBS SKEW_S`.

Each run is a row of `seen_runs`, whose period is the one that the job stands at as it begins. The process's clock is so many
seconds ahead of the database's: that is how two schedulers come to ask for one period.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from functools import partial

from pgqueuer.core import executors

from billing.kit.db import Database, open_pool
from billing.kit.worker import Job, Worker

TABLE = """
    CREATE TABLE seen_runs (job text, period_at timestamptz, worker text, finished_at timestamptz);
    GRANT SELECT, INSERT, UPDATE ON seen_runs TO lineserve_app;
"""


async def see(database: Database, *, job: str, worker: str) -> None:
    """One run, which takes a moment."""
    async with database.reading() as tx:
        period_at = await tx.connection.fetchval(
            "INSERT INTO seen_runs (job, period_at, worker) SELECT job, period_at, $2 FROM jobs WHERE job = $1 RETURNING period_at",
            job,
            worker,
        )
        await asyncio.sleep(0.02)
        await tx.connection.execute(
            "UPDATE seen_runs SET finished_at = clock_timestamp() WHERE job = $1 AND period_at = $2 AND worker = $3",
            job,
            period_at,
            worker,
        )


async def main(dsn: str, name: str, jobs: int, skew_s: float) -> None:
    """Work until killed."""
    skew = timedelta(seconds=skew_s)
    # The clock by which the queue reckons when a job is due next.
    executors.utc_now = lambda: datetime.now(UTC) + skew  # pyright: ignore[reportPrivateImportUsage]  # it has no other door
    pool = await open_pool(dsn, size=3)
    names = [f"job.{number}" for number in range(jobs)]
    todo = [Job(name=job, every_s=1, run=partial(see, job=job, worker=name)) for job in names]
    await Worker(dsn=dsn, database=Database(pool), jobs=todo).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
