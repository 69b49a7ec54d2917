"""Decisions about payments, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from billing.core import money
from billing.core.period import Period
from billing.payments.model import (
    AmountOutOfRange,
    AmountRange,
    Captured,
    Charge,
    ChargebackExceedsPayment,
    GivenBack,
    Payment,
    PaymentKind,
    PaymentMethod,
    Refund,
    RefundExceedsPayment,
)

ABANDONED_AFTER_S = 300  # longer than any call to a gateway may take
_CHECK_AFTER_S = (ABANDONED_AFTER_S, 3600)
_THEN_EVERY_S = 86_400
_EXPIRY_AHEAD = timedelta(days=30)
_LIMITS_DEFAULT = (Decimal(1), Decimal(10_000))


def intent(
    *,
    kind: PaymentKind,
    method: PaymentMethod,
    payment_id: UUID,
    gateway_name: str,
    currency: str,
    amount_minor: int,
    description: str,
    now: datetime,
    invoice_id: UUID | None = None,
) -> Payment:
    """A payment that a gateway is going to be asked for."""
    return Payment(
        account_id=method.account_id,
        payment_id=payment_id,
        kind=kind,
        payment_method_id=method.payment_method_id,
        gateway=gateway_name,
        currency=currency,
        amount_minor=amount_minor,
        status="pending",
        failure_reason=None,
        description=description,
        reference=None,
        invoice_id=invoice_id,
        created_at=now,
        received_at=None,
        completed_at=None,
    )


def next_check_at(now: datetime, *, checks: int, settles_after_s: int | None) -> datetime:
    """When to ask the gateway for a pending payment that was asked for `checks` times: 5 min, 1 h, then daily.

    A gateway that says when it settles is asked then too, if that is sooner.
    """
    spacing_s = _CHECK_AFTER_S
    if settles_after_s is not None and settles_after_s < spacing_s[0]:
        spacing_s = (settles_after_s, *spacing_s)
    return now + timedelta(seconds=spacing_s[checks] if checks < len(spacing_s) else _THEN_EVERY_S)


def is_abandoned(intent: Payment | Refund, now: datetime) -> bool:
    """Whether the process that was to ask for it must have died: then a gateway that never saw the key never will."""
    return now - intent.created_at >= timedelta(seconds=ABANDONED_AFTER_S)


def is_answer_to(charge: Charge, payment: Payment) -> bool:
    """Whether the gateway speaks of what was asked: another amount or currency is never posted."""
    return (charge.key, charge.currency, charge.amount_minor) == (
        str(payment.payment_id),
        payment.currency,
        payment.amount_minor,
    )


def is_answer_to_refund(answer: GivenBack, refund: Refund) -> bool:
    """Whether the gateway speaks of what was asked: another payment, amount or currency is never posted."""
    return (answer.key, answer.charge_key, answer.currency, answer.amount_minor) == (
        str(refund.refund_id),
        str(refund.payment_id),
        refund.currency,
        refund.amount_minor,
    )


def amount_to_refund(wanted_minor: int | None, captured: Captured) -> int:
    """What to refund: all that is left of the payment if nothing else is wanted. Raises RefundExceedsPayment."""
    amount_minor = captured.rest_minor if wanted_minor is None else wanted_minor
    if not 0 < amount_minor <= captured.rest_minor:
        raise RefundExceedsPayment(details=_standing("refundable", captured))
    return amount_minor


def spread(amount_minor: int, refundable: Sequence[tuple[UUID, int]]) -> list[tuple[UUID, int]]:
    """An amount over payments in their order, each (payment, minor units) with all that it has left until nothing is missing."""
    taken: list[tuple[UUID, int]] = []
    for payment_id, rest_minor in refundable:
        if amount_minor <= 0:
            break
        taken.append((payment_id, min(rest_minor, amount_minor)))
        amount_minor -= rest_minor
    return taken


def amount_to_charge_back(wanted_minor: int | None, captured: Captured) -> int:
    """What is taken back: all that is left of the payment if nothing else is said. Raises ChargebackExceedsPayment."""
    amount_minor = captured.rest_minor if wanted_minor is None else wanted_minor
    if not 0 < amount_minor <= captured.rest_minor:
        raise ChargebackExceedsPayment(details=_standing("disputable", captured))
    return amount_minor


def _standing(rest_name: str, captured: Captured) -> dict[str, object]:
    amounts_minor = {
        rest_name: captured.rest_minor,
        "captured": captured.captured_minor,
        "refunded": captured.refunded_minor,
        "disputed": captured.disputed_minor,
    }
    shown = {name: money.to_major(minor, captured.currency) for name, minor in amounts_minor.items()}
    return {**shown, "currency": captured.currency}


def topup_ranges(
    currencies: Iterable[str], *, limits_of: Callable[[str], tuple[Decimal, Decimal]] = lambda _: _LIMITS_DEFAULT
) -> dict[str, AmountRange]:
    """The range of each currency from its least and most in major units. Raises NotAnAmount for too many decimals."""
    limits = {currency: limits_of(currency) for currency in currencies}
    return {
        currency: AmountRange(money.to_minor(least, currency), money.to_minor(most, currency))
        for currency, (least, most) in limits.items()
    }


def require_in_range(amount_minor: int, *, currency: str, allowed: AmountRange) -> None:
    """Raise AmountOutOfRange outside the range, whose ends are allowed."""
    if not allowed.minimum_minor <= amount_minor <= allowed.maximum_minor:
        raise AmountOutOfRange(
            details={
                "minimum": money.to_major(allowed.minimum_minor, currency),
                "maximum": money.to_major(allowed.maximum_minor, currency),
                "currency": currency,
            }
        )


def expiry_notices(exp_year: int, exp_month: int) -> tuple[datetime, datetime]:
    """When it is told that a card expires: 30 days before its last month begins, and as that begins."""
    last_month = Period(exp_year, exp_month).start
    return last_month - _EXPIRY_AHEAD, last_month


def next_expiry_notice(method: PaymentMethod, *, after: datetime) -> datetime | None:
    """The first notice of a card's expiry after an instant; None when there is none left, and for what does not expire."""
    if method.exp_year is None or method.exp_month is None:
        return None
    return next((at for at in expiry_notices(method.exp_year, method.exp_month) if at > after), None)


def topup_description(method: PaymentMethod) -> str:
    """What the history says of a top-up."""
    return f"Wallet top-up, {_name_of(method)}"


def invoice_description(method: PaymentMethod, *, number: str) -> str:
    """What the history says of a payment for an invoice."""
    return f"Payment of invoice {number}, {_name_of(method)}"


def _name_of(method: PaymentMethod) -> str:
    name = (method.brand or method.bank_name or method.type).replace("_", " ").capitalize()
    return f"{name} ending {method.last4}"
