"""Drafting a chunk reads its own accounts by their keys, however many there are: what a chunk costs does not grow (quality G9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest_asyncio

from billing import catalog
from billing.analytics.store import totals
from billing.core.period import Period
from billing.invoices.store import closing
from tests.store.test_cost_plans import HISTORY, Planner
from tests.support.cloud import JANUARY, Cloud, at, open_cloud, price

OTHERS = 2000
CHUNK = 50
FEBRUARY = Period(2024, 2)


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        await _fill(opened)
        yield opened


async def _fill(cloud: Cloud) -> None:
    """An account with a plan, a meter and a gauge, its January closed, and others that are the same."""
    async with cloud.database.transaction() as tx:
        meter = catalog.Meter(meter="level", service="storage", name="L", unit="GB", aggregation="time_weighted")
        await catalog.define_meter(tx, meter=meter)
    await cloud.publish(
        price(service="storage", meter="level", unit_price="0.1"),
        price(service="compute", plan="vps", model="hourly", hourly_price="0.10", monthly_price="50"),
        price(meter="m", unit_price="0.05"),
    )
    account_id = await cloud.open_account()
    await cloud.report(account_id, plan="vps")
    for meter_name in ("m", "level"):
        await cloud.use(account_id, 5, meter=meter_name, occurred_at=at("01-05"))
    await cloud.close(JANUARY)
    cloud.clock.now = at("02-20 10:00")
    await cloud.use(account_id, 7, occurred_at=at("02-10"))
    async with cloud.database.transaction() as tx:
        await tx.connection.execute("SET LOCAL ROLE NONE")
        for table in HISTORY:
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
        rows = await cloud.fetch("SELECT account_id FROM accounts ORDER BY account_id LIMIT $1", CHUNK)
        chunk = [row["account_id"] for row in rows]
        async with cloud.database.transaction() as tx:
            planner: Any = Planner(tx.connection)
            drafted = await closing.draft_month(
                planner,
                invoice_ids={account_id: UUID(int=number) for number, account_id in enumerate(chunk)},
                versions={},
                period=FEBRUARY,
                most_minor=10**12,
                accepted=[],
                dry_run=True,
                now=FEBRUARY.end,
            )
            assert {account.line_count for account in drafted} == {3}
        async with cloud.database.snapshot() as tx:
            totalled: Any = Planner(tx.connection)
            await totals.list_billed(totalled, account_ids=chunk, period=JANUARY)
            await totals.plan_for_many(totalled)
            await totals.list_rated(totalled, account_ids=chunk, period=FEBRUARY, as_of=FEBRUARY.end)
        assert (planner.scanned | totalled.scanned).isdisjoint(HISTORY), planner.scanned | totalled.scanned
