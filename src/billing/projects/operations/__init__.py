"""The verbs of projects."""

from billing.projects.operations.deleting import delete, raise_alarms, record_report, restore, stop_asked
from billing.projects.operations.grouping import (
    LIVE,
    change,
    create,
    create_default,
    price_resources,
    project_for,
    require_known_service,
    summarize,
)

__all__ = [
    "LIVE",
    "change",
    "create",
    "create_default",
    "delete",
    "price_resources",
    "project_for",
    "raise_alarms",
    "record_report",
    "require_known_service",
    "restore",
    "stop_asked",
    "summarize",
]
