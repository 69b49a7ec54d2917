"""The SQL of finding what is overdue: only what nobody has looked at since its due date is read."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from billing.invoices.model import Invoice
from billing.invoices.store import invoices

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def claim_due(connection: Connection, *, now: datetime, limit: int) -> list[Invoice]:
    """Invoices of any account that were issued with something open and are past their due date, as they stand now.

    Nobody is given them again, if this transaction commits. Those that another transaction holds are left to the next look.
    """
    rows = await connection.fetch(
        """
        WITH held AS (
            SELECT account_id, invoice_id FROM invoice_states
            WHERE overdue_at <= $1
            ORDER BY overdue_at, account_id, invoice_id
            LIMIT $2
            FOR NO KEY UPDATE SKIP LOCKED
        ), looked_at AS (
            UPDATE invoice_states AS s SET overdue_at = NULL
            FROM held
            WHERE s.account_id = held.account_id AND s.invoice_id = held.invoice_id
            RETURNING s.account_id, s.invoice_id, s.status, s.paid_minor, s.credited_minor, s.paid_at
        )
        SELECT i.account_id, i.invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor,
            paid_at_issue_minor, issued_at, due_at, parties, s.status, s.paid_minor, s.credited_minor, s.paid_at
        FROM looked_at AS s
        JOIN invoices AS i ON i.account_id = s.account_id AND i.invoice_id = s.invoice_id
        ORDER BY due_at, i.account_id, i.invoice_id
        """,
        now,
        limit,
    )
    return [invoices.read_invoice(row) for row in rows]
