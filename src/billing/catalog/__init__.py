"""Prices: rate cards, meters, tax rates. What other slices may use is named here."""

from __future__ import annotations

from billing.catalog.model import (
    Band,
    CompiledPrice,
    PriceDefinition,
    PriceTerms,
    Tier,
)
from billing.catalog.rules import compile_price

__all__ = ["Band", "CompiledPrice", "PriceDefinition", "PriceTerms", "Tier", "compile_price"]
