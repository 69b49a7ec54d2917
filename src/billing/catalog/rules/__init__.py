"""Price models: which members each takes, what is wrong with a price, and the bands that it compiles to."""

from __future__ import annotations

from billing.catalog.rules.compiling import compile_price
from billing.catalog.rules.price_faults import card_faults, meter_faults, terms_faults
from billing.catalog.rules.validity import first_changed_period, starting_period

__all__ = ["card_faults", "compile_price", "first_changed_period", "meter_faults", "starting_period", "terms_faults"]
