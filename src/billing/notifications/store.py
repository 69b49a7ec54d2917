"""The SQL of notifications. Other slices read `deliveries_v`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from billing.notifications.model import NewNotification

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def insert_notifications(
    connection: Connection, *, notifications: Sequence[NewNotification], now: datetime
) -> None:
    """Store notifications; one of a (template, object, attempt) that is there already is left out."""
    await connection.execute(
        """
        INSERT INTO notifications (account_id, notification_id, template, object_id, attempt, payload, created_at)
        SELECT account_id, notification_id, template, object_id, attempt, payload::jsonb, $7
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::integer[], $6::text[])
            AS given (account_id, notification_id, template, object_id, attempt, payload)
        ORDER BY account_id, notification_id
        ON CONFLICT ON CONSTRAINT uq_notifications_once DO NOTHING
        """,
        [one.account_id for one in notifications],
        [one.notification_id for one in notifications],
        [one.template for one in notifications],
        [one.object_id for one in notifications],
        [one.attempt for one in notifications],
        [msgspec.json.encode(one.payload).decode() for one in notifications],
        now,
    )


async def insert_deliveries(connection: Connection, *, notifications: Sequence[NewNotification], now: datetime) -> None:
    """Store a pending delivery for each method of those notifications that are stored."""
    wanted = [(one.account_id, one.notification_id, method) for one in notifications for method in one.methods]
    await connection.execute(
        """
        INSERT INTO deliveries (account_id, notification_id, method, status, created_at)
        SELECT given.account_id, given.notification_id, given.method, 'pending', $4
        FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS given (account_id, notification_id, method)
        JOIN notifications ON notifications.account_id = given.account_id
            AND notifications.notification_id = given.notification_id
        ORDER BY given.account_id, given.notification_id, given.method
        """,
        [account_id for account_id, _, _ in wanted],
        [notification_id for _, notification_id, _ in wanted],
        [method for _, _, method in wanted],
        now,
    )
