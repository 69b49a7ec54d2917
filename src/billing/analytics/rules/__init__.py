"""Decisions of analytics, without I/O: usage from shares of charges; costs and trends; how an amount is taken apart."""

from billing.analytics.rules.costs import (
    daily_costs,
    groups_of_days,
    groups_of_places,
    quantities_of_buckets,
    usage_of_shares,
)
from billing.analytics.rules.explaining import (
    billed_charge,
    decided_on,
    find_correction,
    rated_charge,
    says_the_same,
)
from billing.analytics.rules.spans import (
    bucket_of,
    buckets_asked,
    buckets_of,
    ends_of_buckets,
    midnight,
    months_asked,
    stretches,
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
    "bucket_of",
    "buckets_asked",
    "buckets_of",
    "cost_per_message",
    "daily_costs",
    "decided_on",
    "ends_of_buckets",
    "figure_of",
    "find_correction",
    "groups_of_days",
    "groups_of_places",
    "midnight",
    "months_asked",
    "plain",
    "price_id_of_messages",
    "quantities_of_buckets",
    "quantity_of",
    "rated_charge",
    "says_the_same",
    "services_shown",
    "stretches",
    "summarize",
    "usage_of_shares",
]
