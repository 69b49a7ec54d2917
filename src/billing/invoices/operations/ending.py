"""Ends of an invoice other than payment: void, and written off. Both are the operator's decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger, metering
from billing.core.errors import NotFound
from billing.invoices.model import Invoice, InvoiceKey, InvoiceNotPayable, InvoiceNotVoidable, InvoicePayment
from billing.invoices.operations import telling
from billing.invoices.operations.collecting import WALLET_CREDITED
from billing.invoices.store import credit_notes
from billing.invoices.store import invoices as store
from billing.kit import outbox

if TYPE_CHECKING:
    from billing.kit.db import Tx


async def void(tx: Tx, *, invoice_id: UUID) -> Invoice:
    """Take an invoice back whole: nothing is owed on it, what was paid returns to where it came from, its number stays.

    Its months become dirty: the next close bills what they cost again. Raises NotFound, InvoiceNotVoidable.
    """
    invoice = await hold_invoice(tx, invoice_id)
    if invoice.kind != "invoice" or invoice.status not in {"pending", "paid"}:
        raise InvoiceNotVoidable(details={"status": invoice.status_at(tx.now), "kind": invoice.kind})
    key: InvoiceKey = {"account_id": invoice.account_id, "invoice_id": invoice_id}
    if (await credit_notes.get_credited(tx.connection, **key)).total_minor:
        raise InvoiceNotVoidable("An invoice with credit notes cannot be voided; credit the rest of it")
    taxes = await store.list_taxes(tx.connection, **key)
    payments = await store.list_payments(tx.connection, **key)
    transfers = ledger.invoice_voided(
        **key,
        currency=invoice.currency,
        net_minor=invoice.subtotal_minor,
        taxes_minor={tax.name: tax.amount_minor for tax in taxes},
        at=tx.now,
    )
    transfers += [_returned(invoice, payment, tx) for payment in payments]
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)
    await store.mark_ended(tx.connection, **key, status="void", now=tx.now)
    periods = await store.list_service_periods(tx.connection, **key)
    await metering.touch(tx.connection, account_id=invoice.account_id, periods=periods, now=tx.now)
    voided = await store.get_invoice(tx.connection, **key)
    await telling.tell(tx, voided, "invoice.voided")
    if payments:
        await outbox.publish(
            tx, account_id=invoice.account_id, type=WALLET_CREDITED, object_id=str(invoice_id), payload={}
        )
    return voided


async def write_off(tx: Tx, *, invoice_id: UUID) -> Invoice:
    """Give up what an invoice still asks for. Raises NotFound, InvoiceNotPayable when it asks for nothing."""
    invoice = await hold_invoice(tx, invoice_id)
    if invoice.status != "pending":
        raise InvoiceNotPayable(details={"status": invoice.status_at(tx.now)})
    key: InvoiceKey = {"account_id": invoice.account_id, "invoice_id": invoice_id}
    transfer = ledger.invoice_written_off(**key, currency=invoice.currency, amount_minor=invoice.due_minor, at=tx.now)
    await ledger.post(tx.connection, transfer, recorded_at=tx.now)
    await store.mark_ended(tx.connection, **key, status="uncollectible", now=tx.now)
    written_off = await store.get_invoice(tx.connection, **key)
    await telling.tell(tx, written_off, "invoice.written_off")
    return written_off


async def hold_invoice(tx: Tx, invoice_id: UUID) -> Invoice:
    """The invoice, with its account's books held until the transaction ends. Raises NotFound."""
    account_id = await store.find_account(tx.connection, invoice_id=invoice_id)
    if account_id is None:
        raise NotFound
    await ledger.lock_head(tx.connection, account_id=account_id)
    return await store.get_invoice(tx.connection, account_id=account_id, invoice_id=invoice_id)


def _returned(invoice: Invoice, payment: InvoicePayment, tx: Tx) -> ledger.Transfer:
    is_credit = payment.source == "credit" and payment.source_id is not None
    return ledger.invoice_payment_returned(
        account_id=invoice.account_id,
        invoice_id=invoice.invoice_id,
        ordinal=payment.ordinal,
        destination=ledger.promo(payment.source_id) if is_credit and payment.source_id else ledger.WALLET_CASH,
        currency=invoice.currency,
        amount_minor=payment.amount_minor,
        at=tx.now,
    )
