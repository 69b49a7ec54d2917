"""Prices: rate cards, their bands, meters and tax rates. See README.md."""

from billing.catalog.model import (
    Aggregation,
    Band,
    CompiledPrice,
    ItemKind,
    Meter,
    PriceDefinition,
    PriceModel,
    PriceTerms,
    RateCard,
    TaxRate,
    Tier,
)
from billing.catalog.operations import define_meter, publish_rate_card, set_rate_card_end, set_tax_rates
from billing.catalog.rules import InlinePrice, compile_price
from billing.catalog.store.billed_items import mark_billed
from billing.catalog.store.meters import get_meter, list_meters
from billing.catalog.store.rate_cards import get_rate_card, list_services
from billing.catalog.store.tax_rates import list_tax_rates

__all__ = [
    "Aggregation",
    "Band",
    "CompiledPrice",
    "InlinePrice",
    "ItemKind",
    "Meter",
    "PriceDefinition",
    "PriceModel",
    "PriceTerms",
    "RateCard",
    "TaxRate",
    "Tier",
    "compile_price",
    "define_meter",
    "get_meter",
    "get_rate_card",
    "list_meters",
    "list_services",
    "list_tax_rates",
    "mark_billed",
    "publish_rate_card",
    "set_rate_card_end",
    "set_tax_rates",
]
