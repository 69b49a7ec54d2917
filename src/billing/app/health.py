"""Is the process there, can it serve, and what does it count."""

from __future__ import annotations

import asyncio
from functools import cache

import asyncpg
from litestar import get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from billing.app import metrics
from billing.core.errors import Unavailable
from billing.kit.db import Database
from billing.kit.migrate import Schema
from billing.kit.web import Answer

OVERDUE_AFTER_S = 120.0  # the shortest schedules are of a second: so late, no worker runs, or it hangs
_READING_LIMIT_S = 2.0
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


@get("/livez")
async def show_live() -> Answer:
    """The process answers."""
    return Answer.of({"status": "ok"})


@get("/readyz")
async def show_ready(db: Database, job_names: tuple[str, ...]) -> Answer:
    """The process can serve: its database answers and has every migration that this program needs.

    Jobs that nobody runs keep no call from being answered: they are named, and `status` is then `degraded`.
    """
    async with asyncio.timeout(_READING_LIMIT_S), db.reading() as tx:
        has = await tx.connection.fetchval("SELECT array_agg(version) FROM schema_migrations")
        overdue_s = await metrics.read_overdue(tx.connection, jobs=job_names)
    missing = sorted(_needed() - frozenset(has or ()))
    if missing:
        raise Unavailable("The database lacks migrations of this program", details={"missing": missing})
    overdue = sorted(name for name, seconds in overdue_s.items() if seconds > OVERDUE_AFTER_S)
    if overdue:
        return Answer.of({"status": "degraded", "overdue_jobs": overdue})
    return Answer.of({"status": "ok"})


@get("/metrics")
async def show_metrics(db: Database, job_names: tuple[str, ...]) -> Answer:
    """Counters in the text format of Prometheus, and what waits in the database as it is now; without it, the rest."""
    metrics.read_pool(db.pool)
    try:
        async with asyncio.timeout(_READING_LIMIT_S), db.reading() as tx:
            await metrics.read_waiting(tx.connection, now=tx.now, jobs=job_names)
        metrics.note_database(is_up=True)
    except _AWAY:
        metrics.note_database(is_up=False)
    return Answer(body=generate_latest(), media_type=CONTENT_TYPE_LATEST)


@cache
def _needed() -> frozenset[str]:
    """The migrations of the program that runs, not of one that was installed over it since."""
    return Schema.read().versions


PROBES = [show_live, show_ready]
HANDLERS = [*PROBES, show_metrics]
