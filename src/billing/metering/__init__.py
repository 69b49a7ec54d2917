"""What the platform reports: resources and their states, usage events and their day rows, versions of past periods."""

from billing.metering.jobs import replay_waiting, settle_shortened
from billing.metering.model import (
    IngestResult,
    PriceMissing,
    QuarantinedEvent,
    Resource,
    ResourceDeleted,
    ResourceRegionFixed,
    Span,
    StateReport,
    Status,
    UsageEvent,
)
from billing.metering.operations import RecordedState, ingest, record_state, replay_quarantine, void
from billing.metering.operations.intake import Intake
from billing.metering.rules import has_storable_decimals
from billing.metering.store.checks import run_checks
from billing.metering.store.events import count_quarantined, list_quarantined
from billing.metering.store.periods import (
    list_active_accounts,
    list_dirty,
    list_open_periods,
    list_open_periods_of,
    list_unrated_before,
    list_versions,
    mark_rated,
    touch,
)
from billing.metering.store.resources import (
    count_live_resources,
    find_resource,
    list_live_resources,
    list_resources_page,
)
from billing.metering.store.states import list_spans

__all__ = [
    "IngestResult",
    "Intake",
    "PriceMissing",
    "QuarantinedEvent",
    "RecordedState",
    "Resource",
    "ResourceDeleted",
    "ResourceRegionFixed",
    "Span",
    "StateReport",
    "Status",
    "UsageEvent",
    "count_live_resources",
    "count_quarantined",
    "find_resource",
    "has_storable_decimals",
    "ingest",
    "list_active_accounts",
    "list_dirty",
    "list_live_resources",
    "list_open_periods",
    "list_open_periods_of",
    "list_quarantined",
    "list_resources_page",
    "list_spans",
    "list_unrated_before",
    "list_versions",
    "mark_rated",
    "record_state",
    "replay_quarantine",
    "replay_waiting",
    "run_checks",
    "settle_shortened",
    "touch",
    "void",
]
