"""GET /account/usage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from billing.analytics import routes
from tests.support.house import House, Reply, Resident, open_house
from tests.support.shop import JANUARY, Shop

USAGE = "/v1/account/usage"
KNOWN = ["compute", "storage", "messaging", "database"]


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


async def ask(house: House, resident: Resident, query: str = "") -> Reply:
    return await house.call("GET", f"{USAGE}{query}", key=resident.key)


async def usage_of(house: House, resident: Resident, query: str = "?detailed=true") -> dict[str, Any]:
    reply = await ask(house, resident, query)
    assert reply.status == 200, reply.text
    assert list(reply.body) == ["usage"]
    return reply.body["usage"]


class TestShowUsage:
    async def test_needs_a_key_that_may_read(self, house: House, jane: Resident):
        assert (await house.call("GET", USAGE)).status == 401
        assert (await house.call("GET", USAGE, key=await house.issue(jane, "write"))).code == "forbidden"

    async def test_shows_zeros_to_an_account_without_usage(self, house: House, jane: Resident):
        reply = await ask(house, jane)
        assert reply.text == (
            '{"usage":{"period":{"start":"2024-01-01T00:00:00Z","end":"2024-01-31T23:59:59Z"},'
            '"total_cost":0.00,"currency":"USD","services":{"compute":{"cost":0.00},"storage":{"cost":0.00},'
            '"messaging":{"cost":0.00,"messages_sent":0,"cost_per_message":null},"database":{"cost":0.00}}}}'
        )
        detailed = await usage_of(house, jane)
        assert [service["resources"] for service in detailed["services"].values()] == [[]] * len(KNOWN)

    async def test_shows_the_example_of_the_documentation(self, house: House, shop: Shop, jane: Resident):
        await shop.fill(jane)
        reply = await ask(house, jane, "?detailed=true")
        assert reply.body["usage"]["services"] == {
            "compute": {
                "cost": Decimal("80.00"),
                "resources": [
                    {"type": "vps", "id": "vps_1", "name": "web-server", "cost": Decimal("50.00"), "hours": 744},
                    {"type": "vps", "id": "vps_2", "name": "batch", "cost": Decimal("30.00"), "hours": 300},
                ],
            },
            "storage": {
                "cost": Decimal("25.75"),
                "resources": [
                    {
                        "type": "object_storage", "bucket": "my-app-storage", "cost": Decimal("15.00"),
                        "storage_gb": 100, "bandwidth_gb": 50, "id": "bucket_1", "name": "my-app-storage",
                    },
                    {
                        "type": "object_storage", "bucket": "archive", "cost": Decimal("10.75"),
                        "storage_gb": Decimal("107.5"), "bandwidth_gb": None, "id": "bucket_2", "name": "archive",
                    },
                ],
            },
            "messaging": {
                "cost": Decimal("20.00"),
                "messages_sent": 400,
                "cost_per_message": Decimal("0.05"),
                "resources": [
                    {"type": "sms", "id": "sender", "name": "Sender", "cost": Decimal("20.00"), "messages_sent": 400}
                ],
            },
            "database": {"cost": 0, "resources": []},
        }  # fmt: skip
        assert '"total_cost":125.75,' in reply.text
        assert '"cost":80.00,' in reply.text
        assert '"hours":744}' in reply.text
        assert '"storage_gb":100,"bandwidth_gb":50,' in reply.text
        assert '"messages_sent":400,"cost_per_message":0.05,' in reply.text

    async def test_leaves_resources_out_unless_asked(self, house: House, shop: Shop, jane: Resident):
        await shop.fill(jane)
        for query in ("", "?detailed=false"):
            usage = await usage_of(house, jane, query)
            assert list(usage) == ["period", "total_cost", "currency", "services"]
            assert {service: list(shown) for service, shown in usage["services"].items()} == {
                "compute": ["cost"],
                "storage": ["cost"],
                "messaging": ["cost", "messages_sent", "cost_per_message"],
                "database": ["cost"],
            }
            assert usage["total_cost"] == Decimal("125.75")

    @pytest.mark.parametrize(
        ("service", "cost"), [("compute", "80.00"), ("storage", "25.75"), ("messaging", "20.00"), ("database", "0.00")]
    )
    async def test_shows_one_service_and_its_total(
        self, house: House, shop: Shop, jane: Resident, service: str, cost: str
    ):
        await shop.fill(jane)
        usage = await usage_of(house, jane, f"?service={service}")
        assert list(usage["services"]) == [service]
        assert usage["total_cost"] == usage["services"][service]["cost"] == Decimal(cost)

    async def test_counts_a_resized_resource_once(self, house: House, shop: Shop, jane: Resident):
        await shop.run(jane, "vps_1", start=JANUARY, plan="vps-2")
        await shop.run(jane, "vps_1", start=JANUARY + timedelta(hours=10), plan="vps-4")
        await shop.run(jane, "vps_1", start=JANUARY + timedelta(hours=20, seconds=90), plan="backup")
        house.clock.now = JANUARY + timedelta(hours=21, seconds=91)
        (resource,) = (await usage_of(house, jane))["services"]["compute"]["resources"]
        # 10 h of vps-2, 10 h and 90 s of vps-4 by the second, then an hour and a second at a flat price
        assert resource["hours"] == Decimal("22.025")
        assert resource["cost"] == Decimal("3.05")

    async def test_rounds_the_cost_of_a_message_with_several_prices(self, house: House, shop: Shop, jane: Resident):
        await shop.run(jane, "sender", service="messaging", type="sms", name="Sender", plan=None)
        await shop.use(jane, "sender", "sms", 2)
        await shop.use(jane, "sender", "mms", 1)
        messaging = (await usage_of(house, jane))["services"]["messaging"]
        assert (messaging["cost"], messaging["messages_sent"]) == (Decimal("0.23"), 3)
        assert messaging["cost_per_message"] == Decimal("0.0767")

    async def test_shows_a_resource_of_any_service(self, house: House, shop: Shop, jane: Resident):
        await shop.run(jane, "db_1", service="database", type="postgres", name="main", plan="vps-2")
        await shop.use(jane, "db_1", "queries", 30_000_000)
        usage = await usage_of(house, jane)
        assert usage["services"]["database"] == {
            "cost": 3,
            "resources": [{"type": "postgres", "id": "db_1", "name": "main", "cost": 3}],
        }
        assert [resource["id"] for resource in usage["services"]["compute"]["resources"]] == ["db_1"]
        assert usage["total_cost"] == Decimal("53.00")

    async def test_grows_with_the_clock_and_starts_anew_each_month(self, house: House, shop: Shop, jane: Resident):
        await shop.run(jane, "vps_1")
        costs: list[Decimal] = []
        for hours in (0, 1, 1.5, 743, 744):
            house.clock.now = JANUARY + timedelta(hours=hours)
            usage = await usage_of(house, jane)
            costs.append(usage["total_cost"])
        assert costs == [Decimal(cost) for cost in ("0.00", "0.10", "0.20", "50.00", "0.00")]
        assert usage["period"] == {"start": "2024-02-01T00:00:00Z", "end": "2024-02-29T23:59:59Z"}

    async def test_splits_shares_so_that_everything_sums(self, house: House, shop: Shop, jane: Resident):
        for number in range(7):
            await shop.run(jane, f"bucket_{number}", service="storage", type="object_storage", name="b", plan=None)
            await shop.use(jane, f"bucket_{number}", "traffic", "0.15")
        usage = await usage_of(house, jane)
        storage = usage["services"]["storage"]
        assert usage["total_cost"] == storage["cost"] == Decimal("0.11")  # 7 × 0.15 × 0.10 = 0.105
        assert sum(resource["cost"] for resource in storage["resources"]) == storage["cost"]

    async def test_never_shows_another_accounts_usage(self, house: House, shop: Shop, jane: Resident):
        await shop.fill(jane)
        other = await house.open_account(currency="KES")
        usage = await usage_of(house, other)
        assert (usage["total_cost"], usage["currency"]) == (0, "KES")
        assert all(service["resources"] == [] for service in usage["services"].values())

    async def test_is_not_stopped_by_a_suspension(self, house: House, shop: Shop, jane: Resident):
        await house.suspend(jane)
        assert (await ask(house, jane)).status == 200

    @pytest.mark.parametrize(
        ("query", "paths"),
        [
            ("?service=gaming", ["service"]),
            ("?service=", ["service"]),
            ("?service=Compute", ["service"]),
            ("?service=compute&service=storage", ["service"]),
            ("?service=%27%3B%20DROP%20TABLE%20prices--", ["service"]),
            ("?detailed=yes", ["detailed"]),
            ("?detailed=1", ["detailed"]),
            ("?detailed=", ["detailed"]),
            ("?from_date=2024-01-01", ["from_date"]),
            ("?page=1", ["page"]),
            ("?detailed=maybe&x=1&period=2024-01", ["detailed", "period", "x"]),
        ],
    )
    async def test_names_each_fault(self, house: House, jane: Resident, query: str, paths: list[str]):
        reply = await ask(house, jane, query)
        assert (reply.status, reply.code, reply.faults) == (400, "invalid_parameter", paths)
