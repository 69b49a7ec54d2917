"""The platform's reports of resources, and the list that an account sees of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import asyncpg
import pytest
import pytest_asyncio

from billing import catalog
from billing.core import ids
from billing.projects import operator_routes, routes
from tests.support.house import STRANGER, House, Reply, Resident, open_house

LISTED = ["id", "type", "name", "status", "service", "region", "monthly_cost", "created_at"]
REPORTED = [*LISTED, "project_id", "plan", "units", "spans"]
BODY = {
    "type": "vps",
    "service": "compute",
    "name": "web-server",
    "region": "nairobi",
    "status": "running",
    "effective_at": "2024-01-15T10:30:00Z",
    "plan": "vps-2",
}
JANUARY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[House]:
    async with open_house(module_dsn, public=routes.HANDLERS, operator=operator_routes.HANDLERS) as opened:
        await publish_once(opened)
        yield opened


async def publish_once(house: House) -> None:
    price = catalog.PriceDefinition(
        service="compute", plan="vps-2", model="hourly", hourly_price=Decimal("0.10"), monthly_price=Decimal(50)
    )
    async with house.database.transaction() as tx:
        if await catalog.list_services(tx.connection):
            return
        await catalog.publish_rate_card(tx, name="Prices", currency="USD", valid_from=JANUARY, prices=[price])


async def report(house: House, resident: Resident, resource_id: str = "vps_1", **members: object) -> Reply:
    body = {name: value for name, value in {**BODY, **members}.items() if value is not ...}
    return await house.operate("PUT", f"/accounts/{resident.id}/resources/{quote(resource_id, safe='')}", body=body)


async def listed(house: House, resident: Resident, query: str = "", *, project_id: str | None = None) -> Reply:
    project = project_id or ids.encode("proj", resident.default_project_id)
    return await house.call("GET", f"/v1/projects/{project}/resources{query}", key=resident.key)


async def make_project(house: House, resident: Resident) -> str:
    house.clock.advance(timedelta(seconds=1))
    answer = await house.call("POST", "/v1/projects", key=resident.key, body={"name": "Another"})
    return answer.body["project"]["id"]


class TestReportResource:
    async def test_is_unknown_to_an_accounts_key(self, house: House):
        resident = await house.open_account()
        path = f"/operator/v1/accounts/{resident.id}/resources/vps_1"
        assert (await house.call("PUT", path, body=BODY)).status == 401
        assert (await house.call("PUT", path, key=resident.key, body=BODY)).status == 404

    async def test_needs_the_scope(self, house: House):
        resident = await house.open_account()
        key = await house.issue_operator("accounts", "billing")
        answer = await house.call("PUT", f"/operator/v1/accounts/{resident.id}/resources/vps_1", key=key, body=BODY)
        assert (answer.status, answer.code) == (403, "forbidden")

    async def test_makes_a_resource_in_the_default_project(self, house: House):
        resident = await house.open_account()
        answer = await report(house, resident)
        assert (answer.status, list(answer.body["resource"])) == (201, REPORTED)
        assert answer.body["resource"] == {
            "id": "vps_1",
            "type": "vps",
            "name": "web-server",
            "status": "running",
            "service": "compute",
            "region": "nairobi",
            "monthly_cost": Decimal("50.00"),
            "created_at": "2024-01-15T10:30:00Z",
            "project_id": ids.encode("proj", resident.default_project_id),
            "plan": "vps-2",
            "units": 1,
            "spans": [{"plan": "vps-2", "units": 1, "status": "running", "start": "2024-01-15T10:30:00Z", "end": None}],
        }

    async def test_does_nothing_for_the_same_report(self, house: House):
        resident = await house.open_account()
        first = await report(house, resident, units="2.50")
        again = await report(house, resident, units=2.5)
        assert (first.status, again.status, again.body) == (201, 200, first.body)

    async def test_puts_points_in_their_place_whatever_their_order(self, house: House):
        resident = await house.open_account()
        await report(house, resident, effective_at="2024-01-20T00:00:00Z", status="stopped")
        await report(house, resident, effective_at="2024-01-25T00:00:00Z", status="deleted")
        answer = await report(house, resident, effective_at="2024-01-10T00:00:00Z")
        resource = answer.body["resource"]
        assert answer.status == 200
        assert [(span["status"], span["start"], span["end"]) for span in resource["spans"]] == [
            ("running", "2024-01-10T00:00:00Z", "2024-01-20T00:00:00Z"),
            ("stopped", "2024-01-20T00:00:00Z", "2024-01-25T00:00:00Z"),
        ]
        assert (resource["status"], resource["created_at"]) == ("deleted", "2024-01-10T00:00:00Z")

    async def test_keeps_accounts_apart(self, house: House):
        one, other = await house.open_account(), await house.open_account()
        assert [(await report(house, resident)).status for resident in (one, other)] == [201, 201]
        assert (await listed(house, other)).body["meta"]["total"] == 1

    async def test_takes_the_platforms_own_ids(self, house: House):
        resident = await house.open_account()
        names = ["arn:aws:ec2:eu-west-1:1:instance/i-1", "bucket name", "ünï/çødé", "'; DROP TABLE resources; --"]
        for name in names:
            answer = await report(house, resident, name)
            assert (answer.status, answer.body["resource"]["id"]) == (201, name)
        assert {resource["id"] for resource in (await listed(house, resident)).body["resources"]} == set(names)

    async def test_goes_to_the_project_it_names_and_stays_there(self, house: House):
        resident = await house.open_account()
        project_id = await make_project(house, resident)
        await report(house, resident)
        moved = await report(house, resident, effective_at="2024-01-16T00:00:00Z", project_id=project_id)
        stays = await report(house, resident, effective_at="2024-01-17T00:00:00Z", status="stopped")
        assert [answer.body["resource"]["project_id"] for answer in (moved, stays)] == [project_id, project_id]

    async def test_does_not_find_another_accounts_project(self, house: House):
        resident, stranger = await house.open_account(), await house.open_account()
        foreign = ids.encode("proj", stranger.default_project_id)
        for project_id in (foreign, "proj_" + "0" * 26, "x"):
            answer = await report(house, resident, project_id=project_id)
            assert (answer.status, answer.code) == (404, "not_found")
        assert (await listed(house, resident)).body["meta"]["total"] == 0

    async def test_does_not_find_unknown_accounts(self, house: House):
        for account_id in (STRANGER, "acc_1"):
            answer = await house.operate("PUT", f"/accounts/{account_id}/resources/vps_1", body=BODY)
            assert (answer.status, answer.code) == (404, "not_found")

    async def test_refuses_another_region(self, house: House):
        resident = await house.open_account()
        await report(house, resident)
        answer = await report(house, resident, region="lagos", effective_at="2024-01-16T00:00:00Z")
        assert (answer.status, answer.code) == (422, "resource_region_fixed")

    @pytest.mark.parametrize("members", [{"plan": "vps-9"}, {"effective_at": "2023-12-31T23:59:59Z"}])
    async def test_refuses_a_plan_without_a_price(self, house: House, members):
        resident = await house.open_account()
        answer = await report(house, resident, **members)
        assert (answer.status, answer.code) == (422, "price_missing")
        assert (await listed(house, resident)).body["meta"]["total"] == 0

    async def test_refuses_a_plan_that_only_another_accounts_contract_prices(self, house: House):
        resident, other = await house.open_account(), await house.open_account()
        price = catalog.PriceDefinition(service="compute", plan="theirs", model="flat", amount=Decimal(9))
        async with house.database.transaction() as tx:
            await catalog.publish_rate_card(
                tx, name="Contract", currency="USD", valid_from=JANUARY, account_id=other.account_id, prices=[price]
            )
        assert (await report(house, other, plan="theirs")).status == 201
        answer = await report(house, resident, plan="theirs")
        assert (answer.status, answer.code) == (422, "price_missing")

    async def test_takes_a_resource_without_a_plan(self, house: House):
        resident = await house.open_account()
        answer = await report(house, resident, plan=..., service="storage", type="object_storage")
        assert (answer.status, answer.body["resource"]["plan"]) == (201, None)
        assert answer.body["resource"]["monthly_cost"] == 0

    async def test_takes_states_at_most_five_minutes_ahead(self, house: House):
        resident = await house.open_account()
        latest = house.clock.now + timedelta(minutes=5)
        assert (await report(house, resident, effective_at=latest.isoformat())).status == 201
        later = latest + timedelta(seconds=1)
        answer = await report(house, resident, effective_at=later.isoformat())
        assert (answer.status, answer.faults) == (400, ["effective_at"])

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            ({"type": ""}, ["type"]),
            ({"service": 5}, ["service"]),
            ({"name": None}, ["name"]),
            ({"name": "a\u0000b"}, ["name"]),
            ({"region": "x" * 201}, ["region"]),
            ({"status": "paused"}, ["status"]),
            ({"effective_at": "2024-01-15"}, ["effective_at"]),
            ({"effective_at": "2024-02-30T00:00:00Z"}, ["effective_at"]),
            ({"effective_at": "1969-12-31T23:59:59Z"}, ["effective_at"]),
            ({"effective_at": "0001-01-01T00:00:00+23:59"}, ["effective_at"]),
            ({"effective_at": "9999-12-31T23:59:59Z"}, ["effective_at"]),
            ({"units": 0}, ["units"]),
            ({"units": -1}, ["units"]),
            ({"units": 1e30}, ["units"]),
            ({"units": "NaN"}, ["units"]),
            ({"units": "0.0000000000001"}, ["units"]),
            ({"units": True}, ["units"]),
            ({"plan": ""}, ["plan"]),
            ({"account_id": "acc_1", "spans": []}, ["account_id", "spans"]),
            ({"type": ..., "service": ..., "name": ..., "region": ..., "status": ..., "effective_at": ...},
             ["effective_at", "name", "region", "service", "status", "type"]),
        ],
    )  # fmt: skip
    async def test_names_every_fault_and_stores_nothing(self, house: House, members, faults: list[str]):
        resident = await house.open_account()
        answer = await report(house, resident, **members)
        assert (answer.status, answer.code, answer.faults) == (400, "invalid_parameter", faults)
        assert (await listed(house, resident)).body["meta"]["total"] == 0

    async def test_refuses_an_id_that_is_too_long(self, house: House):
        answer = await report(house, await house.open_account(), "x" * 201)
        assert (answer.status, answer.faults) == (400, ["resource_id"])


class TestListResources:
    async def test_needs_a_key_that_reads(self, house: House):
        resident = await house.open_account()
        path = f"/v1/projects/{ids.encode('proj', resident.default_project_id)}/resources"
        assert (await house.call("GET", path)).status == 401
        assert (await house.call("GET", path, key=await house.issue(resident, "write"))).status == 403

    async def test_shows_what_the_spec_shows(self, house: House):
        resident = await house.open_account()
        await report(house, resident, units=2)
        answer = await listed(house, resident)
        assert answer.status == 200
        assert answer.body["meta"] == {"total": 1, "page": 1, "per_page": 25, "pages": 1, "next_cursor": None}
        [resource] = answer.body["resources"]
        assert list(resource) == LISTED
        assert (resource["id"], resource["monthly_cost"]) == ("vps_1", Decimal("100.00"))

    async def test_sums_into_its_project(self, house: House):
        resident = await house.open_account()
        project_id = await make_project(house, resident)
        await report(house, resident, "vps_1")
        await report(house, resident, "vps_2", project_id=project_id)
        await report(house, resident, "vps_3", project_id=project_id)
        await report(house, resident, "vps_4", project_id=project_id)
        await report(house, resident, "vps_4", status="deleted", effective_at="2024-01-20T00:00:00Z")
        answer = await house.call("GET", "/v1/projects", key=resident.key)
        shown = [(project["resource_count"], project["monthly_cost"]) for project in answer.body["projects"]]
        assert shown == [(1, Decimal("50.00")), (2, Decimal("100.00"))]
        one = await house.call("GET", f"/v1/projects/{project_id}", key=resident.key)
        assert (one.body["project"]["resource_count"], one.body["project"]["monthly_cost"]) == (2, Decimal("100.00"))

    async def test_filters_and_hides_what_is_deleted(self, house: House):
        resident = await house.open_account()
        await report(house, resident, "running")
        await report(house, resident, "stopped", status="stopped")
        await report(house, resident, "bucket", plan=..., service="storage")
        await report(house, resident, "gone")
        await report(house, resident, "gone", status="deleted", effective_at="2024-01-20T00:00:00Z")
        expected = {
            "": {"running", "stopped", "bucket"},
            "?status=running": {"running", "bucket"},
            "?status=stopped": {"stopped"},
            "?status=deleted": {"gone"},
            "?status=deleting": set(),
            "?service=compute": {"running", "stopped"},
            "?service=storage&status=running": {"bucket"},
            "?service=messaging": set(),
        }
        for query, names in expected.items():
            answer = await listed(house, resident, query)
            assert {resource["id"] for resource in answer.body["resources"]} == names
            assert answer.body["meta"]["total"] == len(names)

    async def test_pages_without_gap_or_double(self, house: House):
        resident = await house.open_account()
        for number in range(5):
            await report(house, resident, f"vps_{number}")
        pages = [await listed(house, resident, f"?page={page}&per_page=2") for page in (1, 2, 3, 4)]
        shown = [resource["id"] for page in pages for resource in page.body["resources"]]
        assert shown == [f"vps_{number}" for number in range(5)]
        assert pages[3].body["meta"] == {"total": 5, "page": 4, "per_page": 2, "pages": 3, "next_cursor": None}

    @pytest.mark.parametrize(
        ("query", "faults"),
        [("service=sorcery", ["service"]), ("service=", ["service"]), ("status=paused", ["status"]), ("page=0", ["page"]),
         ("status=x&service=compute&y=1", ["status", "y"]), ("service=compute&service=storage", ["service"])],
    )  # fmt: skip
    async def test_names_the_faults_of_its_query(self, house: House, query: str, faults: list[str]):
        answer = await listed(house, await house.open_account(), f"?{query}")
        assert (answer.status, answer.faults) == (400, faults)

    async def test_shows_no_other_accounts_resources(self, house: House):
        resident, stranger = await house.open_account(), await house.open_account()
        await report(house, stranger)
        foreign = ids.encode("proj", stranger.default_project_id)
        assert (await listed(house, resident, project_id=foreign)).status == 404
        assert (await listed(house, resident)).body["resources"] == []


class TestStoredStates:
    async def test_cannot_be_deleted_by_the_application(self, house: House):
        async with house.database.transaction() as tx:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await tx.connection.execute("DELETE FROM projects")
