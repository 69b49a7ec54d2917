"""Wire shapes of payments, payment methods and transactions."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from billing import wallets
from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.kit.web import Check, Meta, PageQuery
from billing.payments.model import (
    Captured,
    Chargeback,
    Payment,
    PaymentKind,
    PaymentMethod,
    PaymentStatus,
    Refund,
    Transaction,
)
from billing.wallets import WalletOut

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

TOKEN_LONGEST = 200
REFERENCE_LONGEST = 200
REASON_LONGEST = 500
REFUND_PREFIX = "ref"
CHARGEBACK_PREFIX = "chb"
AHEAD_MAX = timedelta(minutes=5)


def _token_faults(*, token: str) -> list[Fault]:
    return wallets.text_faults("token", token, longest=TOKEN_LONGEST)


def _reference_faults(*, reference: str) -> list[Fault]:
    return wallets.text_faults("reference", reference, longest=REFERENCE_LONGEST)


def _reason_faults(*, reason: str) -> list[Fault]:
    return wallets.text_faults("reason", reason, longest=REASON_LONGEST)


def _some_amount_faults(*, amount: Decimal | None) -> Iterator[Fault]:
    """What can be said before the currency is known: the payment's."""
    return iter(()) if amount is None else wallets.amount_faults(amount=amount)


def _arrival_faults(*, received_at: datetime, now: datetime) -> Iterator[Fault]:
    if received_at > now + AHEAD_MAX:
        yield Fault("body", "received_at", "must not be in the future")


def _default_faults(*, set_default: bool) -> Iterator[Fault]:
    if not set_default:
        yield Fault("body", "set_default", "must be true: make another method the default instead")


class PaymentMethodIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /account/payment-methods."""

    type: Literal["card", "bank_account"]
    token: str
    set_default: bool = False

    checks: ClassVar[tuple[Check, ...]] = (_token_faults,)


class PaymentMethodChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /account/payment-methods/{id}."""

    set_default: bool

    checks: ClassVar[tuple[Check, ...]] = (_default_faults,)


class PaymentMethodOut(msgspec.Struct, frozen=True, kw_only=True):
    """A payment method as its owner sees it."""

    id: str
    type: str
    brand: str | None
    bank_name: str | None
    last4: str
    exp_month: int | None
    exp_year: int | None
    is_default: bool
    created_at: datetime


class PaymentMethodAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A payment method, wrapped by its name."""

    payment_method: PaymentMethodOut


class PaymentMethodsOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /account/payment-methods."""

    payment_methods: list[PaymentMethodOut]
    meta: Meta


class TopUpIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /account/wallets/topup."""

    amount: Decimal
    currency: str
    payment_method: str

    checks: ClassVar[tuple[Check, ...]] = wallets.MONEY_CHECKS

    def read_minor(self, *, enabled: Set[str]) -> int:
        """The amount in minor units. Raises InvalidParameter, CurrencyNotSupported."""
        return wallets.read_amount(self.amount, self.currency, enabled=enabled)


class RecordedIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts/{id}/payments."""

    amount: Decimal
    currency: str
    reference: str
    received_at: datetime

    checks: ClassVar[tuple[Check, ...]] = (_reference_faults, *wallets.MONEY_CHECKS, _arrival_faults)

    def read_minor(self, *, enabled: Set[str], now: datetime) -> int:
        """The amount in minor units. Raises InvalidParameter with every fault of the body, CurrencyNotSupported."""
        faults = list(_arrival_faults(received_at=self.received_at, now=now))
        return wallets.read_amount(self.amount, self.currency, enabled=enabled, other_faults=faults)


class GivingBackIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /payments/{id}/refunds and /chargebacks; without an amount all that is left of the payment."""

    amount: Decimal | None = None
    reason: str

    checks: ClassVar[tuple[Check, ...]] = (_some_amount_faults, _reason_faults)

    def read_minor(self, currency: str) -> int | None:
        """The amount in minor units of the payment's currency, None for all. Raises InvalidParameter."""
        try:
            return None if self.amount is None else money.to_minor(self.amount, currency)
        except money.NotAnAmount as error:
            raise InvalidParameter.one("body", "amount", str(error)) from None


class RefundOut(msgspec.Struct, frozen=True, kw_only=True):
    """A refund."""

    id: str
    payment_id: str
    amount: Decimal
    currency: str
    reason: str
    status: str
    created_at: datetime
    failure_reason: str | None
    transaction_id: str


class RefundAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A refund, wrapped by its name."""

    refund: RefundOut


class RefundsOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /payments/{id}/refunds."""

    refunds: list[RefundOut]
    meta: Meta


class ChargebackOut(msgspec.Struct, frozen=True, kw_only=True):
    """A chargeback: `taken` from the wallet, the rest `owed`."""

    id: str
    payment_id: str
    amount: Decimal
    currency: str
    reason: str
    taken: Decimal
    owed: Decimal
    created_at: datetime
    transaction_id: str


class ChargebackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A chargeback, wrapped by its name."""

    chargeback: ChargebackOut


class PaymentsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /accounts/{id}/payments of the operator API."""

    kind: PaymentKind | None = None
    status: PaymentStatus | None = None


