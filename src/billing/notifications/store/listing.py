"""The SQL of what was told, and of what became of it. `delivery_log_v` is a delivery with its newest 20 attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.notifications.model import Attempt, Delivery, DeliveryStatus, Notification

_AttemptRow = tuple[int, str, datetime, datetime | None, str | None, str | None, str | None]

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def list_notifications(connection: Connection, *, account_id: UUID, page: PageRequest) -> Page[Notification]:
    """A page of what an account was told, newest first, with the deliveries."""
    rows = await connection.fetch(
        """
        SELECT account_id, notification_id, template, object_id, attempt, created_at FROM notifications
        WHERE account_id = $1 AND (created_at, notification_id) < (
            coalesce($4::timestamptz, 'infinity'), coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
        ORDER BY created_at DESC, notification_id DESC
        LIMIT $2 OFFSET $3
        """,
        account_id,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    total = None
    if page.is_counted:
        total = await connection.fetchval("SELECT count(*) FROM notifications WHERE account_id = $1", account_id)
    ids = [row["notification_id"] for row in rows]
    deliveries = await _list_deliveries_of(connection, account_id=account_id, notification_ids=ids)
    found = [
        replace(told, deliveries=tuple(one for one in deliveries if one.notification_id == told.notification_id))
        for told in (Notification(**dict(row)) for row in rows)
    ]
    return page.cut(found, total=total, key=lambda one: (one.created_at, one.notification_id))


async def list_deliveries(
    connection: Connection, *, account_id: UUID | None, status: DeliveryStatus | None, page: PageRequest
) -> Page[Delivery]:
    """A page of all deliveries, of one account if asked for, newest first."""
    rows = await connection.fetch(
        """
        SELECT * FROM delivery_log_v
        WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::text IS NULL OR status = $2)
            AND (created_at, delivery_id) < (
                coalesce($5::timestamptz, 'infinity'), coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
        ORDER BY created_at DESC, delivery_id DESC
        LIMIT $3 OFFSET $4
        """,
        account_id,
        status,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    total = None
    if page.is_counted:
        total = await connection.fetchval(
            """
            SELECT count(*) FROM deliveries
            WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::text IS NULL OR status = $2)
            """,
            account_id,
            status,
        )
    return page.cut(list(map(_delivery, rows)), total=total, key=lambda one: (one.created_at, one.delivery_id))


async def get_delivery(connection: Connection, *, account_id: UUID, delivery_id: UUID) -> Delivery:
    """One delivery. Raises NotFound."""
    row = await connection.fetchrow(
        "SELECT * FROM delivery_log_v WHERE account_id = $1 AND delivery_id = $2", account_id, delivery_id
    )
    if row is None:
        raise NotFound
    return _delivery(row)


async def get_delivery_for_update(connection: Connection, *, account_id: UUID, delivery_id: UUID) -> Delivery:
    """One delivery, locked until the transaction ends. Raises NotFound."""
    await connection.execute(
        "SELECT FROM deliveries WHERE account_id = $1 AND delivery_id = $2 FOR UPDATE", account_id, delivery_id
    )
    return await get_delivery(connection, account_id=account_id, delivery_id=delivery_id)


async def mark_due(connection: Connection, *, account_id: UUID, delivery_id: UUID, own: str, now: datetime) -> None:
    """Have a locked delivery attempted now, from the first try on; that to the account itself goes to the address given."""
    await connection.execute(
        """
        UPDATE deliveries
        SET status = 'pending', reason = NULL, tries = 0, next_at = $4, handed_at = NULL, finished_at = NULL,
            recipient = CASE WHEN recipient_number = 0 THEN $3 ELSE recipient END
        WHERE account_id = $1 AND delivery_id = $2
        """,
        account_id,
        delivery_id,
        own,
        now,
    )


async def _list_deliveries_of(
    connection: Connection, *, account_id: UUID, notification_ids: Sequence[UUID]
) -> list[Delivery]:
    rows = await connection.fetch(
        """
        SELECT * FROM delivery_log_v
        WHERE account_id = $1 AND notification_id = ANY ($2)
        ORDER BY method, recipient_number, delivery_id
        """,
        account_id,
        list(notification_ids),
    )
    return list(map(_delivery, rows))


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        account_id=row["account_id"],
        delivery_id=row["delivery_id"],
        notification_id=row["notification_id"],
        template=row["template"],
        object_id=row["object_id"],
        method=row["method"],
        recipient=row["recipient"],
        status=row["status"],
        reason=row["reason"],
        attempts=row["attempts"],
        next_at=row["next_at"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        newest=tuple(_attempt(text) for text in reversed(row["newest"])),
    )


def _attempt(text: str) -> Attempt:
    number, gateway, started_at, ended_at, outcome, gateway_id, reason = msgspec.json.decode(text, type=_AttemptRow)
    return Attempt(
        number=number,
        gateway=gateway,
        started_at=started_at,
        ended_at=ended_at,
        outcome=outcome,
        gateway_id=gateway_id,
        reason=reason,
    )
