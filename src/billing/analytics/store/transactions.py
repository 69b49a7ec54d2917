"""The SQL of the history, over what other slices show of money, and of the price of a message."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from billing.analytics.model import PartKind, Transaction, TransactionType
from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


_HISTORY = load_statement(Path(__file__).parent.parent / "sql" / "history.sql")
_EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
_BEGINNING = (_EVER[1], UUID(int=2**128 - 1), 2**31 - 1, 2**31 - 1)  # the key before the newest
_PARTS_OF_INVOICES = {PartKind.INVOICE_LINE, PartKind.INVOICE_TAX, PartKind.CREDIT_NOTE, PartKind.VOIDING}


async def list_transactions(
    connection: Connection,
    *,
    account_id: UUID,
    type: TransactionType | None,
    since: datetime | None,
    until: datetime | None,
    page: PageRequest,
) -> Page[Transaction]:
    """One page of the transactions from `since` to before `until`, newest first, then by wire id descending.

    The order is that of the ids as text: a part's begins with its source's.
    """
    after = page.key(datetime, UUID, int, int)
    rows = await connection.fetch(
        _HISTORY,
        account_id,
        type,
        since or _EVER[0],
        until or _EVER[1],
        page.is_counted,
        page.limit,
        page.offset,
        *(_BEGINNING if None in after else after),
    )
    found = [_transaction(row) for row in rows if row["source_id"] is not None]
    return page.cut(
        found, total=rows[0]["total"], key=lambda one: (one.created_at, one.source_id, one.part_kind, one.ordinal)
    )


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


async def find_invoice(connection: Connection, *, account_id: UUID, transaction: Transaction) -> UUID | None:
    """The invoice that a part is of, or that an operator's credit note lowers; None of what comes from elsewhere."""
    if transaction.part_kind in _PARTS_OF_INVOICES:
        return transaction.source_id
    if transaction.part_kind is not PartKind.OPERATOR_CREDIT_NOTE:
        return None
    return await connection.fetchval(
        "SELECT invoice_id FROM credited_invoices_v WHERE account_id = $1 AND credit_note_id = $2",
        account_id,
        transaction.source_id,
    )


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
