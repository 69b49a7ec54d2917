"""Analytics: the billing history, usage, costs and explanations, read over other slices; sums of closed months. See README.md."""

from billing.analytics.jobs import make_job
from billing.analytics.store.checks import run_checks

__all__ = ["make_job", "run_checks"]
