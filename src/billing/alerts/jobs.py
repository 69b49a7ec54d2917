"""The worker's edge of alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.alerts.operations.evaluating import evaluate_due
from billing.kit.worker import Job

if TYPE_CHECKING:
    from billing.kit.db import Database
    from billing.wallets import Reserve

EVALUATE_JOB = "alerts.evaluate"
EVERY_S = 10


def make_job(*, reserve: Reserve) -> Job:
    """Look at the accounts that were touched since the last run, and at those that are due."""

    async def evaluate(database: Database) -> None:
        await evaluate_due(database, reserve=reserve)

    return Job(name=EVALUATE_JOB, every_s=EVERY_S, run=evaluate)
