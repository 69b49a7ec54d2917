"""The SQL of endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.webhooks.model.endpoints import Endpoint

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_LOCK = 7_302_646_011_933  # of the advisory locks: endpoints of an account are made one at a time


async def lock_account(connection: Connection, *, account_id: UUID) -> None:
    """Hold the making of the account's endpoints until the transaction ends, so that their count holds."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, $2))", account_id, _LOCK)


async def count_endpoints(connection: Connection, *, account_id: UUID) -> int:
    """How many endpoints the account has."""
    return await connection.fetchval(
        "SELECT count(*) FROM webhook_endpoints WHERE account_id = $1 AND deleted_at IS NULL", account_id
    )


async def insert_endpoint(connection: Connection, *, endpoint: Endpoint) -> None:
    """Store a new endpoint."""
    await connection.execute(
        """
        INSERT INTO webhook_endpoints (account_id, endpoint_id, url, description, events, status, secret_number, failures,
                                       is_slow, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0, false, $8)
        """,
        endpoint.account_id,
        endpoint.endpoint_id,
        endpoint.url,
        endpoint.description,
        list(endpoint.events),
        endpoint.status,
        endpoint.secret_number,
        endpoint.created_at,
    )


async def update_endpoint(connection: Connection, *, endpoint: Endpoint) -> None:
    """Store what may change of an endpoint."""
    await connection.execute(
        """
        UPDATE webhook_endpoints
        SET url = $3, description = $4, events = $5, status = $6, disabled_reason = $7, disabled_at = $8,
            secret_number = $9, secret_rotated_at = $10, failing_since = $11, failures = $12, is_slow = $13
        WHERE account_id = $1 AND endpoint_id = $2
        """,
        endpoint.account_id,
        endpoint.endpoint_id,
        endpoint.url,
        endpoint.description,
        list(endpoint.events),
        endpoint.status,
        endpoint.disabled_reason,
        endpoint.disabled_at,
        endpoint.secret_number,
        endpoint.secret_rotated_at,
        endpoint.failing_since,
        endpoint.failures,
        endpoint.is_slow,
    )


async def mark_deleted(connection: Connection, *, account_id: UUID, endpoint_id: UUID, now: datetime) -> None:
    """Remove an endpoint; what was sent to it stays until it is too old."""
    await connection.execute(
        "UPDATE webhook_endpoints SET deleted_at = $3, due_at = NULL WHERE account_id = $1 AND endpoint_id = $2",
        account_id,
        endpoint_id,
        now,
    )


async def get_endpoint(connection: Connection, *, account_id: UUID, endpoint_id: UUID) -> Endpoint:
    """One endpoint of the account. Raises NotFound."""
    return _found(
        await connection.fetchrow(
            "SELECT * FROM webhook_endpoints WHERE account_id = $1 AND endpoint_id = $2 AND deleted_at IS NULL",
            account_id,
            endpoint_id,
        )
    )


async def get_endpoint_for_update(connection: Connection, *, account_id: UUID, endpoint_id: UUID) -> Endpoint:
    """One endpoint of the account, locked until the transaction ends. Raises NotFound."""
    return _found(
        await connection.fetchrow(
            """
            SELECT * FROM webhook_endpoints WHERE account_id = $1 AND endpoint_id = $2 AND deleted_at IS NULL
            FOR NO KEY UPDATE
            """,
            account_id,
            endpoint_id,
        )
    )


async def list_endpoints(connection: Connection, *, account_id: UUID, page: PageRequest) -> Page[Endpoint]:
    """A page of the account's endpoints, oldest first."""
    rows = await connection.fetch(
        """
        SELECT * FROM webhook_endpoints
        WHERE account_id = $1 AND deleted_at IS NULL AND (created_at, endpoint_id) > (
            coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
        ORDER BY created_at, endpoint_id
        LIMIT $2 OFFSET $3
        """,
        account_id,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    total = await count_endpoints(connection, account_id=account_id) if page.is_counted else None
    return page.cut(list(map(_endpoint, rows)), total=total, key=lambda one: (one.created_at, one.endpoint_id))


def _found(row: asyncpg.Record | None) -> Endpoint:
    if row is None:
        raise NotFound
    return _endpoint(row)


def _endpoint(row: asyncpg.Record) -> Endpoint:
    return Endpoint(
        account_id=row["account_id"],
        endpoint_id=row["endpoint_id"],
        url=row["url"],
        description=row["description"],
        events=tuple(row["events"]),
        status=row["status"],
        disabled_reason=row["disabled_reason"],
        disabled_at=row["disabled_at"],
        secret_number=row["secret_number"],
        secret_rotated_at=row["secret_rotated_at"],
        failing_since=row["failing_since"],
        failures=row["failures"],
        is_slow=row["is_slow"],
        created_at=row["created_at"],
    )
