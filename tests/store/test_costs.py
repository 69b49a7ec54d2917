"""Costs by every group on random histories, with closes, late usage, voided events and invoices, moves and stops in between.

Finalised months are compared with invoice lines by service month, open ones with the oracle; shares by day and resource with exact
fractions. `--seed` replays a run.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal
from uuid import UUID

import pytest
import pytest_asyncio

from billing import catalog, invoices, metering
from billing.analytics import rules
from billing.analytics.model import DaySpan, Grouping, Metric, ServiceUsage
from billing.analytics.operations import costs, usage
from billing.catalog import Aggregation, Meter
from billing.core.period import Period
from billing.invoices.operations import ending
from tests.oracle import rating as oracle
from tests.oracle import world
from tests.oracle.costs import SharedLine, atoms_of, costs_by, rounded
from tests.support.cloud import Cloud, at, open_cloud, price

STEPS = int(os.environ.get("LINESERVE_TEST_STEPS", "45"))
GROUPINGS: tuple[Grouping, ...] = ("service", "project", "region", "day", "week", "month")
METERS: dict[str, Aggregation] = {"sent": "sum", "peak": "max", "seats": "last", "level": "time_weighted"}
SHOWN_AS: dict[str, Literal["storage_gb", "bandwidth_gb"]] = {
    "peak": "storage_gb",
    "level": "storage_gb",
    "sent": "bandwidth_gb",
    "seats": "bandwidth_gb",
}
PLANS = ("small", "large", "flat")
TIERS = [{"up_to": 40, "unit_price": "0.37"}, {"up_to": None, "unit_price": "0.113"}]


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        yield opened


@dataclass
class Thing:
    """A resource as it was reported."""

    resource_id: str
    type: str
    region: str
    points: list[world.StatePoint]
    moves: list[tuple[datetime, UUID]]
    events: dict[str, world.Event] = field(default_factory=dict[str, world.Event])

    @property
    def is_deleted(self) -> bool:
        return any(point.status == "deleted" for point in self.points)

    @property
    def was_deleting(self) -> bool:
        return any(point.status == "deleting" for point in self.points)


@dataclass
class History:
    """One account's random history, written down beside what the cloud made of it."""

    cloud: Cloud
    rng: random.Random
    account_id: UUID
    currency: str
    projects: list[UUID]
    definitions: list[dict[str, Any]]
    things: list[Thing] = field(default_factory=list[Thing])
    closed_at: dict[date, datetime] = field(default_factory=dict[date, datetime])

    async def step(self) -> None:
        """Something happens, a few minutes to days after the last."""
        self.cloud.clock.advance(timedelta(minutes=self.rng.choice((1, 17, 400, 1440, 4000))))
        live = [thing for thing in self.things if not thing.is_deleted]
        used = [thing for thing in live if not thing.was_deleting]  # what is being deleted sends nothing
        what = self.rng.random()
        if len(self.things) < 3 or (what < 0.1 and len(self.things) < 7):
            await self._start()
        elif what < 0.55 and used:
            await self._use(self.rng.choice(used))
        elif what < 0.63 and live:
            await self._change(self.rng.choice(live))
        elif what < 0.70 and live:
            await self._move(self.rng.choice(live))
        elif what < 0.76:
            await self._void_event()
        elif what < 0.80:
            await self._void_invoice()
        else:
            await self._close()

    def _earlier(self, since: datetime) -> datetime:
        """An instant from `since` to now, often at an edge of a day or month."""
        now = self.cloud.clock.now
        span = now - since
        chosen = since + span * self.rng.random() if self.rng.random() < 0.7 else now - timedelta(seconds=1)
        if self.rng.random() < 0.3:
            chosen = chosen.replace(hour=0, minute=0, second=0, microsecond=0)
        return max(chosen, since)

    async def _start(self) -> None:
        now = self.cloud.clock.now
        name = f"r-{len(self.things)}"
        thing = Thing(name, self.rng.choice(("vps", "bucket")), self.rng.choice(("eu", "us")), [], [])
        since = max(now - timedelta(days=self.rng.choice((0, 1, 20))), self.definitions_from)
        if self.closed_at:  # a month that turns up late has nothing on it; that is another test's
            since = max(since, Period(max(self.closed_at).year, max(self.closed_at).month).end)
        self.things.append(thing)
        plan = self.rng.choice((None, *PLANS))
        await self._report(
            thing, "running", plan, Decimal(self.rng.choice((1, 1, 2))), since, self.rng.choice(self.projects)
        )

    async def _report(
        self, thing: Thing, status: world.Status, plan: str | None, units: Decimal, since: datetime, project_id: UUID
    ) -> None:
        await self.cloud.report(
            self.account_id,
            thing.resource_id,
            type=thing.type,
            region=thing.region,
            status=status,
            plan=plan,
            units=units,
            effective_at=since,
            project_id=project_id,
        )
        thing.points = [point for point in thing.points if point.effective_at != since]
        thing.points.append(world.StatePoint(since, status, plan, units))
        if not thing.moves or thing.moves[-1][1] != project_id:
            thing.moves.append((self.cloud.clock.now, project_id))

    async def _change(self, thing: Thing) -> None:
        first = min(point.effective_at for point in thing.points)
        last = max(thing.points, key=lambda point: point.effective_at)
        status: world.Status = self.rng.choice(("running", "stopped", "stopped", "deleted", "deleting"))
        since = self.cloud.clock.now - timedelta(seconds=1)
        if status in {"running", "stopped"} and last.status != "deleting":
            since = self._earlier(first)
        plan = self.rng.choice(PLANS) if last.plan and self.rng.random() < 0.5 else last.plan
        await self._report(thing, status, plan, last.units, max(since, first), thing.moves[-1][1])

    async def _move(self, thing: Thing) -> None:
        last = max(thing.points, key=lambda point: point.effective_at)
        since = self.cloud.clock.now - timedelta(seconds=1)
        if last.effective_at < since:
            await self._report(thing, last.status, last.plan, last.units, since, self.rng.choice(self.projects))

    async def _use(self, thing: Thing) -> None:
        meter, occurred_at = "", self.cloud.clock.now
        for _ in range(self.rng.choice((1, 3, 6))):
            if not meter or self.rng.random() < 0.6:
                meter = self.rng.choice(tuple(METERS))
                occurred_at = self._earlier(min(point.effective_at for point in thing.points))
            else:  # again within the same second
                occurred_at += timedelta(microseconds=self.rng.choice((0, 1)))
            quantity = Decimal(self.rng.choice(("0", "1", "3", "7.5", "0.000000000001", "33.333333333333", "1000")))
            result = await self.cloud.use(
                self.account_id, quantity, resource_id=thing.resource_id, meter=meter, occurred_at=occurred_at
            )
            assert result.outcome == "accepted", result
            thing.events[str(self.cloud.events)] = world.Event(meter, quantity, occurred_at)

    async def _void_event(self) -> None:
        events = [(thing, event_id) for thing in self.things for event_id in thing.events]
        if events:
            thing, event_id = self.rng.choice(events)
            async with self.cloud.database.transaction() as tx:
                await metering.void(tx, account_id=self.account_id, source="test", event_id=event_id)
            thing.events[event_id] = replace(thing.events[event_id], is_voided=True)

    async def _void_invoice(self) -> None:
        rows = await self.cloud.fetch(
            "SELECT invoice_id FROM invoices NATURAL JOIN invoice_states WHERE account_id = $1 AND kind = 'invoice' "
            "AND status IN ('pending', 'paid') ORDER BY period",
            self.account_id,
        )
        if rows:
            async with self.cloud.database.transaction() as tx:
                await ending.void(tx, invoice_id=self.rng.choice(rows)["invoice_id"])

    async def _close(self) -> None:
        """Close the next month, at the first of the one after it or later."""
        month = Period(2024, 1)
        while month.start_date in self.closed_at:
            month = month.next()
        self.cloud.clock.now = max(self.cloud.clock.now, month.end + timedelta(hours=self.rng.choice((2, 300))))
        run_id = await self.cloud.request(month, only_accounts=[self.account_id])
        await invoices.advance(self.cloud.database, run_id=run_id)
        assert await self.cloud.parked(run_id) == {}
        self.closed_at[month.start_date] = self.cloud.clock.now

    @property
    def definitions_from(self) -> datetime:
        return at("01-01")

    def world_of(self, month: date) -> world.World:
        """The world as a month sees it: where it was closed, with the projects of that instant."""
        made = world.World(
            accounts={self.account_id: world.Account(self.account_id, self.currency)},
            meters=METERS,
        )
        for number, definition in enumerate(self.definitions):
            made.prices.append(
                world.Price(UUID(int=number), world.Definition(**definition), self.currency, self.definitions_from)
            )
        for thing in self.things:
            project_id = thing.moves[-1][1]
            if month in self.closed_at:
                known = [to for recorded_at, to in thing.moves if recorded_at <= self.closed_at[month]]
                project_id = known[-1] if known else thing.moves[0][1]
            made.resources.append(
                world.Resource(
                    self.account_id,
                    thing.resource_id,
                    project_id,
                    thing.region,
                    thing.type,
                    "compute",
                    tuple(thing.points),
                    tuple(thing.events.values()),
                )
            )
        return made

    async def lines(self) -> list[SharedLine]:
        """Every line that counts: of documents in finalised months, of the oracle's rating in open ones."""
        shared: list[SharedLine] = []
        month = Period(2024, 1)
        while month.start <= self.cloud.clock.now:
            made = self.world_of(month.start_date)
            charges = oracle.rate(made, year=month.year, month=month.month, as_of=min(self.cloud.clock.now, month.end))
            rated = {_key(line): line for line in oracle.lines(charges)}
            if month.start_date in self.closed_at:
                for key, row in (await self._said(month.start_date)).items():
                    shared.append(_shared(month.start_date, key, row, rated.get(key)))
            else:
                shared += [
                    _shared(month.start_date, key, (line.amount_minor, service_of(line), None), line)
                    for key, line in rated.items()
                ]
            month = month.next()
        return shared

    def quantities(self, meters: set[str]) -> Iterator[tuple[date, Fraction]]:
        """What each day adds to some meters; a month's highest or last value is shared among its days."""
        month = Period(2024, 1)
        while month.start <= self.cloud.clock.now:
            made = self.world_of(month.start_date)
            as_of = min(self.cloud.clock.now, month.end)
            for charge in oracle.rate(made, year=month.year, month=month.month, as_of=as_of):
                for piece in charge.pieces if charge.price.definition.get("meter") in meters else ():
                    weights = piece.day_weights()
                    for day, weight in weights.items():
                        if piece.quantity > 0:
                            yield day, piece.quantity * weight / sum(weights.values())
            month = month.next()

    async def _said(self, month: date) -> dict[Any, tuple[int, str, str | None]]:
        """What documents that were not voided say of a service month, by charge and place."""
        rows = await self.cloud.fetch(
            """
            SELECT l.item, l.charge_resource_id, l.units, l.project_id, l.region, sum(l.amount_minor) AS amount_minor,
                min(l.service) AS service, CASE WHEN min(l.type) = max(l.type) THEN min(l.type) ELSE '' END AS type
            FROM invoice_lines AS l
            JOIN invoices AS i ON i.account_id = l.account_id AND i.invoice_id = l.invoice_id
            JOIN invoice_states AS s ON s.account_id = l.account_id AND s.invoice_id = l.invoice_id
            WHERE l.account_id = $1 AND l.service_period = $2 AND s.status <> 'void'
            GROUP BY l.item, l.charge_resource_id, l.units, l.project_id, l.region
            """,
            self.account_id,
            month,
        )
        return {
            (row["item"], row["charge_resource_id"], Fraction(row["units"]), str(row["project_id"]), row["region"]): (
                int(row["amount_minor"]),
                row["service"],
                row["type"] or None,
            )
            for row in rows
        }


