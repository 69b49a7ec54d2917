"""Documents put together: an invoice or credit note with all its parts, a bill as it would be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from billing import accounts, catalog, payments, rating
from billing.core.errors import NotFound
from billing.core.period import Period
from billing.invoices.model import (
    Bill,
    Credited,
    CreditNote,
    CreditNoteKey,
    CreditNoteLine,
    Invoice,
    InvoiceKey,
    InvoiceLine,
    InvoicePayment,
    InvoiceTax,
)
from billing.invoices.store import credit_notes
from billing.invoices.store import invoices as store

if TYPE_CHECKING:
    from billing.kit.db import Tx

LINES_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class WholeInvoice:
    """An invoice with its parts; `lines` are the first of `lines_total`."""

    invoice: Invoice
    lines: list[InvoiceLine]
    lines_total: int
    taxes: list[InvoiceTax]
    payments: list[InvoicePayment]
    credit_notes: list[CreditNote]


@dataclass(frozen=True, slots=True)
class WholeCreditNote:
    """An operator's credit note with its invoice, its parts, and the refunds that it started."""

    note: CreditNote
    invoice: Invoice
    lines: list[CreditNoteLine]
    taxes: list[InvoiceTax]
    refunds: list[payments.Refund]


@dataclass(frozen=True, slots=True)
class CreditNoteBasis:
    """What a credit note started from: the invoice's taxes, and what credit notes before it had taken back."""

    taxes: list[InvoiceTax]
    credited: Credited


async def get_whole(tx: Tx, *, account_id: UUID, invoice_id: UUID, lines_max: int | None = LINES_SHOWN) -> WholeInvoice:
    """An invoice with its parts. Raises NotFound."""
    key: InvoiceKey = {"account_id": account_id, "invoice_id": invoice_id}
    invoice = await store.get_invoice(tx.connection, **key)
    lines = await store.list_lines(tx.connection, account_id=account_id, invoice_id=invoice_id, limit=lines_max)
    is_cut = lines_max is not None and len(lines) == lines_max
    return WholeInvoice(
        invoice,
        lines,
        await store.count_lines(tx.connection, **key) if is_cut else len(lines),
        await store.list_taxes(tx.connection, **key),
        await store.list_payments(tx.connection, **key),
        await credit_notes.list_credit_notes(tx.connection, **key),
    )


async def get_numbered_invoice(tx: Tx, *, invoice_id: UUID) -> Invoice:
    """A finalised invoice that an operator names by its id alone. Raises NotFound."""
    account_id = await store.find_account(tx.connection, invoice_id=invoice_id)
    if account_id is None:
        raise NotFound
    return await store.get_invoice(tx.connection, account_id=account_id, invoice_id=invoice_id)


async def find_credit_note(tx: Tx, *, credit_note_id: UUID) -> CreditNoteKey:
    """The key of a credit note that an operator names by its id alone. Raises NotFound."""
    account_id = await store.find_account(tx.connection, invoice_id=credit_note_id)
    if account_id is None:
        raise NotFound
    return {"account_id": account_id, "credit_note_id": credit_note_id}


async def get_whole_credit_note(tx: Tx, *, account_id: UUID, credit_note_id: UUID) -> WholeCreditNote:
    """A credit note of an operator with its parts. Raises NotFound."""
    key: CreditNoteKey = {"account_id": account_id, "credit_note_id": credit_note_id}
    note = await credit_notes.get_credit_note(tx.connection, **key)
    return WholeCreditNote(
        note,
        await store.get_invoice(tx.connection, account_id=account_id, invoice_id=note.invoice_id),
        await credit_notes.list_parts(tx.connection, **key),
        await credit_notes.list_taxes(tx.connection, **key),
        await payments.list_refunds_of_credit_note(tx.connection, **key),
    )


async def get_basis(tx: Tx, *, note: CreditNote) -> CreditNoteBasis:
    """What an operator's credit note started from."""
    key: InvoiceKey = {"account_id": note.account_id, "invoice_id": note.invoice_id}
    return CreditNoteBasis(
        await store.list_taxes(tx.connection, **key),
        await credit_notes.get_credited(tx.connection, **key, before=note.credit_note_id),
    )


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
