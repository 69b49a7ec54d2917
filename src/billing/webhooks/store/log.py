"""The SQL of the delivery log. `webhook_deliveries_v` is a message with its newest 20 attempts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.webhooks.model.messages import Attempt, Delivery, MessageStatus

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_attempt = msgspec.json.Decoder(tuple[int, datetime, int | None, int | None, str | None])


async def get_delivery(connection: Connection, *, account_id: UUID, endpoint_id: UUID, message_id: UUID) -> Delivery:
    """One message to an endpoint. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT * FROM webhook_deliveries_v WHERE account_id = $1 AND endpoint_id = $2 AND message_id = $3
        """,
        account_id,
        endpoint_id,
        message_id,
    )
    if row is None:
        raise NotFound
    return _delivery(row)


async def list_deliveries(
    connection: Connection,
    *,
    account_id: UUID,
    endpoint_id: UUID,
    status: MessageStatus | None,
    page: PageRequest,
) -> Page[Delivery]:
    """A page of what was sent to an endpoint, newest first."""
    rows = await connection.fetch(
        """
        SELECT * FROM webhook_deliveries_v
        WHERE account_id = $1 AND endpoint_id = $2 AND ($3::text IS NULL OR status = $3)
            AND (created_at, message_id) < (
                coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
        ORDER BY created_at DESC, message_id DESC
        LIMIT $4 OFFSET $5
        """,
        account_id,
        endpoint_id,
        status,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    total = None
    if page.is_counted:
        total = await connection.fetchval(
            """
            SELECT count(*) FROM webhook_messages
            WHERE account_id = $1 AND endpoint_id = $2 AND ($3::text IS NULL OR status = $3)
            """,
            account_id,
            endpoint_id,
            status,
        )
    return page.cut(list(map(_delivery, rows)), total=total, key=lambda one: (one.created_at, one.message_id))


async def list_all_deliveries(
    connection: Connection, *, account_id: UUID | None, status: MessageStatus | None, page: PageRequest
) -> Page[Delivery]:
    """A page of what was sent to all endpoints, of one account if asked for, newest first."""
    rows = await connection.fetch(
        """
        SELECT * FROM webhook_deliveries_v
        WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::text IS NULL OR status = $2)
            AND (created_at, message_id, endpoint_id) < (
                coalesce($5::timestamptz, 'infinity'), coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
                coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
        ORDER BY created_at DESC, message_id DESC, endpoint_id DESC
        LIMIT $3 OFFSET $4
        """,
        account_id,
        status,
        page.limit,
        page.offset,
        *page.key(datetime, UUID, UUID),
    )
    total = None
    if page.is_counted:
        total = await connection.fetchval(
            """
            SELECT count(*) FROM webhook_messages
            WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::text IS NULL OR status = $2)
            """,
            account_id,
            status,
        )
    return page.cut(
        list(map(_delivery, rows)), total=total, key=lambda one: (one.created_at, one.message_id, one.endpoint_id)
    )


async def list_failed(
    connection: Connection, *, account_id: UUID, endpoint_id: UUID | None, since: datetime, limit: int
) -> dict[UUID, list[UUID]]:
    """The messages that were given up since an instant, oldest first, by the enabled endpoint that they were for."""
    rows = await connection.fetch(
        """
        SELECT m.endpoint_id, m.message_id
        FROM webhook_messages AS m
        JOIN webhook_endpoints AS e ON e.account_id = m.account_id AND e.endpoint_id = m.endpoint_id
        WHERE m.account_id = $1 AND ($2::uuid IS NULL OR m.endpoint_id = $2) AND m.status = 'failed' AND m.created_at >= $3
            AND e.status = 'enabled' AND e.deleted_at IS NULL
        ORDER BY m.created_at, m.message_id, m.endpoint_id
        LIMIT $4
        """,
        account_id,
        endpoint_id,
        since,
        limit,
    )
    found: dict[UUID, list[UUID]] = {}
    for row in rows:
        found.setdefault(row["endpoint_id"], []).append(row["message_id"])
    return found


def _delivery(row: asyncpg.Record) -> Delivery:
    fields = dict(row)
    newest = [Attempt(*_attempt.decode(text)) for text in reversed(fields.pop("newest"))]
    return Delivery(**fields, newest=tuple(newest))
