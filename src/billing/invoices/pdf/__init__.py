"""Invoices, credit notes and receipts as PDF/A-3a, made from plain records and byte-stable."""

from billing.invoices.pdf.record import (
    TEMPLATE_VERSION,
    AccountParty,
    DocumentLine,
    InvoiceDocument,
    IssuerParty,
    MonthCost,
    PaidInvoice,
    PaymentAtIssue,
    ReceiptDocument,
    ReceiptPart,
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
    "PaidInvoice",
    "PaymentAtIssue",
    "ReceiptDocument",
    "ReceiptPart",
    "Tax",
    "is_printable",
    "render",
]
