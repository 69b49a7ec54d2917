"""What holds for every world: parts sum to wholes, order does not matter, and the generator reaches what it must."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import date
from fractions import Fraction
from itertools import product
from random import Random
from uuid import UUID

from hypothesis import HealthCheck, given, settings

from billing.core.money import decimals_of
from tests.oracle import rating
from tests.oracle.generate import Scenario, scenario
from tests.oracle.models import TRILLION
from tests.oracle.strategies import scenarios
from tests.oracle.world import Resource, World, scope_of


def rate(made: Scenario) -> list[rating.Charge]:
    """The charges and minimums of a scenario."""
    return rating.rate(made.world, year=made.year, month=made.month, as_of=made.as_of, with_minimums=True)


def shown(charges: list[rating.Charge]) -> set[tuple[object, ...]]:
    """Charges and their lines in no order."""
    made = {
        (one.kind, one.price.price_id, one.account.account_id, one.resource_id, one.units, one.quantity, one.cost)
        for one in charges
    }
    lines = {
        (line.charge.price.price_id, line.project_id, line.region, line.quantity, line.amount_minor)
        for line in rating.lines(charges)
    }
    return {*made, *lines}


def reversed_world(world: World) -> World:
    """The same world told backwards."""
    resources = [
        replace(resource, points=resource.points[::-1], events=resource.events[::-1])
        for resource in reversed(world.resources)
    ]
    return World(dict(reversed(world.accounts.items())), resources, world.meters, world.prices[::-1])


@given(scenarios())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_parts_sum_to_wholes_whatever_the_order(made: Scenario) -> None:
    charges = rate(made)
    assert shown(charges) == shown(rate(replace(made, world=reversed_world(made.world))))
    for charge in charges:
        cost = Fraction(charge.cost_trillionths, TRILLION)
        assert charge.quantity > 0
        assert 0 <= charge.cost_exact < cost + Fraction(1, TRILLION)
        lines = rating.lines([charge])
        assert lines
        assert sum(line.amount_minor for line in lines) == charge.amount_minor
        assert sum(line.unrounded_trillionths for line in lines) == charge.cost_trillionths
        assert sum(share for _, _, share in rating.resource_shares(charge)) == cost
        assert sum(rating.day_shares(charge).values()) == cost


GROUPINGS: dict[str, Callable[[Resource, date], Hashable]] = {
    "day": lambda _, day: day,
    "resource": lambda resource, _: resource.resource_id,
    "project": lambda resource, _: resource.project_id,
    "region": lambda resource, _: resource.region,
    "project and day": lambda resource, day: (resource.project_id, day),
    "region and day": lambda resource, day: (resource.region, day),
    "project and region": lambda resource, _: (resource.project_id, resource.region),
    "all at once": lambda resource, day: (resource.resource_id, day),
}


@given(scenarios())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_shares_sum_to_the_whole_under_every_grouping(made: Scenario) -> None:
    for charge in rate(made):
        resources = {piece.resource.resource_id: piece.resource for piece in charge.pieces}
        of_lines: defaultdict[tuple[UUID, str], Fraction] = defaultdict(Fraction)
        for (resource_id, _), share in rating.day_shares(charge).items():
            of_lines[resources[resource_id].project_id, resources[resource_id].region] += share
        for group in GROUPINGS.values():
            shares: defaultdict[Hashable, Fraction] = defaultdict(Fraction)
            for (resource_id, day), share in rating.day_shares(charge).items():
                shares[group(resources[resource_id], day)] += share
            assert sum(shares.values()) == Fraction(charge.cost_trillionths, TRILLION)
            if charge.cost_trillionths:
                assert sum(rating.apportion(charge.amount_minor, list(shares.values()))) == charge.amount_minor
        for line in rating.lines([charge]):  # a line is its days' and resources' shares, rounded with its charge
            exact = of_lines[line.project_id, line.region] * 10 ** decimals_of(charge.account.currency)
            assert abs(line.amount_minor - exact) < 2


class TestGenerator:
    """The plain generator."""

    def test_a_seed_gives_the_same_world_again(self) -> None:
        first, second = (scenario(Random(7), prefix="w", accounts=20) for _ in range(2))
        assert first == second

    def test_charges_cover_every_model_scope_aggregation_and_option(self) -> None:
        seen: set[tuple[object, ...]] = set()
        for number in range(8):
            made = scenario(Random(number), prefix=f"{number}-", accounts=250, number=number)
            for charge in rate(made):
                definition = charge.price.definition
                aggregation = made.world.meters.get(definition.get("meter", ""))
                seen.add((definition["model"], scope_of(definition), aggregation))
                seen.add((charge.kind,))
                seen.add((charge.account.currency,))
                seen.update((name, definition["model"]) for name in definition)
                seen.add(("contract", charge.price.account_id is not None, "region" in definition))
                seen.update({("split",)} if len(rating.lines([charge])) > 1 else ())
        models = ("per_unit", "graduated", "volume", "package")
        gauges = ("sum", "max", "last", "time_weighted")
        assert seen >= set(product(models, ("resource", "account"), gauges))
        assert seen >= {("flat", "resource", None), ("hourly", "resource", None), ("minimum",), ("split",), ("JPY",)}
        assert seen >= {
            ("contract", is_contract, has_region) for is_contract, has_region in product((True, False), repeat=2)
        }
        options = ("discount_percent", "maximum", "minimum", "region")
        assert seen >= set(product(options, (*models, "flat", "hourly")))
        assert seen >= {
            ("included", "per_unit"),
            ("included", "package"),
            ("increment_s", "hourly"),
            ("billable", "hourly"),
        }
