"""Examples of errors that say more than their code: their messages and details, by code."""

from __future__ import annotations

from billing.app.reference.members.forms import D, example_id
from billing.kit.web.openapi.responses import Failure


def _fault(where: str, path: str, reason: str) -> dict[str, object]:
    return {"in": where, "path": path, "reason": reason}


def _said(message: str | None = None, **details: object) -> Failure:
    return Failure(message=message, details=details)


FAILURES: dict[str, Failure] = {
    "amount_out_of_range": _said(minimum=D("1.00"), maximum=D("10000.00"), currency="USD"),
    "capture_above_hold": _said(held=D("25.50"), currency="USD"),
    "card_number_refused": _said(
        "Card numbers are not accepted here",
        faults=[
            _fault("body", "token", "holds a payment card number; send the token that the gateway's form returned")
        ],
    ),
    "chargeback_exceeds_payment": _said(disputable=D("10.00"), currency="USD"),
    "credit_note_exceeds_invoice": _said(left_minor=1250),
    "channel_not_configured": _said(channel="sms"),
    "currency_not_supported": _said("The currency XYZ is not supported", currency="XYZ"),
    "hold_not_open": _said(status="captured"),
    "idempotency_key_required": _said(
        "This operation needs an Idempotency-Key header",
        faults=[_fault("header", "Idempotency-Key", "is required for this operation")],
    ),
    "insufficient_balance": _said(required=D("50.00"), available=D("25.75"), currency="USD"),
    "internal_error": _said(request_id="5f2b0c9e7d1a4e3f8b6c2d9a0e4f7b1c"),
    "invalid_parameter": _said(
        "2 fields are not valid",
        faults=[
            _fault("body", "amount", "has more decimals than USD allows (2)"),
            _fault("body", "currency", "is required"),
        ],
    ),
    "invalid_payment_method": _said(reason="token_invalid"),
    "invoice_not_payable": _said(status="paid"),
    "invoice_not_voidable": _said(status="void", kind="invoice"),
    "meter_in_use": _said("The meter is in use: its aggregation cannot change", meter="sms", aggregation="sum"),
    "meter_service_differs": _said(
        "A price names a meter of another service", meters=[{"meter": "sms", "service": "messaging"}]
    ),
    "payment_declined": _said(reason="insufficient_funds", transaction_id=example_id("txn")),
    "payment_not_pending": _said(status="failed"),
    "payment_not_refundable": _said(kind="recorded", gateway=None),
    "payment_reference_reused": _said(reference="bank transfer 4711", transaction_id=example_id("txn")),
    "period_finalized": _said(
        "A month that is already invoiced would change", finalized=[{"plan": "vps-2", "last_period": "2024-01"}]
    ),
    "period_open": _said(period="2024-02", ends_at="2024-03-01T00:00:00Z"),
    "price_exists": _said("There is already a price with this start", prices=[{"plan": "vps-2", "region": None}]),
    "price_missing": _said("No price is in force for this plan or meter", plan="vps-9"),
    "too_many_keys": _said(limit=200),
    "too_many_webhooks": _said(limit=20),
    "rate_limited": _said(limit=100, **{"class": "billing"}, retry_after_s=1200),
    "refund_declined": _said(reason="card_expired", refund_id=example_id("ref")),
    "refund_exceeds_payment": _said(refundable=D("10.00"), currency="USD"),
    "resource_deleted": _said(deleted_at="2024-01-20T00:00:00Z"),
    "resource_region_fixed": _said(region="nairobi"),
    "unsupported_media_type": _said("The body must be application/json"),
}
