"""What accounts are told: notifications, and a delivery for each channel. See README.md."""

from billing.notifications.model import Method, NewNotification, PhoneMissing
from billing.notifications.operations.telling import announce, end_webhook, tell
from billing.notifications.rules.reaching import require_reachable

__all__ = ["Method", "NewNotification", "PhoneMissing", "announce", "end_webhook", "require_reachable", "tell"]
