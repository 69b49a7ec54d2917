"""The SQL of the PDFs of documents: each is kept as it was first made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from billing.core import ids
from billing.core.errors import NotFound
from billing.core.period import Period
from billing.invoices.model import Invoice

if TYPE_CHECKING:
    from billing.kit.db import Connection


DocumentKind = Literal["invoice", "credit_note", "receipt"]


@dataclass(frozen=True, slots=True)
class DocumentPdf:
    """A document's number and its PDF, once that was made."""

    number: str
    content: bytes | None
    sha256: bytes | None


async def get_pdf(connection: Connection, *, account_id: UUID, document_id: UUID, kind: DocumentKind) -> DocumentPdf:
    """The PDF of a finalised invoice, an operator's credit note or a payment's receipt, as far as it was made. Raises NotFound.

    A receipt has the id of its payment, and its payment's as a transaction for a number.
    """
    row = await connection.fetchrow(
        """
        SELECT documents.number, pdfs.content, pdfs.sha256
        FROM (
            SELECT number FROM invoices WHERE account_id = $1 AND invoice_id = $2 AND $3::text = 'invoice'
            UNION ALL
            SELECT number FROM credit_notes WHERE account_id = $1 AND credit_note_id = $2 AND $3 = 'credit_note'
            UNION ALL
            SELECT '' FROM receipts WHERE account_id = $1 AND payment_id = $2 AND $3 = 'receipt'
        ) AS documents
        LEFT JOIN document_pdfs AS pdfs ON pdfs.account_id = $1 AND pdfs.document_id = $2
        """,
        account_id,
        document_id,
        kind,
    )
    if row is None:
        raise NotFound
    number = f"receipt-{ids.encode('txn', document_id)}" if kind == "receipt" else row["number"]
    return DocumentPdf(number, row["content"], row["sha256"])


async def insert_pdf(
    connection: Connection, *, account_id: UUID, document_id: UUID, content: bytes, sha256: bytes, now: datetime
) -> None:
    """Keep a document's PDF; one that was kept before stays."""
    await connection.execute(
        """
        INSERT INTO document_pdfs (account_id, document_id, sha256, content, made_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (account_id, document_id) DO NOTHING
        """,
        account_id,
        document_id,
        sha256,
        content,
        now,
    )


async def list_service_costs(
    connection: Connection, *, invoice: Invoice, first: Period
) -> dict[Period, list[tuple[str, int]]]:
    """Net costs by service of the months from `first` to the invoice's, billed by its issue and not voided by then.

    Lines count in their service month. What was issued or voided later changes nothing, so that the answer stays the same.
    """
    rows = await connection.fetch(
        """
        SELECT lines.service_period, lines.service, sum(lines.amount_minor)::bigint AS cost_minor
        FROM invoice_lines AS lines
        JOIN invoices USING (account_id, invoice_id)
        JOIN invoice_states AS states USING (account_id, invoice_id)
        WHERE lines.account_id = $1 AND lines.service_period BETWEEN $2 AND $3
            AND invoices.currency = $4 AND invoices.issued_at <= $5
            AND NOT (states.status = 'void' AND states.ended_at <= $5)
        GROUP BY lines.service_period, lines.service
        ORDER BY lines.service_period, lines.service
        """,
        invoice.account_id,
        first.start_date,
        invoice.period.start_date,
        invoice.currency,
        invoice.issued_at,
    )
    costs: dict[Period, list[tuple[str, int]]] = {}
    for row in rows:
        period = Period(row["service_period"].year, row["service_period"].month)
        costs.setdefault(period, []).append((row["service"], row["cost_minor"]))
    return costs
