"""What the template of a receipt is told: every figure and date as the text that is printed, and the same as attached JSON."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

import msgspec

from billing.core import money
from billing.invoices.pdf import figures
from billing.invoices.pdf.figures import Shown
from billing.invoices.pdf.lettering import clean
from billing.invoices.pdf.record import PaidInvoice, ReceiptDocument

_NUMBER_LENGTH = 30  # of a transaction's id, which has its place in one piece
_JSON = msgspec.json.Encoder(decimal_format="number")


def shown(document: ReceiptDocument) -> Shown:
    """The receipt as the template reads it: printable text only."""
    currency = document.currency
    return {
        "kind": "Receipt",
        "title": f"Receipt {clean(document.number, run_max=None)}",
        "author": clean(document.issuer.name, run_max=None),
        "issuer": {**figures.issuer(document.issuer), "label": "Received by"},
        "account": {**figures.account(document.account), "label": "Received from"},
        "facts": [[label, clean(value, run_max=_NUMBER_LENGTH)] for label, value in _facts(document)],
        "headline": {
            "label": "Amount received",
            "amount": figures.headline(document.amount_minor, currency),
            "note": clean(document.description),
            "is_due": False,
        },
        "currency": currency,
        "parts": [
            {"label": clean(part.label), "amount": figures.amount(part.amount_minor, currency)}
            for part in document.parts
        ],
        "total": figures.amount(document.amount_minor, currency),
        "invoices": [_row(invoice, document) for invoice in document.invoices],
        "invoices-title": "Paid from the wallet as the money arrived" if document.is_by_wallet else "What it paid",
        "note": "Invoices stay as they were issued: what is paid later is on receipts." if document.invoices else "",
        "footer": figures.footer(document.issuer),
    }


def attachment(document: ReceiptDocument) -> bytes:
    """The payment and what it paid as JSON with exact decimals and the texts as they were recorded."""
    currency = document.currency
    return _JSON.encode(
        {
            "number": document.number,
            "kind": "receipt",
            "currency": currency,
            "issued_at": document.issued_at,
            "received_at": document.received_at,
            "reference": document.reference,
            "amount": money.to_major(document.amount_minor, currency),
            "parts": [
                {"label": part.label, "amount": money.to_major(part.amount_minor, currency)} for part in document.parts
            ],
            "invoices": [
                {
                    "number": invoice.number,
                    "issued_at": invoice.issued_at,
                    "total": money.to_major(invoice.total_minor, currency),
                    "amount": money.to_major(invoice.amount_minor, currency),
                    "amount_due": money.to_major(invoice.due_minor, currency),
                }
                for invoice in document.invoices
            ],
        }
    )


def _facts(document: ReceiptDocument) -> Iterable[tuple[str, str]]:
    zone = ZoneInfo(document.time_zone)
    yield "Number", document.number
    if document.received_at is not None:
        yield "Received", figures.day(document.received_at.astimezone(zone).date())
        yield "Recorded", figures.day(document.issued_at.astimezone(zone).date())
    else:
        yield "Received", figures.day(document.issued_at.astimezone(zone).date())
    yield "Time zone", document.time_zone
    if document.reference is not None:
        yield "Reference", document.reference


def _row(invoice: PaidInvoice, document: ReceiptDocument) -> list[str]:
    issued = invoice.issued_at.astimezone(ZoneInfo(document.time_zone)).date()
    return [
        clean(invoice.number),
        figures.day(issued),
        figures.amount(invoice.total_minor, document.currency),
        figures.amount(invoice.amount_minor, document.currency),
        figures.amount(invoice.due_minor, document.currency),
    ]
