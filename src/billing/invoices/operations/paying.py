"""Paying one invoice: promotional credit, then cash, then a payment method. Intent ‖ gateway ‖ outcome (‖ = commit)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger, payments, wallets
from billing.core import money
from billing.core.errors import NotFound
from billing.invoices.model import Invoice, InvoiceKey, InvoiceNotPayable, OpenInvoice
from billing.invoices.operations import collecting
from billing.invoices.operations.credits import limit_credits
from billing.invoices.store import invoices as store
from billing.invoices.store import paying

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx


async def start(
    tx: Tx, *, gateway: payments.Gateway, account_id: UUID, invoice_id: UUID, payment_method_id: UUID | None = None
) -> payments.Payment | None:
    """Set credit and cash against an invoice and make the intent of charging the rest; None when there is no rest.

    The rest is asked of the payment method that is named, else of the default one. Raises NotFound for an invoice or method
    that the account does not have, InvoiceNotPayable, InsufficientBalance where there is no payment method.
    """
    await ledger.lock_head(tx.connection, account_id=account_id)
    key: InvoiceKey = {"account_id": account_id, "invoice_id": invoice_id}
    invoice = await _get_payable(tx, key)
    method = (
        await payments.find_default_method(tx.connection, account_id=account_id)
        if payment_method_id is None
        else await payments.get_method(tx.connection, account_id=account_id, payment_method_id=payment_method_id)
    )
    await wallets.release_expired(tx, account_id=account_id)
    await collecting.pay_owed(tx, account_id=account_id, currency=invoice.currency)
    await collecting.collect_made_for_invoices(tx, account_id=account_id, currency=invoice.currency)
    asked = await paying.get_open_invoice(tx.connection, **key)
    if asked.due_minor == 0:
        raise InvoiceNotPayable(details={"status": "paid"})
    rest = await _spend_cash(tx, invoice, await _spend_credits(tx, invoice, asked))
    if rest.due_minor == 0:
        return None
    if method is None:
        raise ledger.InsufficientBalance(
            details={
                "required": money.to_major(asked.due_minor, invoice.currency),
                "available": money.to_major(asked.due_minor - rest.due_minor, invoice.currency),
                "currency": invoice.currency,
            }
        )
    return await payments.start_invoice_payment(
        tx,
        gateway=gateway,
        method=method,
        invoice_id=invoice_id,
        number=invoice.number,
        currency=invoice.currency,
        amount_minor=rest.due_minor,
    )


async def charge(
    database: Database, gateway: payments.Gateway, *, account_id: UUID, payment_id: UUID
) -> payments.Payment:
    """Ask the gateway for a started payment and set what it gave against its invoice; harmless to call again.

    What the outcome does not do here, the payment's outbox event does.
    """
    payment = await payments.charge(database, gateway, account_id=account_id, payment_id=payment_id)
    if payment.status == "completed":
        async with database.transaction() as tx:
            await collecting.acknowledge(tx, account_id=account_id, payment_id=payment_id, currency=payment.currency)
    return payment


async def _get_payable(tx: Tx, key: InvoiceKey) -> Invoice:
    try:
        invoice = await store.get_invoice(tx.connection, **key)
    except NotFound:
        if await paying.is_draft(tx.connection, **key):
            raise InvoiceNotPayable(details={"status": "draft"}) from None
        raise
    if invoice.kind != "invoice" or invoice.status != "pending":
        raise InvoiceNotPayable(details={"status": invoice.status_at(tx.now)})
    under_way = await payments.find_under_way(tx.connection, **key)
    if under_way is not None:
        raise InvoiceNotPayable(
            "A payment of this invoice is under way",
            details={"status": invoice.status_at(tx.now), "transaction_id": under_way.transaction_id},
        )
    return invoice


async def _spend_credits(tx: Tx, invoice: Invoice, asked: OpenInvoice) -> OpenInvoice:
    key: InvoiceKey = {"account_id": invoice.account_id, "invoice_id": invoice.invoice_id}
    usable = await paying.list_usable_credits(tx.connection, **key)
    if not usable:
        return asked
    limits_minor = await limit_credits(tx, account_ids=[invoice.account_id], period=invoice.period)
    for credit in usable:
        most_minor = limits_minor.get((invoice.invoice_id, credit.credit_id), invoice.total_minor) - credit.used_minor
        amount_minor = min(credit.balance_minor, most_minor, asked.due_minor)
        if amount_minor > 0:
            asked = await collecting.set_against(
                tx,
                account_id=invoice.account_id,
                currency=invoice.currency,
                invoice=asked,
                source="credit",
                source_id=credit.credit_id,
                amount_minor=amount_minor,
            )
    return asked


async def _spend_cash(tx: Tx, invoice: Invoice, asked: OpenInvoice) -> OpenInvoice:
    cash_minor = await collecting.get_cash(tx, account_id=invoice.account_id, currency=invoice.currency)
    amount_minor = min(cash_minor, asked.due_minor)
    if amount_minor <= 0:
        return asked
    return await collecting.set_against(
        tx,
        account_id=invoice.account_id,
        currency=invoice.currency,
        invoice=asked,
        source="wallet",
        amount_minor=amount_minor,
    )
