"""The tables of docs/analytics.md, recomputed by the code that they describe, before and after the close."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pytest
import pytest_asyncio

from billing.analytics.model import DaySpan
from billing.analytics.operations import costs
from billing.analytics.schemas.costs import show_costs
from tests.support.cloud import JANUARY, Cloud, at, open_cloud, price
from tests.support.documents import tables
from tests.tidy.sources import ROOT

TABLES = dict(tables((ROOT / "docs/analytics.md").read_text(encoding="utf-8")))
DAYS = DaySpan(date(2024, 1, 10), date(2024, 1, 21))


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        yield opened


class TestExample:
    @pytest.mark.parametrize("grouping", ["service", "project", "day", "week"])
    async def test_is_what_its_tables_say(
        self, cloud: Cloud, grouping: Literal["service", "project", "day", "week"]
    ) -> None:
        await cloud.publish(
            price(service="compute", plan="vps", model="hourly", hourly_price="0.10", monthly_price="50"),
            price(meter="sms", unit_price="0.05"),
        )
        account_id = await cloud.open_account()
        production, staging = [await cloud.open_project(account_id, name) for name in ("Production", "Staging")]
        await cloud.report(account_id, "vps", plan="vps", project_id=production)
        for resource_id, project_id in (("p", production), ("s", staging)):
            await cloud.report(account_id, resource_id, type="sms", project_id=project_id)
        for resource_id, quantity, day in (("p", 100, "01-10"), ("s", 20, "01-10"), ("s", 30, "01-20")):
            await cloud.use(account_id, quantity, resource_id=resource_id, meter="sms", occurred_at=at(f"{day} 12:00"))
        for is_closed in (False, True):
            if is_closed:
                await cloud.close(JANUARY)
            async with cloud.database.snapshot() as tx:
                groups = await costs.break_down(
                    tx.connection, account_id=account_id, days=DAYS, group_by=grouping, now=cloud.clock.now
                )
            answer: Any = show_costs(groups, group_by=grouping, currency="USD")
            rows = TABLES[grouping, "exact", "cost", "percentage"]
            assert [(getattr(one, grouping), one.cost, one.percentage) for one in answer.cost_breakdown] == [
                (row[grouping], Decimal(row["cost"]), Decimal(row["percentage"])) for row in rows
            ]
            assert answer.total_cost == Decimal("25.24")
            exact = sum(Decimal(row["exact"]) for row in rows)
            assert abs(exact - Decimal(50 * 11) / 31 - Decimal("7.5")) < Decimal("0.00001")
