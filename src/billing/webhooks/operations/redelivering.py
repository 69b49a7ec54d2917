"""Sending again what was delivered or given up, and trying an endpoint out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.kit import worker
from billing.webhooks.model.endpoints import Endpoint
from billing.webhooks.model.errors import DeliveryUnderWay, WebhookDisabled
from billing.webhooks.model.messages import Delivery
from billing.webhooks.operations.fanning_out import send_test
from billing.webhooks.operations.sending import AT_ONCE_TO_ONE, SEND_JOB
from billing.webhooks.store import endpoints, log, queue

if TYPE_CHECKING:
    from billing.kit.db import Tx

REPLAYED_MAX = 1_000


async def test(tx: Tx, *, account_id: UUID, endpoint_id: UUID) -> Delivery:
    """Send an endpoint a message of type webhook.test. Raises NotFound, WebhookDisabled."""
    endpoint = await _get_enabled(tx, account_id=account_id, endpoint_id=endpoint_id)
    message_id = await send_test(tx, endpoint, at_once=AT_ONCE_TO_ONE)
    await worker.wake(tx.connection, job=SEND_JOB)
    return await log.get_delivery(tx.connection, account_id=account_id, endpoint_id=endpoint_id, message_id=message_id)


async def redeliver(tx: Tx, *, account_id: UUID, endpoint_id: UUID, message_id: UUID) -> Delivery:
    """Send a message once more, with its id and its bytes, from the first try on.

    Raises NotFound, WebhookDisabled, and DeliveryUnderWay for one that is still on its way.
    """
    key = {"account_id": account_id, "endpoint_id": endpoint_id}
    await _get_enabled(tx, **key)
    await log.get_delivery(tx.connection, **key, message_id=message_id)
    if not await queue.send_again(tx.connection, **key, message_ids=[message_id], now=tx.now):
        raise DeliveryUnderWay
    await _wake(tx, **key)
    return await log.get_delivery(tx.connection, **key, message_id=message_id)


async def replay(tx: Tx, *, account_id: UUID, endpoint_id: UUID | None, since: datetime) -> int:
    """Send again what enabled endpoints of an account were not given since an instant, the oldest 1,000; how many."""
    failed = await log.list_failed(
        tx.connection, account_id=account_id, endpoint_id=endpoint_id, since=since, limit=REPLAYED_MAX
    )
    replayed = 0
    for one, message_ids in sorted(failed.items()):
        await _get_enabled(tx, account_id=account_id, endpoint_id=one)
        replayed += await queue.send_again(
            tx.connection, account_id=account_id, endpoint_id=one, message_ids=message_ids, now=tx.now
        )
        await _wake(tx, account_id=account_id, endpoint_id=one)
    return replayed


async def _get_enabled(tx: Tx, *, account_id: UUID, endpoint_id: UUID) -> Endpoint:
    endpoint = await endpoints.get_endpoint_for_update(tx.connection, account_id=account_id, endpoint_id=endpoint_id)
    if endpoint.status == "disabled":
        raise WebhookDisabled
    return endpoint


async def _wake(tx: Tx, *, account_id: UUID, endpoint_id: UUID) -> None:
    await queue.set_due(tx.connection, keys=[(account_id, endpoint_id)], at_once=AT_ONCE_TO_ONE)
    await worker.wake(tx.connection, job=SEND_JOB)
