"""Setting money that has arrived against the invoices that ask for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger
from billing.core import ids
from billing.invoices import pdf, rules
from billing.invoices.model import (
    DEFAULT_ISSUER,
    UNNAMED_ISSUER,
    Collected,
    InvoicePayment,
    OpenInvoice,
    PaymentSource,
)
from billing.invoices.operations import telling
from billing.invoices.store import closing, paying, receipts
from billing.invoices.store import invoices as store
from billing.kit import outbox

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

WALLET_CREDITED = "wallet.credited"
MONEY_ARRIVED = ("payment.succeeded", WALLET_CREDITED)


async def collect(tx: Tx, *, account_id: UUID, currency: str) -> int:
    """Pay what is owed, then with each payment the invoice that it was made for, then the open invoices, the one due first
    first, as far as the wallet goes; minor units used.
    """
    return (await collect_all(tx, account_id=account_id, currency=currency)).used_minor


async def collect_all(tx: Tx, *, account_id: UUID, currency: str) -> Collected:
    """The same, with what the wallet paid."""
    from_wallet_minor: dict[UUID, int] = {}
    await ledger.lock_head(tx.connection, account_id=account_id)
    before_minor = cash_minor = await get_cash(tx, account_id=account_id, currency=currency)
    cash_minor -= await pay_owed(tx, account_id=account_id, currency=currency)
    cash_minor -= await collect_made_for_invoices(tx, account_id=account_id, currency=currency)
    for invoice in await store.list_open_invoices(tx.connection, account_id=account_id, currency=currency):
        amount_minor = min(cash_minor, invoice.due_minor)
        if amount_minor <= 0:
            break
        cash_minor -= amount_minor
        from_wallet_minor[invoice.invoice_id] = amount_minor
        await set_against(
            tx, account_id=account_id, currency=currency, invoice=invoice, source="wallet", amount_minor=amount_minor
        )
    return Collected(used_minor=before_minor - cash_minor, from_wallet_minor=from_wallet_minor)


async def get_cash(tx: Tx, *, account_id: UUID, currency: str) -> int:
    """The cash of a wallet in minor units. The account's head must be locked."""
    balances_minor = await ledger.list_live_balances(tx.connection, account_id=account_id)
    return balances_minor.get((currency, ledger.WALLET_CASH), 0)


async def set_against(
    tx: Tx,
    *,
    account_id: UUID,
    currency: str,
    invoice: OpenInvoice,
    source: PaymentSource,
    amount_minor: int,
    source_id: UUID | None = None,
) -> OpenInvoice:
    """Set money against an invoice and answer what it still asks for; `source_id` is the credit or the payment that pays."""
    transfer = rules.payment_transfer(
        account_id=account_id,
        invoice_id=invoice.invoice_id,
        ordinal=invoice.next_ordinal,
        source=source,
        source_id=source_id,
        currency=currency,
        amount_minor=amount_minor,
        at=tx.now,
    )
    await ledger.post(tx.connection, transfer, recorded_at=tx.now)
    payment = InvoicePayment(invoice.next_ordinal, source, source_id, amount_minor, tx.now)
    is_paid = await store.insert_payment(
        tx.connection, account_id=account_id, invoice_id=invoice.invoice_id, payment=payment
    )
    if is_paid:
        paid = await store.get_invoice(tx.connection, account_id=account_id, invoice_id=invoice.invoice_id)
        await telling.tell(tx, paid, "invoice.paid")
    return replace(invoice, due_minor=invoice.due_minor - amount_minor, next_ordinal=invoice.next_ordinal + 1)


async def pay_owed(tx: Tx, *, account_id: UUID, currency: str) -> int:
    """Pay what chargebacks left owing before any invoice, as far as the cash goes; minor units used."""
    balances_minor = await ledger.list_live_balances(tx.connection, account_id=account_id)
    cash_minor = balances_minor.get((currency, ledger.WALLET_CASH), 0)
    amount_minor = min(cash_minor, -balances_minor.get((currency, ledger.OWED), 0))
    if amount_minor <= 0:
        return 0
    transfer = ledger.owed_paid(
        account_id=account_id, reference=tx.new_id(), currency=currency, amount_minor=amount_minor, at=tx.now
    )
    await ledger.post(tx.connection, transfer, recorded_at=tx.now)
    return amount_minor


async def collect_made_for_invoices(tx: Tx, *, account_id: UUID, currency: str) -> int:
    """Set what payments brought against the invoices that they were made for, as far as the cash goes; minor units used.

    What an invoice that was paid meanwhile does not take stays in the wallet. The account's head must be locked.
    """
    cash_minor = await get_cash(tx, account_id=account_id, currency=currency)
    used_minor = 0
    for arrived in await paying.list_arrived(tx.connection, account_id=account_id, currency=currency):
        invoice = await paying.get_open_invoice(tx.connection, account_id=account_id, invoice_id=arrived.invoice_id)
        amount_minor = min(cash_minor - used_minor, arrived.amount_minor, invoice.due_minor)
        if amount_minor <= 0:
            continue
        used_minor += amount_minor
        await set_against(
            tx,
            account_id=account_id,
            currency=currency,
            invoice=invoice,
            source="method",
            source_id=arrived.payment_id,
            amount_minor=amount_minor,
        )
    return used_minor


async def acknowledge(tx: Tx, *, account_id: UUID, payment_id: UUID, currency: str) -> None:
    """Collect what a completed payment brought, and freeze its receipt with what was paid. Again it changes no receipt."""
    collected = await collect_all(tx, account_id=account_id, currency=currency)
    await receipts.insert_receipt(
        tx.connection,
        account_id=account_id,
        payment_id=payment_id,
        from_wallet_minor=collected.from_wallet_minor,
        issuer=await closing.find_issuer(tx.connection, name=DEFAULT_ISSUER) or UNNAMED_ISSUER,
        template_version=pdf.TEMPLATE_VERSION,
        now=tx.now,
    )


async def collect_arrived(database: Database) -> int:
    """Act on each payment that settled, in a transaction of its own; returns how many there were."""
    acted = 0
    while True:
        async with database.transaction() as tx:
            event = await outbox.claim(tx, types=MONEY_ARRIVED)
            if event is None:
                return acted
            payment_id = ids.decode(
                "pay", event.object_id
            )  # another event brings money into a wallet that was no payment
            if payment_id is not None:
                currency = str(event.payload["currency"])
                await acknowledge(tx, account_id=event.account_id, payment_id=payment_id, currency=currency)
            balances_minor = await ledger.list_live_balances(tx.connection, account_id=event.account_id)
            for currency in sorted({currency for currency, _ in balances_minor}):
                await collect(tx, account_id=event.account_id, currency=currency)
        acted += 1