def service_of(line: oracle.Line) -> str:
    return line.charge.price.definition["service"]


def _key(line: oracle.Line) -> tuple[str, str, Fraction, str, str]:
    definition = line.charge.price.definition
    item = definition.get("plan") or definition.get("meter", "")
    return item, line.charge.resource_id or "", line.charge.units, str(line.project_id), line.region


def _shared(month: date, key: Any, row: tuple[int, str, str | None], line: oracle.Line | None) -> SharedLine:
    amount_minor, service, type_ = row
    parts: dict[str, tuple[str, Fraction, dict[date, Fraction]]] = {}
    for piece in line.charge.pieces if line else ():
        resource = piece.resource
        if piece.quantity > 0 and (str(resource.project_id), resource.region) == key[3:]:
            parts[resource.resource_id] = resource.type, piece.quantity, piece.day_weights()
    return SharedLine(month, service, key[3], key[4], type_, key[1] or None, amount_minor, parts)


async def begin(cloud: Cloud, seed: int) -> History:
    """An account of its own, with prices of its currency."""
    rng = random.Random(seed)
    currency = rng.choice(("USD", "JPY", "KWD", "KES"))
    cloud.clock.now = at("01-01 00:01")
    services = {"sent": "messaging", "peak": "storage", "seats": "seats", "level": "storage"}
    async with cloud.database.transaction() as tx:
        for name, aggregation in METERS.items():
            meter = Meter(
                meter=name,
                service=services[name],
                name=name,
                unit="units",
                aggregation=aggregation,
                shows_as=SHOWN_AS.get(name),
            )
            await catalog.define_meter(tx, meter=meter)
    scope = rng.choice(("account", "resource"))
    definitions: list[dict[str, Any]] = [
        {"service": "messaging", "meter": "sent", "model": "graduated", "tiers": TIERS},
        {"service": "storage", "meter": "peak", "model": "per_unit", "unit_price": "0.07", "scope": scope},
        {"service": "seats", "meter": "seats", "model": "per_unit", "unit_price": "1.1", "minimum": "3.33"},
        {"service": "storage", "meter": "level", "model": "per_unit", "unit_price": "0.21", "included": "0.5"},
        {"service": "compute", "plan": "small", "model": "hourly", "hourly_price": "0.0317", "monthly_price": "17"},
        {"service": "compute", "plan": "large", "model": "hourly", "hourly_price": "0.2", "increment_s": 1,
         "billable": ["running"]},
        {"service": "compute", "plan": "flat", "model": "flat", "amount": "31", "minimum": "5"},
    ]  # fmt: skip
    async with cloud.database.transaction() as tx:
        await catalog.publish_rate_card(
            tx,
            name="Card",
            currency=currency,
            valid_from=at("01-01"),
            prices=[price(**definition) for definition in definitions],
            currencies=frozenset({"USD", "JPY", "KWD", "KES"}),
        )
    account_id = await cloud.open_account(currency=currency)
    projects = [await cloud.open_project(account_id, name) for name in ("One", "Two", "Three")]
    exact = [{name: _exact(value) for name, value in definition.items()} for definition in definitions]
    return History(cloud, rng, account_id, currency, projects, exact)


