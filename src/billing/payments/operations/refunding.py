"""Payments given back: start, ask the gateway, settle or fail, ask again. Intent ‖ gateway ‖ outcome (‖ = commit)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from billing import ledger, wallets
from billing.core import ids, money
from billing.kit import outbox
from billing.payments import rules, store
from billing.payments.model import (
    Gateway,
    GatewayUnknown,
    GivenBack,
    Payment,
    PaymentNotRefundable,
    PaymentsNotRefundable,
    Refund,
    RefundingGateway,
    RefundRequest,
)
from billing.payments.operations import telling

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

REFUNDS_MAX = 100  # that one credit note may start

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def start_refund(
    tx: Tx,
    *,
    gateway: Gateway,
    payment: Payment,
    own_currency: str,
    amount_minor: int | None,
    reason: str,
    reserve: wallets.Reserve,
) -> Refund:
    """The intent of a refund, of all that is left of the payment unless an amount is given: the money is set aside.

    Raises PaymentNotRefundable, RefundExceedsPayment, InsufficientBalance.
    """
    if payment.kind != "topup" or payment.gateway != gateway.name or not isinstance(gateway, RefundingGateway):
        raise PaymentNotRefundable(details={"kind": payment.kind, "gateway": payment.gateway})
    account_id, currency = payment.account_id, payment.currency
    await ledger.lock_head(tx.connection, account_id=account_id)
    captured = await store.get_captured(tx.connection, account_id=account_id, payment_id=payment.payment_id)
    refund = Refund(
        account_id=account_id,
        refund_id=tx.new_id(),
        payment_id=payment.payment_id,
        gateway=gateway.name,
        currency=currency,
        amount_minor=rules.amount_to_refund(amount_minor, captured),
        reason=reason,
        status="pending",
        failure_reason=None,
        created_at=tx.now,
        ended_at=None,
    )
    await wallets.release_expired(tx, account_id=account_id)
    await wallets.require_available(
        tx,
        account_id=account_id,
        own_currency=own_currency,
        currency=currency,
        amount_minor=refund.amount_minor,
        reserve=reserve,
    )
    await _set_aside(tx, refund)
    return refund


async def start_refunds(
    tx: Tx,
    *,
    gateway: Gateway,
    account_id: UUID,
    currency: str,
    amount_minor: int,
    credit_note_id: UUID,
    invoice_id: UUID,
    reason: str,
) -> list[Refund]:
    """The intents that pay a credit note back: over the payments of its invoice first, then the newest, each at most what is left.

    The money stands on the wallet's cash already and was not there to be spent: the reserve has no say in it. The account's
    head must be locked. Raises PaymentsNotRefundable, also for an account that owes money.
    """
    refundable = (
        await store.list_refundable(
            tx.connection,
            account_id=account_id,
            currency=currency,
            gateway=gateway.name,
            invoice_id=invoice_id,
            limit=REFUNDS_MAX,
        )
        if isinstance(gateway, RefundingGateway)
        else []
    )
    await _require_refundable(tx, account_id, currency, amount_minor, sum(minor for _, minor in refundable))
    started: list[Refund] = []
    for payment_id, minor in rules.spread(amount_minor, refundable):
        refund = Refund(
            account_id=account_id,
            refund_id=tx.new_id(),
            payment_id=payment_id,
            gateway=gateway.name,
            currency=currency,
            amount_minor=minor,
            reason=reason,
            status="pending",
            failure_reason=None,
            created_at=tx.now,
            ended_at=None,
            credit_note_id=credit_note_id,
        )
        await _set_aside(tx, refund)
        started.append(refund)
    return started


async def _require_refundable(tx: Tx, account_id: UUID, currency: str, amount_minor: int, rest_minor: int) -> None:
    balances_minor = await ledger.list_live_balances(tx.connection, account_id=account_id)
    owed_minor = -balances_minor.get((currency, ledger.OWED), 0)
    if rest_minor < amount_minor or owed_minor > 0:
        amounts_minor = {"required": amount_minor, "refundable": rest_minor, "owed": owed_minor}
        shown = {name: money.to_major(minor, currency) for name, minor in amounts_minor.items()}
        raise PaymentsNotRefundable(details={**shown, "currency": currency})


async def _set_aside(tx: Tx, refund: Refund) -> None:
    due_at = rules.next_check_at(tx.now, checks=0, settles_after_s=None)
    await store.insert_refund(tx.connection, refund, next_check_at=due_at)
    started = ledger.refund_started(
        account_id=refund.account_id,
        refund_id=refund.refund_id,
        currency=refund.currency,
        amount_minor=refund.amount_minor,
        at=tx.now,
    )
    await ledger.post(tx.connection, started, recorded_at=tx.now)


async def refund(database: Database, gateway: Gateway, *, account_id: UUID, refund_id: UUID) -> Refund:
    """Ask the gateway for a pending refund and take down its answer; no answer leaves the refund pending.

    Harmless to call again, at once or at the same time: the gateway gives money back once per refund id.
    """
    async with database.reading() as reading:
        intent = await store.get_refund(reading.connection, account_id=account_id, refund_id=refund_id)
    if intent.status != "pending" or not isinstance(gateway, RefundingGateway):
        return intent
    try:
        answer = await gateway.refund(_request(intent))
    except GatewayUnknown as error:
        log.warning("refund_unknown", refund_id=str(refund_id), reason=str(error))
        return intent
    return await _take_answer(database, intent, answer)


async def check_refund(database: Database, gateway: RefundingGateway, *, account_id: UUID, refund_id: UUID) -> Refund:
    """Ask the gateway what became of a pending refund; never asks for the money to be given back.

    A key that the gateway has not seen long after the intent is used up there: then the refund fails.
    """
    async with database.reading() as reading:
        intent = await store.get_refund(reading.connection, account_id=account_id, refund_id=refund_id)
        now = reading.now
    if intent.status != "pending":
        return intent
    try:
        answer = await gateway.find_refund(str(refund_id))
        if answer is None and rules.is_abandoned(intent, now):
            answer = await gateway.cancel_refund(_request(intent))
    except GatewayUnknown as error:
        log.warning("refund_check_unknown", refund_id=str(refund_id), reason=str(error))
        return intent
    return intent if answer is None else await _take_answer(database, intent, answer)


async def check_refunds_due(database: Database, gateway: RefundingGateway, *, limit: int) -> tuple[int, int]:
    """Check the pending refunds that are due for it, of all accounts; returns how many were asked for and ended.

    They are claimed as payments are: see `check_due`.
    """
    async with database.transaction() as tx:
        due = await store.list_refunds_due(tx.connection, now=tx.now, limit=limit)
        await store.update_next_refund_checks(
            tx.connection,
            [
                (account_id, refund_id, rules.next_check_at(tx.now, checks=checks + 1, settles_after_s=None))
                for account_id, refund_id, checks in due
            ],
        )
    ended = 0
    for account_id, refund_id, _ in due:
        checked = await check_refund(database, gateway, account_id=account_id, refund_id=refund_id)
        ended += checked.status != "pending"
    return len(due), ended


def _request(intent: Refund) -> RefundRequest:
    return RefundRequest(
        key=str(intent.refund_id),
        charge_key=str(intent.payment_id),
        currency=intent.currency,
        amount_minor=intent.amount_minor,
    )


async def _take_answer(database: Database, intent: Refund, answer: GivenBack) -> Refund:
    if not rules.is_answer_to_refund(answer, intent):
        log.error("refund_mismatch", refund_id=str(intent.refund_id), answered=answer.key)
        return intent
    if answer.status == "pending":
        return intent
    failure_reason = (answer.reason or "declined") if answer.status == "failed" else None
    async with database.transaction() as tx:
        return await _end(tx, intent, failure_reason=failure_reason)


async def _end(tx: Tx, intent: Refund, *, failure_reason: str | None) -> Refund:
    """The gateway has given the money back, or says why not. Again, or after it had ended otherwise, it changes nothing."""
    account_id, refund_id = intent.account_id, intent.refund_id
    await ledger.lock_head(tx.connection, account_id=account_id)
    ended = await store.mark_refund_ended(
        tx.connection, account_id=account_id, refund_id=refund_id, failure_reason=failure_reason, now=tx.now
    )
    if ended is None:
        ended = await store.get_refund(tx.connection, account_id=account_id, refund_id=refund_id)
        if ended.status == "failed" and failure_reason is None:
            log.error("refund_after_failure", refund_id=str(refund_id))
        return ended
    if ended.status == "completed":
        settled = ledger.refund_settled(
            account_id=account_id,
            refund_id=refund_id,
            gateway_name=ended.gateway,
            currency=ended.currency,
            amount_minor=ended.amount_minor,
            at=tx.now,
        )
        await ledger.post(tx.connection, settled, recorded_at=tx.now)
    else:
        await _give_to_wallet(tx, ended)
    await telling.tell_refund(tx, ended)
    return ended


async def _give_to_wallet(tx: Tx, failed: Refund) -> None:
    """Money that is in the wallet again pays what is owed, and what invoices ask for, like any other that arrives."""
    transfer = ledger.refund_failed(
        account_id=failed.account_id,
        refund_id=failed.refund_id,
        currency=failed.currency,
        amount_minor=failed.amount_minor,
        at=tx.now,
    )
    await wallets.post_arrivals(tx, [(transfer, failed.refund_id)])
    await outbox.publish(
        tx,
        account_id=failed.account_id,
        type="wallet.credited",
        object_id=ids.encode("ref", failed.refund_id),
        payload={},
    )
