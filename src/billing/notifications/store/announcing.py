"""The SQL of what is told: notifications, their deliveries, and how accounts are reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billing.notifications.model import Contact, NewDelivery, NewNotification
from billing.notifications.store.settings import settings_of

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def insert_notifications(
    connection: Connection, *, notifications: Sequence[NewNotification], now: datetime
) -> set[tuple[UUID, UUID]]:
    """Store notifications; those (account, id) that are new. Of a (subject, object, attempt) the first is stored, once."""
    rows = await connection.fetch(
        """
        INSERT INTO notifications (account_id, notification_id, template, object_id, attempt, payload, created_at)
        SELECT account_id, notification_id, template, object_id, attempt, payload::jsonb, $7
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::integer[], $6::text[]) WITH ORDINALITY
            AS given (account_id, notification_id, template, object_id, attempt, payload, place)
        ORDER BY account_id, object_id, attempt, place  -- of one subject the first; and who tells the same waits in one order
        ON CONFLICT DO NOTHING
        RETURNING account_id, notification_id
        """,
        [one.account_id for one in notifications],
        [one.notification_id for one in notifications],
        [one.template for one in notifications],
        [one.object_id for one in notifications],
        [one.attempt for one in notifications],
        [msgspec.json.encode(one.payload).decode() for one in notifications],
        now,
    )
    return {(row["account_id"], row["notification_id"]) for row in rows}


async def insert_deliveries(connection: Connection, *, deliveries: Sequence[NewDelivery], now: datetime) -> None:
    """Store deliveries: due at once, or suppressed with a reason. Those by webhook end with what endpoints take."""
    await connection.execute(
        """
        INSERT INTO deliveries (account_id, delivery_id, notification_id, method, recipient_number, recipient, status, reason,
                                attempts, tries, next_at, created_at, finished_at)
        SELECT account_id, delivery_id, notification_id, method, recipient_number, recipient,
               CASE WHEN reason IS NULL THEN 'pending' ELSE 'suppressed' END, reason, 0, 0,
               CASE WHEN reason IS NULL AND method <> 'webhook' THEN $8::timestamptz END, $8,
               CASE WHEN reason IS NOT NULL THEN $8 END
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[], $7::text[])
            AS given (account_id, delivery_id, notification_id, method, recipient_number, recipient, reason)
        ORDER BY account_id, delivery_id
        """,
        [one.account_id for one in deliveries],
        [one.delivery_id for one in deliveries],
        [one.notification_id for one in deliveries],
        [one.method for one in deliveries],
        [one.recipient_number for one in deliveries],
        [one.recipient for one in deliveries],
        [one.suppressed for one in deliveries],
        now,
    )


async def end_webhook(
    connection: Connection, *, account_id: UUID, notification_id: UUID, reason: str | None, now: datetime
) -> None:
    """End a notification's delivery by webhook unless it has ended: sent, or failed with a reason."""
    await connection.execute(
        """
        UPDATE deliveries
        SET status = CASE WHEN $3::text IS NULL THEN 'sent' ELSE 'failed' END, reason = $3, finished_at = $4
        WHERE account_id = $1 AND notification_id = $2 AND method = 'webhook' AND status = 'pending'
        """,
        account_id,
        notification_id,
        reason,
        now,
    )


async def list_contacts(connection: Connection, *, account_ids: Sequence[UUID]) -> dict[UUID, Contact]:
    """How some accounts are reached, by account."""
    rows = await connection.fetch(
        """
        SELECT accounts_v.account_id, accounts_v.name, accounts_v.email, accounts_v.phone, accounts_v.timezone,
               notification_settings.account_id IS NOT NULL AS is_set, email_off, sms_on, email_recipients, quiet_start, quiet_end
        FROM accounts_v
        LEFT JOIN notification_settings ON notification_settings.account_id = accounts_v.account_id
        WHERE accounts_v.account_id = ANY ($1)
        """,
        list(account_ids),
    )
    return {
        row["account_id"]: Contact(
            account_id=row["account_id"],
            name=row["name"],
            email=row["email"],
            phone=row["phone"],
            timezone=row["timezone"],
            settings=settings_of(row),
        )
        for row in rows
    }
