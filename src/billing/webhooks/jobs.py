"""The worker's edge of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from billing.kit.worker import Job
from billing.webhooks.model.settings import WebhookSettings
from billing.webhooks.operations.sending import SEND_JOB, prune, send_due

if TYPE_CHECKING:
    from billing.kit.db import Database


def make_jobs(*, settings: WebhookSettings) -> Sequence[Job]:
    """Send what is due, and forget what is old."""

    async def send(database: Database) -> None:
        await send_due(database, settings=settings)

    return (Job(name=SEND_JOB, every_s=1, run=send), Job(name="webhooks.prune", every_s=3600, run=prune))
