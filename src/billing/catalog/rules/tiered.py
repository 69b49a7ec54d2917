"""graduated: each band's share at its own price; volume: all of q at the price of the band that holds it.

A tier's flat is due when its band is entered: graduated adds up the flats of all bands entered, volume takes one.
"""

from __future__ import annotations

from collections.abc import Sequence

from billing.catalog.model import Band, PriceShape, Tier
from billing.catalog.rules.exact import ZERO


def graduated(*, tiers: Sequence[Tier]) -> PriceShape:
    """Each band's base is the cost of all quantities below it and its own flat."""
    bands: list[Band] = []
    low = cost_below = ZERO
    for tier in tiers:
        base = cost_below + (tier.flat or ZERO)
        bands.append(Band(low, tier.up_to, base, tier.unit_price))
        if tier.up_to is not None:
            cost_below = base + (tier.up_to - low) * tier.unit_price
            low = tier.up_to
    return PriceShape(bands=tuple(bands))


def volume(*, tiers: Sequence[Tier]) -> PriceShape:
    """Each band's base prices the quantities below it at the band's own price, so that all of q costs the same."""
    bands: list[Band] = []
    low = ZERO
    for tier in tiers:
        bands.append(Band(low, tier.up_to, (tier.flat or ZERO) + low * tier.unit_price, tier.unit_price))
        if tier.up_to is not None:
            low = tier.up_to
    return PriceShape(bands=tuple(bands))
