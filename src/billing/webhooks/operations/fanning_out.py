"""From an event to a message for each endpoint that wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core import ids
from billing.kit import outbox, worker
from billing.kit.outbox import OutboxEvent
from billing.webhooks.model.endpoints import ENDPOINT_PREFIX, Endpoint
from billing.webhooks.model.messages import TEST_TYPE, NewMessage
from billing.webhooks.operations.ending import end_failed
from billing.webhooks.operations.sending import SEND_JOB
from billing.webhooks.rules import telling
from billing.webhooks.store import queue

if TYPE_CHECKING:
    from billing.kit.db import Tx

_NOTIFICATION_PREFIX = "ntf"


async def fan_out(tx: Tx, events: Sequence[OutboxEvent]) -> None:
    """Queue a message for each endpoint that wants an event: a reader of the outbox. Each event at most once per endpoint."""
    messages = [_message(event) for event in events if telling.is_told(event.type, event.payload)]
    if not messages:
        return
    wanted = await queue.insert_messages(tx.connection, messages=messages, now=tx.now)
    if wanted:
        await worker.wake(tx.connection, job=SEND_JOB)
    for message in messages:
        if message.notification_id is not None and message.message_id not in wanted:
            await end_failed(tx, account_id=message.account_id, notification_ids=[message.notification_id])


async def send_test(tx: Tx, endpoint: Endpoint, *, at_once: int) -> UUID:
    """Queue a message of type webhook.test for a locked endpoint, whatever it wants; the message's id."""
    message_id, object_id = tx.new_id(), ids.encode(ENDPOINT_PREFIX, endpoint.endpoint_id)
    version = await outbox.next_version(tx)
    payload = {"message": "This is a test: your endpoint is reached, and this message is signed like all others."}
    message = NewMessage(
        account_id=endpoint.account_id,
        message_id=message_id,
        type=TEST_TYPE,
        object_id=object_id,
        version=version,
        body=telling.body_of(type=TEST_TYPE, at=tx.now, object_id=object_id, version=version, payload=payload),
    )
    await queue.insert_message(tx.connection, endpoint_id=endpoint.endpoint_id, message=message, now=tx.now)
    await queue.set_due(tx.connection, keys=[(endpoint.account_id, endpoint.endpoint_id)], at_once=at_once)
    return message_id


def _message(event: OutboxEvent) -> NewMessage:
    notification = event.payload.get("notification_id")
    return NewMessage(
        account_id=event.account_id,
        message_id=event.event_id,
        type=event.type,
        object_id=event.object_id,
        version=event.version,
        body=telling.body_of(
            type=event.type,
            at=event.created_at,
            object_id=event.object_id,
            version=event.version,
            payload=event.payload,
        ),
        notification_id=ids.decode(_NOTIFICATION_PREFIX, notification) if isinstance(notification, str) else None,
    )
