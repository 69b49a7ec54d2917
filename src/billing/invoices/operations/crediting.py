"""Credit notes: what an operator takes back of an issued invoice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger
from billing.core import ids
from billing.invoices import rules
from billing.invoices.model import CreditNote, CreditNoteExceedsInvoice, Invoice, InvoiceKey, InvoiceNotPayable
from billing.invoices.operations.collecting import WALLET_CREDITED
from billing.invoices.operations.ending import hold_invoice
from billing.invoices.store import credit_notes, invoices
from billing.kit import outbox

if TYPE_CHECKING:
    from billing.kit.db import Tx

Parts = Sequence[tuple[int | None, int]]  # an invoice line's ordinal, or None for the whole; net minor units


async def credit_amount(tx: Tx, *, invoice_id: UUID, gross_minor: int | None, reason: str) -> CreditNote:
    """Take back a gross amount of an invoice, or all that is left of it. Taxes share in it as they do in the invoice."""
    invoice = await hold_invoice(tx, invoice_id)
    left_minor = await _left_minor(tx, invoice)
    wanted_minor = left_minor if gross_minor is None else gross_minor
    taxes = await invoices.list_taxes(tx.connection, account_id=invoice.account_id, invoice_id=invoice_id)
    taxes_minor = rules.tax_parts(wanted_minor, total_minor=invoice.total_minor, taxes=taxes)
    net_minor = wanted_minor - sum(taxes_minor.values())
    return await _issue(tx, invoice, [(None, net_minor)], taxes_minor, left_minor=left_minor, reason=reason)


async def credit_lines(tx: Tx, *, invoice_id: UUID, parts: Sequence[tuple[int, int]], reason: str) -> CreditNote:
    """Take back net amounts of lines, given as (ordinal, minor units), with the taxes of the invoice on their sum."""
    invoice = await hold_invoice(tx, invoice_id)
    left_minor = await _left_minor(tx, invoice)
    key: InvoiceKey = {"account_id": invoice.account_id, "invoice_id": invoice_id}
    amounts_minor = {line.ordinal: line.amount_minor for line in await invoices.list_lines(tx.connection, **key)}
    for ordinal, minor in parts:
        if minor > amounts_minor.get(ordinal, 0):
            raise CreditNoteExceedsInvoice(details={"line": ordinal})
    net_minor = sum(minor for _, minor in parts)
    taxes = await invoices.list_taxes(tx.connection, **key)
    taxes_minor = {tax.name: rules.tax_of(net_minor, tax) for tax in taxes}
    return await _issue(tx, invoice, parts, taxes_minor, left_minor=left_minor, reason=reason)


async def _left_minor(tx: Tx, invoice: Invoice) -> int:
    """What is left of an invoice to be credited. Raises InvoiceNotPayable for one that was voided or written off."""
    if invoice.kind != "invoice" or invoice.status not in {"pending", "paid"}:
        raise InvoiceNotPayable(details={"status": invoice.status_at(tx.now)})
    notes = await credit_notes.list_credit_notes(
        tx.connection, account_id=invoice.account_id, invoice_id=invoice.invoice_id
    )
    return invoice.total_minor - sum(note.total_minor for note in notes)


async def _issue(
    tx: Tx, invoice: Invoice, parts: Parts, taxes_minor: dict[str, int], *, left_minor: int, reason: str
) -> CreditNote:
    net_minor, tax_minor = sum(minor for _, minor in parts), sum(taxes_minor.values())
    total_minor = net_minor + tax_minor
    if not 0 < total_minor <= left_minor:
        raise CreditNoteExceedsInvoice(details={"left_minor": left_minor})
    credit_note_id = tx.new_id()
    account_id = invoice.account_id
    note = CreditNote(
        account_id=account_id,
        credit_note_id=credit_note_id,
        invoice_id=invoice.invoice_id,
        number=await credit_notes.allot_number(
            tx.connection, account_id=account_id, credit_note_id=credit_note_id, now=tx.now
        ),
        currency=invoice.currency,
        net_minor=net_minor,
        tax_minor=tax_minor,
        total_minor=total_minor,
        returned_minor=max(total_minor - invoice.due_minor, 0),
        reason=reason,
        issued_at=tx.now,
    )
    await credit_notes.insert_credit_note(tx.connection, note, parts=[part for part in parts if part[1] > 0])
    await credit_notes.lower_due(
        tx.connection,
        account_id=account_id,
        invoice_id=invoice.invoice_id,
        amount_minor=total_minor - note.returned_minor,
        now=tx.now,
    )
    await _post(tx, note, taxes_minor)
    return note


async def _post(tx: Tx, note: CreditNote, taxes_minor: dict[str, int]) -> None:
    transfers = ledger.credit_note_issued(
        account_id=note.account_id,
        credit_note_id=note.credit_note_id,
        currency=note.currency,
        net_minor=note.net_minor,
        taxes_minor=taxes_minor,
        at=tx.now,
    )
    if note.returned_minor:
        transfers.append(
            ledger.credit_note_returned(
                account_id=note.account_id,
                credit_note_id=note.credit_note_id,
                currency=note.currency,
                amount_minor=note.returned_minor,
                at=tx.now,
            )
        )
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)
    await outbox.publish(
        tx,
        account_id=note.account_id,
        type=WALLET_CREDITED if note.returned_minor else "credit_note.issued",
        object_id=ids.encode("cn", note.credit_note_id),
        payload={"number": note.number},
    )
