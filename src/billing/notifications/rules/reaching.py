"""By which channels, and at which addresses, an account is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from billing.notifications.model import PHONE_MISSING, Category, Contact, Method, PhoneMissing, Settings

# Every template, and what an account may switch as one.
CATEGORIES: Mapping[str, Category] = {
    "invoice.issued": "invoices",
    "invoice.overdue": "invoices",
    "credit_note.issued": "invoices",
    "payment.succeeded": "payments",
    "payment.failed": "payments",
    "refund.succeeded": "payments",
    "refund.failed": "payments",
    "card.expiring": "payments",
    "budget.fired": "budgets",
    "budget.recovered": "budgets",
    "alert.fired": "alerts",
    "alert.recovered": "alerts",
    "alert.test": "alerts",
    "api_key.created": "security",
    "api_key.revoked": "security",
    "webhook.disabled": "security",
    "account.suspended": "account",
    "account.restored": "account",
}
# What an alert tells goes by the methods that the alert names: there is nothing to set.
SETTABLE: tuple[Category, ...] = ("invoices", "payments", "budgets", "security", "account")
# Documents of law and what guards an account always go to it by e-mail.
ALWAYS_BY_EMAIL: frozenset[Category] = frozenset({"invoices", "security", "account"})
# What guards the account goes to nobody but the account itself.
OWN_ADDRESS_ALONE: frozenset[Category] = frozenset({"security"})
# What may happen to one object again and again: each time is told.
_RECURRING = frozenset({"account.suspended", "account.restored", "webhook.disabled"})
# Told by whoever found it, with methods of its own; its event tells nothing more.
_TOLD_BY_THEMSELVES = ("alert.", "budget.")


def is_told_by_event(type: str) -> bool:
    """Whether an outbox event of this type is a message to its account."""
    return type in CATEGORIES and not type.startswith(_TOLD_BY_THEMSELVES)


def occasion_of(type: str, object_id: str, *, version: int) -> str:
    """What an event's message is told of once: its object, or this time of what may happen to it again."""
    return f"{object_id}/{version}" if type in _RECURRING else object_id


def require_reachable(methods: Collection[Method], *, phone: str | None) -> None:
    """Raises PhoneMissing when text messages are asked for by an account without a phone."""
    if "sms" in methods and phone is None:
        raise PhoneMissing


def methods_of(template: str, settings: Settings) -> tuple[Method, ...]:
    """The channels of a template by an account's settings."""
    category = CATEGORIES[template]
    is_mailed = category in ALWAYS_BY_EMAIL or category not in settings.email_off
    found: dict[Method, bool] = {"email": is_mailed, "sms": category in settings.sms_on}
    return tuple(method for method, is_used in found.items() if is_used)


def recipients_of(template: str, method: Method, contact: Contact) -> Iterator[tuple[int, str | None, str | None]]:
    """(number, address, why there is none) of each recipient: 0 is the account itself, the others are those of its settings."""
    match method:
        case "webhook":
            yield 0, None, None
        case "sms":
            yield 0, contact.phone, PHONE_MISSING if contact.phone is None else None
        case "email":
            yield 0, contact.email, None
            if CATEGORIES.get(template) not in OWN_ADDRESS_ALONE:
                for number, address in enumerate(contact.settings.email_recipients, start=1):
                    if address != contact.email:
                        yield number, address, None
