"""What is done with payments. Nothing here calls a gateway inside a transaction: intent ‖ gateway ‖ outcome (‖ = commit)."""

from billing.payments.operations.charging import (
    charge,
    check,
    check_due,
    fail,
    record,
    settle,
    start_invoice_payment,
    take_answer,
)
from billing.payments.operations.charging_back import charge_back
from billing.payments.operations.methods import attach_method, delete_method, make_default, tell_expiring
from billing.payments.operations.noticing import prune_notices, take_notice
from billing.payments.operations.refunding import check_refund, check_refunds_due, refund, start_refund, start_refunds
from billing.payments.operations.topping_up import Keep, Started, TopUps, start_topup

__all__ = [
    "Keep",
    "Started",
    "TopUps",
    "attach_method",
    "charge",
    "charge_back",
    "check",
    "check_due",
    "check_refund",
    "check_refunds_due",
    "delete_method",
    "fail",
    "make_default",
    "prune_notices",
    "record",
    "refund",
    "settle",
    "start_invoice_payment",
    "start_refund",
    "start_refunds",
    "start_topup",
    "take_answer",
    "take_notice",
    "tell_expiring",
]
