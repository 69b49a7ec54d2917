"""GET /jobs: how the jobs stand, and what waits for them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from litestar import get
from msgspec import Struct

from billing.kit import jobs
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.jobs import JobState
from billing.kit.web import DESCRIBED, Described

if TYPE_CHECKING:
    from billing.kit.db import Connection

JobStatus = Literal["waiting", "running", "ok", "failing", "late"]

# What is due and waits for a job: indexes hold only that.
_WAITING_SQL = """
    SELECT 'events' AS work, count(*) AS pieces, min(greatest(created_at, relay_due_at)) AS since
    FROM outbox_events WHERE relayed_at IS NULL AND relay_due_at <= $1
    UNION ALL
    SELECT 'deliveries', count(*), min(next_at) FROM deliveries WHERE next_at <= $1
    UNION ALL
    SELECT 'webhook_messages', count(*), min(next_at) FROM webhook_messages WHERE next_at <= $1
    UNION ALL
    SELECT 'payments', count(*), min(next_check_at) FROM payments WHERE status = 'pending' AND next_check_at <= $1
    UNION ALL
    SELECT 'refunds', count(*), min(next_check_at) FROM refunds WHERE status = 'pending' AND next_check_at <= $1
    UNION ALL
    SELECT 'runs', count(*), min(created_at) FROM runs WHERE status IN ('queued', 'running')
"""


class JobShown(Struct, frozen=True, kw_only=True):
    """One job. `failures` are those since it last succeeded, `failure_reason` that of the newest of them."""

    name: str
    every_s: int
    status: JobStatus
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_succeeded_at: datetime | None
    last_duration_ms: int | None
    failures: int
    failure_reason: str | None
    next_due_at: datetime | None


class WaitingShown(Struct, frozen=True, kw_only=True):
    """A kind of work: how many pieces are due, and since when the oldest has been."""

    work: str
    pieces: int
    since: datetime | None


class JobsAnswer(Struct, frozen=True, kw_only=True):
    """GET /jobs."""

    jobs: list[JobShown]
    waiting: list[WaitingShown]


@get("/jobs", opt={DESCRIBED: Described(summary="See how the jobs stand", section="Checks and audit")})
async def list_jobs(audit_operator: Operator, db: Database) -> JobsAnswer:  # noqa: ARG001  the permission
    """Every job of the workers: when it ran and succeeded last, how long that took, and when it is due again; and what waits.

    A job is `late` when it has not succeeded for three of its periods and five minutes: no worker runs, or it fails each time.
    It is `failing` when its last run failed. Times are the database's.
    """
    async with db.snapshot() as snapshot:
        now: datetime = await snapshot.connection.fetchval("SELECT now()")
        found = await jobs.list_jobs(snapshot.connection)
        waiting = await _list_waiting(snapshot.connection, now=snapshot.now)
    return JobsAnswer(jobs=[_show(job, now) for job in found], waiting=waiting)


async def _list_waiting(connection: Connection, *, now: datetime) -> list[WaitingShown]:
    return [WaitingShown(**dict(row)) for row in await connection.fetch(_WAITING_SQL, now)]


def _show(job: JobState, now: datetime) -> JobShown:
    return JobShown(
        name=job.job,
        every_s=job.every_s,
        status=_status_of(job, now),
        last_started_at=job.started_at,
        last_finished_at=job.finished_at,
        last_succeeded_at=job.succeeded_at,
        last_duration_ms=job.duration_ms,
        failures=job.failures,
        failure_reason=job.reason,
        next_due_at=job.due_at,
    )


def _status_of(job: JobState, now: datetime) -> JobStatus:
    if job.is_late(now):
        return "late"
    if job.started_at is None:
        return "waiting"
    if job.finished_at is None:
        return "running"
    return "failing" if job.failures else "ok"


HANDLERS = [list_jobs]
