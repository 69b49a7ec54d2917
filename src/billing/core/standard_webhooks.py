"""Signatures of webhooks, ours and those that come to us: Standard Webhooks, symmetric (v1)."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

SECRET_PREFIX = "whsec_"  # noqa: S105  what every secret begins with
TOLERANCE = timedelta(minutes=5)
SIGNATURES_MAX = 10

# Without a dot, so that the parts of what is signed cannot be told apart in two ways.
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SECRET = re.compile(rf"{SECRET_PREFIX}([A-Za-z0-9+/]+={{0,2}})")
_SECRET_BYTES = range(24, 65)


class NotSigned(ValueError):
    """A message that none of the secrets signed lately; the text says why."""


def show_secret(secret: bytes) -> str:
    """A secret as receivers keep it."""
    return SECRET_PREFIX + b64encode(secret).decode()


def read_secret(text: str) -> bytes:
    """The bytes of a secret as receivers keep it. Raises ValueError."""
    match = _SECRET.fullmatch(text)
    secret = b64decode(match[1], validate=True) if match else b""
    if len(secret) not in _SECRET_BYTES:
        raise ValueError(f"must be {SECRET_PREFIX} and the base64 of 24 to 64 bytes")
    return secret


def sign(secrets: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: one v1 signature of `id.timestamp.body` for each secret, parted by spaces."""
    return " ".join("v1," + b64encode(_digest(secret, message_id, str(timestamp), body)).decode() for secret in secrets)


def verify(secrets: Sequence[bytes], headers: Iterable[tuple[bytes, bytes]], body: bytes, *, now: datetime) -> str:
    """The id of a message that one of the secrets signed within five minutes of now. Raises NotSigned.

    The body is taken as it came, byte for byte.
    """
    given = list(headers)
    message_id, timestamp, signatures = (
        _only(given, name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    if _MESSAGE_ID.fullmatch(message_id) is None:
        raise NotSigned("webhook-id is not 1 to 100 letters, digits, - and _")
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise NotSigned("webhook-timestamp is not a number of seconds")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise NotSigned("webhook-timestamp is more than five minutes off")
    wanted = [b64encode(_digest(secret, message_id, timestamp, body)) for secret in secrets]
    shown = [part[3:].encode() for part in signatures.split(" ")[:SIGNATURES_MAX] if part.startswith("v1,")]
    # Each is compared with each, whatever was found before: how long it takes tells nothing.
    if not sum(hmac.compare_digest(one, other) for one in wanted for other in shown):
        raise NotSigned("webhook-signature holds none of a valid secret")
    return message_id


def _digest(secret: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)


def _only(headers: Sequence[tuple[bytes, bytes]], name: str) -> str:
    values = [value for header, value in headers if header == name.encode()]
    if len(values) != 1:
        raise NotSigned(f"{name} is {'missing' if not values else 'given more than once'}")
    return values[0].decode("latin-1")
