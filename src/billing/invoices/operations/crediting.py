"""Credit notes: what an operator takes back of an issued invoice.

What is open of the invoice goes first. What was paid goes back where it came from, last payment first: money into the wallet
(kind credit) or on to the gateways (kind refund), promotional credit to its grant, never out as money.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from billing import ledger, payments
from billing.core import ids, money
from billing.invoices import rules
from billing.invoices.model import (
    DEFAULT_ISSUER,
    UNNAMED_ISSUER,
    Credited,
    CreditNote,
    CreditNoteExceedsInvoice,
    Invoice,
    InvoiceKey,
    InvoiceNotPayable,
    InvoiceTax,
)
from billing.invoices.operations import telling
from billing.invoices.operations.collecting import WALLET_CREDITED
from billing.invoices.operations.ending import hold_invoice
from billing.invoices.pdf import TEMPLATE_VERSION
from billing.invoices.store import closing, credit_notes, invoices
from billing.kit import outbox

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

Parts = Sequence[tuple[int | None, int]]  # an invoice line's ordinal, or None for the whole; net minor units


class Terms(TypedDict):
    """What every credit note has: its invoice, why, and the gateway that pays back (None: into the wallet)."""

    invoice_id: UUID
    reason: str
    refund_by: payments.Gateway | None


async def credit_amount(
    tx: Tx, *, invoice_id: UUID, gross_minor: int | None, reason: str, refund_by: payments.Gateway | None = None
) -> CreditNote:
    """Take back a gross amount of an invoice, or all that is left of it. Taxes share in it as they do in the invoice.

    With `refund_by` the money that was paid goes on to that gateway: its refunds are then pending. Raises NotFound,
    InvoiceNotPayable, CreditNoteExceedsInvoice, PaymentsNotRefundable.
    """
    invoice, taxes, credited = await _standing(tx, invoice_id)
    left_minor = invoice.total_minor - credited.total_minor
    wanted_minor = left_minor if gross_minor is None else gross_minor
    if not 0 < wanted_minor <= left_minor:
        raise _exceeds(invoice, left_minor)
    net_minor, taxes_minor = rules.split_gross(wanted_minor, invoice=invoice, taxes=taxes, credited=credited)
    return await _issue(
        tx,
        invoice,
        parts=[(None, net_minor)],
        taxes=taxes,
        taxes_minor=taxes_minor,
        earlier_minor=credited.given_back_minor,
        reason=reason,
        refund_by=refund_by,
    )


async def credit_lines(
    tx: Tx,
    *,
    invoice_id: UUID,
    parts: Sequence[tuple[int, int]],
    reason: str,
    refund_by: payments.Gateway | None = None,
) -> CreditNote:
    """Take back net amounts of lines, given as (ordinal, minor units), with the taxes of the invoice on their sum.

    Otherwise as `credit_amount`.
    """
    invoice, taxes, credited = await _standing(tx, invoice_id)
    key: InvoiceKey = {"account_id": invoice.account_id, "invoice_id": invoice_id}
    amounts_minor = {line.ordinal: line.amount_minor for line in await invoices.list_lines(tx.connection, **key)}
    for ordinal, minor in parts:
        left_minor = amounts_minor.get(ordinal, 0) - credited.lines_minor.get(ordinal, 0)
        if minor > left_minor:
            raise CreditNoteExceedsInvoice(
                details={
                    "line": ids.encode_part("line", invoice_id, 1, ordinal),
                    "left": money.to_major(max(left_minor, 0), invoice.currency),
                    "currency": invoice.currency,
                }
            )
    net_minor = sum(minor for _, minor in parts)
    taxes_minor = rules.taxes_on(net_minor, taxes=taxes, credited=credited)
    left_minor = invoice.total_minor - credited.total_minor
    if net_minor > invoice.subtotal_minor - credited.net_minor or net_minor + sum(taxes_minor.values()) > left_minor:
        raise _exceeds(invoice, left_minor)
    return await _issue(
        tx,
        invoice,
        parts=parts,
        taxes=taxes,
        taxes_minor=taxes_minor,
        earlier_minor=credited.given_back_minor,
        reason=reason,
        refund_by=refund_by,
    )


async def pay_back(
    database: Database, gateway: payments.Gateway, *, account_id: UUID, credit_note_id: UUID
) -> list[payments.Refund]:
    """Ask the gateway for what is pending of a credit note's refunds; no answer leaves one pending, to be asked for later.

    Harmless to call again. What the gateway declines is in the wallet then.
    """
    async with database.reading() as tx:
        started = await payments.list_refunds_of_credit_note(
            tx.connection, account_id=account_id, credit_note_id=credit_note_id
        )
    return [await payments.refund(database, gateway, account_id=account_id, refund_id=one.refund_id) for one in started]


async def _standing(tx: Tx, invoice_id: UUID) -> tuple[Invoice, list[InvoiceTax], Credited]:
    """An invoice with its taxes and what was taken back of it, its account's books held.

    Raises NotFound, InvoiceNotPayable for one that was voided or written off.
    """
    invoice = await hold_invoice(tx, invoice_id)
    if invoice.kind != "invoice" or invoice.status not in {"pending", "paid"}:
        raise InvoiceNotPayable(details={"status": invoice.status_at(tx.now)})
    key: InvoiceKey = {"account_id": invoice.account_id, "invoice_id": invoice_id}
    return (
        invoice,
        await invoices.list_taxes(tx.connection, **key),
        await credit_notes.get_credited(tx.connection, **key),
    )


def _exceeds(invoice: Invoice, left_minor: int) -> CreditNoteExceedsInvoice:
    return CreditNoteExceedsInvoice(
        details={"left": money.to_major(left_minor, invoice.currency), "currency": invoice.currency}
    )


async def _issue(
    tx: Tx,
    invoice: Invoice,
    *,
    parts: Parts,
    taxes: Sequence[InvoiceTax],
    taxes_minor: dict[str, int],
    earlier_minor: int,
    reason: str,
    refund_by: payments.Gateway | None,
) -> CreditNote:
    """Number, store and post the credit note; `earlier_minor` is what earlier ones gave back."""
    account_id, credit_note_id = invoice.account_id, tx.new_id()
    net_minor, tax_minor = sum(minor for _, minor in parts), sum(taxes_minor.values())
    paid = await invoices.list_payments(tx.connection, account_id=account_id, invoice_id=invoice.invoice_id)
    money_minor, credits_minor = rules.give_back(
        max(net_minor + tax_minor - invoice.due_minor, 0), payments=paid, earlier_minor=earlier_minor
    )
    number, issued_at = await credit_notes.allot_number(
        tx.connection, account_id=account_id, credit_note_id=credit_note_id, now=tx.now
    )
    note = CreditNote(
        account_id=account_id,
        credit_note_id=credit_note_id,
        invoice_id=invoice.invoice_id,
        kind="credit" if refund_by is None else "refund",
        number=number,
        currency=invoice.currency,
        net_minor=net_minor,
        tax_minor=tax_minor,
        total_minor=net_minor + tax_minor,
        restored_minor=sum(credits_minor.values()),
        returned_minor=money_minor if refund_by is None else 0,
        refunded_minor=0 if refund_by is None else money_minor,
        reason=reason,
        issued_at=issued_at,
    )
    is_paid = await _write_down(tx, note, parts=parts, taxes=taxes, taxes_minor=taxes_minor)
    await _post(tx, note, taxes_minor, money_minor=money_minor, credits_minor=credits_minor)
    await telling.tell_credit_note(tx, note, invoice=invoice)
    if is_paid and invoice.status != "paid":
        paid = await invoices.get_invoice(tx.connection, account_id=account_id, invoice_id=invoice.invoice_id)
        await telling.tell(tx, paid, "invoice.paid")
    if refund_by is not None and note.refunded_minor:
        await _start_refunds(tx, note, refund_by)
    return note


async def _start_refunds(tx: Tx, note: CreditNote, gateway: payments.Gateway) -> None:
    await payments.start_refunds(
        tx,
        gateway=gateway,
        account_id=note.account_id,
        currency=note.currency,
        amount_minor=note.refunded_minor,
        credit_note_id=note.credit_note_id,
        invoice_id=note.invoice_id,
        reason=note.reason,
    )


async def _write_down(
    tx: Tx, note: CreditNote, *, parts: Parts, taxes: Sequence[InvoiceTax], taxes_minor: dict[str, int]
) -> bool:
    """Store the document, and let its invoice ask for that much less; True if that leaves nothing to ask for."""
    await credit_notes.insert_credit_note(
        tx.connection,
        note,
        issuer=await closing.find_issuer(tx.connection, name=DEFAULT_ISSUER) or UNNAMED_ISSUER,
        template_version=TEMPLATE_VERSION,
    )
    await credit_notes.insert_parts(
        tx.connection,
        note,
        parts=[part for part in parts if part[1] > 0],
        percents={tax.name: tax.percent for tax in taxes},
        taxes_minor=taxes_minor,
    )
    return await credit_notes.lower_due(
        tx.connection,
        account_id=note.account_id,
        invoice_id=note.invoice_id,
        amount_minor=note.lowered_minor,
        now=tx.now,
    )


async def _post(
    tx: Tx, note: CreditNote, taxes_minor: dict[str, int], *, money_minor: int, credits_minor: dict[UUID, int]
) -> None:
    transfers = ledger.credit_note_issued(
        account_id=note.account_id,
        credit_note_id=note.credit_note_id,
        currency=note.currency,
        net_minor=note.net_minor,
        taxes_minor=taxes_minor,
        at=tx.now,
    )
    places = [(ledger.WALLET_CASH, money_minor), *((ledger.promo(one), minor) for one, minor in credits_minor.items())]
    transfers += [
        ledger.credit_note_returned(
            account_id=note.account_id,
            credit_note_id=note.credit_note_id,
            ordinal=ordinal,
            destination=destination,
            currency=note.currency,
            amount_minor=minor,
            at=tx.now,
        )
        for ordinal, (destination, minor) in enumerate(places)
        if minor
    ]
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)
    if note.returned_minor:
        await outbox.publish(
            tx, account_id=note.account_id, type=WALLET_CREDITED, object_id=str(note.credit_note_id), payload={}
        )
