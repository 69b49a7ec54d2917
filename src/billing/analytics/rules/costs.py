"""How exact shares become costs in minor units: by group, by day, by resource.

Everything is rounded once, at the end: the whole half up, its parts by largest remainder, so that they sum to the whole under
every grouping. Whole months are whole numbers already, since lines are; nothing of theirs is rounded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from billing.analytics.model import (
    CostGroup,
    DayCost,
    DayShares,
    DaySpan,
    Figure,
    Interval,
    ResourceUsage,
    ServiceUsage,
    TypeCost,
)
from billing.analytics.rules.spans import bucket_of
from billing.analytics.rules.usage import HOUR_S, figures_of, plain

if TYPE_CHECKING:
    from decimal import Decimal

    from billing.analytics.model import DayQuantityRun, PlaceShare, RunShare, UsedShare

_NOISE = (
    10**10
)  # shares come in 10^-40 minor units, cut off there; rounded to 10^-30 their sums are what they exactly are
_ONE = 10**30
_DAY = timedelta(days=1)
PER_MILLE = 1000
_Key = TypeVar("_Key")
Types = Mapping[str | None, tuple[int, int]]  # by type: its share and how many resources


def settled(share: int) -> int:
    """A sum of what comes in 10^-40 units in 10^-30 units, without the noise below."""
    return (2 * share + _NOISE) // (2 * _NOISE)


def rounded(value: int) -> int:
    """A settled value in whole minor units, half up."""
    return (2 * value + _ONE) // (2 * _ONE)


def apportion(total: int, values: Sequence[int], *, one: int = _ONE) -> list[int]:
    """Whole numbers near `values` (in parts of `one`) that sum to a total, by largest remainder; ties go to the earlier value."""
    wholes = [value // one for value in values]
    missing = total - sum(wholes)
    assert 0 <= missing <= len(values), "the total is not what the values come to"
    by_remainder = sorted(range(len(values)), key=lambda index: (wholes[index] * one - values[index], index))
    for index in by_remainder[:missing]:
        wholes[index] += 1
    return wholes


def per_mille_of(amounts_minor: Sequence[int]) -> list[int]:
    """Each amount's part of their sum in tenths of a percent, which make 1000; 0 of nothing."""
    total = sum(amounts_minor)
    if total == 0:
        return [0] * len(amounts_minor)
    sign = 1 if total > 0 else -1
    return apportion(PER_MILLE, [sign * amount * PER_MILLE for amount in amounts_minor], one=abs(total))


