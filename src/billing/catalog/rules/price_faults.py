"""What is wrong with a price: every fault with its path below the price, such as `tiers[1].up_to`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from billing.catalog.model import PriceDefinition, PriceModel, PriceTerms, Tier
from billing.catalog.rules.exact import decimals_in
from billing.core.errors import Fault

PRICE_DECIMALS_MAX = 20
PRICE_BOUND = Decimal(10) ** 15
QUANTITY_DECIMALS_MAX = 12
QUANTITY_BOUND = Decimal(10) ** 29
TIERS_MAX = 100
PRICES_MAX = 1000
SECONDS_MAX = 31 * 86_400  # the longest month

ITEM_NAME = re.compile(r"[a-z0-9][a-z0-9_.:/-]{0,99}")
REGION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
ITEM_NAME_REASON = "must be 1 to 100 of a-z, 0-9 and _ . : / - and start with a letter or digit"
REGION_NAME_REASON = "must be 1 to 50 of a-z, 0-9 and _ - and start with a letter or digit"

REQUIRED_MEMBERS: Mapping[PriceModel, tuple[str, ...]] = {
    "per_unit": ("unit_price",),
    "graduated": ("tiers",),
    "volume": ("tiers",),
    "package": ("package_size", "package_price"),
    "flat": ("amount",),
    "hourly": (),
}
OPTIONAL_MEMBERS: Mapping[PriceModel, tuple[str, ...]] = {
    "per_unit": ("included",),
    "graduated": (),
    "volume": (),
    "package": ("included",),
    "flat": (),
    "hourly": ("hourly_price", "monthly_price", "increment_s", "minimum_s", "billable"),
}
COMMON_MEMBERS = frozenset({"model", "scope", "discount_percent", "maximum", "minimum"})
PRICE_MEMBERS = ("unit_price", "package_price", "amount", "hourly_price", "monthly_price", "maximum", "minimum")
QUANTITY_MEMBERS = ("included", "package_size")


def price_faults(definition: PriceDefinition) -> list[Fault]:
    """All faults of a price of a rate card."""
    return [*_item_faults(definition), *terms_faults(definition)]


def terms_faults(terms: PriceTerms) -> list[Fault]:
    """All faults of a price's model and members."""
    faults = [
        *_member_faults(terms),
        *_number_faults(terms),
        *_scope_faults(terms),
        *_tier_list_faults(terms.tiers),
        *_seconds_faults(terms),
    ]
    if terms.maximum is not None and terms.minimum is not None and terms.maximum < terms.minimum:
        faults.append(Fault("body", "maximum", "must not be less than the minimum"))
    return faults


def card_faults(prices: Sequence[PriceDefinition]) -> Iterator[Fault]:
    """Faults of prices beside each other: none, too many, the same key twice, one meter under two services."""
    if not prices:
        yield Fault("body", "prices", "must have at least one price")
    if len(prices) > PRICES_MAX:
        yield Fault("body", "prices", f"must have at most {PRICES_MAX} prices")
        return
    first_of_key: dict[tuple[str, str, str | None], int] = {}
    service_of_meter: dict[str, str] = {}
    for index, price in enumerate(prices):
        first = first_of_key.setdefault((price.kind, price.item, price.region), index)
        if first != index:
            yield Fault("body", f"prices[{index}]", f"is for the same {price.kind} and region as prices[{first}]")
        if price.kind == "meter" and service_of_meter.setdefault(price.item, price.service) != price.service:
            yield Fault(
                "body", f"prices[{index}].service", f"must be {service_of_meter[price.item]}, as before for this meter"
            )


def item_reason(name: str) -> str | None:
    """Why a text cannot name a service, a plan or a meter, or None."""
    return None if ITEM_NAME.fullmatch(name) else ITEM_NAME_REASON


def _item_faults(definition: PriceDefinition) -> Iterator[Fault]:
    if ITEM_NAME.fullmatch(definition.service) is None:
        yield Fault("body", "service", ITEM_NAME_REASON)
    model = definition.model
    items = {"plan": definition.plan, "meter": definition.meter}
    for kind, item in items.items():
        if kind != definition.kind and item is not None:
            yield Fault("body", kind, f"does not belong to the model {model}, which names a {definition.kind}")
        elif kind == definition.kind and item is None:
            yield Fault("body", kind, f"is required for the model {model}")
        elif item is not None and ITEM_NAME.fullmatch(item) is None:
            yield Fault("body", kind, ITEM_NAME_REASON)
    if definition.region is not None and REGION_NAME.fullmatch(definition.region) is None:
        yield Fault("body", "region", REGION_NAME_REASON)


