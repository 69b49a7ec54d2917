"""What accounts are told: notifications, and a delivery for each channel. See README.md."""

from billing.notifications.model import Method, NewNotification, PhoneMissing
from billing.notifications.operations import announce
from billing.notifications.rules import require_reachable

__all__ = ["Method", "NewNotification", "PhoneMissing", "announce", "require_reachable"]
