"""Invoices and credit notes as PDF/A-3a, made from a plain record and byte-stable."""

from billing.invoices.pdf.record import (
    TEMPLATE_VERSION,
    AccountParty,
    DocumentLine,
    InvoiceDocument,
    IssuerParty,
    MonthCost,
    PaymentAtIssue,
    Tax,
)
from billing.invoices.pdf.render import is_printable, render

__all__ = [
    "TEMPLATE_VERSION",
    "AccountParty",
    "DocumentLine",
    "InvoiceDocument",
    "IssuerParty",
    "MonthCost",
    "PaymentAtIssue",
    "Tax",
    "is_printable",
    "render",
]
