"""The events that there are, with what each one says: docs/events.md is made from here (`make golden`), and tests hold what is
published to it.

Amounts are texts with all their digits, instants RFC 3339 in UTC; an id is named as the API names it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of events: what happened, to which object, and the members of `data` besides id and version."""

    type: str
    says: str
    object: str
    members: tuple[str, ...]

    @property
    def group(self) -> str:
        """The filter that takes all of its kind, such as `invoice.*`."""
        return f"{self.type.partition('.')[0]}.*"


_INVOICE = (
    "number",
    "status",
    "currency",
    "subtotal",
    "tax",
    "amount",
    "amount_paid",
    "amount_due",
    "credited",
    "period_start",
    "period_end",
    "created_at",
    "due_date",
    "paid_at",
)
_CREDIT_NOTE = (
    "number",
    "currency",
    "net",
    "tax",
    "amount",
    "lowered",
    "returned",
    "restored",
    "refunded",
    "invoice_id",
    "invoice_number",
    "reason",
    "period_start",
    "period_end",
    "created_at",
)
_PAYMENT = (
    "transaction_id",
    "kind",
    "status",
    "amount",
    "currency",
    "description",
    "payment_method",
    "invoice_id",
    "reference",
    "failure_reason",
    "created_at",
    "received_at",
    "ended_at",
)
_REFUND = (
    "transaction_id",
    "payment_id",
    "status",
    "amount",
    "currency",
    "reason",
    "failure_reason",
    "credit_note_id",
    "created_at",
    "ended_at",
)
_METHOD = ("type", "brand", "bank_name", "last4", "exp_month", "exp_year", "is_default", "created_at")
_ACCOUNT = ("name", "status", "since")
_KEY = ("name", "prefix", "permissions", "ip_whitelist", "created_at", "expires_at", "revoked_at")
_ALERT = (
    "notification_id",
    "figure",
    "condition",
    "value",
    "threshold",
    "currency",
    "metric",
    "percent",
    "budget",
    "project_name",
    "occasion",
    "methods",
)
_PROJECT = ("name",)

PUBLIC = (
    EventType(
        "account.suspended", "The account was suspended: it reads and pays, and changes nothing.", "account", _ACCOUNT
    ),
    EventType("account.restored", "The account is active again.", "account", _ACCOUNT),
    EventType(
        "alert.fired", "An alert crossed its threshold; sent where the alert asks for `webhook`.", "alert", _ALERT
    ),
    EventType("alert.recovered", "A balance is on the right side again; sent likewise.", "alert", _ALERT),
    EventType(
        "alert.test",
        "An operator tried an alert out; sent likewise.",
        "alert",
        ("notification_id", "alert_id", "threshold", "currency", "methods"),
    ),
    EventType("api_key.created", "An API key was made.", "API key", _KEY),
    EventType("api_key.revoked", "An API key opens nothing from now on.", "API key", _KEY),
    EventType("budget.fired", "A project's cost passed a step of its budget; sent likewise.", "project", _ALERT),
    EventType("budget.recovered", "It is below the step again; sent likewise.", "project", _ALERT),
    EventType(
        "card.expiring",
        "A card cannot be charged soon; told twice (`attempt`).",
        "payment method",
        (*_METHOD, "attempt", "expires_at"),
    ),
    EventType("credit_note.issued", "Part of what was billed was taken back.", "credit note", _CREDIT_NOTE),
    EventType("invoice.issued", "A month was billed.", "invoice", _INVOICE),
    EventType("invoice.paid", "Nothing of an invoice is open any more.", "invoice", _INVOICE),
    EventType("invoice.overdue", "An invoice is past its due date.", "invoice", _INVOICE),
    EventType("invoice.voided", "An invoice was taken back; its months are billed again.", "invoice", _INVOICE),
    EventType("invoice.written_off", "What is open of an invoice is not asked for any more.", "invoice", _INVOICE),
    EventType("payment.succeeded", "Money has arrived.", "payment", _PAYMENT),
    EventType("payment.failed", "A payment was refused.", "payment", _PAYMENT),
    EventType("payment_method.added", "A card or bank account was saved.", "payment method", _METHOD),
    EventType("payment_method.default_changed", "Another method is charged from now on.", "payment method", _METHOD),
    EventType("payment_method.removed", "A card or bank account was removed.", "payment method", _METHOD),
    EventType("project.deleted", "A project was deleted; its resources stop.", "project", _PROJECT),
    EventType("project.restored", "A deletion was taken back.", "project", _PROJECT),
    EventType("refund.succeeded", "Money went back to where it came from.", "refund", _REFUND),
    EventType("refund.failed", "It could not, and is in the wallet again.", "refund", _REFUND),
    EventType(
        "webhook.disabled",
        "An endpoint gets nothing any more: it failed for too long, or answered 410.",
        "webhook endpoint",
        ("url", "description", "reason", "failing_since", "disabled_at"),
    ),
    EventType("webhook.test", "What `POST /account/webhooks/{id}/test` sends.", "webhook endpoint", ("message",)),
)
# What accounts are not sent: the log of the operator API has them too.
INTERNAL = (
    EventType(
        "resource.deletion_requested", "The platform is to delete a resource.", "resource", ("project_id", "asked_at")
    ),
    EventType("resource.deletion_withdrawn", "It is not to, after all.", "resource", ("project_id", "asked_at")),
    EventType(
        "resource.deletion_unconfirmed",
        "It has not, a day after it was asked to.",
        "resource",
        ("project_id", "asked_at"),
    ),
    EventType("wallet.credited", "Money came into the wallet in another way than by a payment.", "its cause", ()),
)

EVENT_TYPES = tuple(one.type for one in (*PUBLIC, *INTERNAL))
PUBLIC_TYPES = frozenset(one.type for one in PUBLIC)
SENT_ON_REQUEST = frozenset({"webhook.test"})  # to one endpoint, whatever it wants
BY_METHOD = ("alert.", "budget.")  # sent only where the alert is told by webhook
EVERYTHING = "*"
FILTERS = (
    EVERYTHING,
    *sorted({one.group for one in PUBLIC}),
    *(one.type for one in PUBLIC if one.type not in SENT_ON_REQUEST),
)
