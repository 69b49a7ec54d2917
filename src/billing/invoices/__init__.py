"""Invoices: runs that close a month, the documents and their state, collection. See README.md."""

from billing.invoices.jobs import make_jobs
from billing.invoices.model import (
    BilledLine,
    Invoice,
    InvoiceTax,
    Issuer,
    ParkedAccount,
    PeriodOpen,
    Progress,
    Run,
)
from billing.invoices.operations.closing import advance, complete, request_run
from billing.invoices.operations.collecting import MONEY_ARRIVED, collect
from billing.invoices.operations.reading import CreditNoteBasis, WholeCreditNote, get_basis, get_whole_credit_note
from billing.invoices.store.billed_lines import get_billed_line, list_lines_of_charge
from billing.invoices.store.checks import run_checks
from billing.invoices.store.closing import PINNED_BY_LINES, upsert_issuer
from billing.invoices.store.invoices import get_invoice, list_taxes
from billing.invoices.store.runs import get_progress
from billing.invoices.store.worklist import list_parked

__all__ = [
    "MONEY_ARRIVED",
    "PINNED_BY_LINES",
    "BilledLine",
    "CreditNoteBasis",
    "Invoice",
    "InvoiceTax",
    "Issuer",
    "ParkedAccount",
    "PeriodOpen",
    "Progress",
    "Run",
    "WholeCreditNote",
    "advance",
    "collect",
    "complete",
    "get_basis",
    "get_billed_line",
    "get_invoice",
    "get_progress",
    "get_whole_credit_note",
    "list_lines_of_charge",
    "list_parked",
    "list_taxes",
    "make_jobs",
    "request_run",
    "run_checks",
    "upsert_issuer",
]
