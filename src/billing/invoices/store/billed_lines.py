"""Lines of finalised documents as parts of charges: what one says, and what was said of its charge until then."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.errors import NotFound
from billing.core.period import Period
from billing.invoices.model import BilledLine, InvoiceLine

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def get_billed_line(connection: Connection, *, account_id: UUID, invoice_id: UUID, ordinal: int) -> BilledLine:
    """A line of a finalised invoice or credit note. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT l.*, i.number, closes.period AS document_period, closes.rated_at,
            coalesce(corrections.version, closes.version) AS seen_version
        FROM invoice_lines AS l
        JOIN invoices AS i ON i.account_id = l.account_id AND i.invoice_id = l.invoice_id
        JOIN closes ON closes.account_id = i.account_id AND closes.period = i.period
        LEFT JOIN close_corrections AS corrections ON corrections.account_id = closes.account_id
            AND corrections.period = closes.period AND corrections.corrected_period = l.service_period
        WHERE l.account_id = $1 AND l.invoice_id = $2 AND l.ordinal = $3
        """,
        account_id,
        invoice_id,
        ordinal,
    )
    if row is None:
        raise NotFound
    return _billed_line(row)


async def list_lines_of_charge(connection: Connection, *, account_id: UUID, line: BilledLine) -> list[BilledLine]:
    """What was said of a line's charge up to its own document, by document and place; voided ones no longer counted then.

    A draft is not among them.
    """
    rows = await connection.fetch(
        """
        SELECT l.*, i.number, closes.period AS document_period, closes.rated_at,
            coalesce(corrections.version, closes.version) AS seen_version
        FROM invoice_lines AS l
        JOIN invoices AS i ON i.account_id = l.account_id AND i.invoice_id = l.invoice_id
        JOIN invoice_states AS s ON s.account_id = l.account_id AND s.invoice_id = l.invoice_id
        JOIN closes ON closes.account_id = i.account_id AND closes.period = i.period
        LEFT JOIN close_corrections AS corrections ON corrections.account_id = closes.account_id
            AND corrections.period = closes.period AND corrections.corrected_period = l.service_period
        WHERE l.account_id = $1 AND l.service_period = $2 AND l.price_id = $3 AND l.charge_kind = $4
            AND l.charge_resource_id = $5 AND l.units = $6 AND i.period <= $7
            AND (i.invoice_id = $8 OR s.status <> 'void' OR s.ended_at > $9)
        ORDER BY i.period, l.ordinal
        """,
        account_id,
        line.line.service_period.start_date,
        line.price_id,
        line.charge_kind,
        line.line.resource_id,
        line.line.units,
        line.document_period.start_date,
        line.invoice_id,
        line.rated_at,
    )
    return [_billed_line(row) for row in rows]


def _billed_line(row: asyncpg.Record) -> BilledLine:
    service_period, document_period = row["service_period"], row["document_period"]
    return BilledLine(
        invoice_id=row["invoice_id"],
        number=row["number"],
        document_period=Period(document_period.year, document_period.month),
        rated_at=row["rated_at"],
        seen_version=row["seen_version"],
        price_id=row["price_id"],
        charge_kind=row["charge_kind"],
        line=InvoiceLine(
            ordinal=row["ordinal"],
            kind=row["kind"],
            item_kind=row["item_kind"],
            item=row["item"],
            resource_id=row["charge_resource_id"],
            units=row["units"],
            service_period=Period(service_period.year, service_period.month),
            service=row["service"],
            type=row["type"],
            project_id=row["project_id"],
            project_name=row["project_name"],
            resource_name=row["resource_name"],
            region=row["region"],
            description=row["description"],
            quantity=row["quantity"],
            unit=row["unit"],
            unit_price=row["unit_price"],
            amount_minor=row["amount_minor"],
            unrounded=row["unrounded"],
        ),
    )
