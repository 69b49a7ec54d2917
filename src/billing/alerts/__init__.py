"""Alerts: an account is told when its cost, its usage or its balance crosses a threshold. See README.md."""

from billing.alerts.model import Alert, Firing, TooManyAlerts
from billing.alerts.operations.evaluating import evaluate, evaluate_due

__all__ = ["Alert", "Firing", "TooManyAlerts", "evaluate", "evaluate_due"]
