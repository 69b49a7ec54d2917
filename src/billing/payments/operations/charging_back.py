"""Payments that their payers disputed: the gateway has taken the money back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing import ledger, wallets
from billing.payments import rules, store
from billing.payments.model import Chargeback, Payment

if TYPE_CHECKING:
    from billing.kit.db import Tx


async def charge_back(tx: Tx, *, payment: Payment, amount_minor: int | None, reason: str) -> Chargeback:
    """Take down that a gateway took money back, all that is left of the payment unless an amount is given.

    The wallet gives what cash it has, reserved or not; the rest is owed from then on. Raises ChargebackExceedsPayment.
    """
    account_id, currency = payment.account_id, payment.currency
    await ledger.lock_head(tx.connection, account_id=account_id)
    captured = await store.get_captured(tx.connection, account_id=account_id, payment_id=payment.payment_id)
    taken_minor = rules.amount_to_charge_back(amount_minor, captured)
    await wallets.release_expired(tx, account_id=account_id)
    balances_minor = await ledger.list_live_balances(tx.connection, account_id=account_id)
    chargeback = Chargeback(
        account_id=account_id,
        chargeback_id=tx.new_id(),
        payment_id=payment.payment_id,
        currency=currency,
        amount_minor=taken_minor,
        cash_minor=min(balances_minor.get((currency, ledger.WALLET_CASH), 0), taken_minor),
        reason=reason,
        created_at=tx.now,
    )
    await store.insert_chargeback(tx.connection, chargeback)
    transfers = ledger.chargeback_taken(
        account_id=account_id,
        chargeback_id=chargeback.chargeback_id,
        gateway_name=payment.gateway,
        currency=currency,
        cash_minor=chargeback.cash_minor,
        owed_minor=chargeback.owed_minor,
        at=tx.now,
    )
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)
    return chargeback
