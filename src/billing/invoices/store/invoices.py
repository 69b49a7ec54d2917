"""The SQL of finalised invoices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import msgspec

from billing import rating
from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.core.period import Period
from billing.invoices.model import Invoice, InvoiceLine, InvoicePayment, InvoiceTax, OpenInvoice
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_PREVIEW = rating.over_charges(load_statement(Path(__file__).parent.parent / "sql" / "preview.sql"))

# Overdue is read from the due date; the planner knows how many rows have a stored status.
_STORED = {"pending": ("pending", "processing"), "overdue": ("pending", "processing")}


def read_invoice(row: asyncpg.Record) -> Invoice:
    """An invoice from its row."""
    fields = {name: value for name, value in row.items() if name != "total"}
    period = fields.pop("period")
    parties = msgspec.json.decode(fields.pop("parties"))
    return Invoice(**fields, period=Period(period.year, period.month), parties=parties)


def _line(row: asyncpg.Record) -> InvoiceLine:
    fields = {name: value for name, value in row.items() if name != "total"}
    period = fields.pop("service_period")
    fields["amount_minor"] = int(fields["amount_minor"])  # a preview's has not been bounded yet
    return InvoiceLine(**fields, service_period=Period(period.year, period.month))


async def get_invoice(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> Invoice:
    """A finalised invoice. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT i.account_id, i.invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor,
            paid_at_issue_minor, issued_at, due_at, parties, s.status, s.paid_minor, s.credited_minor, s.paid_at,
            (SELECT sha256 FROM document_pdfs AS p WHERE p.account_id = i.account_id AND p.document_id = i.invoice_id) AS pdf_sha256
        FROM invoices AS i
        JOIN invoice_states AS s ON s.account_id = i.account_id AND s.invoice_id = i.invoice_id
        WHERE i.account_id = $1 AND i.invoice_id = $2
        """,
        account_id,
        invoice_id,
    )
    if row is None:
        raise NotFound
    return read_invoice(row)


async def list_invoices(
    connection: Connection,
    *,
    account_id: UUID,
    statuses: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    now: datetime,
    page: PageRequest,
) -> Page[Invoice]:
    """Invoices with one of the statuses that the wire shows, issued from `since` to before `until`, newest first."""
    rows = await connection.fetch(
        """
        WITH shown AS NOT MATERIALIZED (
            SELECT i.account_id, i.invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor,
                paid_at_issue_minor, issued_at, due_at, parties, s.status, s.paid_minor, s.credited_minor, s.paid_at
            FROM invoices AS i
            CROSS JOIN LATERAL (  -- a look-up each: a plan for any account foresees few invoices, and reads all their states
                SELECT * FROM invoice_states
                WHERE invoice_states.account_id = i.account_id AND invoice_states.invoice_id = i.invoice_id OFFSET 0
            ) AS s
            WHERE i.account_id = $1 AND s.status = ANY ($2::text[])
                AND (s.status NOT IN ('pending', 'processing')
                    OR CASE WHEN due_at <= $3 THEN 'overdue' ELSE 'pending' END = ANY ($11::text[]))
                AND issued_at >= coalesce($4::timestamptz, '-infinity') AND issued_at < coalesce($5::timestamptz, 'infinity')
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $6::boolean THEN (SELECT count(*) FROM shown) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM shown
            WHERE (issued_at, invoice_id) < (
                coalesce($9::timestamptz, 'infinity'), coalesce($10::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY issued_at DESC, invoice_id DESC
            LIMIT $7 OFFSET $8
        ) AS page ON true
        ORDER BY page.issued_at DESC, page.invoice_id DESC
        """,
        account_id,
        sorted({stored for status in statuses for stored in _STORED.get(status, (status,))}),
        now,
        since,
        until,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
        list(statuses),
    )
    found = [read_invoice(row) for row in rows if row["invoice_id"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda invoice: (invoice.issued_at, invoice.invoice_id))


async def list_lines(
    connection: Connection, *, account_id: UUID, invoice_id: UUID, limit: int | None = None
) -> list[InvoiceLine]:
    """The lines of an invoice in its order, or the first of them."""
    rows = await connection.fetch(
        """
        SELECT ordinal, kind, item_kind, item, charge_resource_id AS resource_id, units, service_period, service, type, project_id,
            project_name, resource_name, region, description, quantity, unit, unit_price, amount_minor, unrounded
        FROM invoice_lines
        WHERE account_id = $1 AND invoice_id = $2
        ORDER BY ordinal
        LIMIT $3
        """,
        account_id,
        invoice_id,
        limit,
    )
    return [_line(row) for row in rows]


async def count_lines(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> int:
    """How many lines an invoice has."""
    return await connection.fetchval(
        "SELECT count(*) FROM invoice_lines WHERE account_id = $1 AND invoice_id = $2", account_id, invoice_id
    )


async def list_lines_page(
    connection: Connection, *, account_id: UUID, invoice_id: UUID, page: PageRequest
) -> Page[InvoiceLine]:
    """One page of the lines of an invoice, in its order."""
    rows = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT ordinal, kind, item_kind, item, charge_resource_id AS resource_id, units, service_period, service, type,
                project_id, project_name, resource_name, region, description, quantity, unit, unit_price, amount_minor, unrounded
            FROM invoice_lines
            WHERE account_id = $1 AND invoice_id = $2
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $3::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching WHERE ordinal > coalesce($6::integer, 0) ORDER BY ordinal LIMIT $4 OFFSET $5
        ) AS page ON true
        ORDER BY page.ordinal
        """,
        account_id,
        invoice_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(int),
    )
    found = [_line(row) for row in rows if row["ordinal"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda line: (line.ordinal,))


async def list_taxes(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> list[InvoiceTax]:
    """The taxes of an invoice, in its order."""
    rows = await connection.fetch(
        """
        SELECT name, percent, base_minor, amount_minor FROM invoice_taxes
        WHERE account_id = $1 AND invoice_id = $2
        ORDER BY ordinal
        """,
        account_id,
        invoice_id,
    )
    return [InvoiceTax(**dict(row)) for row in rows]


async def list_payments(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> list[InvoicePayment]:
    """What was set against an invoice, in its order."""
    rows = await connection.fetch(
        """
        SELECT ordinal, source, source_id, amount_minor, created_at FROM invoice_payments
        WHERE account_id = $1 AND invoice_id = $2
        ORDER BY ordinal
        """,
        account_id,
        invoice_id,
    )
    return [InvoicePayment(**dict(row)) for row in rows]


async def list_open_invoices(connection: Connection, *, account_id: UUID, currency: str) -> list[OpenInvoice]:
    """The account's invoices that still ask for money, the one that is due first first. The caller holds the account's head."""
    rows = await connection.fetch(
        """
        SELECT i.invoice_id, i.total_minor - s.paid_minor - s.credited_minor AS due_minor,
            1 + (SELECT count(*) FROM invoice_payments AS p WHERE p.account_id = i.account_id AND p.invoice_id = i.invoice_id)
                AS next_ordinal
        FROM invoices AS i
        JOIN invoice_states AS s ON s.account_id = i.account_id AND s.invoice_id = i.invoice_id
        WHERE i.account_id = $1 AND i.currency = $2 AND s.status = 'pending'
        ORDER BY i.due_at, i.issued_at, i.invoice_id
        """,
        account_id,
        currency,
    )
    return [OpenInvoice(**dict(row)) for row in rows]


async def insert_payment(
    connection: Connection, *, account_id: UUID, invoice_id: UUID, payment: InvoicePayment
) -> bool:
    """Note money that was set against an invoice; True if that pays it off."""
    return await connection.fetchval(
        """
        WITH paid AS (
            INSERT INTO invoice_payments (account_id, invoice_id, ordinal, source, source_id, amount_minor, created_at)
            VALUES ($1, $2, $3, $6, $7, $4, $5)
        )
        UPDATE invoice_states AS s SET paid_minor = s.paid_minor + $4,
            status = CASE WHEN s.paid_minor + s.credited_minor + $4 = i.total_minor THEN 'paid' ELSE s.status END,
            paid_at = CASE WHEN s.paid_minor + s.credited_minor + $4 = i.total_minor THEN $5 END
        FROM invoices AS i
        WHERE s.account_id = $1 AND s.invoice_id = $2 AND i.account_id = $1 AND i.invoice_id = $2
        RETURNING s.status = 'paid'
        """,
        account_id,
        invoice_id,
        payment.ordinal,
        payment.amount_minor,
        payment.created_at,
        payment.source,
        payment.source_id,
    )


async def list_preview_lines(
    connection: Connection, *, account_id: UUID, period: Period, as_of: datetime
) -> list[InvoiceLine]:
    """The lines that a bill of the month would have if it were made as things stand at an instant."""
    arguments = rating.charge_arguments(account_ids=[account_id], period=period, as_of=as_of, with_minimums=True)
    rows = await connection.fetch(_PREVIEW, *arguments)
    return [_line(row) for row in rows]


async def find_account(connection: Connection, *, invoice_id: UUID) -> UUID | None:
    """Whose a numbered document is, or None. Operators name it by its id alone."""
    return await connection.fetchval("SELECT account_id FROM invoice_numbers WHERE invoice_id = $1", invoice_id)


async def mark_ended(
    connection: Connection,
    *,
    account_id: UUID,
    invoice_id: UUID,
    status: Literal["void", "uncollectible"],
    now: datetime,
) -> None:
    """Note that an invoice was voided or written off."""
    await connection.execute(
        "UPDATE invoice_states SET status = $3, ended_at = $4 WHERE account_id = $1 AND invoice_id = $2",
        account_id,
        invoice_id,
        status,
        now,
    )


async def list_service_periods(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> list[Period]:
    """The months that an invoice's lines are for."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT service_period FROM invoice_lines
        WHERE account_id = $1 AND invoice_id = $2
        ORDER BY service_period
        """,
        account_id,
        invoice_id,
    )
    return [Period(row["service_period"].year, row["service_period"].month) for row in rows]
