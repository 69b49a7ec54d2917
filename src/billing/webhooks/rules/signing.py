"""Secrets of endpoints, and which of them sign (core/standard_webhooks.py).

A secret is derived from the installation's secret key, the endpoint and a number, so that none lies in the database.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from uuid import UUID

from billing.webhooks.rules.schedule import SECRET_OVERLAP


def secret_bytes(master: bytes, *, endpoint_id: UUID, number: int) -> bytes:
    """The bytes of an endpoint's secret: 32 of them."""
    return hmac.digest(master, b"webhook endpoint\n" + endpoint_id.bytes + number.to_bytes(8, "big"), hashlib.sha256)


def secret_numbers(number: int, *, rotated_at: datetime | None, now: datetime) -> tuple[int, ...]:
    """Which secrets sign: the newest, and for a day after a rotation the one before it."""
    if rotated_at is not None and now < rotated_at + SECRET_OVERLAP:
        return (number, number - 1)
    return (number,)
