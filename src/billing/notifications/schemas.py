"""Notifications, deliveries and settings, on the wire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import datetime, time
from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec import Meta as Bounds

from billing import accounts
from billing.core import ids
from billing.core.errors import Fault, InvalidParameter
from billing.kit.web import Meta, PageQuery
from billing.notifications.model import (
    DELIVERY_PREFIX,
    NOTIFICATION_PREFIX,
    RECIPIENTS_MAX,
    Attempt,
    Category,
    Delivery,
    DeliveryStatus,
    Method,
    Notification,
    Outcome,
    QuietHours,
    Sending,
    Settings,
)
from billing.notifications.operations.keeping import SettingsChanges
from billing.notifications.rules import reaching

_CLOCK_PATTERN = r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$"

ToldStatus = Literal["pending", "sent", "failed", "unknown", "suppressed"]


class ClockTime(accounts.CheckedText):
    """An hour and minute of the day."""

    __slots__ = ()

    @staticmethod
    def reason(text: str) -> str | None:
        """Why a text is no time of the day, or None."""
        is_time = len(text) == 5 and text.isascii() and text[2] == ":" and text.replace(":", "", 1).isdigit()
        return None if is_time and text < "24:00" and text[3] < "6" else "must be a time of the day such as 21:00"

    wire_schema: ClassVar = {"type": "string", "pattern": _CLOCK_PATTERN}


class EmailSettings(Struct, frozen=True, kw_only=True):
    """What is told by e-mail."""

    invoices: bool
    payments: bool
    budgets: bool
    security: bool
    account: bool


class SmsSettings(EmailSettings, frozen=True, kw_only=True):
    """What is told by text message."""


class QuietHoursOut(Struct, frozen=True, kw_only=True):
    """The hours in which no text message is sent."""

    start: str
    end: str


class NotificationSettingsOut(Struct, frozen=True, kw_only=True):
    """How an account is told."""

    email: EmailSettings
    sms: SmsSettings
    email_recipients: list[str]
    quiet_hours: QuietHoursOut | None


class NotificationSettingsAnswer(Struct, frozen=True, kw_only=True):
    """GET and PUT /account/notification-settings."""

    settings: NotificationSettingsOut


class EmailSwitches(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be told by e-mail; an absent member stays as it is."""

    invoices: bool | UnsetType = UNSET
    payments: bool | UnsetType = UNSET
    budgets: bool | UnsetType = UNSET
    security: bool | UnsetType = UNSET
    account: bool | UnsetType = UNSET


