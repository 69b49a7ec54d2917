"""Quantity to cost: the one rating statement and the queries over it, quotes, what a wallet reserves."""

from billing.rating.model import (
    Charge,
    ChargeKind,
    DaysOfMonth,
    Line,
    PriceMissing,
    QuotedLine,
    QuoteRequest,
    QuoteStep,
    ReserveBasis,
    Share,
    UnbilledMonth,
    Unpriced,
)
from billing.rating.operations import Reading, list_net_within, list_reserve_bases, quote
from billing.rating.rules import steps_of, tax_minor
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
    "ChargeKind",
    "DaysOfMonth",
    "Line",
    "PriceMissing",
    "QuoteRequest",
    "QuoteStep",
    "QuotedLine",
    "Reading",
    "ReserveBasis",
    "Share",
    "UnbilledMonth",
    "Unpriced",
    "charge_arguments",
    "list_charges",
    "list_lines",
    "list_monthly_costs",
    "list_net_within",
    "list_reserve_bases",
    "list_shares",
    "list_unpriced",
    "over_charges",
    "quote",
    "steps_of",
    "tax_minor",
]
