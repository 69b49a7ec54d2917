"""Wire shapes of payments, payment methods and transactions."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

from billing import accounts, wallets
from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.kit.web import Meta
from billing.payments.model import Payment, PaymentMethod
from billing.wallets import WalletOut

if TYPE_CHECKING:
    from collections.abc import Set

TOKEN_LONGEST = 200
REFERENCE_LONGEST = 200
AHEAD_MAX = timedelta(minutes=5)


class PaymentMethodIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /account/payment-methods."""

    type: Literal["card", "bank_account"]
    token: str
    set_default: bool = False

    def check(self) -> None:
        """Raise InvalidParameter for a text that no gateway's token can be."""
        reason = accounts.text_reason(self.token, longest=TOKEN_LONGEST)
        if reason is not None:
            raise InvalidParameter.one("body", "token", reason)


class PaymentMethodChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /account/payment-methods/{id}."""

    set_default: bool

    def check(self) -> None:
        """Raise InvalidParameter for a default that would be taken away."""
        if not self.set_default:
            raise InvalidParameter.one("body", "set_default", "must be true: make another method the default instead")


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

    def read_minor(self, *, enabled: Set[str]) -> int:
        """The amount in minor units. Raises InvalidParameter, CurrencyNotSupported."""
        return wallets.read_amount(self.amount, self.currency, enabled=enabled)


class RecordedIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts/{id}/payments."""

    amount: Decimal
    currency: str
    reference: str
    received_at: datetime

    def read_minor(self, *, enabled: Set[str], now: datetime) -> int:
        """The amount in minor units. Raises InvalidParameter with every fault of the body, CurrencyNotSupported."""
        faults: list[Fault] = []
        reason = accounts.text_reason(self.reference, longest=REFERENCE_LONGEST)
        if reason is not None:
            faults.append(Fault("body", "reference", reason))
        if self.received_at > now + AHEAD_MAX:
            faults.append(Fault("body", "received_at", "must not be in the future"))
        return wallets.read_amount(self.amount, self.currency, enabled=enabled, other_faults=faults)


class TransactionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as a transaction of the billing history."""

    id: str
    type: Literal["payment"]
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


def show_transaction(payment: Payment) -> TransactionOut:
    """A payment as a transaction."""
    return TransactionOut(
        id=payment.transaction_id,
        type="payment",
        amount=money.to_major(payment.amount_minor, payment.currency),
        currency=payment.currency,
        description=payment.description,
        status=payment.status,
        created_at=payment.created_at,
        service=None,
        resource_id=None,
        payment_id=ids.encode("pay", payment.payment_id),
        payment_method=ids.encode("pm", payment.payment_method_id) if payment.payment_method_id else None,
        invoice_id=ids.encode("inv", payment.invoice_id) if payment.invoice_id else None,
        failure_reason=payment.failure_reason,
    )