class PaymentOut(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as operators see it."""

    id: str
    account_id: str
    transaction_id: str
    kind: PaymentKind
    status: PaymentStatus
    amount: Decimal
    currency: str
    description: str
    gateway: str
    payment_method: str | None
    reference: str | None
    invoice_id: str | None
    failure_reason: str | None
    created_at: datetime
    received_at: datetime | None
    completed_at: datetime | None


class PaymentDetails(PaymentOut, frozen=True, kw_only=True):
    """A payment with what went back of it."""

    refunded: Decimal
    charged_back: Decimal


class PaymentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A payment, wrapped by its name."""

    payment: PaymentDetails


class PaymentsOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /accounts/{id}/payments of the operator API."""

    payments: list[PaymentOut]
    meta: Meta


class TransactionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A payment, refund or chargeback as a transaction of the billing history."""

    id: str
    type: Literal["payment", "refund", "chargeback"]
    amount: Decimal
    currency: str
    description: str
    status: str
    created_at: datetime
    service: str | None
    resource_id: str | None
    payment_id: str
    payment_method: str | None
    invoice_id: str | None
    failure_reason: str | None


class TransactionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction, wrapped by its name."""

    transaction: TransactionOut


class TopUpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up and the wallet after it."""

    transaction: TransactionOut
    wallet: WalletOut


def show_method(method: PaymentMethod) -> PaymentMethodOut:
    """A payment method as its owner sees it."""
    return PaymentMethodOut(
        id=ids.encode("pm", method.payment_method_id),
        type=method.type,
        brand=method.brand,
        bank_name=method.bank_name,
        last4=method.last4,
        exp_month=method.exp_month,
        exp_year=method.exp_year,
        is_default=method.is_default,
        created_at=method.created_at,
    )


def show_payment(payment: Payment) -> PaymentOut:
    """A payment as operators see it."""
    return PaymentOut(
        id=ids.encode("pay", payment.payment_id),
        account_id=ids.encode("acc", payment.account_id),
        transaction_id=payment.transaction_id,
        kind=payment.kind,
        status=payment.status,
        amount=money.to_major(payment.amount_minor, payment.currency),
        currency=payment.currency,
        description=payment.description,
        gateway=payment.gateway,
        payment_method=ids.encode("pm", payment.payment_method_id) if payment.payment_method_id else None,
        reference=payment.reference,
        invoice_id=ids.encode("inv", payment.invoice_id) if payment.invoice_id else None,
        failure_reason=payment.failure_reason,
        created_at=payment.created_at,
        received_at=payment.received_at,
        completed_at=payment.completed_at,
    )


def show_payment_details(payment: Payment, captured: Captured) -> PaymentAnswer:
    """A payment with what went back of it, asked for or given."""
    return PaymentAnswer(
        payment=PaymentDetails(
            **msgspec.structs.asdict(show_payment(payment)),
            refunded=money.to_major(captured.refunded_minor, captured.currency),
            charged_back=money.to_major(captured.disputed_minor, captured.currency),
        )
    )


def show_transaction(payment: Payment) -> TransactionOut:
    """A payment as a transaction."""
    return TransactionOut(
        id=payment.transaction_id,
        type="payment",
        amount=money.to_major(payment.amount_minor, payment.currency),
        currency=payment.currency,
        description=payment.description,
        status=payment.status,
        created_at=payment.created_at.replace(microsecond=0),
        service=None,
        resource_id=None,
        payment_id=ids.encode("pay", payment.payment_id),
        payment_method=ids.encode("pm", payment.payment_method_id) if payment.payment_method_id else None,
        invoice_id=ids.encode("inv", payment.invoice_id) if payment.invoice_id else None,
        failure_reason=payment.failure_reason,
    )


def show_row(transaction: Transaction) -> TransactionOut:
    """A payment, refund or chargeback as a transaction."""
    return TransactionOut(
        id=ids.encode("txn", transaction.transaction_id),
        type=transaction.type,
        amount=money.to_major(transaction.amount_minor, transaction.currency),
        currency=transaction.currency,
        description=transaction.description,
        status=transaction.status,
        created_at=transaction.created_at,
        service=None,
        resource_id=None,
        payment_id=ids.encode("pay", transaction.payment_id),
        payment_method=ids.encode("pm", transaction.payment_method_id) if transaction.payment_method_id else None,
        invoice_id=ids.encode("inv", transaction.invoice_id) if transaction.invoice_id else None,
        failure_reason=transaction.failure_reason,
    )


def show_refund(refund: Refund) -> RefundOut:
    """A refund as the operator sees it."""
    return RefundOut(
        id=ids.encode(REFUND_PREFIX, refund.refund_id),
        payment_id=ids.encode("pay", refund.payment_id),
        amount=money.to_major(refund.amount_minor, refund.currency),
        currency=refund.currency,
        reason=refund.reason,
        status=refund.status,
        created_at=refund.created_at,
        failure_reason=refund.failure_reason,
        transaction_id=ids.encode("txn", refund.refund_id),
    )


def show_chargeback(chargeback: Chargeback) -> ChargebackOut:
    """A chargeback as the operator sees it."""
    return ChargebackOut(
        id=ids.encode(CHARGEBACK_PREFIX, chargeback.chargeback_id),
        payment_id=ids.encode("pay", chargeback.payment_id),
        amount=money.to_major(chargeback.amount_minor, chargeback.currency),
        currency=chargeback.currency,
        reason=chargeback.reason,
        taken=money.to_major(chargeback.cash_minor, chargeback.currency),
        owed=money.to_major(chargeback.owed_minor, chargeback.currency),
        created_at=chargeback.created_at,
        transaction_id=ids.encode("txn", chargeback.chargeback_id),
    )
