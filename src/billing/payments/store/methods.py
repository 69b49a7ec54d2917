"""The SQL of payment methods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.payments.model import PaymentMethod

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def list_methods(connection: Connection, *, account_id: UUID, page: PageRequest) -> Page[PaymentMethod]:
    """One page of the account's payment methods, newest first."""
    rows = await connection.fetch(
        """
        WITH live AS NOT MATERIALIZED (
            SELECT account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name, last4, exp_month,
                exp_year, is_default, created_at
            FROM payment_methods
            WHERE account_id = $1 AND deleted_at IS NULL
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $2::boolean THEN (SELECT count(*) FROM live) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM live
            WHERE (created_at, payment_method_id) < (
                coalesce($5::timestamptz, 'infinity'), coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY created_at DESC, payment_method_id DESC
            LIMIT $3 OFFSET $4
        ) AS page ON true
        ORDER BY page.created_at DESC, page.payment_method_id DESC
        """,
        account_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [_method(row) for row in rows if row["payment_method_id"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda method: (method.created_at, method.payment_method_id))


async def count_methods(connection: Connection, *, account_id: UUID) -> int:
    """How many payment methods the account has."""
    return await connection.fetchval(
        "SELECT count(*) FROM payment_methods WHERE account_id = $1 AND deleted_at IS NULL", account_id
    )


async def find_all_methods(
    connection: Connection, *, wanted: Sequence[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], PaymentMethod]:
    """Payment methods by (account, payment method); one that is unknown or deleted is left out."""
    rows = await connection.fetch(
        """
        SELECT found.*
        FROM unnest(ARRAY(SELECT unnest($1::uuid[])), ARRAY(SELECT unnest($2::uuid[]))) AS wanted (account_id, payment_method_id)
        CROSS JOIN LATERAL (
            SELECT account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name, last4, exp_month,
                exp_year, is_default, created_at
            FROM payment_methods
            WHERE payment_methods.account_id = wanted.account_id
                AND payment_methods.payment_method_id = wanted.payment_method_id AND deleted_at IS NULL
            OFFSET 0
        ) AS found
        """,
        [account_id for account_id, _ in wanted],
        [payment_method_id for _, payment_method_id in wanted],
    )
    return {(row["account_id"], row["payment_method_id"]): _method(row) for row in rows}


async def get_method(connection: Connection, *, account_id: UUID, payment_method_id: UUID) -> PaymentMethod:
    """A payment method. Raises NotFound, for a deleted one too."""
    row = await connection.fetchrow(
        """
        SELECT account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name, last4, exp_month,
            exp_year, is_default, created_at
        FROM payment_methods
        WHERE account_id = $1 AND payment_method_id = $2 AND deleted_at IS NULL
        """,
        account_id,
        payment_method_id,
    )
    if row is None:
        raise NotFound
    return PaymentMethod(**dict(row))


async def find_default_method(connection: Connection, *, account_id: UUID) -> PaymentMethod | None:
    """The account's default payment method."""
    row = await connection.fetchrow(
        """
        SELECT account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name, last4, exp_month,
            exp_year, is_default, created_at
        FROM payment_methods
        WHERE account_id = $1 AND is_default
        """,
        account_id,
    )
    return PaymentMethod(**dict(row)) if row else None


async def is_method_stored(connection: Connection, *, account_id: UUID, payment_method_id: UUID) -> bool:
    """Whether the method was ever stored, deleted since or not."""
    return await connection.fetchval(
        "SELECT EXISTS (SELECT FROM payment_methods WHERE account_id = $1 AND payment_method_id = $2)",
        account_id,
        payment_method_id,
    )


async def insert_method(connection: Connection, method: PaymentMethod, *, expiry_due_at: datetime | None) -> None:
    """Store a payment method that the gateway attached."""
    await connection.execute(
        """
        INSERT INTO payment_methods (account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name,
            last4, exp_month, exp_year, is_default, created_at, expiry_due_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        method.account_id,
        method.payment_method_id,
        method.type,
        method.gateway,
        method.gateway_reference,
        method.brand,
        method.bank_name,
        method.last4,
        method.exp_month,
        method.exp_year,
        method.is_default,
        method.created_at,
        expiry_due_at,
    )


async def update_default(connection: Connection, *, account_id: UUID, payment_method_id: UUID | None) -> None:
    """Make one method the default and no other; with None, none. The account's head must be locked."""
    await connection.execute(
        """
        UPDATE payment_methods SET is_default = false
        WHERE account_id = $1 AND is_default AND payment_method_id IS DISTINCT FROM $2
        """,
        account_id,
        payment_method_id,
    )
    await connection.execute(
        """
        UPDATE payment_methods SET is_default = true
        WHERE account_id = $1 AND payment_method_id = $2 AND deleted_at IS NULL AND NOT is_default
        """,
        account_id,
        payment_method_id,
    )


async def mark_method_deleted(
    connection: Connection, *, account_id: UUID, payment_method_id: UUID, now: datetime
) -> None:
    """Take a payment method away from its account; payments made with it keep naming it."""
    await connection.execute(
        """
        UPDATE payment_methods SET is_default = false, deleted_at = $3, expiry_due_at = NULL
        WHERE account_id = $1 AND payment_method_id = $2 AND deleted_at IS NULL
        """,
        account_id,
        payment_method_id,
        now,
    )


async def list_expiring(connection: Connection, *, now: datetime, limit: int) -> list[PaymentMethod]:
    """Locked cards of any account whose expiry is to be told, longest due first."""
    rows = await connection.fetch(
        """
        SELECT account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name, last4, exp_month,
            exp_year, is_default, created_at
        FROM payment_methods
        WHERE expiry_due_at <= $1
        ORDER BY expiry_due_at, account_id, payment_method_id
        LIMIT $2
        FOR NO KEY UPDATE SKIP LOCKED
        """,
        now,
        limit,
    )
    return [_method(row) for row in rows]


async def update_expiry_due(connection: Connection, *, due_ats: Sequence[tuple[UUID, UUID, datetime | None]]) -> None:
    """When the expiry of locked cards is to be told next: (account, payment method, when), None for never again."""
    await connection.execute(
        """
        UPDATE payment_methods SET expiry_due_at = told.next_at
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS told (account_id, payment_method_id, next_at)
        WHERE payment_methods.account_id = told.account_id AND payment_methods.payment_method_id = told.payment_method_id
        """,
        [account_id for account_id, _, _ in due_ats],
        [payment_method_id for _, payment_method_id, _ in due_ats],
        [next_at for _, _, next_at in due_ats],
    )


def _method(row: asyncpg.Record) -> PaymentMethod:
    return PaymentMethod(**{name: value for name, value in row.items() if name != "total"})
