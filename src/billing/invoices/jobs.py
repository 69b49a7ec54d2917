"""The worker's edge of invoices."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from billing.invoices.operations.closing import advance_all
from billing.invoices.operations.collecting import collect_arrived
from billing.invoices.operations.overdue import tell_overdue
from billing.kit.worker import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billing.kit.db import Database

CLOSE_JOB = "invoices.close"
COLLECT_JOB = "invoices.collect"
OVERDUE_JOB = "invoices.overdue"


def make_jobs(*, grace: timedelta, lanes: int) -> Sequence[Job]:
    """Carry runs on, set arrived money against open invoices, tell what is overdue.

    `grace`: how long after its end a month stays open; `lanes`: sessions that a process closes with at once.
    """

    async def close(database: Database) -> None:
        await advance_all(database, grace=grace, lanes=lanes)

    async def collect(database: Database) -> None:
        await collect_arrived(database)

    return (
        Job(name=CLOSE_JOB, every_s=5, run=close),
        Job(name=COLLECT_JOB, every_s=1, run=collect),
        Job(name=OVERDUE_JOB, every_s=60, run=tell_overdue),
    )
