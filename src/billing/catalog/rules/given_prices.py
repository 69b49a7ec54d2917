"""Prices as they are sent: one with faults cannot be made, so a reader of bodies names its faults beside all others."""

from __future__ import annotations

from billing.catalog.model import PriceDefinition, PriceTerms
from billing.catalog.rules.price_faults import price_faults, terms_faults
from billing.core.errors import InvalidParameter


class GivenPrice(PriceDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A price of a new rate card."""

    def __post_init__(self) -> None:
        faults = price_faults(self)
        if faults:
            raise InvalidParameter(faults)


class InlinePrice(PriceTerms, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A price that is given inline, as in a quote: model and members alone."""

    def __post_init__(self) -> None:
        faults = terms_faults(self)
        if faults:
            raise InvalidParameter(faults)
