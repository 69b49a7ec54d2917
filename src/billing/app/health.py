"""Is the process there, can it serve, and what does it count."""

from __future__ import annotations

from litestar import get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from billing.kit.db import Database
from billing.kit.web import Answer


@get("/livez")
async def show_live() -> Answer:
    """The process answers."""
    return Answer.of({"status": "ok"})


@get("/readyz")
async def show_ready(db: Database) -> Answer:
    """The process can serve: its database answers too."""
    async with db.reading() as tx:
        await tx.connection.fetchval("SELECT 1")
    return Answer.of({"status": "ok"})


@get("/metrics")
async def show_metrics() -> Answer:
    """Counters in the text format of Prometheus."""
    return Answer(body=generate_latest(), media_type=CONTENT_TYPE_LATEST)


PROBES = [show_live, show_ready]
HANDLERS = [*PROBES, show_metrics]
