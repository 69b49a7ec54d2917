"""Every route of the API with a right call of it; `tests/support/world.py` has what the calls name."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from billing.accounts import schemas as account_schemas
from billing.alerts import schemas as alert_schemas
from billing.api_keys import schemas as key_schemas
from billing.app.http import OPERATOR, PUBLIC
from billing.catalog import schemas as catalog_schemas
from billing.core import ids
from billing.invoices import schemas as invoice_schemas
from billing.invoices.schemas import credit_notes as credit_note_schemas
from billing.kit.web.endpoints import BASES
from billing.metering import schemas as metering_schemas
from billing.notifications import schemas as notification_schemas
from billing.payments import schemas as payment_schemas
from billing.projects import schemas as project_schemas
from billing.rating import schemas as rating_schemas
from billing.wallets import schemas as wallet_schemas
from billing.webhooks import schemas as webhook_schemas
from tests.support.pictures import png

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from billing.kit.auth import Plane

NOTHING = "0" * 26
EVENTS = "application/cloudevents-batch+json"
Names = dict[str, str]
_fresh = count(1)


@dataclass(frozen=True)
class Route:
    """How a route is rightly called: its body, its parameters, and which of an account's objects its path names."""

    method: str
    template: str
    schema: type[msgspec.Struct] | None
    body: Callable[[Names], Any] | None
    query: dict[str, str]
    names: Names
    """Parameters of the path that stand for another of the account's objects than the usual one."""
    media_type: str

    @property
    def is_public(self) -> bool:
        """Whether it is the public API's."""
        return self.template.startswith("/v1/")

    def path(self, objects: Names) -> str:
        """The path to an account's objects."""
        known = {**objects, **{name: objects[other] for name, other in self.names.items()}}
        return re.sub(r"{(\w+):\w+}", lambda match: known[match[1]], self.template)

    @property
    def parameters(self) -> list[str]:
        """The parameters of the path."""
        return re.findall(r"{(\w+):\w+}", self.template)


def fresh() -> str:
    """A word that was not used before."""
    return f"fresh-{next(_fresh)}"


def routes() -> list[str]:
    """Every route of app/http.py as `METHOD /path/{parameter:type}`."""

    def of(base: str, handlers: list[HTTPRouteHandler]) -> list[str]:
        return [
            f"{method} {base}{path}"
            for handler in handlers
            for path in sorted(handler.paths)
            for method in sorted(handler.http_methods)
        ]

    return [*of(BASES["public"], PUBLIC), *of(BASES["operator"], OPERATOR)]


def event(account_id: str, event_id: str) -> dict[str, Any]:
    """A usage event as the platform sends it."""
    data = {"account_id": account_id, "meter": "sms", "quantity": 10}
    event = {"specversion": "1.0", "id": event_id, "source": "platform", "type": "usage", "subject": "vps_1"}
    return {**event, "time": "2024-01-15T12:00:00Z", "data": data}


STATE = {
    "type": "vps",
    "service": "compute",
    "name": "w",
    "region": "nairobi",
    "status": "running",
    "plan": "small",
}
ALERT = {"type": "budget", "threshold": 200, "condition": "greater_than", "notification_methods": ["email"]}
WEBHOOK = {"url": "https://hooks.example.com/billing"}
PAGE = {"page": "1", "per_page": "25"}
_PROFILE = {
    "name": "Jane",
    "company": "Acme",
    "timezone": "Africa/Nairobi",
    "phone": "+254700000000",
    "address": "Here 1",
    "tax_id": "P1",
}
_MONEY = {"amount": 2.5, "currency": "USD"}
_TIERS = [{"up_to": 10, "unit_price": 0.5, "flat": 1}, {"up_to": None, "unit_price": 0.25, "flat": 0.5}]
_BOUNDS: dict[str, Any] = {"discount_percent": 5, "maximum": 100, "minimum": 1, "region": "nairobi"}
_METERED: list[dict[str, Any]] = [
    {"model": "per_unit", "unit_price": 0.01, "included": 3},
    {"model": "graduated", "tiers": _TIERS},
    {"model": "volume", "tiers": _TIERS},
    {"model": "package", "package_size": 100, "package_price": 2, "included": 5},
]
_PLANNED: list[dict[str, Any]] = [
    {"model": "flat", "amount": 30},
    {"model": "hourly", "hourly_price": 0.1, "monthly_price": 50, "increment_s": 60, "minimum_s": 60},
]


