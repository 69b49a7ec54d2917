"""Webhooks: an account's own systems are sent what happens to it, signed, until they took it. See README.md."""

from billing.webhooks.adapters.https import HttpsSender
from billing.webhooks.jobs import make_jobs
from billing.webhooks.model.events import EVENT_TYPES
from billing.webhooks.model.messages import Outcome, Sender
from billing.webhooks.model.settings import WebhookSettings
from billing.webhooks.operations.fanning_out import fan_out
from billing.webhooks.operations.sending import send_due
from billing.webhooks.store.queue import run_checks

__all__ = [
    "EVENT_TYPES",
    "HttpsSender",
    "Outcome",
    "Sender",
    "WebhookSettings",
    "fan_out",
    "make_jobs",
    "run_checks",
    "send_due",
]
