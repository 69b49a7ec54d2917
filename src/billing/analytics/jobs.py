"""The worker's edge of analytics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.analytics.operations import keeping
from billing.kit.worker import Job

if TYPE_CHECKING:
    from billing.kit.db import Database

KEEP_JOB = "analytics.keep"


def make_job() -> Job:
    """Keep the sums of months that were closed."""

    async def keep(database: Database) -> None:
        await keeping.keep_closed(database)

    return Job(name=KEEP_JOB, every_s=60, run=keep)
