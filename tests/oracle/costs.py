"""Costs by group from definitions, in exact fractions: lines, their resources and days, rounded once.

A line's amount is given: what documents say of a finalised month, what the oracle rates for an open one. Quantities are a world's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import TypeVar

from tests.oracle.rating import apportion

Key = TypeVar("Key")
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SharedLine:
    """A line's amount in minor units, and what its resources used of it: resource → (type, quantity, weights of days).

    Without resources its usage is gone: the days of the month share it alike, as `type` of `resource_id`, if it names one.
    """

    month: date
    service: str
    project: str
    region: str
    type: str | None
    resource_id: str | None
    amount_minor: int
    parts: Mapping[str, tuple[str, Fraction, Mapping[date, Fraction]]]

    @property
    def end(self) -> date:
        """The first day of the next month."""
        return (self.month + timedelta(days=31)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Atom:
    """What a resource costs: on a day, or in a whole month (no day)."""

    line: SharedLine
    type: str | None
    resource_id: str | None
    day: date | None
    amount: Fraction


@dataclass(frozen=True, slots=True)
class Group:
    """A group's cost and its tenths of a percent; by type: how many resources and their cost."""

    amount_minor: int
    per_mille: int
    types: dict[str | None, tuple[int, int]]


def costs_by(lines: Iterable[SharedLine], grouping: str, *, first: date, end: date) -> dict[str, Group]:
    """The groups of the days from `first` to before `end`."""
    atoms = [
        atom for line in lines for atom in atoms_of(line, by_day=grouping in {"day", "week"}, first=first, end=end)
    ]
    by_key: dict[str, list[Atom]] = defaultdict(list)
    for atom in atoms:
        by_key[key_of(atom, grouping)].append(atom)
    keys = sorted(by_key)
    values = {key: sum((atom.amount for atom in by_key[key]), Fraction(0)) for key in keys}
    amounts = by_month(values) if grouping == "day" else rounded(values)
    total = sum(amounts.values())
    parts = percentages([amounts[key] for key in keys], total)
    return {
        key: Group(amounts[key], part, types_of(by_key[key], amounts[key]))
        for key, part in zip(keys, parts, strict=True)
    }


def atoms_of(line: SharedLine, *, by_day: bool, first: date, end: date) -> Iterator[Atom]:
    """A whole month is shared among resources in minor units; a part of one, or days, exactly by quantity."""
    if first >= line.end or end <= line.month:
        return
    if line.parts and not by_day and first <= line.month and line.end <= end:
        ids = sorted(line.parts)
        amounts = apportion(line.amount_minor, [line.parts[resource_id][1] for resource_id in ids])
        for resource_id, amount in zip(ids, amounts, strict=True):
            yield Atom(line, line.parts[resource_id][0], resource_id, None, Fraction(amount))
        return
    days = [line.month + DAY * number for number in range((line.end - line.month).days)]
    inside = [day for day in days if first <= day < end]
    if not line.parts:
        for day in inside:
            yield Atom(line, line.type, line.resource_id, day, Fraction(line.amount_minor, len(days)))
        return
    whole = sum(quantity for _, quantity, _ in line.parts.values())
    for resource_id, (type_, quantity, weights) in line.parts.items():
        weight = sum(weights.values())
        for day in inside:
            if weights.get(day, 0) > 0:
                part = line.amount_minor * quantity / whole * weights[day] / weight
                yield Atom(line, type_, resource_id, day, part)


def key_of(atom: Atom, grouping: str) -> str:
    """What an atom is grouped by."""
    line = atom.line
    match grouping:
        case "service":
            return line.service
        case "project":
            return line.project
        case "region":
            return line.region
        case "month":
            return str(line.month)
        case _:
            assert atom.day is not None
            return str(atom.day if grouping == "day" else atom.day - DAY * atom.day.weekday())


def largest_remainder(total: int, values: Sequence[Fraction]) -> list[int]:
    """Whole numbers that sum to a total; ties go to the earlier value."""
    floors = [value.numerator // value.denominator for value in values]
    order = sorted(range(len(values)), key=lambda index: (floors[index] - values[index], index))
    for index in order[: total - sum(floors)]:
        floors[index] += 1
    return floors


def half_up(value: Fraction) -> int:
    """Rounded to a whole number."""
    return (value + Fraction(1, 2)).__floor__()


def rounded(values: Mapping[Key, Fraction]) -> dict[Key, int]:
    """Parts that sum to the rounded whole."""
    total = half_up(sum(values.values(), Fraction(0)))
    return dict(zip(values, largest_remainder(total, list(values.values())), strict=True))


def by_month(values: Mapping[str, Fraction]) -> dict[str, int]:
    """Days that sum to their month, months that sum to the rounded whole."""
    months: dict[str, Fraction] = defaultdict(Fraction)
    for day, value in values.items():
        months[day[:7]] += value
    amounts: dict[str, int] = {}
    for month, amount in rounded(months).items():
        days = [day for day in values if day[:7] == month]
        amounts |= dict(zip(days, largest_remainder(amount, [values[day] for day in days]), strict=True))
    return amounts


def percentages(amounts: Sequence[int], total: int) -> list[int]:
    """Tenths of a percent, 1000 together; 0 of nothing."""
    if total == 0:
        return [0] * len(amounts)
    return largest_remainder(1000, [Fraction(1000 * amount, total) for amount in amounts])


def types_of(atoms: Sequence[Atom], amount_minor: int) -> dict[str | None, tuple[int, int]]:
    """By type, how many resources and what they cost of a group's amount."""
    values: dict[str | None, Fraction] = defaultdict(Fraction)
    ids: dict[str | None, set[str]] = defaultdict(set)
    for atom in atoms:
        values[atom.type] += atom.amount
        if atom.resource_id is not None:
            ids[atom.type].add(atom.resource_id)
    ordered = sorted(values, key=lambda one: one or "")
    amounts = largest_remainder(amount_minor, [values[one] for one in ordered])
    return {one: (len(ids[one]), amount) for one, amount in zip(ordered, amounts, strict=True)}
