"""What the verbs of webhooks need from the installation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from billing.kit.auth import Network
from billing.kit.secret_key import SecretKey
from billing.webhooks.model.messages import Sender


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """The way out, the key that secrets are derived from, and networks that may be reached though they are not public."""

    sender: Sender
    secret_key: SecretKey
    networks: Sequence[Network] = ()