def _exact(value: object) -> object:
    """Numbers of a definition as the oracle has them."""
    if isinstance(value, str):
        try:
            return Decimal(value)
        except ArithmeticError:
            return value
    if isinstance(value, list) and isinstance(value[0], dict):
        return [{name: None if one is None else Decimal(one) for name, one in tier.items()} for tier in value]
    return value


def spans_of(rng: random.Random, now: datetime) -> list[DaySpan]:
    """The whole, and parts of it on any edge."""
    last = now.date() + timedelta(days=40)
    days = [date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1), date(2024, 4, 1)]
    days += [date(2024, 1, 1) + timedelta(days=rng.randrange((last - date(2024, 1, 1)).days)) for _ in range(3)]
    spans = [DaySpan(date(2023, 12, 1), last), DaySpan(date(2024, 1, 1), date(2024, 2, 1))]
    for _ in range(3):
        first, end = sorted(rng.sample(days, 2))
        if first < end:
            spans.append(DaySpan(first, end))
    return spans


async def compare(history: History) -> int:
    """Every grouping of some spans with the oracle; how many groups were compared."""
    lines, now, compared = await history.lines(), history.cloud.clock.now, 0
    async with history.cloud.database.snapshot() as tx:
        for days in spans_of(history.rng, now):
            totals: set[int] = set()
            for grouping in GROUPINGS:
                groups = await costs.break_down(
                    tx.connection, account_id=history.account_id, days=days, group_by=grouping, now=now
                )
                found = {
                    group.key: (
                        group.amount_minor,
                        group.per_mille,
                        {one.type: (one.count, one.amount_minor) for one in group.types},
                    )
                    for group in groups
                }
                wanted = costs_by(lines, grouping, first=days.first_day, end=days.end_day)
                assert found == {key: (one.amount_minor, one.per_mille, one.types) for key, one in wanted.items()}, (
                    grouping,
                    days,
                )
                totals.add(sum(group.amount_minor for group in groups))
                compared += len(groups)
            assert len(totals) == 1
    return compared


