"""Costs read one account by its keys, however much others have: no statement of theirs goes through a whole table (quality G12)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from billing import catalog, rating
from billing.analytics.model import DaySpan
from billing.analytics.operations import costs, keeping
from billing.core.period import Period
from tests.support.cloud import JANUARY, Cloud, at, open_cloud, price

if TYPE_CHECKING:
    from billing.analytics.model import Grouping, Metric

OTHERS = 1000
DAYS = DaySpan(date(2024, 1, 10), date(2024, 3, 1))
HISTORY = ("accounts", "projects", "resources", "resource_moves", "state_points", "gauges", "day_rows", "period_versions",
           "closes", "invoices", "invoice_states", "invoice_lines")  # fmt: skip
KEPT = ("kept_months", "kept_places", "kept_days")


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        yield opened


class Planner:
    """A connection that keeps the plan of each statement that it runs."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.scanned: set[str] = set()
        self.reads_kept = False
        self.crossed: set[str] = set()
        """Steps that are joined to another by going through both, which many resources make the square of."""

    async def fetch(self, query: str, *arguments: object) -> Any:
        ((plan,),) = await self._connection.fetch(f"EXPLAIN (FORMAT JSON) {query}", *arguments)
        self._look(json.loads(plan)[0]["Plan"])
        self.reads_kept |= "FROM kept_days" in query
        return await self._connection.fetch(query, *arguments)

    async def prepare(self, query: str) -> Any:
        """A statement that is planned anew each time is looked at, too."""
        return SimpleNamespace(fetch=partial(self.fetch, query))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _look(self, node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan":
            self.scanned.add(node["Relation Name"])
        if node["Node Type"] == "Nested Loop":
            steps = [_step_of(child) for child in node["Plans"]]
            self.crossed.update(step for step in steps if step and all(steps))
        for child in node.get("Plans", ()):
            self._look(child)


def _step_of(node: dict[str, Any]) -> str | None:
    """The step of a statement that a node reads, if it reads one."""
    if node["Node Type"] in {"Materialize", "Memoize"}:
        return _step_of(node["Plans"][0])
    return node.get("CTE Name")


async def fill(cloud: Cloud) -> Any:
    """An account with a finalised and an open month, and others with as much each."""
    async with cloud.database.transaction() as tx:
        meter = catalog.Meter(
            meter="level", service="storage", name="L", unit="GB", aggregation="time_weighted", shows_as="storage_gb"
        )
        await catalog.define_meter(tx, meter=meter)
    await cloud.publish(
        price(service="storage", meter="level", unit_price="0.1"),
        price(service="compute", plan="vps", model="hourly", hourly_price="0.10", monthly_price="50"),
        price(meter="m", unit_price="0.05"),
    )
    account_id = await cloud.open_account()
    for number in range(8):
        await cloud.report(account_id, f"r-{number}", plan="vps" if number % 2 else None)
        await cloud.use(account_id, 5, resource_id=f"r-{number}", meter="level", occurred_at=at("01-05"))
        for day in range(1, 29):
            await cloud.use(account_id, 1, resource_id=f"r-{number}", occurred_at=at(f"01-{day:02d} 12:00"))
    await cloud.close(JANUARY)
    cloud.clock.now = at("02-20 10:00")
    for day in range(1, 20):
        await cloud.use(account_id, 1, resource_id="r-1", occurred_at=at(f"02-{day:02d} 12:00"))
    await multiply(cloud, HISTORY)
    return account_id


async def multiply(cloud: Cloud, tables: Sequence[str]) -> None:
    """Give others what the account has in some tables."""
    async with cloud.database.transaction() as tx:
        await tx.connection.execute("SET LOCAL ROLE NONE")
        for table in tables:
            columns = [
                row["column_name"]
                for row in await tx.connection.fetch(
                    "SELECT column_name::text FROM information_schema.columns WHERE table_name = $1", table
                )
            ]
            other = "overlay(account_id::text PLACING lpad(to_hex(n), 8, '0') FROM 1 FOR 8)::uuid"
            chosen = [other if column == "account_id" else column for column in columns]
            await tx.connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(chosen)} "  # noqa: S608 - names of the catalog
                f"FROM {table}, generate_series(1, {OTHERS}) AS n"
            )
        await tx.connection.execute("ANALYZE")


class TestPlans:
    async def test_read_no_table_of_accounts_through(self, cloud: Cloud) -> None:
        account_id = await fill(cloud)
        async with cloud.database.snapshot() as tx:
            (project_id,) = [
                row["project_id"]
                for row in await tx.connection.fetch(
                    "SELECT project_id FROM projects WHERE account_id = $1", account_id
                )
            ]
            rows = await tx.connection.fetchval("SELECT count(*) FROM day_rows")
            assert rows > 200_000
            planner: Any = Planner(tx.connection)
            groupings: list[Grouping] = ["service", "day"]
            metrics: list[Metric] = ["storage", "resources"]
            for grouping in groupings:
                groups = await costs.break_down(
                    planner, account_id=account_id, days=DAYS, group_by=grouping, now=tx.now
                )
                assert groups
            for metric in metrics:
                await costs.follow(planner, account_id=account_id, metric=metric, interval="day", days=DAYS, now=tx.now)
            await costs.get_project_usage(planner, account_id=account_id, project_id=project_id, days=DAYS, now=tx.now)
            assert planner.scanned.isdisjoint(HISTORY), planner.scanned
        await keeping.keep_closed(cloud.database, at_least=0, settled_after=timedelta(0))
        await multiply(cloud, KEPT)
        async with cloud.database.snapshot() as tx:
            planner = Planner(tx.connection)
            for grouping in groupings:
                assert await costs.break_down(planner, account_id=account_id, days=DAYS, group_by=grouping, now=tx.now)
            assert planner.scanned.isdisjoint({*HISTORY, *KEPT}), planner.scanned
            assert planner.reads_kept

    async def test_join_no_charges_to_their_parts_one_by_one(self, cloud: Cloud) -> None:
        account_id = await fill(cloud)
        async with cloud.database.snapshot() as tx:
            planner: Any = Planner(tx.connection)
            period = Period.containing(tx.now)
            shares = await rating.list_shares(planner, account_ids=[account_id], period=period, as_of=tx.now)
            lines = await rating.list_lines(planner, account_ids=[account_id], period=period, as_of=tx.now)
        assert shares
        assert lines
        assert planner.crossed <= {"located", "price_keys", "scope"}, planner.crossed
