"""What is wrong with a price: every fault with its path, in the order of the members."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from billing.catalog.model import ItemKind, PriceDefinition, PriceModel, PriceTerms, Tier
from billing.catalog.rules.compiling import PLAN_MODELS
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


def card_faults(prices: Sequence[PriceDefinition]) -> list[Fault]:
    """All faults of the prices of a rate card, each with its path, such as `prices[2].tiers[1].up_to`."""
    if not prices:
        return [Fault("body", "prices", "must have at least one price")]
    if len(prices) > PRICES_MAX:
        return [Fault("body", "prices", f"must have at most {PRICES_MAX} prices")]
    faults = [
        fault
        for index, price in enumerate(prices)
        for fault in (*_item_faults(price, f"prices[{index}]"), *terms_faults(price, path=f"prices[{index}]"))
    ]
    return [*faults, *_conflict_faults(prices)]


def _conflict_faults(prices: Sequence[PriceDefinition]) -> Iterator[Fault]:
    """The same plan or meter and region twice, and one meter under two services."""
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


def meter_faults(meter: str, *, service: str) -> Iterator[Fault]:
    """Faults of a meter's name, which is in the path, and of its service."""
    if ITEM_NAME.fullmatch(meter) is None:
        yield Fault("path", "meter", ITEM_NAME_REASON)
    if ITEM_NAME.fullmatch(service) is None:
        yield Fault("body", "service", ITEM_NAME_REASON)


def terms_faults(terms: PriceTerms, *, path: str, kind: ItemKind | None = None) -> list[Fault]:
    """All faults of a price's model and members; `path` is its own. With a `kind` the model must be one for it."""
    faults = [
        *_kind_faults(terms, path, kind),
        *_member_faults(terms, path),
        *_number_faults(terms, path),
        *_scope_faults(terms, path),
        *_tier_list_faults(terms.tiers, f"{path}.tiers"),
        *_seconds_faults(terms, path),
    ]
    if terms.maximum is not None and terms.minimum is not None and terms.maximum < terms.minimum:
        faults.append(Fault("body", f"{path}.maximum", "must not be less than the minimum"))
    return faults


def _item_faults(definition: PriceDefinition, path: str) -> Iterator[Fault]:
    if ITEM_NAME.fullmatch(definition.service) is None:
        yield Fault("body", f"{path}.service", ITEM_NAME_REASON)
    takes, other = ("plan", "meter") if definition.model in PLAN_MODELS else ("meter", "plan")
    item = definition.plan if takes == "plan" else definition.meter
    foreign = definition.meter if takes == "plan" else definition.plan
    if item is None:
        yield Fault("body", f"{path}.{takes}", f"is required for the model {definition.model}")
    elif ITEM_NAME.fullmatch(item) is None:
        yield Fault("body", f"{path}.{takes}", ITEM_NAME_REASON)
    if foreign is not None:
        yield Fault(
            "body", f"{path}.{other}", f"does not belong to the model {definition.model}, which names a {takes}"
        )
    if definition.region is not None and REGION_NAME.fullmatch(definition.region) is None:
        yield Fault("body", f"{path}.region", REGION_NAME_REASON)


def _kind_faults(terms: PriceTerms, path: str, kind: ItemKind | None) -> Iterator[Fault]:
    priced = "plan" if terms.model in PLAN_MODELS else "meter"
    if kind is not None and kind != priced:
        yield Fault("body", f"{path}.model", f"prices a {priced}, not a {kind}")


def _member_faults(terms: PriceTerms, path: str) -> Iterator[Fault]:
    """Members that are missing, and members of other models."""
    required = REQUIRED_MEMBERS[terms.model]
    for member in required:
        if getattr(terms, member) is None:
            yield Fault("body", f"{path}.{member}", f"is required for the model {terms.model}")
    taken = COMMON_MEMBERS.union(required, OPTIONAL_MEMBERS[terms.model])
    for member in PriceTerms.__struct_fields__:
        if member not in taken and getattr(terms, member) is not None:
            yield Fault("body", f"{path}.{member}", f"does not belong to the model {terms.model}")
    if terms.model == "hourly" and terms.hourly_price is None and terms.monthly_price is None:
        yield Fault("body", f"{path}.hourly_price", "is required unless monthly_price is given")
    if terms.billable is not None and (not terms.billable or len(set(terms.billable)) < len(terms.billable)):
        yield Fault("body", f"{path}.billable", "must name each state once, and at least one")


def _number_faults(terms: PriceTerms, path: str) -> Iterator[Fault]:
    for member in PRICE_MEMBERS:
        yield from _price_faults(getattr(terms, member), f"{path}.{member}")
    for member in QUANTITY_MEMBERS:
        yield from _quantity_faults(getattr(terms, member), f"{path}.{member}")
    if terms.package_size == 0:
        yield Fault("body", f"{path}.package_size", "must be greater than 0")
    yield from _price_faults(terms.discount_percent, f"{path}.discount_percent", most=Decimal(100))


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


def _scope_faults(terms: PriceTerms, path: str) -> Iterator[Fault]:
    if terms.model in PLAN_MODELS and terms.scope == "account":
        yield Fault("body", f"{path}.scope", f"must be resource for the model {terms.model}")


def _tier_list_faults(tiers: Sequence[Tier] | None, path: str) -> Iterator[Fault]:
    """Tiers rise, and the last alone is without end."""
    if tiers is None:
        return
    if not tiers:
        yield Fault("body", path, "must have at least one tier")
    if len(tiers) > TIERS_MAX:
        yield Fault("body", path, f"must have at most {TIERS_MAX} tiers")
        return
    low = Decimal(0)
    for index, tier in enumerate(tiers):
        at = f"{path}[{index}]"
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


def _seconds_faults(terms: PriceTerms, path: str) -> Iterator[Fault]:
    for member, value, least in (("increment_s", terms.increment_s, 1), ("minimum_s", terms.minimum_s, 0)):
        if value is not None and not least <= value <= SECONDS_MAX:
            yield Fault("body", f"{path}.{member}", f"must be from {least} to {SECONDS_MAX}")
