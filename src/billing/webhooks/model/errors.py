"""What is refused of webhooks."""

from __future__ import annotations

from billing.core.errors import Refused
from billing.webhooks.model.endpoints import ENDPOINTS_MAX


class TooManyWebhooks(Refused):
    """The account has as many endpoints as it may."""

    message = f"An account has at most {ENDPOINTS_MAX} webhook endpoints; delete one first"


class UrlRefused(Refused):
    """The host of an endpoint has no address, or one that is not public."""

    message = "The host of the URL must have addresses, and none of them may be private"


class WebhookDisabled(Refused):
    """Nothing is sent to a disabled endpoint."""

    message = "The webhook endpoint is disabled; enable it first"


class DeliveryUnderWay(Refused):
    """The message is waiting for its next attempt, or being sent."""

    message = "This message is on its way; it can be sent again when it was delivered or has failed"


class AddressRefused(Exception):
    """A host has no address, or one that is not public: nothing is sent there. Callers never see it."""
