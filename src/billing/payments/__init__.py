"""Payments: money from outside, by gateways or recorded by the operator. See README.md."""

from billing.payments.adapters.sandbox import SandboxGateway
from billing.payments.jobs import check_payments
from billing.payments.model import (
    AmountRange,
    Captured,
    Charge,
    Chargeback,
    ChargeRequest,
    Gateway,
    GatewayUnknown,
    GivenBack,
    Instrument,
    Payment,
    PaymentDeclined,
    PaymentMethod,
    PaymentSettings,
    Refund,
    RefundingGateway,
    RefundRequest,
    Transaction,
)
from billing.payments.operations import charge, charge_back, fail, record, refund, settle, start_refund, start_topup
from billing.payments.rules import topup_ranges
from billing.payments.schemas import TransactionOut, show_row, show_transaction
from billing.payments.store import get_captured, get_payment, get_refund, get_transaction

__all__ = [
    "AmountRange",
    "Captured",
    "Charge",
    "ChargeRequest",
    "Chargeback",
    "Gateway",
    "GatewayUnknown",
    "GivenBack",
    "Instrument",
    "Payment",
    "PaymentDeclined",
    "PaymentMethod",
    "PaymentSettings",
    "Refund",
    "RefundRequest",
    "RefundingGateway",
    "SandboxGateway",
    "Transaction",
    "TransactionOut",
    "charge",
    "charge_back",
    "check_payments",
    "fail",
    "get_captured",
    "get_payment",
    "get_refund",
    "get_transaction",
    "record",
    "refund",
    "settle",
    "show_row",
    "show_transaction",
    "start_refund",
    "start_topup",
    "topup_ranges",
]
