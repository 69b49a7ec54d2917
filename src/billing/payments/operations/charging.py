"""Money that comes in: asked for, settled, failed, asked for again, recorded. Intent ‖ gateway ‖ outcome (‖ = commit)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from billing import ledger, wallets
from billing.payments import rules, store
from billing.payments.model import (
    Charge,
    ChargeRequest,
    Gateway,
    GatewayUnknown,
    Payment,
    PaymentMethod,
    PaymentReferenceReused,
)
from billing.payments.operations import telling

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def start_invoice_payment(
    tx: Tx, *, gateway: Gateway, method: PaymentMethod, invoice_id: UUID, number: str, currency: str, amount_minor: int
) -> Payment:
    """The intent of a payment for an invoice: the money stands on the wallet's pending side.

    The caller holds the account's head and has seen that no other payment is under way for the invoice.
    """
    payment = rules.intent(
        kind="invoice",
        method=method,
        payment_id=tx.new_id(),
        gateway_name=gateway.name,
        currency=currency,
        amount_minor=amount_minor,
        description=rules.invoice_description(method, number=number),
        invoice_id=invoice_id,
        now=tx.now,
    )
    due_at = rules.next_check_at(tx.now, checks=0, settles_after_s=gateway.settles_after_s)
    await store.insert_payment(tx.connection, payment, next_check_at=due_at)
    transfer = ledger.invoice_payment_started(
        account_id=method.account_id,
        payment_id=payment.payment_id,
        gateway_name=gateway.name,
        currency=currency,
        amount_minor=amount_minor,
        at=tx.now,
    )
    await ledger.post(tx.connection, transfer, recorded_at=tx.now)
    return payment


async def charge(database: Database, gateway: Gateway, *, account_id: UUID, payment_id: UUID) -> Payment:
    """Ask the gateway for a pending payment and take down its answer; no answer leaves the payment pending.

    Harmless to call again, at once or at the same time: the gateway charges once per payment id.
    """
    async with database.reading() as reading:
        payment, request = await store.get_charge_request(
            reading.connection, account_id=account_id, payment_id=payment_id
        )
    if payment.status != "pending":
        return payment
    return await take_whatever(database, payment, await ask(gateway, request))


async def ask(gateway: Gateway, request: ChargeRequest) -> Charge | None:
    """Ask the gateway for money; None when no answer came: what it did is not known."""
    try:
        return await gateway.charge(request)
    except GatewayUnknown as error:
        log.warning("charge_unknown", payment_id=request.key, reason=str(error))
        return None


async def check(database: Database, gateway: Gateway, *, account_id: UUID, payment_id: UUID) -> Payment:
    """Ask the gateway what became of a pending payment; never charges.

    A key that the gateway has not seen long after the intent is used up there, so that no late call can charge it: then
    the payment fails.
    """
    async with database.reading() as reading:
        payment, request = await store.get_charge_request(
            reading.connection, account_id=account_id, payment_id=payment_id
        )
        now = reading.now
    if payment.status != "pending":
        return payment
    try:
        answer = await gateway.find_charge(request.key)
        if answer is None and rules.is_abandoned(payment, now):
            answer = await gateway.cancel(request)
    except GatewayUnknown as error:
        log.warning("check_unknown", payment_id=str(payment_id), reason=str(error))
        return payment
    return await take_whatever(database, payment, answer)


async def check_due(database: Database, gateway: Gateway, *, limit: int) -> tuple[int, int]:
    """Check the pending payments that are due for it, of all accounts; returns how many were asked for and ended.

    A due payment is claimed by putting off its next check: of any number of workers one asks, and a killed one's are
    asked for again.
    """
    async with database.transaction() as tx:
        due = await store.list_due(tx.connection, now=tx.now, limit=limit)
        await store.update_next_checks(
            tx.connection,
            [
                (
                    account_id,
                    payment_id,
                    rules.next_check_at(tx.now, checks=checks + 1, settles_after_s=gateway.settles_after_s),
                )
                for account_id, payment_id, checks in due
            ],
        )
    ended = 0
    for account_id, payment_id, _ in due:
        payment = await check(database, gateway, account_id=account_id, payment_id=payment_id)
        ended += payment.status != "pending"
    return len(due), ended


async def take_whatever(database: Database, payment: Payment, answer: Charge | None) -> Payment:
    """Take down what a gateway answered, if it answered and the charge has ended."""
    if answer is None or answer.status == "pending":
        return payment
    async with database.transaction() as tx:
        return await take_answer(tx, payment=payment, answer=answer)


async def take_answer(tx: Tx, *, payment: Payment, answer: Charge) -> Payment:
    """Take down what a gateway says of a payment. An answer about another amount or currency is never posted."""
    account_id, payment_id = payment.account_id, payment.payment_id
    if not rules.is_answer_to(answer, payment):
        log.error("charge_mismatch", payment_id=str(payment_id), answered=answer.key)
        return payment
    if answer.status == "succeeded":
        return await settle(tx, account_id=account_id, payment_id=payment_id)
    if answer.status == "failed":
        return await fail(tx, account_id=account_id, payment_id=payment_id, reason=answer.reason or "declined")
    return payment


async def settle(tx: Tx, *, account_id: UUID, payment_id: UUID) -> Payment:
    """The money of a pending payment arrived; it pays what the account owes first.

    Again, or after it had failed, it changes nothing.
    """
    # Before the payment, as everywhere: no two locks cross.
    await ledger.lock_head(tx.connection, account_id=account_id)
    return (await settle_held(tx, [(account_id, payment_id)]))[account_id, payment_id]


async def settle_held(
    tx: Tx, wanted: Sequence[tuple[UUID, UUID]], *, beside: Sequence[ledger.Transfer] = ()
) -> dict[tuple[UUID, UUID], Payment]:
    """The same for several payments, given as (account, payment), whose accounts' heads are locked.

    Other transfers may be posted `beside` what arrives, before it.
    """
    settled = await store.mark_completed(tx.connection, wanted=wanted, now=tx.now) if wanted else {}
    arrived = [settled[payment_id] for _, payment_id in wanted if payment_id in settled]
    arrivals = [(_arrival(payment, at=tx.now), payment.payment_id) for payment in arrived]
    await wallets.post_arrivals(tx, arrivals, beside=beside)
    if arrived:
        await telling.tell_payments(tx, arrived)
    for account_id, payment_id in wanted:
        if payment_id not in settled:
            settled[payment_id] = await store.get_payment(tx.connection, account_id=account_id, payment_id=payment_id)
            if settled[payment_id].status == "failed":
                log.error("charge_after_failure", payment_id=str(payment_id))
    return {key: settled[key[1]] for key in wanted}


def _arrival(payment: Payment, *, at: datetime) -> ledger.Transfer:
    template = ledger.invoice_payment_settled if payment.kind == "invoice" else ledger.topup_settled
    return template(
        account_id=payment.account_id,
        payment_id=payment.payment_id,
        currency=payment.currency,
        amount_minor=payment.amount_minor,
        at=at,
    )


async def fail(tx: Tx, *, account_id: UUID, payment_id: UUID, reason: str) -> Payment:
    """The money of a pending payment will not come. Again, or after it had settled, it changes nothing."""
    await ledger.lock_head(tx.connection, account_id=account_id)
    payment = await store.mark_failed(tx.connection, account_id=account_id, payment_id=payment_id, reason=reason)
    if payment is None:
        return await store.get_payment(tx.connection, account_id=account_id, payment_id=payment_id)
    template = ledger.invoice_payment_failed if payment.kind == "invoice" else ledger.topup_failed
    transfer = template(
        account_id=account_id,
        payment_id=payment_id,
        gateway_name=payment.gateway,
        currency=payment.currency,
        amount_minor=payment.amount_minor,
        at=tx.now,
    )
    await ledger.post(tx.connection, transfer, recorded_at=tx.now)
    await telling.tell_payments(tx, [payment])
    return payment


async def record(
    tx: Tx, *, account_id: UUID, currency: str, amount_minor: int, reference: str, received_at: datetime
) -> Payment:
    """Take down money that came another way; it pays what the account owes first. The same reference with the same content is
    a replay.

    Raises PaymentReferenceReused for other content.
    """
    await ledger.lock_head(tx.connection, account_id=account_id)  # of two with one reference the second sees the first
    existing = await store.find_recorded(tx.connection, account_id=account_id, reference=reference)
    if existing is not None:
        if (existing.currency, existing.amount_minor, existing.received_at) != (currency, amount_minor, received_at):
            raise PaymentReferenceReused(details={"reference": reference, "transaction_id": existing.transaction_id})
        return existing
    payment = Payment(
        account_id=account_id,
        payment_id=tx.new_id(),
        kind="recorded",
        payment_method_id=None,
        gateway=ledger.EXTERNAL_GATEWAY,
        currency=currency,
        amount_minor=amount_minor,
        status="completed",
        failure_reason=None,
        description=f"Payment received, {reference}",
        reference=reference,
        invoice_id=None,
        created_at=tx.now,
        received_at=received_at,
        completed_at=tx.now,
    )
    await store.insert_payment(tx.connection, payment, next_check_at=None)
    recorded = ledger.payment_recorded(
        account_id=account_id,
        payment_id=payment.payment_id,
        currency=currency,
        amount_minor=amount_minor,
        at=received_at,
    )
    await wallets.post_arrivals(tx, [(recorded, payment.payment_id)])
    await telling.tell_payments(tx, [payment])
    return payment
