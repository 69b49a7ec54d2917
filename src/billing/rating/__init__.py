"""Quantity to cost: the one rating statement and the queries over it."""

from billing.rating.model import Charge, Line, Share, Unpriced
from billing.rating.store import (
    charge_arguments,
    list_charges,
    list_lines,
    list_monthly_costs,
    list_shares,
    list_unpriced,
    over_charges,
)

__all__ = [
    "Charge",
    "Line",
    "Share",
    "Unpriced",
    "charge_arguments",
    "list_charges",
    "list_lines",
    "list_monthly_costs",
    "list_shares",
    "list_unpriced",
    "over_charges",
]
