"""`billing worker`: which jobs there are, and a process that runs nothing else."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from billing import analytics, metering, notifications, payments, projects, webhooks
from billing.alerts import jobs as alerts_jobs
from billing.app import stopping
from billing.app.runtime import installation
from billing.invoices import jobs as invoices_jobs
from billing.kit import idempotency, outbox
from billing.kit.worker import Job, Worker
from billing.notifications import jobs as notifications_jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from billing.app.runtime import Installation
    from billing.kit.config import Settings
    from billing.kit.db import Database

_STOP_LIMIT_S = 10.0


def jobs_of(installed: Installation) -> list[Job]:
    """Every job of every slice."""
    return [
        Job(
            name="payments.check",
            every_s=1,
            run=lambda database: payments.check_payments(database, installed.gateway),
        ),
        Job(name="payments.expiring", every_s=3600, run=payments.tell_expiring),
        Job(name="payments.prune_notices", every_s=3600, run=payments.prune_notices),
        Job(name="metering.replay", every_s=10, run=metering.replay_waiting),
        Job(name="metering.settle", every_s=10, run=metering.settle_shortened),
        Job(name="idempotency.prune", every_s=3600, run=_prune_idempotency),
        Job(name="outbox.relay", every_s=1, run=_relay_events),
        *projects.make_jobs(),
        *notifications_jobs.make_jobs(installed.mailroom),
        *webhooks.make_jobs(settings=installed.webhook_settings),
        alerts_jobs.make_job(reserve=installed.wallet_settings.reserve),
        *invoices_jobs.make_jobs(
            grace=timedelta(seconds=installed.settings.close_grace_s), lanes=installed.settings.close_lanes
        ),
        analytics.make_job(),
    ]


async def _prune_idempotency(database: Database) -> None:
    """Forget answers that are kept no longer."""
    async with database.transaction() as tx:
        await idempotency.delete_expired(tx.connection, now=tx.now)


async def _relay_events(database: Database) -> None:
    """Hand what happened to those who tell the world."""
    await outbox.relay(database, readers=(notifications.tell, webhooks.fan_out))


@asynccontextmanager
async def working(installed: Installation) -> AsyncIterator[asyncio.Task[None]]:
    """Run the jobs beside the block; those under way may finish for 10 s when it ends."""
    worker = Worker(dsn=installed.dsn, database=installed.database, jobs=jobs_of(installed))
    running = asyncio.create_task(worker.run(), name="worker")
    try:
        yield running
    finally:
        worker.stop()
        await stopping.finish(running, limit_s=_STOP_LIMIT_S)


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run jobs until a signal comes."""
    del arguments
    with stopping.on_signals():
        async with installation(settings) as installed, working(installed) as running:
            print("The worker runs.", flush=True)
            await running
    return 0
