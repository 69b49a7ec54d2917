"""Wire shape of a tax on a document."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from billing.core import money
from billing.invoices.model import InvoiceTax


class TaxShown(Struct, frozen=True, kw_only=True):
    """One tax; `rate` is in percent."""

    name: str
    rate: Decimal
    base: Decimal
    amount: Decimal


def show_tax(tax: InvoiceTax, currency: str) -> TaxShown:
    """One tax."""
    return TaxShown(
        name=tax.name,
        rate=tax.percent if tax.percent != round(tax.percent, 1) else round(tax.percent, 1),
        base=money.to_major(tax.base_minor, currency),
        amount=money.to_major(tax.amount_minor, currency),
    )
