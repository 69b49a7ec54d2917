"""Invoices put together: one with all its parts, a bill as it would be, the PDF."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billing import accounts, catalog, rating
from billing.core import ids
from billing.core.period import Period
from billing.invoices import pdf
from billing.invoices.model import Bill, Invoice, InvoiceLine, InvoicePayment, InvoiceTax
from billing.invoices.store import invoices as store

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

LINES_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class WholeInvoice:
    """An invoice with its parts; `lines` are the first of `lines_total`."""

    invoice: Invoice
    lines: list[InvoiceLine]
    lines_total: int
    taxes: list[InvoiceTax]
    payments: list[InvoicePayment]


async def get_whole(tx: Tx, *, account_id: UUID, invoice_id: UUID, lines_max: int | None = LINES_SHOWN) -> WholeInvoice:
    """An invoice with its parts. Raises NotFound."""
    key = {"account_id": account_id, "invoice_id": invoice_id}
    invoice = await store.get_invoice(tx.connection, **key)
    lines = await store.list_lines(tx.connection, account_id=account_id, invoice_id=invoice_id, limit=lines_max)
    is_cut = lines_max is not None and len(lines) == lines_max
    return WholeInvoice(
        invoice,
        lines,
        await store.count_lines(tx.connection, **key) if is_cut else len(lines),
        await store.list_taxes(tx.connection, **key),
        await store.list_payments(tx.connection, **key),
    )


async def get_pdf(database: Database, *, account_id: UUID, invoice_id: UUID) -> tuple[str, bytes, bytes]:
    """(number, PDF, its SHA-256) of a finalised invoice; the same bytes whenever it is asked for. Raises NotFound."""
    async with database.snapshot() as tx:
        whole = await get_whole(tx, account_id=account_id, invoice_id=invoice_id, lines_max=None)
    content = await asyncio.to_thread(pdf.render, _document(whole))
    digest = hashlib.sha256(content).digest()
    if whole.invoice.pdf_sha256 is None:
        async with database.transaction() as tx:
            await store.set_pdf_sha256(tx.connection, account_id=account_id, invoice_id=invoice_id, digest=digest)
    return whole.invoice.number, content, digest


async def preview(tx: Tx, *, account_id: UUID, period: Period) -> Bill:
    """The bill of a month as it stands: what a close would make of it now, without storing anything."""
    account = await accounts.get_account(tx.connection, account_id=account_id)
    lines = await store.list_preview_lines(
        tx.connection, account_id=account_id, period=period, as_of=min(tx.now, period.end)
    )
    rates = [] if account.country is None or account.tax_exempt else [account.country]
    subtotal_minor = sum(line.amount_minor for line in lines)
    taxes = [
        InvoiceTax(rate.name, rate.percent, subtotal_minor, rating.tax_minor(subtotal_minor, rate.percent))
        for rate in await catalog.list_tax_rates(tx.connection, at=tx.now.date(), countries=rates)
    ]
    return Bill(period, account.currency, lines, taxes)


def _document(whole: WholeInvoice) -> pdf.InvoiceDocument:
    """What the PDF says: everything as at issue; later payments are not on it."""
    invoice = whole.invoice
    sums_minor = accumulate(payment.amount_minor for payment in whole.payments)
    at_issue = [
        payment
        for payment, sum_minor in zip(whole.payments, sums_minor, strict=True)
        if sum_minor <= invoice.paid_at_issue_minor
    ]
    parties: dict[str, Any] = invoice.parties
    return pdf.InvoiceDocument(
        kind=invoice.kind,
        number=invoice.number,
        issuer=pdf.IssuerParty(**parties["issuer"]),
        account=pdf.AccountParty(**parties["account"]),
        issued_at=invoice.issued_at,
        time_zone=parties["time_zone"],
        currency=invoice.currency,
        lines=tuple(_document_line(line) for line in whole.lines),
        subtotal_minor=invoice.subtotal_minor,
        total_minor=invoice.total_minor,
        amount_due_minor=max(invoice.total_minor, 0) - invoice.paid_at_issue_minor,
        taxes=tuple(
            pdf.Tax(name=tax.name, percent=tax.percent, base_minor=tax.base_minor, amount_minor=tax.amount_minor)
            for tax in whole.taxes
        ),
        payments=tuple(
            pdf.PaymentAtIssue(source=payment.source, amount_minor=payment.amount_minor) for payment in at_issue
        ),
        due_date=invoice.due_at.date() if invoice.kind == "invoice" else None,
        period=invoice.period,
        template_version=parties["template_version"],
    )


def _document_line(line: InvoiceLine) -> pdf.DocumentLine:
    return pdf.DocumentLine(
        description=line.description,
        service=line.service,
        project=line.project_name,
        project_id=ids.encode("proj", line.project_id),
        region=line.region,
        quantity=Decimal(line.quantity),
        unit=line.unit,
        unit_price=line.unit_price,
        amount_minor=line.amount_minor,
    )
