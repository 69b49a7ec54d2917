"""Price models: which members each takes, what is wrong with a price, and the bands that it compiles to."""

from __future__ import annotations

from billing.catalog.rules.compiling import compile_price
from billing.catalog.rules.given_prices import GivenPrice, InlinePrice
from billing.catalog.rules.price_faults import card_faults, item_reason, price_faults, terms_faults
from billing.catalog.rules.taxes import doubled_tax_rates, tax_percent_reason
from billing.catalog.rules.validity import first_changed_period, starting_period

__all__ = [
    "GivenPrice",
    "InlinePrice",
    "card_faults",
    "compile_price",
    "doubled_tax_rates",
    "first_changed_period",
    "item_reason",
    "price_faults",
    "starting_period",
    "tax_percent_reason",
    "terms_faults",
]
