"""Decisions of analytics, without I/O: usage from shares of charges; how an amount is taken apart."""

from billing.analytics.rules.explaining import (
    billed_charge,
    decided_on,
    find_correction,
    rated_charge,
    says_the_same,
)
from billing.analytics.rules.usage import (
    HOUR_S,
    cost_per_message,
    figure_of,
    plain,
    price_id_of_messages,
    quantity_of,
    services_shown,
    summarize,
)

__all__ = [
    "HOUR_S",
    "billed_charge",
    "cost_per_message",
    "decided_on",
    "figure_of",
    "find_correction",
    "plain",
    "price_id_of_messages",
    "quantity_of",
    "rated_charge",
    "says_the_same",
    "services_shown",
    "summarize",
]
