"""Payments, payment methods, and the port through which gateways are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable
from uuid import UUID

from billing.core import ids
from billing.core.errors import Conflict, Forbidden, Refused
from billing.kit.auth import Headers

MethodType = Literal["card", "bank_account"]
PaymentKind = Literal["topup", "invoice", "recorded"]
PaymentStatus = Literal["pending", "completed", "failed"]
ChargeStatus = Literal["pending", "succeeded", "failed"]
RefundStatus = Literal["pending", "completed", "failed"]


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """A card or bank account that a gateway keeps for an account; only what may be shown of it is kept here."""

    account_id: UUID
    payment_method_id: UUID
    type: MethodType
    gateway: str
    gateway_reference: str
    brand: str | None
    bank_name: str | None
    last4: str
    exp_month: int | None
    exp_year: int | None
    is_default: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Payment:
    """Money from outside, asked for or recorded."""

    account_id: UUID
    payment_id: UUID
    kind: PaymentKind
    payment_method_id: UUID | None
    gateway: str
    currency: str
    amount_minor: int
    status: PaymentStatus
    failure_reason: str | None
    description: str
    reference: str | None
    invoice_id: UUID | None
    created_at: datetime
    received_at: datetime | None
    completed_at: datetime | None

    @property
    def transaction_id(self) -> str:
        """Its wire id as a transaction."""
        return ids.encode("txn", self.payment_id)


@dataclass(frozen=True, slots=True)
class Refund:
    """Money of a payment that its gateway is asked to give back: a top-up, or what a credit note pays back."""

    account_id: UUID
    refund_id: UUID
    payment_id: UUID
    gateway: str
    currency: str
    amount_minor: int
    reason: str
    status: RefundStatus
    failure_reason: str | None
    created_at: datetime
    ended_at: datetime | None
    credit_note_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Chargeback:
    """Money of a payment that its gateway took back: `cash_minor` of it from the wallet, the rest is owed."""

    account_id: UUID
    chargeback_id: UUID
    payment_id: UUID
    currency: str
    amount_minor: int
    cash_minor: int
    reason: str
    created_at: datetime

    @property
    def owed_minor(self) -> int:
        """What the wallet did not have."""
        return self.amount_minor - self.cash_minor


@dataclass(frozen=True, slots=True)
class Captured:
    """How a payment stands: what arrived of it, and what went back since, asked for or given."""

    currency: str
    captured_minor: int
    refunded_minor: int
    disputed_minor: int

    @property
    def rest_minor(self) -> int:
        """What may still go back."""
        return self.captured_minor - self.refunded_minor - self.disputed_minor


@dataclass(frozen=True, slots=True)
class Transaction:
    """A payment, refund or chargeback as the history shows it."""

    transaction_id: UUID
    type: Literal["payment", "refund", "chargeback"]
    amount_minor: int
    currency: str
    description: str
    status: PaymentStatus
    created_at: datetime
    payment_id: UUID
    payment_method_id: UUID | None
    invoice_id: UUID | None
    failure_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Money that an account wants on a wallet, from one of its payment methods."""

    account_id: UUID
    payment_method_id: UUID
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class AmountRange:
    """What one top-up may be, in minor units, both ends inclusive."""

    minimum_minor: int
    maximum_minor: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a gateway says of a token that it attached. `reference` names it in later charges."""

    reference: str
    type: MethodType
    brand: str | None
    bank_name: str | None
    last4: str
    exp_month: int | None
    exp_year: int | None


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """Money asked of a gateway. `key` is the payment's id: however often it is sent, there is one charge."""

    key: str
    instrument_reference: str
    account_reference: str
    currency: str
    amount_minor: int

    @classmethod
    def of(cls, payment: Payment, *, instrument_reference: str) -> ChargeRequest:
        """What is asked for a payment."""
        return cls(
            key=str(payment.payment_id),
            instrument_reference=instrument_reference,
            account_reference=ids.encode("acc", payment.account_id),
            currency=payment.currency,
            amount_minor=payment.amount_minor,
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """What a gateway says of a charge; `reason` tells why it failed."""

    key: str
    account_reference: str
    currency: str
    amount_minor: int
    status: ChargeStatus
    reason: str | None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Money of a charge that a gateway is asked to give back. `key` is the refund's id: sent twice, it is given once."""

    key: str
    charge_key: str
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a gateway says of a refund; `reason` tells why it failed."""

    key: str
    charge_key: str
    currency: str
    amount_minor: int
    status: ChargeStatus
    reason: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a gateway said unasked: about which payment or refund of whose; None where it names nothing that could be ours."""

    notice_id: str
    type: str
    concerns: Literal["payment", "refund"] | None
    account_id: UUID | None
    object_id: UUID | None


class Gateway(Protocol):
    """The outside world that moves money. Never called inside a database transaction of ours.

    Every method raises GatewayUnknown when no answer came: the effect may have happened.
    """

    @property
    def name(self) -> str:
        """Names its ledger account."""
        ...

    @property
    def settles_after_s(self) -> int | None:
        """When it is worth asking for a pending charge, if that is known."""
        ...

    async def attach(self, *, key: str, token: str) -> Instrument:
        """Keep what the token stands for; again with the same key gives the same. Raises InvalidPaymentMethod."""
        ...

    async def charge(self, request: ChargeRequest) -> Charge:
        """Ask for money, once per key. A charge that the gateway declined is an answer, not an error."""
        ...

    async def find_charge(self, key: str) -> Charge | None:
        """The charge of a key, or None when the gateway never saw the key."""
        ...

    async def cancel(self, request: ChargeRequest) -> Charge:
        """Use up a key without taking money, so that no late call can; the charge that is there if there is one."""
        ...


@runtime_checkable
class RefundingGateway(Gateway, Protocol):
    """A gateway that can give money back; not all can."""

    async def refund(self, request: RefundRequest) -> GivenBack:
        """Give money of a charge back, once per key. A refund that the gateway declined is an answer, not an error."""
        ...

    async def find_refund(self, key: str) -> GivenBack | None:
        """The refund of a key, or None when the gateway never saw the key."""
        ...

    async def cancel_refund(self, request: RefundRequest) -> GivenBack:
        """Use up a key without giving money back, so that no late call can; the refund that is there if there is one."""
        ...


@runtime_checkable
class NotifyingGateway(Gateway, Protocol):
    """A gateway that says by webhook when something ended; others are asked in time."""

    def read_notice(self, headers: Headers, body: bytes, *, now: datetime) -> Notice:
        """What a webhook says whose signature is good. Raises InvalidSignature, NoticeNotUnderstood."""
        ...


@dataclass(frozen=True, slots=True)
class PaymentSettings:
    """How this installation takes payments. The currencies of `topup_ranges` are the supported ones."""

    gateway: Gateway
    topup_ranges: Mapping[str, AmountRange]


class GatewayUnknown(Exception):
    """The gateway did not answer: whether it did what was asked is not known."""


class GatewayTimeout(GatewayUnknown):
    """The gateway took too long."""


class InvalidPaymentMethod(Refused):
    """The gateway refuses the token, or it is not of the type that was named."""

    message = "The payment method was refused"


class PaymentDeclined(Refused):
    """The gateway, or who issued the payment method, refused the charge."""

    message = "The payment was declined"


class AmountOutOfRange(Refused):
    """A top-up below the minimum or above the maximum of its currency."""

    message = "The amount is outside what can be topped up at once"


class PaymentReferenceReused(Refused):
    """The account has another recorded payment of this reference."""

    message = "This reference was used for another payment"


class PaymentNotPending(Refused):
    """The payment has ended the other way."""

    message = "The payment is not pending any more"


class InvalidSignature(Forbidden):
    """A gateway's webhook without a good signature, or that is too old."""

    message = "The signature was refused"


class NoticeNotUnderstood(Refused):
    """A signed webhook that is not in its gateway's format."""

    message = "The webhook is not understood"


class NoticeIdReused(Conflict):
    """A signed webhook under the id of another."""

    message = "This id was used by another webhook"


class PaymentMethodInUse(Refused):
    """The last payment method while invoices are open."""

    message = "The last payment method cannot be removed while invoices are open"


class PaymentNotRefundable(Refused):
    """Money that did not come as a top-up by a gateway that gives money back."""

    message = "This payment cannot be refunded by its gateway"


class RefundExceedsPayment(Refused):
    """More than what is left of the payment after its refunds and chargebacks."""

    message = "The amount is greater than what is left of the payment"


class PaymentsNotRefundable(Refused):
    """Less can be given back of the account's payments than a credit note has to pay back."""

    message = "The account's payments cannot be refunded this much"


class ChargebackExceedsPayment(Refused):
    """More than what is left of the payment after its refunds and chargebacks."""

    message = "The amount is greater than what is left of the payment"


class RefundDeclined(Refused):
    """The gateway did not give the money back; it is in the wallet again."""

    message = "The gateway declined the refund"
