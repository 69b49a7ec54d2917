"""Random worlds around one month, repeatable from a seed, with many values on an edge or a microsecond beside it.

Events stay inside what ingest accepts: within the resource's life, not ahead of the instant that is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from random import Random
from uuid import UUID

from tests.oracle.catalogue import CURRENCIES, REGIONS, Catalogue, quantity_of, trillionths
from tests.oracle.quantities import METERED, spans
from tests.oracle.world import (
    DAY_US,
    HOUR_US,
    SECOND_US,
    Account,
    Event,
    Resource,
    StatePoint,
    World,
    instant_of,
    micros,
)

MONTHS = ((2024, 1), (2024, 2), (2023, 2), (2024, 4), (2023, 12))
_UNITS = tuple(Decimal(text) for text in ("1", "1", "1.0", "2", "3", "0.5", "10", "0.000000000001", "1234.567"))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world, the month that is rated, and the instant it is looked at from."""

    world: World
    year: int
    month: int
    as_of: datetime


@dataclass(slots=True)
class _Maker:
    """What all accounts of a scenario share while it is made."""

    rng: Random
    catalogue: Catalogue
    start_us: int
    end_us: int
    as_of_us: int

    def edge(self) -> int:
        """An instant in or near the month, more often on an edge than not."""
        rng = self.rng
        base = rng.choice(
            (
                self.start_us,
                self.end_us,
                self.start_us + rng.randrange(31) * DAY_US,
                self.start_us + rng.randrange(-48, 744) * HOUR_US,
                self.start_us + rng.randrange(-40 * DAY_US, 33 * DAY_US),
                self.start_us - rng.randrange(1, 200) * DAY_US,
            )
        )
        return base + rng.choice((0, 0, 0, 1, -1, SECOND_US, -SECOND_US))


def scenario(
    rng: Random, *, prefix: str, accounts: int, meters: int = 24, plans: int = 16, number: int = 0
) -> Scenario:
    """A random world of so many accounts; `prefix` and `number` keep the names and ids of several worlds apart."""
    year, month = rng.choice(MONTHS)
    catalogue = Catalogue(rng, prefix, year, month)
    catalogue.fill(meters=meters, plans=plans)
    start_us, end_us = micros(catalogue.start(0)), micros(catalogue.start(1))
    maker = _Maker(rng, catalogue, start_us, end_us, _as_of_us(rng, start_us, end_us))
    world = World(meters=catalogue.meters)
    for index in range(accounts):
        account_id = UUID(int=(number << 32 | index + 1) << 80 | 0x7 << 76)
        account = Account(account_id, rng.choice(CURRENCIES))
        world.accounts[account_id] = account
        if rng.random() < 0.25:
            catalogue.add_contract(account_id, account.currency)
        world.resources.extend(_resources(maker, account, index))
    world.prices.extend(catalogue.prices)
    rng.shuffle(world.resources)
    return Scenario(world, year, month, instant_of(maker.as_of_us))


