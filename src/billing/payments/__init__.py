"""Payments: money from outside, by gateways or recorded by the operator. See README.md."""

from billing.payments.adapters.sandbox import SandboxGateway
from billing.payments.jobs import check_payments
from billing.payments.model import (
    AmountRange,
    Charge,
    ChargeRequest,
    Gateway,
    GatewayUnknown,
    Instrument,
    Payment,
    PaymentDeclined,
    PaymentMethod,
    PaymentSettings,
)
from billing.payments.operations import charge, fail, record, settle, start_topup
from billing.payments.rules import topup_ranges
from billing.payments.schemas import TransactionOut, show_transaction
from billing.payments.store import get_payment

__all__ = [
    "AmountRange",
    "Charge",
    "ChargeRequest",
    "Gateway",
    "GatewayUnknown",
    "Instrument",
    "Payment",
    "PaymentDeclined",
    "PaymentMethod",
    "PaymentSettings",
    "SandboxGateway",
    "TransactionOut",
    "charge",
    "check_payments",
    "fail",
    "get_payment",
    "record",
    "settle",
    "show_transaction",
    "start_topup",
    "topup_ranges",
]
