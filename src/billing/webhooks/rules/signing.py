"""Secrets of endpoints and signatures with them: Standard Webhooks, symmetric (v1).

A secret is derived from the installation's secret key, the endpoint and a number, so that none lies in the database.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billing.webhooks.rules.schedule import SECRET_OVERLAP

SECRET_PREFIX = "whsec_"  # noqa: S105  what every secret begins with


def secret_bytes(master: bytes, *, endpoint_id: UUID, number: int) -> bytes:
    """The bytes of an endpoint's secret: 32 of them."""
    return hmac.digest(master, b"webhook endpoint\n" + endpoint_id.bytes + number.to_bytes(8, "big"), hashlib.sha256)


def show_secret(secret: bytes) -> str:
    """A secret as receivers keep it."""
    return SECRET_PREFIX + b64encode(secret).decode()


def secret_numbers(number: int, *, rotated_at: datetime | None, now: datetime) -> tuple[int, ...]:
    """Which secrets sign: the newest, and for a day after a rotation the one before it."""
    if rotated_at is not None and now < rotated_at + SECRET_OVERLAP:
        return (number, number - 1)
    return (number,)


def sign(secrets: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: one v1 signature of `id.timestamp.body` for each secret, parted by spaces."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return " ".join("v1," + b64encode(hmac.digest(secret, content, hashlib.sha256)).decode() for secret in secrets)
