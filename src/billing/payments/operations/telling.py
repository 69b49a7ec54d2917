"""What the world is told of payments, refunds and payment methods: events that hold all that a message about them says.

Members are named as the API names them; amounts are texts with all their digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from billing.core import ids, money
from billing.core.period import Period
from billing.kit import outbox
from billing.payments import rules
from billing.payments.model import Payment, PaymentMethod, Refund

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.kit.outbox import NewEvent


async def tell_payments(tx: Tx, payments: Sequence[Payment]) -> None:
    """Payments have ended, all of them well or all of them badly: `payment.succeeded` or `payment.failed`, once, for each attempt
    is a payment of its own.
    """
    await outbox.publish_all(
        tx,
        type="payment.failed" if payments[0].status == "failed" else "payment.succeeded",
        events=[
            (payment.account_id, ids.encode("pay", payment.payment_id), _payload_of(payment, now=tx.now))
            for payment in payments
        ],
    )


def _payload_of(payment: Payment, *, now: datetime) -> dict[str, object]:
    return {
        "transaction_id": payment.transaction_id,
        "kind": payment.kind,
        "status": payment.status,
        "amount": money.to_text(payment.amount_minor, payment.currency),
        "currency": payment.currency,
        "description": payment.description,
        "payment_method": ids.encode("pm", payment.payment_method_id) if payment.payment_method_id else None,
        "invoice_id": ids.encode("inv", payment.invoice_id) if payment.invoice_id else None,
        "reference": payment.reference,
        "failure_reason": payment.failure_reason,
        "created_at": payment.created_at,
        "received_at": payment.received_at,
        "ended_at": payment.completed_at or now,
    }


async def tell_refund(tx: Tx, refund: Refund) -> None:
    """A refund has ended: `refund.succeeded`, or `refund.failed`: then the money is in the wallet again."""
    await outbox.publish(
        tx,
        account_id=refund.account_id,
        type="refund.failed" if refund.status == "failed" else "refund.succeeded",
        object_id=ids.encode("ref", refund.refund_id),
        payload={
            "transaction_id": ids.encode("txn", refund.refund_id),
            "payment_id": ids.encode("pay", refund.payment_id),
            "status": refund.status,
            "amount": money.to_text(refund.amount_minor, refund.currency),
            "currency": refund.currency,
            "reason": refund.reason,
            "failure_reason": refund.failure_reason,
            "credit_note_id": ids.encode("cn", refund.credit_note_id) if refund.credit_note_id else None,
            "created_at": refund.created_at,
            "ended_at": refund.ended_at,
        },
    )


async def tell_method(tx: Tx, method: PaymentMethod, event: str) -> None:
    """A payment method was added, made the default or removed: `payment_method.added`, `.default_changed`, `.removed`."""
    await outbox.publish(
        tx,
        account_id=method.account_id,
        type=event,
        object_id=ids.encode("pm", method.payment_method_id),
        payload=payload_of_method(method),
    )


async def tell_expiring(tx: Tx, methods: Sequence[PaymentMethod]) -> None:
    """Cards expire soon: `card.expiring`, the first and the second notice of each told apart by `attempt`."""
    events: list[NewEvent] = [
        (
            method.account_id,
            ids.encode("pm", method.payment_method_id),
            {
                **payload_of_method(method),
                "attempt": 1 if rules.next_expiry_notice(method, after=tx.now) else 2,
                "expires_at": Period(method.exp_year, method.exp_month).end,
            },
        )
        for method in methods
        if method.exp_year is not None and method.exp_month is not None
    ]
    if events:
        await outbox.publish_all(tx, type="card.expiring", events=events)


def payload_of_method(method: PaymentMethod) -> dict[str, object]:
    """What an event says of a payment method."""
    return {
        "type": method.type,
        "brand": method.brand,
        "bank_name": method.bank_name,
        "last4": method.last4,
        "exp_month": method.exp_month,
        "exp_year": method.exp_year,
        "is_default": method.is_default,
        "created_at": method.created_at,
    }
