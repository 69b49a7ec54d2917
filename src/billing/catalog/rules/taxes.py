"""What a tax rate may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from billing.catalog.model import TaxRate
from billing.catalog.rules.exact import decimals_in

PERCENT_DECIMALS_MAX = 4


def tax_percent_reason(percent: Decimal) -> str | None:
    """Why a number cannot be the percent of a tax, or None."""
    if not 0 <= percent <= 100:
        return "must be from 0 to 100"
    if decimals_in(percent) > PERCENT_DECIMALS_MAX:
        return f"has more than {PERCENT_DECIMALS_MAX} decimals"
    return None


def doubled_tax_rates(rates: Sequence[TaxRate]) -> Iterator[tuple[int, int]]:
    """Pairs of positions (first, again) that hold the same country, name and start."""
    first_of_key: dict[tuple[str, str, date], int] = {}
    for index, rate in enumerate(rates):
        first = first_of_key.setdefault((rate.country, rate.name, rate.valid_from), index)
        if first != index:
            yield first, index
