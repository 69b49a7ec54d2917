"""Decisions about channels, without I/O."""

from __future__ import annotations

from collections.abc import Collection

from billing.notifications.model import Method, PhoneMissing


def require_reachable(methods: Collection[Method], *, phone: str | None) -> None:
    """Raises PhoneMissing when text messages are asked for by an account without a phone."""
    if "sms" in methods and phone is None:
        raise PhoneMissing