def _card(names: Names) -> Any:
    metered = [{"service": "messaging", "meter": fresh(), "scope": "account", **p, **_BOUNDS} for p in _METERED]
    planned = [{"service": "compute", "plan": fresh(), "scope": "resource", **p, **_BOUNDS} for p in _PLANNED]
    planned[1]["billable"] = ["running", "stopped"]
    owner = {"account_id": names["account_id"]}
    return {"name": "C", "currency": "USD", "valid_from": "2024-02-01", "prices": [*metered, *planned], **owner}


def _quote(names: Names) -> Any:
    lines = [
        {"plan": "small", "hours": 10, "units": 2, "region": "nairobi"},
        {"meter": "sms", "quantity": 10},
        *({"meter": "draft", "quantity": 10, "price": price} for price in _METERED),
        *({"plan": "draft", "hours": 10, "price": price} for price in _PLANNED),
    ]
    return {"currency": "USD", "account_id": names["account_id"], "at": "2024-01-31T00:00:00Z", "lines": lines}


def _resource(names: Names) -> Any:
    return {**STATE, "effective_at": "2024-01-20T00:00:00Z", "project_id": names["project_id"], "units": 2}


def _call(
    name: str,
    *,
    schema: type[msgspec.Struct] | None = None,
    body: Callable[[Names], Any] | None = None,
    query: dict[str, str] | None = None,
    names: Names | None = None,
) -> Route:
    method, _, template = name.partition(" ")
    media_type = EVENTS if template == "/events" else "application/json"
    return Route(method, template, schema, body, query or {}, names or {}, media_type)


def _first_line(invoice_id: str) -> str:
    return ids.encode_part("line", ids.expect("inv", invoice_id), 1, 1)


