"""What accounts are told: notifications, and a delivery for each channel. See README.md."""

from billing.notifications.model import Mailroom, Method, NewNotification, PhoneMissing
from billing.notifications.operations.telling import announce, end_webhook, tell
from billing.notifications.rules.reaching import require_reachable
from billing.notifications.store.sending import run_checks

__all__ = [
    "Mailroom",
    "Method",
    "NewNotification",
    "PhoneMissing",
    "announce",
    "end_webhook",
    "require_reachable",
    "run_checks",
    "tell",
]
