"""The SQL of paying one invoice: what it asks for, and what may pay it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing.invoices.model import ArrivedPayment, OpenInvoice, UsableCredit

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def get_open_invoice(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> OpenInvoice:
    """What an invoice that is pending asks for. The caller holds the account's head and knows that it is there."""
    row = await connection.fetchrow(
        """
        SELECT i.invoice_id, i.total_minor - s.paid_minor - s.credited_minor AS due_minor,
            1 + (SELECT count(*) FROM invoice_payments AS p WHERE p.account_id = i.account_id AND p.invoice_id = i.invoice_id)
                AS next_ordinal
        FROM invoices AS i
        JOIN invoice_states AS s ON s.account_id = i.account_id AND s.invoice_id = i.invoice_id
        WHERE i.account_id = $1 AND i.invoice_id = $2
        """,
        account_id,
        invoice_id,
    )
    assert row is not None, "the invoice was read before"
    return OpenInvoice(**dict(row))


async def list_arrived(connection: Connection, *, account_id: UUID, currency: str) -> list[ArrivedPayment]:
    """Payments that settled for invoices which still ask for money, and were not set against them yet, oldest first."""
    rows = await connection.fetch(
        """
        SELECT p.invoice_id, p.payment_id, p.amount_minor
        FROM invoice_states AS s
        JOIN payment_transactions_v AS p ON p.account_id = s.account_id AND p.invoice_id = s.invoice_id
        WHERE s.account_id = $1 AND s.status = 'pending' AND p.currency = $2
            AND p.type = 'payment' AND p.status = 'completed'
            AND NOT EXISTS (
                SELECT FROM invoice_payments
                WHERE invoice_payments.account_id = $1 AND invoice_payments.invoice_id = s.invoice_id
                    AND invoice_payments.source = 'method' AND invoice_payments.source_id = p.payment_id
            )
        ORDER BY p.created_at, p.payment_id
        """,
        account_id,
        currency,
    )
    return [ArrivedPayment(**dict(row)) for row in rows]


async def list_usable_credits(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> list[UsableCredit]:
    """Promotional credits that were valid in an invoice's month, in the order of spending: priority, soonest expiry, oldest."""
    rows = await connection.fetch(
        """
        SELECT credits.credit_id, credits.balance_minor, (
            SELECT coalesce(sum(amount_minor), 0)::bigint FROM invoice_payments
            WHERE invoice_payments.account_id = $1 AND invoice_payments.invoice_id = $2
                AND invoice_payments.source = 'credit' AND invoice_payments.source_id = credits.credit_id
        ) AS used_minor
        FROM invoices
        JOIN unspent_credits_v AS credits ON credits.account_id = invoices.account_id
            AND credits.currency = invoices.currency
            AND credits.granted_at < (invoices.period + interval '1 month') AT TIME ZONE 'UTC'
            AND coalesce(credits.expires_at, 'infinity') > invoices.period::timestamp AT TIME ZONE 'UTC'
        WHERE invoices.account_id = $1 AND invoices.invoice_id = $2
        ORDER BY credits.priority, credits.expires_at NULLS LAST, credits.granted_at, credits.credit_id
        """,
        account_id,
        invoice_id,
    )
    return [UsableCredit(**dict(row)) for row in rows]


async def is_draft(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> bool:
    """Whether a document is rated and not numbered yet."""
    return await connection.fetchval(
        "SELECT EXISTS (SELECT FROM closes WHERE account_id = $1 AND invoice_id = $2 AND finalized_at IS NULL)",
        account_id,
        invoice_id,
    )
