"""How jobs stand: which period each was begun for, and how its runs ended. By the database's clock, which all workers share.

A run is begun by moving its job's period on: of any number of workers one does, and a period is never begun twice, unless
its worker died in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from billing.kit.checks import Check, Scope

if TYPE_CHECKING:
    from billing.kit.db import Connection

# Shorter than the queue takes to find out that a worker died, longer than two may take to ask for one period at once.
TAKEN_OVER_AFTER = timedelta(seconds=20)
FORGOTTEN_AFTER = timedelta(days=1)
LATE_PERIODS = 3
LATE_AT_LEAST = timedelta(minutes=5)
REASON_MAX = 500


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as it stands. `due_at`: when the queue gives it to a worker next, None before the first time."""

    job: str
    every_s: int
    registered_at: datetime
    period_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    succeeded_at: datetime | None
    duration_ms: int | None
    failures: int
    reason: str | None
    due_at: datetime | None

    def is_late(self, now: datetime) -> bool:
        """Whether it has not succeeded for some periods, and for some minutes."""
        return now - (self.succeeded_at or self.registered_at) > max(
            LATE_AT_LEAST, timedelta(seconds=self.every_s * LATE_PERIODS)
        )


def period_of(instant: datetime, *, every_s: int) -> datetime:
    """The start of the period that holds an instant: periods are counted from midnight UTC of 1 January 1970."""
    seconds = int(instant.timestamp())
    return datetime.fromtimestamp(seconds - seconds % every_s, UTC)


async def register(connection: Connection, *, periods_s: Sequence[tuple[str, int]]) -> None:
    """Make known which jobs there are, given with their periods; forget others that nobody has begun for a day."""
    await connection.execute(
        """
        WITH known AS (
            SELECT * FROM unnest($1::text[], $2::integer[]) AS given (job, every_s)
        ), gone AS (
            DELETE FROM jobs
            WHERE job <> ALL ($1) AND greatest(started_at, registered_at) < now() - $3::interval
        )
        INSERT INTO jobs (job, every_s, registered_at)
        SELECT job, every_s, now() FROM known ORDER BY job
        ON CONFLICT (job) DO UPDATE SET every_s = excluded.every_s
        """,
        [job for job, _ in periods_s],
        [every_s for _, every_s in periods_s],
        FORGOTTEN_AFTER,
    )


async def begin(connection: Connection, *, job: str, period_at: datetime, worker_id: UUID) -> bool:
    """Begin the run of a period; False if it was begun before, or a later one was.

    One that was begun and not finished is taken over: the queue asks again only for a worker that it has not heard of for 30 s.
    """
    begun = await connection.fetchval(
        """
        UPDATE jobs SET period_at = $2, worker_id = $3, started_at = clock_timestamp(), finished_at = NULL
        WHERE job = $1 AND (
            period_at IS NULL OR period_at < $2
            OR (period_at = $2 AND finished_at IS NULL AND started_at < clock_timestamp() - $4::interval)
        )
        RETURNING true
        """,
        job,
        period_at,
        worker_id,
        TAKEN_OVER_AFTER,
    )
    return bool(begun)


async def end(connection: Connection, *, job: str, period_at: datetime, worker_id: UUID, failure: str | None) -> None:
    """Note how the run of a period ended, if it is still this worker's."""
    await connection.execute(
        """
        UPDATE jobs SET finished_at = clock_timestamp(),
            duration_ms = extract(epoch FROM clock_timestamp() - started_at) * 1000,
            succeeded_at = CASE WHEN $4::text IS NULL THEN clock_timestamp() ELSE succeeded_at END,
            failures = CASE WHEN $4 IS NULL THEN 0 ELSE failures + 1 END,
            reason = $4
        WHERE job = $1 AND period_at = $2 AND worker_id = $3
        """,
        job,
        period_at,
        worker_id,
        None if failure is None else failure[:REASON_MAX],
    )


async def list_jobs(connection: Connection) -> list[JobState]:
    """Every job that a worker has made known, by name."""
    rows = await connection.fetch(
        """
        SELECT jobs.job, every_s, registered_at, period_at, started_at, finished_at, succeeded_at, duration_ms, failures, reason,
            schedules.due_at
        FROM jobs
        LEFT JOIN (
            SELECT entrypoint, max(next_run) AS due_at FROM queue.pgqueuer_schedules GROUP BY entrypoint
        ) AS schedules ON schedules.entrypoint = jobs.job
        ORDER BY jobs.job
        """
    )
    return [JobState(**dict(row)) for row in rows]


async def run_checks(connection: Connection, scope: Scope) -> list[Check]:
    """A job must not stay behind while workers run. Where none runs none is broken: what waits then says the rest."""
    del scope
    jobs = await list_jobs(connection)
    alive_at = max((job.started_at for job in jobs if job.started_at is not None), default=None)
    late = [job for job in jobs if alive_at is not None and job.is_late(alive_at)]
    return [Check("jobs succeed while workers run", len(late))]