async def compare_project(history: History) -> None:
    """One project's usage with the oracle: services, resources and days each sum to the rounded whole."""
    lines, now = await history.lines(), history.cloud.clock.now
    project_id = history.rng.choice(history.projects)
    days = history.rng.choice(spans_of(history.rng, now))
    async with history.cloud.database.snapshot() as tx:
        found = await costs.get_project_usage(
            tx.connection, account_id=history.account_id, project_id=project_id, days=days, now=now
        )
    own = [line for line in lines if line.project == str(project_id)]
    first, end = days.first_day, days.end_day
    atoms = [atom for line in own for atom in atoms_of(line, by_day=False, first=first, end=end)]
    services: dict[str, Fraction] = {one.service: Fraction(0) for one in found.services}
    for atom in atoms:
        services[atom.line.service] += atom.amount
    wanted = rounded(services)
    assert {one.service: one.amount_minor for one in found.services} == wanted
    for one in found.services:
        assert sum(resource.amount_minor for resource in one.resources) == one.amount_minor
        assert {resource.resource_id for resource in one.resources} == {
            atom.resource_id for atom in atoms if atom.line.service == one.service
        }
    daily = costs_by(own, "day", first=first, end=end)
    assert [one.day for one in found.daily] == [first + timedelta(days=n) for n in range((end - first).days)]
    assert {str(one.day): one.amount_minor for one in found.daily if str(one.day) in daily or one.amount_minor} == {
        day: group.amount_minor for day, group in daily.items()
    }
    assert found.total_minor == sum(wanted.values()) == sum(one.amount_minor for one in found.daily)


