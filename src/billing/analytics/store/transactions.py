"""The SQL of the history, over what other slices show of money, and of the price of a message."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from billing.analytics.model import PartKind, Transaction, TransactionType
from billing.core.errors import NotFound
from billing.core.page import PageRequest

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def list_transactions(
    connection: Connection,
    *,
    account_id: UUID,
    type: TransactionType | None,
    since: datetime | None,
    until: datetime | None,
    page: PageRequest,
) -> tuple[list[Transaction], int]:
    """Transactions from `since` to before `until`, newest first, then by wire id descending; and how many there are.

    The order is that of the ids as text: a part's begins with its source's.
    """
    rows = await connection.fetch(
        """
        WITH shown AS (
            SELECT payment_id AS source_id, 0 AS part_kind, 0 AS ordinal, type, amount_minor, currency, description, status,
                created_at, service, resource_id
            FROM payment_transactions_v
            WHERE account_id = $1 AND ($2::text IS NULL OR type = $2)
                AND created_at >= coalesce($3::timestamptz, '-infinity') AND created_at < coalesce($4::timestamptz, 'infinity')
            UNION ALL
            SELECT invoice_id, part_kind, ordinal, type, amount_minor, currency, description, 'completed',
                created_at, service, resource_id
            FROM invoice_transactions_v
            WHERE account_id = $1 AND ($2::text IS NULL OR type = $2)
                AND created_at >= coalesce($3::timestamptz, '-infinity') AND created_at < coalesce($4::timestamptz, 'infinity')
            UNION ALL
            SELECT source_id, part_kind, 0, type, amount_minor, currency, description, 'completed', created_at, NULL, NULL
            FROM wallet_transactions_v
            WHERE account_id = $1 AND ($2::text IS NULL OR type = $2)
                AND created_at >= coalesce($3::timestamptz, '-infinity') AND created_at < coalesce($4::timestamptz, 'infinity')
        ), listed AS (
            SELECT * FROM shown
            ORDER BY created_at DESC, source_id DESC, part_kind DESC, ordinal DESC
            LIMIT $5 OFFSET $6
        )
        SELECT listed.*, counted.total
        FROM (SELECT count(*) AS total FROM shown) AS counted
        LEFT JOIN listed ON true
        ORDER BY created_at DESC, source_id DESC, part_kind DESC, ordinal DESC
        """,
        account_id,
        type,
        since,
        until,
        page.per_page,
        page.offset,
    )
    return [_transaction(row) for row in rows if row["source_id"] is not None], rows[0]["total"]


async def get_part(
    connection: Connection, *, account_id: UUID, source_id: UUID, part_kind: int, ordinal: int
) -> Transaction:
    """The transaction of a line, a tax, a hold or a credit. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT invoice_id AS source_id, part_kind, ordinal, type, amount_minor, currency, description, 'completed' AS status,
            created_at, service, resource_id
        FROM invoice_transactions_v
        WHERE account_id = $1 AND invoice_id = $2 AND part_kind = $3 AND ordinal = $4::bigint
        UNION ALL
        SELECT source_id, part_kind, 0, type, amount_minor, currency, description, 'completed', created_at, NULL, NULL
        FROM wallet_transactions_v
        WHERE account_id = $1 AND source_id = $2 AND part_kind = $3 AND $4::bigint = 0
        """,
        account_id,
        source_id,
        part_kind,
        ordinal,
    )
    if row is None:
        raise NotFound
    return _transaction(row)


async def find_plain_price(connection: Connection, *, price_id: UUID) -> Decimal | None:
    """The price of one unit where every unit costs that, whatever their number."""
    return await connection.fetchval(
        "SELECT trim_scale(unit_price) FROM prices_v WHERE price_id = $1 AND model = 'per_unit' AND maximum IS NULL",
        price_id,
    )


def _transaction(row: asyncpg.Record) -> Transaction:
    return Transaction(
        source_id=row["source_id"],
        part_kind=PartKind(row["part_kind"]),
        ordinal=row["ordinal"],
        type=row["type"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        description=row["description"],
        status=row["status"],
        created_at=row["created_at"],
        service=row["service"],
        resource_id=row["resource_id"],
    )
