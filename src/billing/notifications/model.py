"""What an account is told, by which channels, and how far that is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal, Protocol
from uuid import UUID

from billing.core.errors import Refused

Method = Literal["email", "sms", "webhook"]
Sending = Literal["email", "sms"]
"""The methods that this slice itself sends by."""
Category = Literal["invoices", "payments", "budgets", "alerts", "security", "account"]
DeliveryStatus = Literal["pending", "sending", "sent", "failed", "unknown", "suppressed"]

NOTIFICATION_PREFIX = "ntf"
DELIVERY_PREFIX = "dlv"
RECIPIENTS_MAX = 3
LEASE = timedelta(minutes=5)
"""After which an attempt that has not ended is given up for lost."""

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


class DeliveryUnderWay(Refused):
    """A delivery that has not ended cannot be sent again."""

    message = "The delivery has not ended yet"


class DeliveredByWebhook(Refused):
    """What goes to webhook endpoints is sent again by their own log."""

    message = "The delivery is by webhook; send it again from the log of its endpoint"


class ChannelNotConfigured(Refused):
    """This installation has no such channel."""

    message = "The channel is not configured"


class ClaimLost(Exception):
    """An attempt took so long that another worker has begun the delivery anew: it must not hand the message over any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A delivery to be attempted, with what its message is made of. `number` counts its attempts, `tries` those of this sending."""

    account_id: UUID
    delivery_id: UUID
    method: Sending
    recipient: str
    recipient_number: int
    number: int
    tries: int
    template: str
    object_id: str
    payload: Mapping[str, object]
    told_at: datetime
    contact: Contact


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an attempt.

    `sent`: the gateway has taken it. `refused`: it never will. `failed`: it has not, and may the next time. `unknown`: the
    message was handed over and no answer came. With `is_gateway_down` the fault is not the message's.
    """

    kind: Literal["sent", "refused", "failed", "unknown"]
    gateway_id: str | None = None
    reason: str | None = None
    is_gateway_down: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """In whose name messages are written."""

    name: str
    support_email: str | None = None
    logo: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A document that goes with a mail."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What a message says: as a mail's subject, plain text and HTML, and as a text message."""

    subject: str
    plain: str
    html: str
    sms: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to one recipient; `message_id` is the same however often it is sent."""

    message_id: UUID
    recipient: str
    recipient_name: str | None
    issuer: Issuer
    wording: Wording
    attachment: Attachment | None
    written_at: datetime


class Channel(Protocol):
    """The port to whoever carries messages."""

    @property
    def gateway(self) -> str:
        """The name of what is behind it."""
        ...

    async def send(self, message: Message, *, handing_over: Callable[[], Awaitable[None]]) -> Outcome:
        """Send a message. `handing_over` is awaited before the gateway may get it; what it raises ends the attempt.

        Whatever the gateway does is an outcome; it takes no longer than `LEASE` by far.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A channel that is configured, and how many messages it is given at once."""

    channel: Channel
    at_once: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailroom:
    """Where messages leave the house: the channels that are configured, and what other slices give to a message.

    `find_issuer(tx)` is whose name they bear, `find_document(database, account_id=..., object_id=...)` the PDF of an invoice or a
    credit note, None where there is none.
    """

    email: Outlet | None = None
    sms: Outlet | None = None
    find_issuer: Callable[..., Awaitable[Issuer]]
    find_document: Callable[..., Awaitable[Attachment | None]]

    def outlet(self, method: Sending) -> Outlet | None:
        """The channel of a method, or None where it is not configured."""
        return self.email if method == "email" else self.sms


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a delivery; without an outcome it is under way."""

    number: int
    gateway: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    gateway_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery as it stands, with its newest attempts, the last one last."""

    account_id: UUID
    delivery_id: UUID
    notification_id: UUID
    template: str
    object_id: str
    method: Method
    recipient: str | None
    status: DeliveryStatus
    reason: str | None
    attempts: int
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    newest: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message that was told, with its deliveries."""

    account_id: UUID
    notification_id: UUID
    template: str
    object_id: str
    attempt: int
    created_at: datetime
    deliveries: tuple[Delivery, ...] = ()
