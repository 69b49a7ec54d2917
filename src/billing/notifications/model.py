"""What an account is told, by which channels, and how far that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Literal
from uuid import UUID

from billing.core.errors import Conflict, Refused

Method = Literal["email", "sms", "webhook"]
Sending = Literal["email", "sms"]
"""The methods that this slice itself sends by."""
Category = Literal["invoices", "payments", "budgets", "alerts", "security", "account"]
DeliveryStatus = Literal["pending", "sending", "sent", "failed", "unknown", "suppressed"]

NOTIFICATION_PREFIX = "ntf"
DELIVERY_PREFIX = "dlv"
RECIPIENTS_MAX = 3

PHONE_MISSING = "phone_missing"
CHANNEL_NOT_CONFIGURED = "channel_not_configured"
WORKER_LOST = "worker_lost"
ANSWER_LOST = "answer_lost"
NO_ENDPOINT = "no_endpoint_took_it"
NOT_RENDERED = "message_cannot_be_written"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotification:
    """One message to an account about an object, in the words of a template.

    `methods` are the channels it goes by; None leaves them to the account's settings.
    """

    account_id: UUID
    notification_id: UUID
    template: str
    object_id: str
    attempt: int = 1
    payload: Mapping[str, object]
    methods: tuple[Method, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A notification on its way to one recipient. Recipient 0 is the account itself; without an address there is a reason."""

    account_id: UUID
    delivery_id: UUID
    notification_id: UUID
    method: Method
    recipient_number: int
    recipient: str | None
    suppressed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """The part of each day, in the account's zone, in which no text message is sent; it may run over midnight."""

    start: time
    end: time


QUIET_DEFAULT = QuietHours(start=time(21, 0), end=time(7, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an account wants to be told what nobody chose the methods of."""

    email_off: frozenset[Category] = frozenset()
    sms_on: frozenset[Category] = frozenset()
    email_recipients: tuple[str, ...] = ()
    quiet_hours: QuietHours | None = QUIET_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How an account is reached."""

    account_id: UUID
    name: str
    email: str
    phone: str | None
    timezone: str
    settings: Settings


class PhoneMissing(Refused):
    """The account has no phone to send text messages to."""

    message = "The account has no phone number for text messages; set one first"


class DeliveryUnderWay(Conflict):
    """A delivery that has not ended cannot be sent again."""

    message = "The delivery has not ended yet"
