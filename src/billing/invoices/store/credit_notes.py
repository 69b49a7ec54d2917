"""The SQL of credit notes that an operator writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.invoices.model import CreditNote
from billing.invoices.store.runs import number_one

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def list_credit_notes(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> list[CreditNote]:
    """The credit notes of an invoice, oldest first."""
    rows = await connection.fetch(
        """
        SELECT account_id, credit_note_id, invoice_id, number, currency, net_minor, tax_minor, total_minor, returned_minor, reason,
            issued_at
        FROM credit_notes
        WHERE account_id = $1 AND invoice_id = $2
        ORDER BY issued_at, credit_note_id
        """,
        account_id,
        invoice_id,
    )
    return [CreditNote(**dict(row)) for row in rows]


async def allot_number(connection: Connection, *, account_id: UUID, credit_note_id: UUID, now: datetime) -> str:
    """The next number of the credit notes' series, in this transaction."""
    return await number_one(
        connection, series=f"CN-{now.year}", account_id=account_id, document_id=credit_note_id, now=now
    )


async def insert_credit_note(
    connection: Connection, note: CreditNote, *, parts: Sequence[tuple[int | None, int]]
) -> None:
    """Store a credit note with its parts (an invoice line's ordinal, or None for the whole; net minor units)."""
    await connection.execute(
        """
        INSERT INTO credit_notes (
            account_id, credit_note_id, invoice_id, number, currency, net_minor, tax_minor, total_minor, returned_minor, reason,
            issued_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        note.account_id,
        note.credit_note_id,
        note.invoice_id,
        note.number,
        note.currency,
        note.net_minor,
        note.tax_minor,
        note.total_minor,
        note.returned_minor,
        note.reason,
        note.issued_at,
    )
    await connection.execute(
        """
        INSERT INTO credit_note_lines (account_id, credit_note_id, ordinal, invoice_ordinal, amount_minor)
        SELECT $1, $2, row_number() OVER (), invoice_ordinal, amount_minor
        FROM unnest($3::integer[], $4::bigint[]) AS parts (invoice_ordinal, amount_minor)
        """,
        note.account_id,
        note.credit_note_id,
        [ordinal for ordinal, _ in parts],
        [minor for _, minor in parts],
    )


async def lower_due(
    connection: Connection, *, account_id: UUID, invoice_id: UUID, amount_minor: int, now: datetime
) -> None:
    """Note that part of what an invoice asks for was credited; with nothing left to ask for it is paid."""
    await connection.execute(
        """
        UPDATE invoice_states AS s SET credited_minor = s.credited_minor + $3,
            status = CASE WHEN s.paid_minor + s.credited_minor + $3 = i.total_minor THEN 'paid' ELSE s.status END,
            paid_at = CASE WHEN s.paid_minor + s.credited_minor + $3 = i.total_minor THEN $4 ELSE s.paid_at END
        FROM invoices AS i
        WHERE s.account_id = $1 AND s.invoice_id = $2 AND i.account_id = $1 AND i.invoice_id = $2
        """,
        account_id,
        invoice_id,
        amount_minor,
        now,
    )