class SmsSwitches(EmailSwitches, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be told by text message; an absent member stays as it is."""


class QuietHoursIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hours in which no text message is to be sent."""

    start: ClockTime
    end: ClockTime


class NotificationSettingsUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /account/notification-settings. An absent member stays as it is; null for quiet_hours ends them."""

    email: EmailSwitches | UnsetType = UNSET
    sms: SmsSwitches | UnsetType = UNSET
    email_recipients: Annotated[list[accounts.Email], Bounds(max_length=RECIPIENTS_MAX)] | UnsetType = UNSET
    quiet_hours: QuietHoursIn | UnsetType | None = UNSET

    def changes(self) -> SettingsChanges:
        """What it sets. Raises InvalidParameter with every fault."""
        email, sms = _switched(self.email), _switched(self.sms)
        faults = [*_faults_of_email(email), *_faults_of_recipients(self.email_recipients)]
        if faults:
            raise InvalidParameter(faults)
        return SettingsChanges(
            email_on=_those(email, is_on=True),
            email_off=_those(email, is_on=False),
            sms_on=_those(sms, is_on=True),
            sms_off=_those(sms, is_on=False),
            email_recipients=None if self.email_recipients is UNSET else tuple(self.email_recipients),
            quiet_hours=None if self.quiet_hours is UNSET else (_quiet_hours(self.quiet_hours),),
        )


class DeliveryTold(Struct, frozen=True, kw_only=True):
    """How far a notification is on its way to one recipient."""

    id: str
    method: Method
    recipient: str | None
    status: ToldStatus
    reason: str | None
    attempts: int
    finished_at: datetime | None


class NotificationTold(Struct, frozen=True, kw_only=True):
    """A message that an account was told."""

    id: str
    template: str
    object_id: str
    created_at: datetime
    deliveries: list[DeliveryTold]


class NotificationsAnswer(Struct, frozen=True, kw_only=True):
    """A page of what an account was told."""

    notifications: list[NotificationTold]
    meta: Meta


class DeliveryAttemptOut(Struct, frozen=True, kw_only=True):
    """One attempt of a delivery."""

    number: int
    gateway: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    gateway_id: str | None
    reason: str | None


class OperatorDelivery(Struct, frozen=True, kw_only=True):
    """A delivery as operators see it."""

    id: str
    account_id: str
    notification_id: str
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
    newest_attempts: list[DeliveryAttemptOut]


class OperatorDeliveryAnswer(Struct, frozen=True, kw_only=True):
    """One delivery of the operator API."""

    delivery: OperatorDelivery


class OperatorDeliveriesAnswer(Struct, frozen=True, kw_only=True):
    """GET /deliveries of the operator API."""

    deliveries: list[OperatorDelivery]
    meta: Meta


class DeliveriesOfAllQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /deliveries of the operator API."""

    status: DeliveryStatus | None = None
    account_id: str | None = None


class ChannelTrialIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /notifications/test of the operator API."""

    channel: Sending
    recipient: accounts.ShortText

    def check(self) -> None:
        """Raises InvalidParameter for a recipient that the channel cannot have."""
        member = "email" if self.channel == "email" else "phone"
        reason = accounts.member_reason(member, self.recipient)
        if reason is not None:
            raise InvalidParameter([Fault("body", "recipient", reason)])


class ChannelTrialOut(Struct, frozen=True, kw_only=True):
    """What became of a test message."""

    channel: Sending
    recipient: str
    gateway: str
    outcome: Literal["sent", "refused", "failed", "unknown"]
    gateway_id: str | None
    reason: str | None


class ChannelTrialAnswer(Struct, frozen=True, kw_only=True):
    """POST /notifications/test of the operator API."""

    trial: ChannelTrialOut


def show_settings(settings: Settings) -> NotificationSettingsAnswer:
    """Settings as they are in force."""
    quiet = settings.quiet_hours
    return NotificationSettingsAnswer(
        settings=NotificationSettingsOut(
            email=EmailSettings(**{name: name not in settings.email_off for name in reaching.SETTABLE}),
            sms=SmsSettings(**{name: name in settings.sms_on for name in reaching.SETTABLE}),
            email_recipients=list(settings.email_recipients),
            quiet_hours=None
            if quiet is None
            else QuietHoursOut(start=f"{quiet.start:%H:%M}", end=f"{quiet.end:%H:%M}"),
        )
    )


def show_notification(told: Notification) -> NotificationTold:
    """A notification as its account sees it."""
    return NotificationTold(
        id=ids.encode(NOTIFICATION_PREFIX, told.notification_id),
        template=told.template,
        object_id=_object_id(told.object_id),
        created_at=told.created_at,
        deliveries=[
            DeliveryTold(
                id=ids.encode(DELIVERY_PREFIX, one.delivery_id),
                method=one.method,
                recipient=one.recipient,
                status="pending" if one.status == "sending" else one.status,
                reason=one.reason,
                attempts=one.attempts,
                finished_at=one.finished_at,
            )
            for one in told.deliveries
        ],
    )


def show_delivery(one: Delivery) -> OperatorDelivery:
    """A delivery as operators see it."""
    return OperatorDelivery(
        id=ids.encode(DELIVERY_PREFIX, one.delivery_id),
        account_id=ids.encode(accounts.ACCOUNT_PREFIX, one.account_id),
        notification_id=ids.encode(NOTIFICATION_PREFIX, one.notification_id),
        template=one.template,
        object_id=_object_id(one.object_id),
        method=one.method,
        recipient=one.recipient,
        status=one.status,
        reason=one.reason,
        attempts=one.attempts,
        next_at=one.next_at,
        created_at=one.created_at,
        finished_at=one.finished_at,
        newest_attempts=[_show_attempt(attempt) for attempt in one.newest],
    )


def show_trial(wanted: ChannelTrialIn, *, gateway: str, outcome: Outcome) -> ChannelTrialAnswer:
    """What became of a test message."""
    return ChannelTrialAnswer(
        trial=ChannelTrialOut(
            channel=wanted.channel,
            recipient=wanted.recipient,
            gateway=gateway,
            outcome=outcome.kind,
            gateway_id=outcome.gateway_id,
            reason=outcome.reason,
        )
    )


def _show_attempt(attempt: Attempt) -> DeliveryAttemptOut:
    return DeliveryAttemptOut(
        number=attempt.number,
        gateway=attempt.gateway,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        outcome=attempt.outcome,
        gateway_id=attempt.gateway_id,
        reason=attempt.reason,
    )


def _object_id(told_of: str) -> str:
    """The object itself; behind it may stand the occasion that was told."""
    return told_of.partition("/")[0]


def _switched(switches: EmailSwitches | UnsetType) -> Mapping[Category, bool]:
    if switches is UNSET:
        return {}
    return {name: value for name in reaching.SETTABLE if (value := getattr(switches, name)) is not UNSET}


def _those(switched: Mapping[Category, bool], *, is_on: bool) -> Set[Category]:
    return frozenset(name for name, value in switched.items() if value is is_on)


def _faults_of_email(switched: Mapping[Category, bool]) -> Iterator[Fault]:
    for name, is_on in switched.items():
        if not is_on and name in reaching.ALWAYS_BY_EMAIL:
            yield Fault("body", f"email.{name}", "cannot be switched off")


def _faults_of_recipients(recipients: list[accounts.Email] | UnsetType) -> Iterator[Fault]:
    if recipients is not UNSET:
        for index, address in enumerate(recipients):
            if address in recipients[:index]:
                yield Fault("body", f"email_recipients[{index}]", "is named twice")


def _quiet_hours(given: QuietHoursIn | None) -> QuietHours | None:
    return (
        None if given is None else QuietHours(start=time.fromisoformat(given.start), end=time.fromisoformat(given.end))
    )
