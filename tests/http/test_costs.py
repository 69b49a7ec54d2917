"""GET /account/analytics/costs, GET /account/analytics/trends and GET /projects/{project_id}/usage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from billing import projects
from billing.analytics import routes
from billing.core import ids
from tests.support.house import House, Reply, Resident, open_house
from tests.support.shop import JANUARY, Shop

COSTS = "/v1/account/analytics/costs"
TRENDS = "/v1/account/analytics/trends"
GROUPINGS = ["service", "project", "region", "day", "week", "month"]
FAULTY_DATES = [
    ("from_date=yesterday", ["from_date"]),
    ("from_date=", ["from_date"]),
    ("from_date=2024-02-30", ["from_date"]),
    ("from_date=2024-01-01T00:00:00", ["from_date"]),
    ("to_date=2024-13-01&from_date=x", ["from_date", "to_date"]),
    ("from_date=2024-02-02&to_date=2024-02-01", ["from_date"]),
    ("from_date=2024-01-01&from_date=2024-01-02", ["from_date"]),
    ("from_date=0001-01-01&to_date=0001-01-02", ["from_date"]),
    ("to_date=1969-12-31", ["to_date"]),
    ("from_date=9999-12-30", ["from_date"]),
    ("to_date=9999-12-30", ["to_date"]),
    ("from_date=2019-01-31&to_date=2024-01-31", ["from_date"]),
    ("from_date=2015-01-01", ["from_date"]),
    ("page=1&service=compute", ["page", "service"]),
]


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[House]:
    async with open_house(module_dsn, public=routes.HANDLERS) as opened:
        yield opened


@pytest_asyncio.fixture
async def shop(house: House) -> Shop:
    shop = Shop(house)
    await shop.stock()
    return shop


@pytest_asyncio.fixture
async def jane(house: House, shop: Shop) -> Resident:
    return await house.open_account()


async def read(house: House, resident: Resident, path: str) -> Reply:
    reply = await house.call("GET", path, key=resident.key)
    assert reply.status == 200, reply.text
    return reply


async def costs_of(house: House, resident: Resident, query: str = "") -> dict[str, Any]:
    body = (await read(house, resident, f"{COSTS}?{query}")).body
    assert list(body) == ["cost_breakdown", "total_cost", "currency"]
    groups = body["cost_breakdown"]
    assert sum(group["cost"] for group in groups) == body["total_cost"]
    assert sum(group["percentage"] for group in groups) == (100 if body["total_cost"] else 0)
    for group in groups:
        assert sum(one["cost"] for one in group["resources"]) == group["cost"]
    return body


async def trend_of(house: House, resident: Resident, query: str) -> dict[str, Any]:
    body = (await read(house, resident, f"{TRENDS}?{query}")).body
    assert list(body) == ["trends", "metric", "interval", "unit", "currency"]
    return body


def usage_path(resident: Resident, query: str = "") -> str:
    return f"/v1/projects/{ids.encode('proj', resident.default_project_id)}/usage{query}"


async def add_project(house: House, resident: Resident, name: str) -> Resident:
    """The resident in another project of theirs."""
    async with house.database.transaction() as tx:
        project = await projects.create(tx, account_id=resident.account_id, name=name)
    return Resident(resident.account_id, resident.key, project.project_id)


class TestShowCosts:
    async def test_needs_a_key_that_may_read(self, house: House, jane: Resident):
        assert (await house.call("GET", COSTS)).status == 401
        assert (await house.call("GET", COSTS, key=await house.issue(jane, "write"))).code == "forbidden"

    @pytest.mark.parametrize("grouping", GROUPINGS)
    async def test_of_an_account_without_usage_is_nothing(self, house: House, jane: Resident, grouping: str):
        reply = await read(house, jane, f"{COSTS}?group_by={grouping}")
        assert reply.text == '{"cost_breakdown":[],"total_cost":0.00,"currency":"USD"}'

    async def test_has_the_members_of_the_documentation(self, house: House, shop: Shop, jane: Resident):
        """`count` is left out of storage there, and so here; other groupings, which the documentation does not show, have it."""
        await shop.fill(jane)
        reply = await read(house, jane, f"{COSTS}?from_date=2024-01-01&to_date=2024-01-31&group_by=service")
        assert reply.text == (
            '{"cost_breakdown":['
            '{"service":"compute","cost":80.00,"percentage":63.6,"resources":[{"type":"vps","count":2,"cost":80.00}]},'
            '{"service":"storage","cost":25.75,"percentage":20.5,"resources":[{"type":"object_storage","cost":25.75}]},'
            '{"service":"messaging","cost":20.00,"percentage":15.9,"resources":[{"type":"sms","count":1,"cost":20.00}]}'
            '],"total_cost":125.75,"currency":"USD"}'
        )

    @pytest.mark.parametrize(
        ("grouping", "first", "keys"),
        [
            ("service", "service", ["compute", "storage", "messaging"]),
            ("project", "project", ["Default"]),
            ("region", "region", ["nairobi"]),
            ("day", "day", [f"2024-01-{day:02d}" for day in range(1, 32)]),
            ("week", "week", ["2024-W01", "2024-W02", "2024-W03", "2024-W04", "2024-W05"]),
            ("month", "month", ["2024-01"]),
        ],
    )
    async def test_says_the_same_before_and_after_the_close(
        self, house: House, shop: Shop, jane: Resident, grouping: str, first: str, keys: list[str]
    ):
        await shop.fill(jane)
        query = f"group_by={grouping}&from_date=2024-01-01&to_date=2024-01-31"
        before = await costs_of(house, jane, query)
        groups = before["cost_breakdown"]
        assert [next(iter(group)) for group in groups] == [first] * len(keys)
        assert [group[first] for group in groups] == keys
        assert before["total_cost"] == Decimal("125.75")
        if grouping == "project":
            assert groups[0]["project_id"] == ids.encode("proj", jane.default_project_id)
        if grouping not in {"service", "day", "week"}:
            assert [(one["type"], one["count"]) for one in groups[0]["resources"]] == [
                ("vps", 2), ("object_storage", 2), ("sms", 1),
            ]  # fmt: skip
        await shop.close(jane)
        assert await costs_of(house, jane, query) == before

    async def test_is_the_running_month_unless_told(self, house: House, shop: Shop, jane: Resident):
        await shop.fill(jane)
        assert (await costs_of(house, jane))["total_cost"] == Decimal("125.75")
        house.clock.now = datetime(2024, 2, 1, 1, tzinfo=UTC)
        assert (await costs_of(house, jane))["total_cost"] == Decimal("0.20")
        assert (await costs_of(house, jane, "from_date=2024-01-31"))["total_cost"] > Decimal("4.00")
        assert (await costs_of(house, jane, "to_date=2024-01-31"))["total_cost"] == Decimal("125.75")
        assert (await costs_of(house, jane, "from_date=2024-04-01"))["total_cost"] == 0
        assert (await costs_of(house, jane, "from_date=1999-01-01&to_date=2001-01-01"))["total_cost"] == 0

    async def test_counts_days_whole(self, house: House, shop: Shop, jane: Resident):
        """Whatever instant of a day is named, and in whatever zone, its UTC day is counted."""
        await shop.fill(jane)
        whole = await costs_of(house, jane, "from_date=2024-01-15&to_date=2024-01-16&group_by=day")
        assert [group["cost"] for group in whole["cost_breakdown"]] == [
            Decimal("47.37"),
            Decimal("1.61"),
        ]  # 47.3629 + 1.6129 = 48.9758
        for query in (
            "from_date=2024-01-15T23:59:59Z&to_date=2024-01-16T00:00:00Z",
            "from_date=2024-01-15T01:00:00%2B01:00&to_date=2024-01-17T01:59:59%2B03:00",
        ):
            assert await costs_of(house, jane, f"{query}&group_by=day") == whole

    async def test_has_corrections_and_minimums_in_the_month_that_they_are_of(
        self, house: House, shop: Shop, jane: Resident
    ):
        await shop.fill(jane)
        await shop.close(jane)
        await shop.use(jane, "sender", "sms", 30)
        query = "from_date=2024-01-01&to_date=2024-01-31"
        assert (await costs_of(house, jane, query))["total_cost"] == Decimal(
            "125.75"
        )  # until the next close corrects it
        assert (await costs_of(house, jane, f"{query}&group_by=day"))["total_cost"] == Decimal("125.75")

    async def test_has_the_decimals_of_the_currency(self, house: House, shop: Shop):
        for currency, shown in (("KES", "0.00"), ("NGN", "0.00")):
            resident = await house.open_account(currency=currency)
            reply = await read(house, resident, COSTS)
            assert reply.text.endswith(f'"total_cost":{shown},"currency":"{currency}"}}')

    async def test_never_shows_another_accounts_costs(self, house: House, shop: Shop, jane: Resident):
        await shop.fill(jane)
        bob = await house.open_account()
        for grouping in GROUPINGS:
            assert (await costs_of(house, bob, f"group_by={grouping}"))["cost_breakdown"] == []

    async def test_is_not_stopped_by_a_suspension(self, house: House, jane: Resident):
        await house.suspend(jane)
        assert (await read(house, jane, COSTS)).status == 200

    @pytest.mark.parametrize(
        ("query", "paths"),
        [
            *FAULTY_DATES,
            ("group_by=resource", ["group_by"]),
            ("group_by=", ["group_by"]),
            ("group_by=Service", ["group_by"]),
            ("group_by=day&group_by=week", ["group_by"]),
            ("group_by=%27%3B%20DROP%20TABLE%20prices--&interval=day", ["group_by", "interval"]),
        ],
    )
    async def test_names_each_fault(self, house: House, jane: Resident, query: str, paths: list[str]):
        reply = await house.call("GET", f"{COSTS}?{query}", key=jane.key)
        assert (reply.status, reply.code, reply.faults) == (400, "invalid_parameter", paths)

    async def test_takes_five_years_and_no_day_more(self, house: House, jane: Resident):
        await costs_of(house, jane, "from_date=2019-02-01&to_date=2024-01-31&group_by=day")
        reply = await house.call("GET", f"{COSTS}?from_date=2019-01-31&to_date=2024-01-31", key=jane.key)
        assert reply.faults == ["from_date"]


class TestShowTrends:
    async def test_needs_a_key_that_may_read(self, house: House, jane: Resident):
        assert (await house.call("GET", f"{TRENDS}?metric=cost")).status == 401
        key = await house.issue(jane, "write")
        assert (await house.call("GET", f"{TRENDS}?metric=cost", key=key)).code == "forbidden"

    @pytest.mark.parametrize(
        ("interval", "first", "last", "count"),
        [
            ("day", "2024-01-02", "2024-01-31", 30),
            ("week", "2023-11-13", "2024-01-29", 12),
            ("month", "2023-02-01", "2024-01-01", 12),
        ],
    )
    async def test_has_each_bucket_also_without_data(
        self, house: House, jane: Resident, interval: str, first: str, last: str, count: int
    ):
        for metric, unit, zero in (
            ("cost", "USD", "0.00"), ("resources", "count", "0"), ("storage", "GB-month", "0"), ("bandwidth", "GB", "0"),
        ):  # fmt: skip
            reply = await read(house, jane, f"{TRENDS}?metric={metric}&interval={interval}")
            points = reply.body["trends"]
            assert (points[0]["date"], points[-1]["date"], len(points)) == (first, last, count)
            assert reply.text.startswith(f'{{"trends":[{{"date":"{first}","value":{zero}}},')
            assert reply.text.endswith(
                f'],"metric":"{metric}","interval":"{interval}","unit":"{unit}","currency":"USD"}}'
            )

    async def test_is_by_day_unless_told(self, house: House, jane: Resident):
        assert await trend_of(house, jane, "metric=cost") == await trend_of(house, jane, "metric=cost&interval=day")

    @pytest.mark.parametrize("interval", ["day", "week", "month"])
    async def test_of_costs_sums_to_the_whole(self, house: House, shop: Shop, jane: Resident, interval: str):
        await shop.fill(jane)
        days = "from_date=2024-01-10&to_date=2024-02-10"
        trend = await trend_of(house, jane, f"metric=cost&interval={interval}&{days}")
        whole = await costs_of(house, jane, f"{days}&group_by={interval}")
        assert sum(point["value"] for point in trend["trends"]) == whole["total_cost"] > 0
        assert [point["value"] for point in trend["trends"] if point["value"]] == [
            group["cost"] for group in whole["cost_breakdown"]
        ]

    async def test_counts_resources_at_the_end_of_a_bucket_or_now(self, house: House, shop: Shop, jane: Resident):
        await shop.run(jane, "vps_1", start=JANUARY + timedelta(days=2), end=JANUARY + timedelta(days=4))
        await shop.run(jane, "vps_2", start=JANUARY + timedelta(days=3, hours=12))
        await shop.run(jane, "vps_3", start=JANUARY + timedelta(days=30, hours=23), end=JANUARY + timedelta(days=31))
        days = "from_date=2024-01-01&to_date=2024-02-02"
        house.clock.now = JANUARY + timedelta(days=30, hours=22)
        values = [point["value"] for point in (await trend_of(house, jane, f"metric=resources&{days}"))["trends"]]
        assert values == [0, 0, 1, 2, *[1] * 27, 0, 0]
        house.clock.now = JANUARY + timedelta(days=40)
        values = [point["value"] for point in (await trend_of(house, jane, f"metric=resources&{days}"))["trends"]]
        assert values == [0, 0, 1, 2, *[1] * 26, 2, 1, 1]

    async def test_shows_what_meters_show(self, house: House, shop: Shop, jane: Resident):
        await shop.fill(jane)
        for metric, value in (("storage", "207.5"), ("bandwidth", "50")):
            trend = await trend_of(house, jane, f"metric={metric}&from_date=2024-01-14&to_date=2024-01-16")
            assert [str(point["value"]) for point in trend["trends"]] == ["0", value, "0"]
            trend = await trend_of(house, jane, f"metric={metric}&interval=month&from_date=2024-01-01")
            assert [(point["date"], str(point["value"])) for point in trend["trends"]] == [("2024-01-01", value)]

    async def test_begins_with_the_bucket_that_holds_the_first_day(self, house: House, jane: Resident):
        trend = await trend_of(house, jane, "metric=cost&interval=week&from_date=2024-01-03&to_date=2024-01-08")
        assert [point["date"] for point in trend["trends"]] == ["2024-01-01", "2024-01-08"]

    @pytest.mark.parametrize(
        ("query", "paths"),
        [
            ("", ["metric"]),
            ("metric=", ["metric"]),
            ("metric=money", ["metric"]),
            ("metric=cost&metric=cost", ["metric"]),
            ("metric=cost&interval=year", ["interval"]),
            ("metric=cost&interval=", ["interval"]),
            ("interval=hour&group_by=day", ["group_by", "interval", "metric"]),
            *[(f"metric=cost&{query}", paths) for query, paths in FAULTY_DATES],
        ],
    )
    async def test_names_each_fault(self, house: House, jane: Resident, query: str, paths: list[str]):
        reply = await house.call("GET", f"{TRENDS}?{query}", key=jane.key)
        assert (reply.status, reply.code, reply.faults) == (400, "invalid_parameter", paths)


class TestShowProjectUsage:
    async def test_needs_a_key_that_may_read(self, house: House, jane: Resident):
        assert (await house.call("GET", usage_path(jane))).status == 401
        assert (await house.call("GET", usage_path(jane), key=await house.issue(jane, "write"))).code == "forbidden"

    async def test_of_another_account_is_not_found_like_an_unknown_one(self, house: House, jane: Resident):
        bob = await house.open_account()
        unknown = await house.call("GET", f"/v1/projects/proj_{'0' * 26}/usage", key=jane.key)
        assert (unknown.status, unknown.code) == (404, "not_found")
        for path in (usage_path(bob), usage_path(bob, "?from_date=2024-01-01"), "/v1/projects/acc_1/usage"):
            reply = await house.call("GET", path, key=jane.key)
            assert (reply.status, reply.body["error"]) == (404, unknown.body["error"])

    async def test_shows_zeros_to_a_project_without_usage(self, house: House, jane: Resident):
        body = (await read(house, jane, usage_path(jane))).body
        assert list(body) == ["usage"]
        usage = body["usage"]
        assert list(usage) == ["project_id", "period", "total_cost", "currency", "services", "daily"]
        assert usage["project_id"] == ids.encode("proj", jane.default_project_id)
        assert usage["period"] == {"start": "2024-01-01T00:00:00Z", "end": "2024-01-31T23:59:59Z"}
        assert usage["total_cost"] == 0
        assert {name: one["resources"] for name, one in usage["services"].items()} == {
            "compute": [], "storage": [], "messaging": [], "database": [],
        }  # fmt: skip
        assert usage["daily"] == [{"date": f"2024-01-{day:02d}", "cost": 0} for day in range(1, 32)]

    async def test_is_the_accounts_detailed_usage_where_all_is_in_one_project(
        self, house: House, shop: Shop, jane: Resident
    ):
        await shop.fill(jane)
        whole = (await read(house, jane, "/v1/account/usage?detailed=true")).body["usage"]
        own = (await read(house, jane, usage_path(jane))).body["usage"]
        assert {name: own[name] for name in whole} == whole
        assert sum(day["cost"] for day in own["daily"]) == own["total_cost"] == Decimal("125.75")
        await shop.close(jane)
        closed = (await read(house, jane, usage_path(jane, "?from_date=2024-01-01&to_date=2024-01-31"))).body["usage"]
        assert closed == own

    async def test_shows_what_was_used_in_the_days_asked_for(self, house: House, shop: Shop, jane: Resident):
        await shop.fill(jane)
        for is_closed in (False, True):
            if is_closed:
                await shop.close(jane)
            path = usage_path(jane, "?from_date=2024-01-14&to_date=2024-01-15")
            usage = (await read(house, jane, path)).body["usage"]
            assert usage["period"] == {"start": "2024-01-14T00:00:00Z", "end": "2024-01-15T23:59:59Z"}
            assert usage["services"]["compute"]["resources"] == [
                {"type": "vps", "id": "vps_1", "name": "web-server", "cost": Decimal("3.23"), "hours": 48}
            ]
            assert usage["services"]["messaging"]["messages_sent"] == 400
            assert usage["services"]["messaging"]["cost_per_message"] == Decimal("0.05")
            assert [str(day["cost"]) for day in usage["daily"]] == ["1.62", "47.36"]
            assert usage["total_cost"] == Decimal("48.98")

    async def test_parts_what_projects_share(self, house: House, shop: Shop, jane: Resident):
        other = await add_project(house, jane, "Other")
        for number in range(5):
            owner = jane if number < 3 else other
            name = f"bucket_{number}"
            await shop.run(owner, name, service="storage", type="object_storage", name=name, plan=None)
            await shop.use(owner, name, "traffic", "0.15")
        costs = await costs_of(house, jane, "group_by=project")
        shown = {group["project"]: group["cost"] for group in costs["cost_breakdown"]}
        assert sum(shown.values()) == Decimal("0.08")  # 5 × 0.15 × 0.10 = 0.075
        for name, owner in (("Default", jane), ("Other", other)):
            usage = (await read(house, owner, usage_path(owner))).body["usage"]
            assert usage["total_cost"] == shown[name]
            assert sum(day["cost"] for day in usage["daily"]) == shown[name]

    @pytest.mark.parametrize(("query", "paths"), [*FAULTY_DATES, ("group_by=day", ["group_by"])])
    async def test_names_each_fault(self, house: House, jane: Resident, query: str, paths: list[str]):
        reply = await house.call("GET", usage_path(jane, f"?{query}"), key=jane.key)
        assert (reply.status, reply.code, reply.faults) == (400, "invalid_parameter", paths)
