"""Setting money that has arrived against the invoices that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger
from billing.core import ids
from billing.invoices.store import invoices as store
from billing.kit import outbox

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

WALLET_CREDITED = "wallet.credited"
MONEY_ARRIVED = ("payment.succeeded", WALLET_CREDITED)


async def collect(tx: Tx, *, account_id: UUID, currency: str) -> int:
    """Pay what is owed, then the open invoices, the one due first first, as far as the wallet goes; minor units used."""
    await ledger.lock_head(tx.connection, account_id=account_id)
    balances_minor = await ledger.list_balances(tx.connection, account_id=account_id)
    cash_minor = balances_minor.get((currency, ledger.WALLET_CASH), 0)
    used_minor = await _pay_owed(tx, account_id, currency, cash_minor, -balances_minor.get((currency, ledger.OWED), 0))
    for invoice in await store.list_open_invoices(tx.connection, account_id=account_id, currency=currency):
        amount_minor = min(cash_minor - used_minor, invoice.due_minor)
        if amount_minor <= 0:
            break
        used_minor += amount_minor
        transfer = ledger.invoice_paid_from_cash(
            account_id=account_id,
            invoice_id=invoice.invoice_id,
            ordinal=invoice.next_ordinal,
            currency=currency,
            amount_minor=amount_minor,
            at=tx.now,
        )
        await ledger.post(tx.connection, transfer, recorded_at=tx.now)
        is_paid = await store.insert_cash_payment(
            tx.connection,
            account_id=account_id,
            invoice_id=invoice.invoice_id,
            ordinal=invoice.next_ordinal,
            amount_minor=amount_minor,
            now=tx.now,
        )
        if is_paid:
            invoice_id = ids.encode("inv", invoice.invoice_id)
            await outbox.publish(tx, account_id=account_id, type="invoice.paid", object_id=invoice_id, payload={})
    return used_minor


async def _pay_owed(tx: Tx, account_id: UUID, currency: str, cash_minor: int, owed_minor: int) -> int:
    """Pay what chargebacks left owing before any invoice, as far as the cash goes; minor units used."""
    amount_minor = min(cash_minor, owed_minor)
    if amount_minor <= 0:
        return 0
    transfer = ledger.owed_paid(
        account_id=account_id, reference=tx.new_id(), currency=currency, amount_minor=amount_minor, at=tx.now
    )
    await ledger.post(tx.connection, transfer, recorded_at=tx.now)
    return amount_minor


async def collect_arrived(database: Database) -> int:
    """Act on each payment that settled, in a transaction of its own; returns how many there were."""
    acted = 0
    while True:
        async with database.transaction() as tx:
            event = await outbox.claim(tx, types=MONEY_ARRIVED)
            if event is None:
                return acted
            balances_minor = await ledger.list_balances(tx.connection, account_id=event.account_id)
            for currency in sorted({currency for currency, _ in balances_minor}):
                await collect(tx, account_id=event.account_id, currency=currency)
        acted += 1
