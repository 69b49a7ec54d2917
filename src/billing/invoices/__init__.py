"""Invoices: runs that close a month, the documents and their state, collection. See README.md."""

from billing.invoices.jobs import make_jobs
from billing.invoices.model import Issuer, ParkedAccount, PeriodOpen, Progress, Run
from billing.invoices.operations.closing import advance, complete, request_run
from billing.invoices.operations.collecting import collect
from billing.invoices.store.checks import run_checks
from billing.invoices.store.closing import upsert_issuer
from billing.invoices.store.runs import get_progress, list_parked

__all__ = [
    "Issuer",
    "ParkedAccount",
    "PeriodOpen",
    "Progress",
    "Run",
    "advance",
    "collect",
    "complete",
    "get_progress",
    "list_parked",
    "make_jobs",
    "request_run",
    "run_checks",
    "upsert_issuer",
]
