"""All SQL of rating: the rating statement and the queries over it, prices for quotes."""

from billing.rating.store.charges import (
    charge_arguments,
    list_charges,
    list_day_weights,
    list_gauged,
    list_lines,
    list_monthly_costs,
    list_plans,
    list_quantities,
    list_shares,
    list_tax_percents,
    list_totals,
    list_unpriced,
    over_charges,
)
from billing.rating.store.quotes import QuotePrice, draft_price, find_prices, list_costs

__all__ = [
    "QuotePrice",
    "charge_arguments",
    "draft_price",
    "find_prices",
    "list_charges",
    "list_costs",
    "list_day_weights",
    "list_gauged",
    "list_lines",
    "list_monthly_costs",
    "list_plans",
    "list_quantities",
    "list_shares",
    "list_tax_percents",
    "list_totals",
    "list_unpriced",
    "over_charges",
]
