"""What is done with payment methods: attach, make the default, take away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger
from billing.core.errors import Unavailable
from billing.core.page import PageRequest
from billing.payments import rules, store
from billing.payments.model import (
    Gateway,
    GatewayUnknown,
    Instrument,
    InvalidPaymentMethod,
    MethodType,
    PaymentMethod,
    PaymentMethodInUse,
)
from billing.payments.operations import telling

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

EXPIRING_AT_ONCE = 500


async def attach_method(
    database: Database,
    gateway: Gateway,
    *,
    account_id: UUID,
    payment_method_id: UUID,
    type: MethodType,
    token: str,
    is_default: bool,
) -> PaymentMethod:
    """Let the gateway keep what a token stands for, then store what may be shown of it; again is harmless.

    Raises InvalidPaymentMethod, and Unavailable when the gateway does not answer: nothing is stored then.
    """
    try:
        instrument = await gateway.attach(key=str(payment_method_id), token=token)
    except GatewayUnknown as error:
        raise Unavailable("The payment gateway does not answer; try again shortly") from error
    if instrument.type != type:
        raise InvalidPaymentMethod(
            "The token is not of this type", details={"reason": "type_mismatch", "type": instrument.type}
        )
    async with database.transaction() as tx:
        return await _store_method(
            tx,
            account_id=account_id,
            payment_method_id=payment_method_id,
            gateway_name=gateway.name,
            instrument=instrument,
            is_default=is_default,
        )


async def _store_method(
    tx: Tx,
    *,
    account_id: UUID,
    payment_method_id: UUID,
    gateway_name: str,
    instrument: Instrument,
    is_default: bool,
) -> PaymentMethod:
    await ledger.lock_head(tx.connection, account_id=account_id)  # one at a time decides which is the default
    if await store.is_method_stored(tx.connection, account_id=account_id, payment_method_id=payment_method_id):
        return await store.get_method(tx.connection, account_id=account_id, payment_method_id=payment_method_id)
    is_first = await store.count_methods(tx.connection, account_id=account_id) == 0
    method = PaymentMethod(
        account_id=account_id,
        payment_method_id=payment_method_id,
        type=instrument.type,
        gateway=gateway_name,
        gateway_reference=instrument.reference,
        brand=instrument.brand,
        bank_name=instrument.bank_name,
        last4=instrument.last4,
        exp_month=instrument.exp_month,
        exp_year=instrument.exp_year,
        is_default=is_default or is_first,
        created_at=tx.now,
    )
    if method.is_default:
        await store.update_default(tx.connection, account_id=account_id, payment_method_id=None)
    due_at = rules.next_expiry_notice(method, after=tx.now)
    await store.insert_method(tx.connection, method, expiry_due_at=due_at)
    await telling.tell_method(tx, method, "payment_method.added")
    if method.is_default:
        await telling.tell_method(tx, method, "payment_method.default_changed")
    return method


async def make_default(tx: Tx, *, account_id: UUID, payment_method_id: UUID) -> PaymentMethod:
    """Make a payment method the account's default. Raises NotFound."""
    await ledger.lock_head(tx.connection, account_id=account_id)
    method = await store.get_method(tx.connection, account_id=account_id, payment_method_id=payment_method_id)
    if method.is_default:
        return method
    await store.update_default(tx.connection, account_id=account_id, payment_method_id=payment_method_id)
    made_default = replace(method, is_default=True)
    await telling.tell_method(tx, made_default, "payment_method.default_changed")
    return made_default


async def delete_method(tx: Tx, *, account_id: UUID, payment_method_id: UUID) -> None:
    """Take a payment method away; the newest remaining becomes the default if it was that.

    Raises NotFound, PaymentMethodInUse for the last one while issued invoices still ask for money.
    """
    await ledger.lock_head(tx.connection, account_id=account_id)
    method = await store.get_method(tx.connection, account_id=account_id, payment_method_id=payment_method_id)
    two = await store.list_methods(tx.connection, account_id=account_id, page=PageRequest(per_page=2))
    remaining = [other for other in two.items if other.payment_method_id != payment_method_id]
    if not remaining and await _owes(tx, account_id=account_id):
        raise PaymentMethodInUse
    await store.mark_method_deleted(
        tx.connection, account_id=account_id, payment_method_id=payment_method_id, now=tx.now
    )
    await telling.tell_method(tx, replace(method, is_default=False), "payment_method.removed")
    if method.is_default and remaining:
        newest = remaining[0]
        await store.update_default(tx.connection, account_id=account_id, payment_method_id=newest.payment_method_id)
        await telling.tell_method(tx, replace(newest, is_default=True), "payment_method.default_changed")


async def tell_expiring(database: Database) -> int:
    """Tell of each card that expires soon, twice: a month ahead, and as its last month begins; returns how many were told.

    Any number may run at once, late, and be killed. Who comes so late that both notices are due gives the second alone.
    """
    told = 0
    while True:
        async with database.transaction() as tx:
            expiring = await store.list_expiring(tx.connection, now=tx.now, limit=EXPIRING_AT_ONCE)
            next_ats = [
                (one.account_id, one.payment_method_id, rules.next_expiry_notice(one, after=tx.now)) for one in expiring
            ]
            await store.update_expiry_due(tx.connection, due_ats=next_ats)
            await telling.tell_expiring(tx, expiring)
        told += len(expiring)
        if len(expiring) < EXPIRING_AT_ONCE:
            return told


async def _owes(tx: Tx, *, account_id: UUID) -> bool:
    balances_minor = await ledger.list_live_balances(tx.connection, account_id=account_id)
    return any(
        minor < 0 for (_, ledger_account), minor in balances_minor.items() if ledger_account == ledger.RECEIVABLE
    )