_SPARE = {"account_id": "spare_account_id"}
_PUBLIC = [
    _call("GET /account"),
    _call("PUT /account", schema=account_schemas.AccountUpdate, body=lambda _: _PROFILE),
    _call("GET /account/api-keys", query=PAGE),
    _call("GET /account/api-keys/{key_id:str}"),
    _call(
        "POST /account/api-keys",
        schema=key_schemas.KeyCreate,
        body=lambda _: {
            "name": "CI",
            "permissions": ["read", "write"],
            "expires_at": "2025-01-01T00:00:00Z",
            "ip_whitelist": ["10.0.0.0/8", "::1"],
        },
    ),
    _call("DELETE /account/api-keys/{key_id:str}", names={"key_id": "spare_key_id"}),
    _call("GET /projects", query=PAGE),
    _call(
        "POST /projects",
        schema=project_schemas.ProjectCreate,
        body=lambda _: {"name": "P", "description": "D", "region": "nairobi", "budget_limit": 100.25},
    ),
    _call("GET /projects/{project_id:str}"),
    _call(
        "PUT /projects/{project_id:str}",
        schema=project_schemas.ProjectUpdate,
        body=lambda _: {"name": "P", "description": "D", "budget_limit": 1.5},
    ),
    _call("DELETE /projects/{project_id:str}", names={"project_id": "spare_project_id"}),
    _call("GET /projects/{project_id:str}/resources", query={**PAGE, "service": "compute", "status": "running"}),
    _call("GET /account/wallets", query=PAGE),
    _call("GET /account/credits", query=PAGE),
    _call(
        "POST /account/wallets/topup",
        schema=payment_schemas.TopUpIn,
        body=lambda names: {**_MONEY, "payment_method": names["payment_method_id"]},
    ),
    _call("GET /account/payment-methods", query=PAGE),
    _call("GET /account/payment-methods/{payment_method_id:str}"),
    _call(
        "POST /account/payment-methods",
        schema=payment_schemas.PaymentMethodIn,
        body=lambda _: {"type": "card", "token": "tok_visa", "set_default": False},
    ),
    _call(
        "PUT /account/payment-methods/{payment_method_id:str}",
        schema=payment_schemas.PaymentMethodChange,
        body=lambda _: {"set_default": True},
    ),
    _call("DELETE /account/payment-methods/{payment_method_id:str}", names={"payment_method_id": "spare_method_id"}),
    _call(
        "GET /account/invoices",
        query={**PAGE, "status": "paid", "from_date": "2024-01-01", "to_date": "2024-01-31T00:00:00Z"},
    ),
    _call("GET /account/invoices/{invoice_id:str}"),
    _call("GET /account/invoices/{invoice_id:str}/lines", query=PAGE),
    _call("GET /account/invoices/{invoice_id:str}/pdf"),
    _call("GET /account/invoices/{invoice_id:str}/csv"),
    _call(
        "POST /account/invoices/{invoice_id:str}/pay",
        schema=invoice_schemas.PayIn,
        body=lambda names: {"payment_method": names["payment_method_id"]},
    ),
    _call("GET /account/credit-notes/{credit_note_id:str}"),
    _call("GET /account/credit-notes/{credit_note_id:str}/pdf"),
    _call(
        "GET /account/billing/history",
        query={**PAGE, "type": "charge", "from_date": "2024-01-01", "to_date": "2024-01-31"},
    ),
    _call("GET /account/transactions/{transaction_id:str}"),
    _call("GET /account/transactions/{transaction_id:str}/receipt"),
    _call("GET /account/usage", query={"service": "compute", "detailed": "true"}),
    _call(
        "GET /account/analytics/costs",
        query={"from_date": "2024-01-01", "to_date": "2024-02-29", "group_by": "project"},
    ),
    _call(
        "GET /account/analytics/trends",
        query={"metric": "cost", "from_date": "2024-01-01", "to_date": "2024-02-29", "interval": "week"},
    ),
    _call("GET /projects/{project_id:str}/usage", query={"from_date": "2024-01-01", "to_date": "2024-02-29"}),
    _call("GET /account/alerts", query=PAGE),
    _call(
        "POST /account/alerts",
        schema=alert_schemas.AlertIn,
        body=lambda names: {
            **ALERT,
            "threshold": 200.25,
            "notification_methods": ["email", "webhook"],
            "currency": "USD",
            "project_id": names["project_id"],
            "metric": None,
        },
    ),
    _call("GET /account/alerts/{alert_id:str}"),
    _call(
        "PUT /account/alerts/{alert_id:str}",
        schema=alert_schemas.AlertUpdate,
        body=lambda _: {"threshold": 20.5, "condition": "less_than", "notification_methods": ["webhook"]},
    ),
    _call("DELETE /account/alerts/{alert_id:str}", names={"alert_id": "spare_alert_id"}),
    _call("GET /account/notifications", query=PAGE),
    _call("GET /account/notification-settings"),
    _call(
        "PUT /account/notification-settings",
        schema=notification_schemas.NotificationSettingsUpdate,
        body=lambda _: {
            "email": {"invoices": True, "payments": False, "budgets": True, "security": True, "account": True},
            "sms": {"invoices": False, "payments": False, "budgets": False, "security": False, "account": False},
            "email_recipients": ["books@example.com"],
            "quiet_hours": {"start": "22:00", "end": "06:30"},
        },
    ),
    _call("GET /account/webhooks", query=PAGE),
    _call(
        "POST /account/webhooks",
        schema=webhook_schemas.WebhookIn,
        body=lambda _: {**WEBHOOK, "events": ["invoice.*", "payment.failed"], "description": "Books"},
    ),
    _call("GET /account/webhooks/{webhook_id:str}"),
    _call(
        "PUT /account/webhooks/{webhook_id:str}",
        schema=webhook_schemas.WebhookUpdate,
        body=lambda _: {**WEBHOOK, "events": ["*"], "description": "Books", "status": "enabled"},
    ),
    _call("DELETE /account/webhooks/{webhook_id:str}", names={"webhook_id": "spare_webhook_id"}),
    _call("POST /account/webhooks/{webhook_id:str}/rotate-secret"),
    _call("POST /account/webhooks/{webhook_id:str}/test"),
    _call("GET /account/webhooks/{webhook_id:str}/deliveries", query={**PAGE, "status": "delivered"}),
    _call("GET /account/webhooks/{webhook_id:str}/deliveries/{message_id:str}"),
    _call("POST /account/webhooks/{webhook_id:str}/deliveries/{message_id:str}/redeliver"),
    _call("GET /account/explain", query={"meter": "sms", "resource_id": "vps_1", "period": "2024-01"}),
]
_OPERATOR = [
    _call("GET /accounts", query={**PAGE, "status": "active", "q": "jane"}),
    _call("GET /accounts/{account_id:str}"),
    _call(
        "PUT /accounts/{account_id:str}",
        schema=account_schemas.OperatorAccountUpdate,
        body=lambda _: {
            **_PROFILE,
            "email": "jane@example.org",
            "country": "KE",
            "tax_exempt": False,
            "terms_days": 30,
            "billing_paused": False,
            "verified": True,
        },
    ),
    _call("POST /accounts/{account_id:str}/suspend", names=_SPARE),
    _call("POST /accounts/{account_id:str}/restore", names=_SPARE),
    _call("GET /accounts/{account_id:str}/api-keys", query=PAGE),
    _call("DELETE /accounts/{account_id:str}/api-keys/{key_id:str}", names={"key_id": "lost_key_id"}),
    _call("GET /accounts/{account_id:str}/projects", query=PAGE),
    _call(
        "GET /accounts/{account_id:str}/resources",
        query={**PAGE, "project_id": f"proj_{NOTHING}", "service": "compute", "status": "running"},
    ),
    _call("GET /accounts/{account_id:str}/resources/{resource_id:path}"),
    _call("GET /accounts/{account_id:str}/wallets", query=PAGE),
    _call("GET /accounts/{account_id:str}/credits", query=PAGE),
    _call("GET /accounts/{account_id:str}/holds", query={**PAGE, "status": "open"}),
    _call("GET /accounts/{account_id:str}/payments", query={**PAGE, "kind": "topup", "status": "completed"}),
    _call("GET /payments/{payment_id:str}"),
    _call(
        "GET /accounts/{account_id:str}/invoices",
        query={**PAGE, "status": "paid", "from_date": "2024-01-01", "to_date": "2024-03-01"},
    ),
    _call("GET /invoices/{invoice_id:str}"),
    _call("GET /invoices/{invoice_id:str}/lines", query=PAGE),
    _call("GET /invoices/{invoice_id:str}/pdf"),
    _call("POST /projects/{project_id:str}/restore", names={"project_id": "lost_project_id"}),
    _call("POST /rate-cards", schema=catalog_schemas.RateCardCreate, body=_card),
    _call("GET /rate-cards", query={**PAGE, "currency": "USD", "account_id": f"acc_{NOTHING}"}),
    _call("GET /rate-cards/{rate_card_id:str}"),
    _call(
        "PUT /rate-cards/{rate_card_id:str}",
        schema=catalog_schemas.RateCardUpdate,
        body=lambda _: {"valid_to": "2024-05-01"},
    ),
    _call("GET /meters", query=PAGE),
    _call("GET /meters/{meter:path}"),
    _call(
        "PUT /meters/{meter:path}",
        schema=catalog_schemas.MeterUpdate,
        body=lambda _: {
            "service": "messaging",
            "name": "SMS",
            "unit": "message",
            "aggregation": "sum",
            "shows_as": "messages_sent",
        },
    ),
    _call("GET /tax-rates"),
    _call(
        "PUT /tax-rates",
        schema=catalog_schemas.TaxRateGiven,
        body=lambda _: [{"country": "KE", "name": "VAT", "percent": 16, "valid_from": "2024-01-01"}],
    ),
    _call(
        "POST /events",
        schema=metering_schemas.UsageEventIn,
        body=lambda names: [event(names["account_id"], fresh())],
        query={"backfill": "true"},
    ),
    _call("GET /events/quarantine", query={**PAGE, "account_id": f"acc_{NOTHING}"}),
    _call(
        "POST /events/quarantine/replay",
        schema=metering_schemas.ReplayIn,
        body=lambda names: {"account_id": names["account_id"]},
    ),
    _call(
        "POST /events/{source:str}/{event_id:str}/void",
        schema=metering_schemas.VoidIn,
        body=lambda names: {"account_id": names["account_id"]},
    ),
    _call("POST /quotes", schema=rating_schemas.QuoteIn, body=_quote),
    _call(
        "PUT /accounts/{account_id:str}/resources/{resource_id:path}",
        schema=project_schemas.ResourceReport,
        body=_resource,
    ),
    _call(
        "POST /accounts/{account_id:str}/credits",
        schema=wallet_schemas.CreditIn,
        body=lambda _: {**_MONEY, "reason": "Sorry", "expires_at": "2024-06-01T00:00:00Z", "priority": 5},
    ),
    _call(
        "POST /accounts/{account_id:str}/credits/{credit_id:str}/undo",
        schema=wallet_schemas.UndoIn,
        body=lambda _: {"reason": "a mistake"},
    ),
    _call(
        "POST /accounts/{account_id:str}/holds",
        schema=wallet_schemas.HoldIn,
        body=lambda _: {**_MONEY, "reference": fresh(), "expires_at": "2024-06-01T00:00:00Z"},
    ),
    _call("POST /holds/{hold_id:str}/capture", schema=wallet_schemas.CaptureIn, body=lambda _: {"amount": 1.25}),
    _call(
        "POST /holds/{hold_id:str}/release",
        schema=wallet_schemas.EmptyIn,
        body=lambda _: {},
        names={"hold_id": "other_hold_id"},
    ),
    _call("GET /accounts/{account_id:str}/ledger", query=PAGE),
    _call(
        "POST /accounts/{account_id:str}/payments",
        schema=payment_schemas.RecordedIn,
        body=lambda _: {**_MONEY, "reference": "bank 1", "received_at": "2024-01-31T10:00:00Z"},
    ),
    *(
        _call(
            f"POST /payments/{{payment_id:str}}/{what}",
            schema=payment_schemas.GivingBackIn,
            body=lambda _: {"amount": 1.25, "reason": "Sorry"},
            names={"payment_id": "captured_id"},
        )
        for what in ("refunds", "chargebacks")
    ),
    _call("GET /payments/{payment_id:str}/refunds", query=PAGE),
    _call("POST /sandbox/payments/{payment_id:str}/settle"),
    _call("POST /sandbox/payments/{payment_id:str}/fail", names={"payment_id": "other_payment_id"}),
    _call(
        "POST /runs",
        schema=invoice_schemas.RunIn,
        body=lambda names: {
            "kind": "close",
            "period": "2024-01",
            "dry_run": True,
            "account_ids": [names["account_id"], names["spare_account_id"]],
        },
    ),
    _call("GET /usage-totals", query={"period": "2024-01"}),
    _call("GET /runs", query=PAGE),
    _call("GET /runs/{run_id:str}"),
    _call("GET /runs/{run_id:str}/parked"),
    _call("POST /runs/{run_id:str}/parked", schema=invoice_schemas.RetryIn, body=lambda _: {"accept_totals": True}),
    _call("GET /accounts/{account_id:str}/invoices/preview", query={"period": "2024-01"}),
    _call(
        "GET /accounts/{account_id:str}/explain", query={"meter": "sms", "resource_id": "vps_1", "period": "2024-01"}
    ),
    _call(
        "PUT /issuer",
        schema=invoice_schemas.IssuerIn,
        body=lambda _: {
            "name": "Us",
            "address": "Here",
            "tax_id": "P2",
            "bank_details": "Bank 1",
            "mobile_money": "Paybill 1",
            "logo": b64encode(png()).decode(),
            "support_email": "help@example.com",
        },
    ),
    _call("GET /issuer"),
    _call(
        "POST /invoices/{invoice_id:str}/void",
        schema=invoice_schemas.EmptyIn,
        body=lambda _: {},
        names={"invoice_id": "void_invoice_id"},
    ),
    _call(
        "POST /invoices/{invoice_id:str}/write-off",
        schema=invoice_schemas.EmptyIn,
        body=lambda _: {},
        names={"invoice_id": "lost_invoice_id"},
    ),
    _call(
        "POST /invoices/{invoice_id:str}/credit-notes",
        schema=credit_note_schemas.CreditNoteIn,
        body=lambda names: {
            "amount": None,
            "lines": [{"line": _first_line(names["credited_invoice_id"]), "amount": 0.25}],
            "reason": "a mistake",
            "kind": "credit",
        },
        names={"invoice_id": "credited_invoice_id"},
    ),
    _call("GET /invoices/{invoice_id:str}/credit-notes", query=PAGE),
    _call("GET /credit-notes/{credit_note_id:str}"),
    _call("GET /credit-notes/{credit_note_id:str}/pdf"),
    _call("GET /accounts/{account_id:str}/alerts", query=PAGE),
    _call("POST /accounts/{account_id:str}/alerts/{alert_id:str}/test"),
    _call("GET /accounts/{account_id:str}/notifications", query=PAGE),
    _call("GET /deliveries", query={**PAGE, "status": "failed", "account_id": f"acc_{NOTHING}"}),
    _call("POST /accounts/{account_id:str}/deliveries/{delivery_id:str}/resend"),
    _call(
        "POST /notifications/test",
        schema=notification_schemas.ChannelTrialIn,
        body=lambda _: {"channel": "email", "recipient": "ops@example.com"},
    ),
    _call("GET /accounts/{account_id:str}/webhooks", query=PAGE),
    _call("GET /webhooks/deliveries", query={**PAGE, "status": "delivered", "account_id": f"acc_{NOTHING}"}),
    _call(
        "POST /accounts/{account_id:str}/webhooks/replay",
        schema=webhook_schemas.DeliveriesReplayIn,
        body=lambda names: {"since": "2024-01-01T00:00:00Z", "webhook_id": names["webhook_id"]},
    ),
    _call("GET /outbox", query={"type": "invoice.issued", "account_id": f"acc_{NOTHING}", "limit": "10"}),
    _call("GET /check"),
    _call("GET /jobs"),
    _call(
        "GET /audit",
        query={
            **PAGE,
            "account_id": f"acc_{NOTHING}",
            "actor": "operator",
            "action": "account",
            "from_date": "2024-01-01",
            "to_date": "2024-03-01",
        },
    ),
    _call(
        "POST /accounts",
        schema=account_schemas.AccountOpen,
        body=lambda _: {
            "email": f"{fresh()}@example.com",
            "name": "New",
            "currency": "USD",
            "company": "Acme",
            "timezone": "UTC",
            "country": "KE",
            "phone": "+254700000000",
        },
    ),
]
_LISTED: tuple[tuple[Plane, list[Route]], ...] = (("public", _PUBLIC), ("operator", _OPERATOR))
TABLE = {
    f"{route.method} {BASES[plane]}{route.template}": replace(route, template=BASES[plane] + route.template)
    for plane, listed in _LISTED
    for route in listed
}
