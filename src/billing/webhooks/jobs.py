"""The worker's edge of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from billing.kit.worker import Job
from billing.webhooks.model.settings import WebhookSettings
from billing.webhooks.operations.sending import SEND_JOB, prune, send_due

if TYPE_CHECKING:
    from billing.kit.db import Database

_SAID_EVERY = timedelta(minutes=1)

_log = structlog.get_logger("billing.webhooks")


def make_jobs(*, settings: WebhookSettings) -> Sequence[Job]:
    """Send what is due, and forget what is old."""

    said_at: datetime | None = None

    async def send(database: Database) -> None:
        nonlocal said_at
        now = database.clock()
        if await send_due(database, settings=settings) is None and (said_at is None or now - said_at >= _SAID_EVERY):
            said_at = now
            _log.error("webhooks_not_sent", reason="no secret key, or not the one that this database's secrets are of")

    return (Job(name=SEND_JOB, every_s=1, run=send), Job(name="webhooks.prune", every_s=3600, run=prune))