def _as_of_us(rng: Random, start_us: int, end_us: int) -> int:
    """Usually after the month; else inside it, often on an edge."""
    if rng.random() < 0.5:
        return end_us + rng.choice((0, 1, HOUR_US, 10 * DAY_US))
    inside = rng.choice((rng.randrange(28) * DAY_US, rng.randrange(1, end_us - start_us), 15 * DAY_US + HOUR_US // 2))
    return min(start_us + inside + rng.choice((0, 1)), end_us - 1)


def _resources(maker: _Maker, account: Account, index: int) -> Iterator[Resource]:
    """The resources of an account; what it uses of a meter is split among some of them, often to meet on a bend."""
    rng = maker.rng
    projects = [UUID(int=account.account_id.int | number + 1) for number in range(rng.randint(1, 3))]
    bare = [
        Resource(
            account_id=account.account_id,
            resource_id=f"{rng.choice(('vps', 'Bucket', 'ip'))}-{index}-{number}",
            project_id=rng.choice(projects),
            region=rng.choice(REGIONS),
            type=rng.choice(("vps", "bucket")),
            service="compute",
            points=tuple(_points(maker, account.currency)),
        )
        for number in range(rng.randint(1, 5))
    ]
    events: dict[str, list[Event]] = {resource.resource_id: [] for resource in bare}
    meters = list(maker.catalogue.meters)
    for meter in rng.sample(meters, min(len(meters), rng.randint(0, 4))):
        users = rng.sample(bare, rng.randint(1, len(bare)))
        total = _total(maker, meter, account.currency)
        for resource, part in zip(users, _split(rng, total, len(users)), strict=True):
            events[resource.resource_id].extend(_events(maker, resource, meter, part))
    for resource in bare:
        made = events[resource.resource_id]
        rng.shuffle(made)
        yield Resource(
            account_id=resource.account_id,
            resource_id=resource.resource_id,
            project_id=resource.project_id,
            region=resource.region,
            type=resource.type,
            service=resource.service,
            points=resource.points,
            events=tuple(made),
        )


def _points(maker: _Maker, currency: str) -> list[StatePoint]:
    """A resource's life: resizes, stops, sometimes the deletion of its project, sometimes its own."""
    rng, plans = maker.rng, maker.catalogue.plans
    plan = rng.choice(plans) if plans and rng.random() < 0.8 else None
    units = rng.choice(_UNITS)
    first_us = min(maker.edge(), maker.as_of_us)
    points = {first_us: StatePoint(instant_of(first_us), "running", plan, units)}
    if plan is not None and rng.random() < 0.3:
        seconds = rng.choice(maker.catalogue.bends_s.get((plan, currency), [3600]))
        last_us = first_us + seconds * SECOND_US + rng.choice((0, 0, 1, -1))
        return [*points.values(), StatePoint(instant_of(last_us), "deleted", plan, units)]
    for _ in range(rng.choice((0, 0, 0, 1, 2, 4))):
        at_us = maker.edge()
        if at_us > first_us:
            plan = rng.choice(plans) if plan is not None and rng.random() < 0.5 else plan
            units = rng.choice(_UNITS) if rng.random() < 0.3 else units
            status = rng.choice(("running", "running", "stopped", "stopped", "deleting"))
            points[at_us] = StatePoint(instant_of(at_us), status, plan, units)
    last_us = maker.edge()
    if rng.random() < 0.4 and last_us > max(points):
        points[last_us] = StatePoint(instant_of(last_us), "deleted", plan, units)
    made = list(points.values())
    rng.shuffle(made)
    return made


def _total(maker: _Maker, meter: str, currency: str) -> int:
    """Trillionths of what an account uses of a meter: on a bend of its price, beside one, or anything."""
    rng, scale = maker.rng, maker.catalogue.magnitudes[meter]
    bends = maker.catalogue.bends.get((meter, currency), [])
    if bends and rng.random() < 0.5:
        return max(rng.choice(bends) + rng.choice((0, 0, 1, -1)), 0)
    if rng.random() < 0.4:
        return trillionths(Decimal(rng.randint(0, 30)).scaleb(max(scale - 1, -12)))
    return rng.randrange(10 ** max(scale + 12 + rng.choice((0, 1)), 1))


def _split(rng: Random, total: int, parts: int) -> list[int]:
    """Whole parts of a total: equal, random, or all in one."""
    kind = rng.random()
    if kind < 0.3:
        return [total // parts] * (parts - 1) + [total - total // parts * (parts - 1)]
    if kind < 0.5:
        return [0] * (parts - 1) + [total]
    cuts = sorted(rng.randint(0, total) for _ in range(parts - 1))
    return [high - low for low, high in zip((0, *cuts), (*cuts, total), strict=True)]


def _events(maker: _Maker, resource: Resource, meter: str, part: int) -> Iterator[Event]:
    """Events of one meter: in the month they make up the part, outside of it they are anything."""
    rng, aggregation = maker.rng, maker.catalogue.meters[meter]
    times = sorted(_times(maker, resource))
    inside = [at_us for at_us in times if maker.start_us <= at_us < maker.end_us]
    if aggregation == "sum":
        quantities = _split(rng, part, len(inside)) if inside else []
    else:
        quantities = [rng.choice((0, part, rng.randint(0, part))) for _ in inside]
        if inside and aggregation in ("max", "last"):
            quantities[-1] = part
    inside_quantities = iter(quantities)
    for at_us in times:
        is_inside = maker.start_us <= at_us < maker.end_us
        count = next(inside_quantities) if is_inside else rng.choice((part, rng.randint(0, part)))
        yield Event(meter, quantity_of(count), instant_of(at_us))
        if rng.random() < 0.05:
            yield Event(meter, quantity_of(part + 1), instant_of(at_us), is_voided=True)
        if aggregation != "sum" and rng.random() < 0.1:
            yield Event(meter, quantity_of(rng.randint(0, count)), instant_of(at_us))


def _times(maker: _Maker, resource: Resource) -> list[int]:
    """Instants at which the resource was alive, up to now: edges of the month, of days and of its life."""
    rng = maker.rng
    alive = [
        (start, end)
        for start, end, point in spans(resource, maker.start_us - 400 * DAY_US, maker.as_of_us + 1)
        if point.status in METERED
    ]
    if not alive:
        return []
    times: list[int] = []
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        start, end = rng.choice(alive)
        at_us = rng.choice((start, end - 1, rng.randrange(start, end), maker.edge(), maker.edge(), maker.start_us))
        if any(begin <= at_us < until for begin, until in alive):
            times.append(at_us)
    return times
