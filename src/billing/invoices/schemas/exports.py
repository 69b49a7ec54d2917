"""An invoice as CSV (RFC 4180): a row for each line and each tax, for spreadsheets and accounting systems."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import structs

from billing.core import money
from billing.invoices.model import Invoice, InvoiceLine, InvoiceTax
from billing.invoices.schemas.invoices import show_line

COLUMNS: Final = (
    "invoice", "id", "kind", "description", "service", "type", "project_id", "project", "resource_id", "resource_name",
    "region", "plan", "meter", "period_start", "period_end", "quantity", "unit", "unit_price", "amount", "unrounded",
    "currency", "tax_rate", "tax_base",
)  # fmt: skip
# A spreadsheet would run what begins like this; some pass over spaces and invisible marks first, and take wide signs for narrow.
_FORMULA: Final = re.compile(
    "[\\t\\r\\n]|[\\s\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]*[-=+@\uff0b\uff0d\uff1d\uff20]"
)


def header() -> bytes:
    """The first row: the names of the columns, which stay."""
    return _written([COLUMNS])


def line_rows(invoice: Invoice, lines: Iterable[InvoiceLine]) -> bytes:
    """A row for each of some lines."""
    return _written(
        _row(
            invoice,
            **structs.asdict(show_line(line, invoice.currency, invoice_id=invoice.invoice_id)),
        )
        for line in lines
    )


def tax_rows(invoice: Invoice, taxes: Iterable[InvoiceTax]) -> bytes:
    """A row of kind `tax` for each tax."""
    return _written(
        _row(
            invoice,
            kind="tax",
            description=tax.name,
            period_start=invoice.period.start,
            period_end=invoice.period.shown_end,
            amount=money.to_major(tax.amount_minor, invoice.currency),
            tax_rate=tax.percent,
            tax_base=money.to_major(tax.base_minor, invoice.currency),
        )
        for tax in taxes
    )


def _row(invoice: Invoice, **members: object) -> list[str]:
    told = {"invoice": invoice.number, "currency": invoice.currency, **members}
    return [_cell(told.get(column)) for column in COLUMNS]


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case _:
            text = str(value)
            # Somebody's text, not a number of ours: an apostrophe makes a spreadsheet take it as text.
            return f"'{text}" if _FORMULA.match(text) else text


def _written(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
