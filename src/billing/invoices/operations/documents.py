"""The PDF of an invoice or credit note: made once, when it is first asked for, and kept."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from billing.core import ids
from billing.invoices import pdf
from billing.invoices.model import CreditNoteLine, Invoice, InvoiceLine, InvoiceTax
from billing.invoices.operations import reading
from billing.invoices.operations.reading import WholeCreditNote, WholeInvoice
from billing.invoices.store import closing, credit_notes, document_pdfs
from billing.invoices.store.document_pdfs import DocumentKind

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx


HISTORY_MONTHS = 6

Document = TypeVar("Document", bound=pdf.InvoiceDocument | pdf.ReceiptDocument)


@dataclass(frozen=True, slots=True)
class Pdf:
    """The PDF of a finalised document."""

    number: str
    content: bytes
    sha256: bytes


async def get_invoice_pdf(database: Database, *, account_id: UUID, invoice_id: UUID) -> Pdf:
    """The PDF of a finalised invoice, the same bytes whenever it is asked for. Raises NotFound."""

    async def read(tx: Tx) -> pdf.InvoiceDocument:
        whole = await reading.get_whole(tx, account_id=account_id, invoice_id=invoice_id, lines_max=None)
        return document_of(whole, history=await _list_history(tx, whole.invoice))

    return await get_pdf(database, read, account_id=account_id, document_id=invoice_id, kind="invoice")


async def get_credit_note_pdf(database: Database, *, account_id: UUID, credit_note_id: UUID) -> Pdf:
    """The PDF of an operator's credit note, the same bytes whenever it is asked for. Raises NotFound."""

    async def read(tx: Tx) -> pdf.InvoiceDocument:
        whole = await reading.get_whole_credit_note(tx, account_id=account_id, credit_note_id=credit_note_id)
        parties = await credit_notes.get_parties(tx.connection, account_id=account_id, credit_note_id=credit_note_id)
        return _credit_note_document(whole, parties)

    return await get_pdf(database, read, account_id=account_id, document_id=credit_note_id, kind="credit_note")


async def get_pdf(
    database: Database,
    read: Callable[[Tx], Awaitable[pdf.InvoiceDocument | pdf.ReceiptDocument]],
    *,
    account_id: UUID,
    document_id: UUID,
    kind: DocumentKind,
) -> Pdf:
    """A document's PDF as it is kept; if it was not made yet, of what `read` says. Raises NotFound."""
    key: dict[str, Any] = {"account_id": account_id, "document_id": document_id}
    async with database.reading() as tx:
        kept = await document_pdfs.get_pdf(tx.connection, **key, kind=kind)
    if kept.content is None:
        async with database.snapshot() as tx:
            document = await _with_logo(tx, await read(tx))
        content = await asyncio.to_thread(pdf.render, document)
        digest = hashlib.sha256(content).digest()
        async with database.transaction() as tx:
            await document_pdfs.insert_pdf(tx.connection, **key, content=content, sha256=digest, now=tx.now)
            kept = await document_pdfs.get_pdf(tx.connection, **key, kind=kind)
    assert kept.content is not None, "one that is kept stays"
    assert kept.sha256 is not None
    return Pdf(kept.number, kept.content, kept.sha256)


async def _with_logo(tx: Tx, document: Document) -> Document:
    """The document with the picture that its issuer had."""
    digest = document.issuer.logo_sha256
    if digest is None:
        return document
    return replace(document, logo=await closing.get_logo(tx.connection, sha256=bytes.fromhex(digest)))


async def _list_history(tx: Tx, invoice: Invoice) -> tuple[pdf.MonthCost, ...]:
    """What the invoice's month and the five before it had cost by the time of its issue; nothing for a credit note."""
    if invoice.kind == "credit_note":
        return ()
    first = invoice.period
    for _ in range(HISTORY_MONTHS - 1):
        first = first.previous()
    found = await document_pdfs.list_service_costs(tx.connection, invoice=invoice, first=first)
    months: list[pdf.MonthCost] = []
    while first <= invoice.period:
        months.append(pdf.MonthCost(period=first, costs_minor=tuple(found.get(first, ()))))
        first = first.next()
    return tuple(months)


def document_of(whole: WholeInvoice, *, history: tuple[pdf.MonthCost, ...] = ()) -> pdf.InvoiceDocument:
    """What the PDF of an invoice says: everything as at issue; later payments are not on it."""
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
        account=account_party(parties),
        issued_at=invoice.issued_at,
        time_zone=parties["time_zone"],
        currency=invoice.currency,
        lines=tuple(_document_line(line) for line in whole.lines),
        subtotal_minor=invoice.subtotal_minor,
        total_minor=invoice.total_minor,
        amount_due_minor=max(invoice.total_minor, 0) - invoice.paid_at_issue_minor,
        taxes=tuple(_document_tax(tax) for tax in whole.taxes),
        payments=tuple(
            pdf.PaymentAtIssue(source=payment.source, amount_minor=payment.amount_minor) for payment in at_issue
        ),
        due_date=invoice.due_at.date() if invoice.kind == "invoice" else None,
        period=invoice.period,
        history=history,
        template_version=parties["template_version"],
    )


def _credit_note_document(whole: WholeCreditNote, parties: dict[str, Any]) -> pdf.InvoiceDocument:
    """What the PDF of an operator's credit note says. Amounts are below 0, as on a credit note that a close makes."""
    note = whole.note
    return pdf.InvoiceDocument(
        kind="credit_note",
        number=note.number,
        issuer=pdf.IssuerParty(**parties["issuer"]),
        account=account_party(parties),
        issued_at=note.issued_at,
        time_zone=parties["time_zone"],
        currency=note.currency,
        lines=tuple(_credited_line(line, whole) for line in whole.lines),
        subtotal_minor=-note.net_minor,
        total_minor=-note.total_minor,
        amount_due_minor=0,
        taxes=tuple(_document_tax(tax, sign=-1) for tax in whole.taxes),
        period=whole.invoice.period,
        corrects=whole.invoice.number,
        reason=note.reason,
        template_version=parties["template_version"],
    )


def account_party(parties: dict[str, Any]) -> pdf.AccountParty:
    """Who is billed, with the country's name in place of its code."""
    from babel import Locale  # noqa: PLC0415  slow to import, and only for documents

    names = cast("Mapping[str, str]", Locale("en").territories)
    party = pdf.AccountParty(**parties["account"])
    return replace(party, country=names.get(party.country or "", party.country))


def _document_tax(tax: InvoiceTax, *, sign: int = 1) -> pdf.Tax:
    return pdf.Tax(
        name=tax.name,
        percent=tax.percent,
        base_minor=sign * tax.base_minor,
        amount_minor=sign * tax.amount_minor,
    )


def _document_line(line: InvoiceLine) -> pdf.DocumentLine:
    return pdf.DocumentLine(
        kind="usage" if line.kind == "usage" else "other",
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


def _credited_line(line: CreditNoteLine, whole: WholeCreditNote) -> pdf.DocumentLine:
    number = whole.invoice.number
    return pdf.DocumentLine(
        kind="other",
        description=f"Credit for invoice {number}" if line.description is None else f"Credit: {line.description}",
        service=line.service or "credit",
        project=line.project_name or f"Invoice {number}",
        project_id="" if line.project_id is None else ids.encode("proj", line.project_id),
        region=line.region or "",
        quantity=Decimal(1),
        unit="credit",
        unit_price=None,
        amount_minor=-line.amount_minor,
    )
