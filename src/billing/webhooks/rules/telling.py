"""What a message says, and whether an event is told by webhook at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import msgspec

from billing.webhooks.model import events


def is_told(type: str, payload: Mapping[str, object]) -> bool:
    """Whether accounts are sent an event: a public one; of alerts, only those that are told by webhook."""
    if type not in events.PUBLIC_TYPES or type in events.SENT_ON_REQUEST:
        return False
    if not type.startswith(events.BY_METHOD):
        return True
    methods = payload.get("methods")
    return isinstance(methods, list) and "webhook" in cast("list[object]", methods)


def body_of(*, type: str, at: datetime, object_id: str, version: int, payload: Mapping[str, object]) -> str:
    """The body of a message: type, instant, and the object with its version and all that the event says."""
    data = {"id": object_id, "version": version, **{k: v for k, v in payload.items() if k not in {"id", "version"}}}
    return msgspec.json.encode({"type": type, "timestamp": at, "data": data}).decode()
