"""Where events are sent, and what is refused there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

EndpointStatus = Literal["enabled", "disabled"]
DisabledReason = Literal["asked", "failing", "gone"]

ENDPOINT_PREFIX = "wh"
ENDPOINTS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an account wants events sent. `failing_since`: since when no attempt has succeeded."""

    account_id: UUID
    endpoint_id: UUID
    url: str
    description: str | None
    events: tuple[str, ...]
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    secret_number: int
    secret_rotated_at: datetime | None
    failing_since: datetime | None
    failures: int
    is_slow: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedEndpoint:
    """An endpoint with its newest secret, which is shown once."""

    endpoint: Endpoint
    secret: str
