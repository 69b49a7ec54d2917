"""Messages to endpoints, the attempts to send them, and the port to the outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

MESSAGE_PREFIX = "evt"
MessageStatus = Literal["pending", "sending", "delivered", "failed"]

TEST_TYPE = "webhook.test"
DISABLED_TYPE = "webhook.disabled"

# Why an attempt did not succeed, or a message is given up.
STATUS = "status"  # another status than 2xx
REDIRECTED = "redirected"  # 3xx: redirects are not followed
GONE = "gone"  # 410
TIMED_OUT = "timed_out"
UNREACHABLE = "unreachable"  # no connection, or it broke
NOT_TRUSTED = "not_trusted"  # TLS failed: the certificate is not valid for the host
URL_REFUSED = "url_refused"  # the host has an address that is not public
LOST = "lost"  # the process that made the attempt ended in its middle: it may have arrived
ENDPOINT_DISABLED = "endpoint_disabled"
ENDPOINT_DELETED = "endpoint_deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """An event that endpoints may want, with the body that tells it."""

    account_id: UUID
    message_id: UUID
    type: str
    object_id: str
    version: int
    body: str
    notification_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedMessage:
    """A message that this process sends now, as attempt `number`; `tries` counts since it was sent, or sent again."""

    account_id: UUID
    endpoint_id: UUID
    message_id: UUID
    number: int
    tries: int
    url: str
    body: str
    secret_number: int
    secret_rotated_at: datetime | None
    notification_id: UUID | None
    is_careful: bool
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send a message; `reason` is None when it succeeded, `duration_ms` while it is under way."""

    number: int
    started_at: datetime
    status_code: int | None
    duration_ms: int | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message to an endpoint with its newest attempts, in order."""

    account_id: UUID
    endpoint_id: UUID
    message_id: UUID
    type: str
    object_id: str
    version: int
    status: MessageStatus
    attempts: int
    reason: str | None
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    newest: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an attempt. `reason` is None when the receiver took it; `retry_after` is its header of that name."""

    status_code: int | None = None
    reason: str | None = None
    retry_after: str | None = None
    duration_ms: int = 0


class Sender(Protocol):
    """Sends a body to a URL, over TLS, to public addresses alone. It raises nothing: every failure is an outcome."""

    async def send(self, *, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Make one POST, within its time."""
        ...

    async def is_allowed(self, url: str) -> bool:
        """Whether the URL's host has addresses now, all of them public."""
        ...
