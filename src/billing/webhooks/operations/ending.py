"""How messages end, and the deliveries of alerts with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from billing import notifications
from billing.webhooks.model.endpoints import Endpoint
from billing.webhooks.store import queue

if TYPE_CHECKING:
    from billing.kit.db import Tx


async def give_up(tx: Tx, endpoint: Endpoint, *, reason: str) -> None:
    """Send nothing of what was waiting for a locked endpoint."""
    notification_ids = await queue.fail_unfinished(
        tx.connection, account_id=endpoint.account_id, endpoint_id=endpoint.endpoint_id, reason=reason, now=tx.now
    )
    await queue.set_due(tx.connection, keys=[(endpoint.account_id, endpoint.endpoint_id)], at_once=1)
    await end_failed(tx, account_id=endpoint.account_id, notification_ids=notification_ids)


async def end_taken(tx: Tx, *, account_id: UUID, notification_id: UUID) -> None:
    """An endpoint took what an alert had to tell: it was told by webhook."""
    await notifications.end_webhook(tx, account_id=account_id, notification_id=notification_id, is_sent=True)


async def end_failed(tx: Tx, *, account_id: UUID, notification_ids: Iterable[UUID]) -> None:
    """Messages that told alerts have failed: where no endpoint is left that can take them, they were not told by webhook."""
    for notification_id in notification_ids:
        if not await queue.count_open_for_notification(
            tx.connection, account_id=account_id, notification_id=notification_id
        ):
            await notifications.end_webhook(tx, account_id=account_id, notification_id=notification_id, is_sent=False)