async def compare_running_month(history: History) -> None:
    """The running month by project and service is what usage says, resource by resource."""
    now = history.cloud.clock.now
    period = Period.containing(now)
    days = DaySpan(period.start_date, period.next().start_date)
    async with history.cloud.database.snapshot() as tx:
        whole = await usage.get_usage(tx.connection, account_id=history.account_id, service=None, now=now)
        projects = [
            await costs.get_project_usage(
                tx.connection, account_id=history.account_id, project_id=project_id, days=days, now=now
            )
            for project_id in history.projects
        ]
    assert _by_resource(whole.services) == _by_resource([one for project in projects for one in project.services])


def _by_resource(services: Sequence[ServiceUsage]) -> dict[tuple[str, str | None], tuple[int, dict[str, str]]]:
    """Cost and figures by service and resource."""
    return {
        (service.service, resource.resource_id): (
            resource.amount_minor,
            {name: str(rules.plain(figure)) for name, figure in resource.figures.items()},
        )
        for service in services
        for resource in service.resources
    }


async def compare_trend(history: History) -> None:
    """Storage and bandwidth by day, week or month with the world's quantities by day."""
    now = history.cloud.clock.now
    days = history.rng.choice(spans_of(history.rng, now))
    interval = history.rng.choice(("day", "week", "month"))
    shown: list[tuple[Metric, str]] = [("storage", "storage_gb"), ("bandwidth", "bandwidth_gb")]
    for metric, shown_as in shown:
        async with history.cloud.database.snapshot() as tx:
            points = await costs.follow(
                tx.connection, account_id=history.account_id, metric=metric, interval=interval, days=days, now=now
            )
        values: dict[date, Fraction] = dict.fromkeys([point.date for point in points], Fraction(0))
        for day, quantity in history.quantities({name for name, one in SHOWN_AS.items() if one == shown_as}):
            if days.first_day <= day < days.end_day:
                values[rules.bucket_of(day, interval)] += quantity
        assert [(point.date, str(point.value)) for point in points] == [
            (day, str(rules.plain(value))) for day, value in values.items()
        ]


class TestBreakDown:
    @pytest.mark.parametrize("number", range(4))
    async def test_is_what_lines_and_usage_say_by_every_group(self, cloud: Cloud, seed: int, number: int):
        history = await begin(cloud, seed + number)
        compared = 0
        for step in range(STEPS):
            await history.step()
            if step % 5 == 4:
                compared += await compare(history)
                await compare_project(history)
                await compare_running_month(history)
                await compare_trend(history)
        assert compared > 0
