"""A payload of each message as its event publishes it, and one in which everything is hostile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from billing.kit.db import Database, Tx
from billing.notifications.adapters import wording
from billing.notifications.model import Attachment, Issuer, Mailroom, Message, Outcome, Outlet, Wording

ISSUER = Issuer(name="Lineserve Cloud", support_email="billing@lineserve.example")


@dataclass
class FakeChannel:
    """A channel that does as it is told, by default what is right; what it carried is in `carried`."""

    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    carried: list[Message] = field(default_factory=list[Message])
    before: Callable[[], Awaitable[None]] | None = None
    after: Callable[[], Awaitable[None]] | None = None

    @property
    def gateway(self) -> str:
        return "fake"

    async def send(self, message: Message, *, handing_over: Callable[[], Awaitable[None]]) -> Outcome:
        if self.before is not None:
            await self.before()
        await handing_over()
        self.carried.append(message)
        if self.after is not None:
            await self.after()
        return self.outcomes.pop(0) if self.outcomes else Outcome(kind="sent", gateway_id="g-1")


async def find_issuer(tx: Tx) -> Issuer:
    """The same always."""
    return ISSUER


async def find_document(database: Database, *, account_id: UUID, object_id: str) -> Attachment:
    """A small one."""
    return Attachment(name="INV-1.pdf", content=b"%PDF-")


MAILROOM = Mailroom(email=Outlet(channel=FakeChannel()), find_issuer=find_issuer, find_document=find_document)
_INVOICE: dict[str, Any] = {
    "number": "INV-2024-000042",
    "status": "pending",
    "currency": "KES",
    "subtotal": "112500.00",
    "tax": "18000.00",
    "amount": "130500.00",
    "amount_paid": "30500.00",
    "amount_due": "100000.00",
    "credited": "0.00",
    "period_start": "2024-01-01T00:00:00Z",
    "period_end": "2024-01-31T23:59:59Z",
    "created_at": "2024-02-01T01:00:00Z",
    "due_date": "2024-02-15T00:00:00Z",
    "paid_at": None,
}
_PAYMENT: dict[str, Any] = {
    "transaction_id": "txn_01hn2z9g3m8q4r6t7v0w1x2y3z",
    "kind": "topup",
    "status": "completed",
    "amount": "1250.00",
    "currency": "USD",
    "description": "Wallet top-up",
    "payment_method": "pm_01hn2z9g3m8q4r6t7v0w1x2y3z",
    "invoice_id": None,
    "reference": None,
    "failure_reason": None,
    "created_at": "2024-02-01T09:59:58Z",
    "received_at": None,
    "ended_at": "2024-02-01T10:00:00Z",
}
_REFUND: dict[str, Any] = {
    "transaction_id": "txn_01hn2zc5g7e9r1t3y5u7i9o1p3",
    "payment_id": "pay_01hn2z9g3m8q4r6t7v0w1x2y3z",
    "status": "completed",
    "amount": "1200",
    "currency": "JPY",
    "reason": "Charged twice",
    "failure_reason": None,
    "credit_note_id": None,
    "created_at": "2024-02-01T09:00:00Z",
    "ended_at": "2024-02-01T10:00:00Z",
}
_ALERT: dict[str, Any] = {
    "notification_id": "ntf_01hn2zc5g7e9r1t3y5u7i9o1p3",
    "figure": "net",
    "condition": "greater_than",
    "value": "501.25",
    "threshold": "500.00",
    "currency": "USD",
    "metric": None,
    "percent": None,
    "occasion": 202402,
}
_BUDGET: dict[str, Any] = {**_ALERT, "percent": 80, "value": "412.00", "threshold": "400.00", "project_name": "Website"}
_KEY: dict[str, Any] = {
    "name": "deploy",
    "prefix": "ls_live",
    "permissions": ["read", "write"],
    "ip_whitelist": ["192.0.2.0/24"],
    "created_at": "2024-02-01T10:00:00Z",
    "expires_at": None,
    "revoked_at": None,
}

SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "invoice.issued": ("inv_1", _INVOICE),
    "invoice.overdue": ("inv_1", {**_INVOICE, "status": "overdue"}),
    "credit_note.issued": (
        "cn_1",
        {
            "number": "CN-2024-000003",
            "currency": "KES",
            "net": "1000.00",
            "tax": "160.00",
            "amount": "1160.00",
            "lowered": "0.00",
            "returned": "1160.00",
            "restored": "0.00",
            "refunded": "0.00",
            "invoice_id": "inv_1",
            "invoice_number": "INV-2024-000042",
            "reason": "An hour without network",
            "period_start": "2024-01-01T00:00:00Z",
            "period_end": "2024-01-31T23:59:59Z",
            "created_at": "2024-02-03T22:30:00Z",
        },
    ),
    "payment.succeeded": ("pay_1", _PAYMENT),
    "payment.failed": ("pay_1", {**_PAYMENT, "status": "failed", "failure_reason": "insufficient_funds"}),
    "refund.succeeded": ("ref_1", _REFUND),
    "refund.failed": ("ref_1", {**_REFUND, "status": "failed", "failure_reason": "method_closed"}),
    "account.suspended": ("acc_1", {"name": "Acme", "status": "suspended", "since": "2024-02-01T10:00:00Z"}),
    "account.restored": ("acc_1", {"name": "Acme", "status": "active", "since": "2024-02-02T08:15:00Z"}),
    "alert.fired": ("alert_1/0/1/202402", _ALERT),
    "alert.recovered": (
        "alert_1/0/1/3",
        {**_ALERT, "figure": "available", "condition": "less_than", "value": "75.00", "threshold": "50.00"},
    ),
    "alert.test": ("x", {"alert_id": "alert_1", "threshold": "500.00", "currency": "USD"}),
    "budget.fired": ("proj_1/80/40000/202402", _BUDGET),
    "budget.recovered": ("proj_1/80/40000/202402", {**_BUDGET, "value": "396.10"}),
    "card.expiring": (
        "pm_1",
        {
            "type": "card",
            "brand": "visa",
            "bank_name": None,
            "last4": "4242",
            "exp_month": 2,
            "exp_year": 2024,
            "is_default": True,
            "created_at": "2022-02-01T10:00:00Z",
            "attempt": 1,
            "expires_at": "2024-03-01T00:00:00Z",
        },
    ),
    "api_key.created": ("key_1", _KEY),
    "api_key.revoked": ("key_1", {**_KEY, "revoked_at": "2024-02-01T11:00:00Z"}),
    "webhook.disabled": (
        "wh_1",
        {
            "url": "https://hooks.acme.example/billing",
            "description": "Bookkeeping",
            "reason": "failing",
            "failing_since": "2024-01-29T09:58:00Z",
            "disabled_at": "2024-02-01T10:00:00Z",
        },
    ),
}


def worded(template: str, **changes: Any) -> Wording:
    """The sample of a template in words, to an account in Nairobi; `payload` and the other members may be changed."""
    object_id, payload = SAMPLES.get(template, ("x", {}))
    given: dict[str, Any] = {
        "payload": payload,
        "object_id": object_id,
        "told_at": "2024-02-01T10:00:00+00:00",
        "account": "Acme Ltd",
        "timezone": "Africa/Nairobi",
        "issuer": ISSUER,
        **changes,
    }
    return wording.word(template, **given)