def groups_of_places(shares: Iterable[PlaceShare]) -> list[CostGroup]:
    """Costs by service, project, region or month, the most costly first, then by key."""
    names: dict[str, str] = {}
    sums: dict[str, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    resources: dict[tuple[str, str | None], set[str]] = defaultdict(set)
    for share in shares:
        names[share.key] = share.name
        sums[share.key][share.type] += share.share
        resources[share.key, share.type] |= share.resource_ids
    by_key = {
        key: {type: (share, len(resources[key, type])) for type, share in types.items()} for key, types in sums.items()
    }
    keys = sorted(by_key)
    amounts = _amounts({key: _sum(by_key[key]) for key in keys})
    groups = _groups(keys, names, by_key, amounts)
    return sorted(groups, key=lambda group: (-group.amount_minor, group.key))


def groups_of_days(shares: DayShares, *, interval: Interval) -> list[CostGroup]:
    """Costs by day, week or month, oldest first. Days sum to their month."""
    sums: dict[date, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    for run in shares.runs:
        for day in _days_of(run.first_day, run.last_day):
            sums[bucket_of(day, interval)][run.type] += run.share
    counts = _counts(shares, interval)
    by_day = {day: {type: (share, counts[day, type]) for type, share in types.items()} for day, types in sums.items()}
    days = sorted(by_day)
    values = {day: _sum(by_day[day]) for day in days}
    amounts = amounts_of_days(values) if interval == "day" else _amounts(values)
    return _groups(
        [str(day) for day in days],
        {},
        {str(day): types for day, types in by_day.items()},
        {str(day): amount for day, amount in amounts.items()},
    )


def amounts_of_days(values: Mapping[date, int]) -> dict[date, int]:
    """Minor units of days from their shares: the months sum to the rounded whole, the days to their month."""
    days_of_months: dict[date, list[date]] = defaultdict(list)
    for day in sorted(values):
        days_of_months[day.replace(day=1)].append(day)
    months = _amounts({month: sum(values[day] for day in days) for month, days in days_of_months.items()})
    amounts: dict[date, int] = {}
    for month, days in days_of_months.items():
        parts = apportion(months[month], [settled(values[day]) for day in days])
        amounts |= dict(zip(days, parts, strict=True))
    return amounts


def daily_costs(runs: Iterable[RunShare], *, days: DaySpan) -> list[DayCost]:
    """What each of some days cost, also those that cost nothing."""
    values = dict.fromkeys(_days_of(days.first_day, days.end_day - _DAY), 0)
    for run in runs:
        for day in _days_of(run.first_day, run.last_day):
            values[day] += run.share
    return [DayCost(day, amount) for day, amount in amounts_of_days(values).items()]


def usage_of_shares(shares: Sequence[UsedShare], *, services: Sequence[str]) -> list[ServiceUsage]:
    """The usage of some services from resources' shares of lines; services sum to the rounded whole, resources to their service."""
    by_service: dict[str, dict[str, list[UsedShare]]] = {service: defaultdict(list) for service in services}
    for share in shares:
        by_service.setdefault(share.service, defaultdict(list))[share.resource_id or ""].append(share)
    sums = [sum(one.share for of in by_service[service].values() for one in of) for service in by_service]
    return [
        _service_usage(service, by_service[service], amount_minor)
        for service, amount_minor in zip(by_service, apportion_shares(sums), strict=True)
    ]


def _service_usage(service: str, by_resource: Mapping[str, Sequence[UsedShare]], amount_minor: int) -> ServiceUsage:
    resource_ids = sorted(by_resource)
    values = [settled(sum(one.share for one in by_resource[resource_id])) for resource_id in resource_ids]
    shares = [one for of in by_resource.values() for one in of]
    return ServiceUsage(
        service=service,
        amount_minor=amount_minor,
        figures=figures_of(service, [figure for one in shares if (figure := _figure_of(one)) is not None]),
        resources=[
            _resource_usage(by_resource[resource_id], part)
            for resource_id, part in zip(resource_ids, apportion(amount_minor, values), strict=True)
        ],
        price_ids=frozenset(one.price_id for one in shares),
    )


def _resource_usage(shares: Sequence[UsedShare], amount_minor: int) -> ResourceUsage:
    figures: dict[Figure, Fraction] = {}
    for share in shares:
        figure = _figure_of(share)
        if figure is not None and share.quantity is not None:
            figures[figure] = figures.get(figure, Fraction(0)) + _shown_quantity(share, Fraction(share.quantity))
    one = shares[0]
    return ResourceUsage(one.resource_id, one.resource_name, one.type, amount_minor, figures)


def _figure_of(share: UsedShare) -> Figure | None:
    return "hours" if share.item_kind == "plan" else share.shows_as


def _shown_quantity(share: UsedShare, quantity: Fraction) -> Fraction:
    """A meter's own quantity; of a plan its hours, rounded up as its price rounds them, a flat price's to whole ones."""
    if share.item_kind == "meter":
        return quantity / share.denominator
    if share.model != "hourly":
        return Fraction(-(-quantity // HOUR_S))
    if share.step is not None:
        quantity = -(-quantity // Fraction(share.step)) * Fraction(share.step)
    return max(quantity, Fraction(share.minimum_quantity)) / HOUR_S


def quantities_of_buckets(
    runs: Iterable[DayQuantityRun], *, buckets: Sequence[date], interval: Interval
) -> dict[date, Decimal]:
    """What was metered in each bucket, to 12 decimals."""
    sums = dict.fromkeys(buckets, 0)
    for run in runs:
        for day in _days_of(run.first_day, run.last_day):
            sums[bucket_of(day, interval)] += run.quantity
    return {bucket: plain(Fraction(settled(quantity), _ONE)) for bucket, quantity in sums.items()}


def apportion_shares(shares: Sequence[int]) -> list[int]:
    """Minor units of shares that sum to their rounded whole; ties go to the earlier one."""
    return apportion(rounded(settled(sum(shares))), [settled(share) for share in shares])


def _amounts(values: Mapping[_Key, int]) -> dict[_Key, int]:
    """The same by key, ties in the order of the mapping."""
    return dict(zip(values, apportion_shares(list(values.values())), strict=True))


def _groups(
    keys: Sequence[str], names: Mapping[str, str], by_key: Mapping[str, Types], amounts: Mapping[str, int]
) -> list[CostGroup]:
    per_mille = per_mille_of([amounts[key] for key in keys])
    return [
        CostGroup(key, names.get(key, ""), amounts[key], part, _type_costs(by_key[key], amounts[key]))
        for key, part in zip(keys, per_mille, strict=True)
    ]


def _type_costs(types: Types, amount_minor: int) -> list[TypeCost]:
    """A group's types, the most costly first, then by name."""
    ordered = sorted(types, key=lambda type: type or "")
    parts = apportion(amount_minor, [settled(types[type][0]) for type in ordered])
    costs = [TypeCost(type, types[type][1], part) for type, part in zip(ordered, parts, strict=True)]
    return sorted(costs, key=lambda one: (-one.amount_minor, one.type or ""))


def _sum(types: Types) -> int:
    return sum(share for share, _ in types.values())


def _counts(shares: DayShares, interval: Interval) -> Mapping[tuple[date, str | None], int]:
    """How many resources of a type were there in each bucket, each counted once."""
    # Many are there on the same days of a month: those days are looked at once.
    alike: dict[tuple[date, str | None, int], list[str]] = defaultdict(list)
    for one in shares.presences:
        alike[one.month, one.type, one.days].append(one.resource_id)
    found: dict[tuple[date, str | None], set[str]] = defaultdict(set)
    for (month, type, days), resource_ids in alike.items():
        for bucket in {bucket_of(month + n * _DAY, interval) for n in range(days.bit_length()) if days >> n & 1}:
            found[bucket, type].update(resource_ids)
    return defaultdict(int, {key: len(resource_ids) for key, resource_ids in found.items()})


def _days_of(first_day: date, last_day: date) -> Iterable[date]:
    return (first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1))
