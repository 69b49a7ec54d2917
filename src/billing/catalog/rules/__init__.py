"""Price models: which members each takes, what is wrong with a price, and the bands that it compiles to."""

from __future__ import annotations

from billing.catalog.rules.compiling import compile_price
from billing.catalog.rules.price_faults import definition_faults, terms_faults

__all__ = ["compile_price", "definition_faults", "terms_faults"]
