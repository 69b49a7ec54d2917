"""Webhook endpoints and deliveries, on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec import Meta as Bounds

from billing import accounts
from billing.core import ids
from billing.core.errors import InvalidParameter
from billing.kit.auth import Network
from billing.kit.web import Meta, PageQuery
from billing.webhooks.model import events
from billing.webhooks.model.endpoints import ENDPOINT_PREFIX, Endpoint, EndpointStatus, IssuedEndpoint
from billing.webhooks.model.messages import MESSAGE_PREFIX, Attempt, Delivery, MessageStatus
from billing.webhooks.operations.keeping import EndpointChanges
from billing.webhooks.rules.schedule import SECRET_OVERLAP
from billing.webhooks.rules.urls import URL_LONGEST, url_reason


class EventFilter(accounts.CheckedText):
    """A type of events, a group of them such as `invoice.*`, or `*`."""

    __slots__ = ()

    @staticmethod
    def reason(text: str) -> str | None:
        """Why a text is no filter, or None."""
        return None if text in events.FILTERS else "must be a type of events, a group such as invoice.*, or *"

    wire_schema: ClassVar = {"type": "string", "enum": list(events.FILTERS)}


class WebhookUrl(accounts.CheckedText):
    """Where messages are sent; whether its host is public is looked at with the installation's settings."""

    __slots__ = ()

    @staticmethod
    def reason(text: str) -> str | None:
        """Only its length; see `require_url`."""
        return None if len(text) <= URL_LONGEST else f"must have at most {URL_LONGEST} characters"

    wire_schema: ClassVar = {"type": "string", "format": "webhook-url", "minLength": 12, "maxLength": URL_LONGEST}


Filters = Annotated[list[EventFilter], Bounds(min_length=1, max_length=len(events.FILTERS))]


class WebhookIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /account/webhooks."""

    url: WebhookUrl
    events: Filters | None = None
    description: accounts.ShortText | None = None


class WebhookUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /account/webhooks/{id}. An absent member stays as it is."""

    url: WebhookUrl | UnsetType = UNSET
    events: Filters | UnsetType = UNSET
    description: accounts.ShortText | UnsetType | None = UNSET
    status: EndpointStatus | UnsetType = UNSET

    def changes(self) -> EndpointChanges:
        """What an update sets."""
        return EndpointChanges(
            url=None if self.url is UNSET else self.url,
            events=None if self.events is UNSET else self.events,
            description=None if self.description is UNSET else (self.description,),
            status=None if self.status is UNSET else self.status,
        )


class DeliveriesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /account/webhooks/{id}/deliveries."""

    status: MessageStatus | None = None


class AllDeliveriesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /webhooks/deliveries of the operator API."""

    status: MessageStatus | None = None
    account_id: str | None = None


class DeliveriesReplayIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts/{id}/webhooks/replay of the operator API."""

    since: datetime
    webhook_id: str | None = None


class WebhookOut(Struct, frozen=True, kw_only=True):
    """An endpoint, without its secret."""

    id: str
    url: str
    description: str | None
    events: list[str]
    status: EndpointStatus
    disabled_reason: Literal["asked", "failing", "gone"] | None
    disabled_at: datetime | None
    failing_since: datetime | None
    secret_rotated_at: datetime | None
    created_at: datetime


class WebhookIssuedOut(WebhookOut, frozen=True, kw_only=True):
    """An endpoint with its newest secret, shown once; a replay of the same answer shows null."""

    secret: str | None
    previous_secret_until: datetime | None


class AttemptOut(Struct, frozen=True, kw_only=True):
    """One attempt to send a message."""

    number: int
    started_at: datetime
    status_code: int | None
    duration_ms: int | None
    reason: str | None


class WebhookDeliveryOut(Struct, frozen=True, kw_only=True):
    """One message to an endpoint: what it tells, and how far it is."""

    id: str
    type: str
    object_id: str
    version: int
    status: MessageStatus
    reason: str | None
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    newest_attempts: list[AttemptOut]


class OwnedDeliveryOut(WebhookDeliveryOut, frozen=True, kw_only=True):
    """The same, with whose and to which endpoint it is."""

    account_id: str
    webhook_id: str


class WebhookAnswer(Struct, frozen=True, kw_only=True):
    """One endpoint, wrapped."""

    webhook: WebhookOut


class WebhookIssuedAnswer(Struct, frozen=True, kw_only=True):
    """One endpoint with its newest secret, wrapped."""

    webhook: WebhookIssuedOut


class WebhooksAnswer(Struct, frozen=True, kw_only=True):
    """A page of endpoints."""

    webhooks: list[WebhookOut]
    meta: Meta


class WebhookDeliveryAnswer(Struct, frozen=True, kw_only=True):
    """One message to an endpoint, wrapped."""

    delivery: WebhookDeliveryOut


class WebhookDeliveriesAnswer(Struct, frozen=True, kw_only=True):
    """A page of what was sent to an endpoint."""

    deliveries: list[WebhookDeliveryOut]
    meta: Meta


class OwnedDeliveriesAnswer(Struct, frozen=True, kw_only=True):
    """A page of what was sent to all endpoints."""

    deliveries: list[OwnedDeliveryOut]
    meta: Meta


class ReplayedOut(Struct, frozen=True, kw_only=True):
    """How many messages are sent again."""

    replayed: int


def require_url(url: str, *, allowed: Sequence[Network]) -> None:
    """Raises InvalidParameter for what cannot be an endpoint's URL."""
    reason = url_reason(url, allowed=allowed)
    if reason is not None:
        raise InvalidParameter.one("body", "url", reason)


def show(endpoint: Endpoint) -> WebhookOut:
    """An endpoint, without its secret."""
    return WebhookOut(
        id=ids.encode(ENDPOINT_PREFIX, endpoint.endpoint_id),
        url=endpoint.url,
        description=endpoint.description,
        events=list(endpoint.events),
        status=endpoint.status,
        disabled_reason=endpoint.disabled_reason,
        disabled_at=endpoint.disabled_at,
        failing_since=endpoint.failing_since,
        secret_rotated_at=endpoint.secret_rotated_at,
        created_at=endpoint.created_at,
    )


def show_issued(issued: IssuedEndpoint) -> WebhookIssuedAnswer:
    """An endpoint with its newest secret."""
    shown, rotated_at = show(issued.endpoint), issued.endpoint.secret_rotated_at
    return WebhookIssuedAnswer(
        webhook=WebhookIssuedOut(
            **msgspec.structs.asdict(shown),
            secret=issued.secret,
            previous_secret_until=None if rotated_at is None else rotated_at + SECRET_OVERLAP,
        )
    )


def without_secret(answer: WebhookIssuedAnswer) -> WebhookIssuedAnswer:
    """What a replay of the answer shows."""
    return WebhookIssuedAnswer(webhook=msgspec.structs.replace(answer.webhook, secret=None))


def show_delivery(delivery: Delivery) -> WebhookDeliveryOut:
    """One message to an endpoint."""
    return WebhookDeliveryOut(
        id=ids.encode(MESSAGE_PREFIX, delivery.message_id),
        type=delivery.type,
        object_id=delivery.object_id,
        version=delivery.version,
        status=delivery.status,
        reason=delivery.reason,
        attempts=delivery.attempts,
        next_attempt_at=delivery.next_at if delivery.status == "pending" else None,
        created_at=delivery.created_at,
        finished_at=delivery.finished_at,
        newest_attempts=list(map(_show_attempt, delivery.newest)),
    )


def show_owned(delivery: Delivery) -> OwnedDeliveryOut:
    """One message, with whose it is."""
    return OwnedDeliveryOut(
        **msgspec.structs.asdict(show_delivery(delivery)),
        account_id=ids.encode(accounts.ACCOUNT_PREFIX, delivery.account_id),
        webhook_id=ids.encode(ENDPOINT_PREFIX, delivery.endpoint_id),
    )


def _show_attempt(attempt: Attempt) -> AttemptOut:
    return AttemptOut(
        number=attempt.number,
        started_at=attempt.started_at,
        status_code=attempt.status_code,
        duration_ms=attempt.duration_ms,
        reason=attempt.reason,
    )
