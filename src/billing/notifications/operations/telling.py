"""Telling accounts something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from billing.notifications.model import NO_ENDPOINT, Contact, NewDelivery, NewNotification
from billing.notifications.rules import reaching
from billing.notifications.store import announcing as store

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.kit.outbox import OutboxEvent


async def tell(tx: Tx, events: Sequence[OutboxEvent]) -> None:
    """Announce those events that are messages to their accounts: a reader of the outbox. Again is harmless.

    Each is told once per (template, object, attempt); the attempt is the payload's, 1 unless told. Of a payment or a refund one
    end is told, whatever comes later.
    """
    await announce(
        tx,
        [
            NewNotification(
                account_id=event.account_id,
                notification_id=event.event_id,
                template=event.type,
                object_id=reaching.occasion_of(event.type, event.object_id, version=event.version),
                attempt=_attempt_of(event),
                payload=event.payload,
                methods=None,
            )
            for event in events
            if reaching.is_told_by_event(event.type)
        ],
    )


async def announce(tx: Tx, notifications: Sequence[NewNotification]) -> None:
    """Queue messages, each once per (template, object, attempt): they go out if and only if this transaction commits."""
    if not notifications:
        return
    new_ids = await store.insert_notifications(tx.connection, notifications=notifications, now=tx.now)
    new = [one for one in notifications if (one.account_id, one.notification_id) in new_ids]
    account_ids = sorted({one.account_id for one in new})
    contacts = await store.list_contacts(tx.connection, account_ids=account_ids) if new else {}
    deliveries = [delivery for one in new for delivery in _deliveries(tx, one, contacts[one.account_id])]
    if deliveries:
        await store.insert_deliveries(tx.connection, deliveries=deliveries, now=tx.now)


async def end_webhook(tx: Tx, *, account_id: UUID, notification_id: UUID, is_sent: bool) -> None:
    """Some endpoint took what a notification says, or none is left that can. The first end counts; without one it is harmless."""
    await store.end_webhook(
        tx.connection,
        account_id=account_id,
        notification_id=notification_id,
        reason=None if is_sent else NO_ENDPOINT,
        now=tx.now,
    )


def _attempt_of(event: OutboxEvent) -> int:
    attempt = event.payload.get("attempt")
    return attempt if isinstance(attempt, int) and attempt > 0 else 1


def _deliveries(tx: Tx, notification: NewNotification, contact: Contact) -> list[NewDelivery]:
    methods = notification.methods
    if methods is None:
        methods = reaching.methods_of(notification.template, contact.settings)
    return [
        NewDelivery(
            account_id=notification.account_id,
            delivery_id=tx.new_id(),
            notification_id=notification.notification_id,
            method=method,
            recipient_number=number,
            recipient=recipient,
            suppressed=suppressed,
        )
        for method in methods
        for number, recipient, suppressed in reaching.recipients_of(notification.template, method, contact)
    ]