def _member_faults(terms: PriceTerms) -> Iterator[Fault]:
    """Members that are missing, and members of other models."""
    required = REQUIRED_MEMBERS[terms.model]
    for member in required:
        if getattr(terms, member) is None:
            yield Fault("body", member, f"is required for the model {terms.model}")
    taken = COMMON_MEMBERS.union(required, OPTIONAL_MEMBERS[terms.model])
    for member in PriceTerms.__struct_fields__:
        if member not in taken and getattr(terms, member) is not None:
            yield Fault("body", member, f"does not belong to the model {terms.model}")
    if terms.model == "hourly" and terms.hourly_price is None and terms.monthly_price is None:
        yield Fault("body", "hourly_price", "is required unless monthly_price is given")
    if terms.billable is not None and (not terms.billable or len(set(terms.billable)) < len(terms.billable)):
        yield Fault("body", "billable", "must name each state once, and at least one")


def _number_faults(terms: PriceTerms) -> Iterator[Fault]:
    for member in PRICE_MEMBERS:
        yield from _price_faults(getattr(terms, member), member)
    for member in QUANTITY_MEMBERS:
        yield from _quantity_faults(getattr(terms, member), member)
    if terms.package_size == 0:
        yield Fault("body", "package_size", "must be greater than 0")
    yield from _price_faults(terms.discount_percent, "discount_percent", most=Decimal(100))


def _price_faults(value: Decimal | None, path: str, *, most: Decimal = PRICE_BOUND) -> Iterator[Fault]:
    return _bound_faults(value, path, most=most, decimals_max=PRICE_DECIMALS_MAX)


def _quantity_faults(value: Decimal | None, path: str) -> Iterator[Fault]:
    return _bound_faults(value, path, most=QUANTITY_BOUND, decimals_max=QUANTITY_DECIMALS_MAX)


def _bound_faults(value: Decimal | None, path: str, *, most: Decimal, decimals_max: int) -> Iterator[Fault]:
    if value is None:
        return
    if not value.is_finite():
        yield Fault("body", path, "must be a number")
    elif value < 0:
        yield Fault("body", path, "must not be negative")
    elif value > most:
        yield Fault("body", path, f"must be at most {most:f}")
    elif decimals_in(value) > decimals_max:
        yield Fault("body", path, f"has more than {decimals_max} decimals")


def _scope_faults(terms: PriceTerms) -> Iterator[Fault]:
    if terms.kind == "plan" and terms.scope == "account":
        yield Fault("body", "scope", f"must be resource for the model {terms.model}")


def _tier_list_faults(tiers: Sequence[Tier] | None) -> Iterator[Fault]:
    """Tiers rise, and the last alone is without end."""
    if tiers is None:
        return
    if not tiers:
        yield Fault("body", "tiers", "must have at least one tier")
    if len(tiers) > TIERS_MAX:
        yield Fault("body", "tiers", f"must have at most {TIERS_MAX} tiers")
        return
    low = Decimal(0)
    for index, tier in enumerate(tiers):
        at = f"tiers[{index}]"
        yield from _price_faults(tier.unit_price, f"{at}.unit_price")
        yield from _price_faults(tier.flat, f"{at}.flat")
        yield from _quantity_faults(tier.up_to, f"{at}.up_to")
        is_last = index == len(tiers) - 1
        if tier.up_to is None and not is_last:
            yield Fault("body", f"{at}.up_to", "must be a number: only the last tier is without end")
        if tier.up_to is not None and is_last:
            yield Fault("body", f"{at}.up_to", "must be null: the last tier is without end")
        if tier.up_to is not None and tier.up_to >= 0:
            if tier.up_to <= low and not is_last:
                yield Fault("body", f"{at}.up_to", f"must be greater than {low:f}: tiers rise")
            low = max(low, tier.up_to)


def _seconds_faults(terms: PriceTerms) -> Iterator[Fault]:
    for member, value, least in (("increment_s", terms.increment_s, 1), ("minimum_s", terms.minimum_s, 0)):
        if value is not None and not least <= value <= SECONDS_MAX:
            yield Fault("body", member, f"must be from {least} to {SECONDS_MAX}")
