"""Telling accounts something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from billing.notifications import store
from billing.notifications.model import NewNotification

if TYPE_CHECKING:
    from billing.kit.db import Tx


async def announce(tx: Tx, notifications: Sequence[NewNotification]) -> None:
    """Queue messages, each once per (template, object, attempt): they go out if and only if this transaction commits."""
    if not notifications:
        return
    await store.insert_notifications(tx.connection, notifications=notifications, now=tx.now)
    await store.insert_deliveries(tx.connection, notifications=notifications, now=tx.now)
