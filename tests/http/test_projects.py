"""The public calls about projects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from billing.core import ids
from billing.projects import routes
from tests.support.house import House, Resident, open_house

LISTED = [
    "id", "name", "description", "status", "region", "created_at", "resource_count", "monthly_cost", "currency",
]  # fmt: skip
DETAILS = [*LISTED, "budget_limit", "is_default", "protected"]
UNKNOWN = "proj_" + "0" * 26


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[House]:
    async with open_house(module_dsn, public=routes.HANDLERS) as opened:
        yield opened


async def create(house: House, resident: Resident, **members: object):
    house.clock.advance(timedelta(seconds=1))
    return await house.call("POST", "/v1/projects", key=resident.key, body={"name": "Staging", **members})


class TestListProjects:
    async def test_needs_a_key(self, house: House):
        assert (await house.call("GET", "/v1/projects")).status == 401

    async def test_needs_the_read_permission(self, house: House):
        key = await house.issue(await house.open_account(), "write")
        assert (await house.call("GET", "/v1/projects", key=key)).status == 403

    async def test_shows_the_default_project_from_the_start(self, house: House):
        resident = await house.open_account(currency="KES")
        answer = await house.call("GET", "/v1/projects", key=resident.key)
        assert answer.status == 200
        assert answer.body["meta"] == {"total": 1, "page": 1, "per_page": 25, "pages": 1, "next_cursor": None}
        [project] = answer.body["projects"]
        assert list(project) == LISTED
        assert project == {
            "id": ids.encode("proj", resident.default_project_id),
            "name": "Default",
            "description": None,
            "status": "active",
            "region": None,
            "created_at": "2024-02-01T10:00:00Z",
            "resource_count": 0,
            "monthly_cost": Decimal("0.00"),
            "currency": "KES",
        }

    async def test_pages_the_accounts_own(self, house: House):
        resident, stranger = await house.open_account(), await house.open_account()
        await create(house, stranger)
        made = [(await create(house, resident, name=f"P{number}")).body["project"]["id"] for number in range(3)]
        pages = [
            await house.call("GET", f"/v1/projects?page={page}&per_page=2", key=resident.key) for page in (1, 2, 3)
        ]
        shown = [project["id"] for page in pages for project in page.body["projects"]]
        assert shown == [ids.encode("proj", resident.default_project_id), *made]
        assert [page.body["meta"]["total"] for page in pages] == [4, 4, 4]

    @pytest.mark.parametrize("query", ["page=0", "per_page=0", "per_page=101", "page=1.5", "page=1&page=2", "x=1"])
    async def test_refuses_a_faulty_query(self, house: House, query: str):
        resident = await house.open_account()
        answer = await house.call("GET", f"/v1/projects?{query}", key=resident.key)
        assert (answer.status, answer.code) == (400, "invalid_parameter")


class TestCreateProject:
    async def test_needs_a_key(self, house: House):
        assert (await house.call("POST", "/v1/projects", body={"name": "x"})).status == 401

    async def test_needs_the_write_permission(self, house: House):
        key = await house.issue(await house.open_account(), "read")
        answer = await house.call("POST", "/v1/projects", key=key, body={"name": "x"})
        assert (answer.status, answer.code) == (403, "forbidden")

    async def test_makes_an_empty_project(self, house: House):
        resident = await house.open_account()
        sent = {"name": "Staging", "description": "Testing\nand staging", "region": "nairobi", "budget_limit": 100.00}
        answer = await create(house, resident, **sent)
        project = answer.body["project"]
        assert (answer.status, list(project)) == (201, DETAILS)
        assert answer.headers["Location"].endswith(f"/v1/projects/{project['id']}")
        assert {name: project[name] for name in sent} == sent
        assert '"budget_limit":100.00' in answer.text.replace(" ", "")
        assert (project["resource_count"], project["monthly_cost"], project["currency"]) == (0, 0, "USD")
        assert (project["is_default"], project["protected"], project["status"]) == (False, False, "active")

    async def test_is_made_once_per_idempotency_key(self, house: House):
        resident = await house.open_account()
        headers = {"Idempotency-Key": "project"}
        first, again = [
            await house.call("POST", "/v1/projects", key=resident.key, body={"name": "Once"}, headers=headers)
            for _ in range(2)
        ]
        assert (again.status, again.text) == (201, first.text)
        assert (await house.call("GET", "/v1/projects", key=resident.key)).body["meta"]["total"] == 2

    @pytest.mark.parametrize("currency", ["USD", "KES"])
    @pytest.mark.parametrize("limit", ["0.01", "100", "100.00", '"100.00"', "9999999999999.99"])
    async def test_takes_a_budget_of_the_currency(self, house: House, currency: str, limit: str):
        resident = await house.open_account(currency=currency)
        body = f'{{"name": "Budget", "budget_limit": {limit}}}'.encode()
        answer = await house.call("POST", "/v1/projects", key=resident.key, body=body)
        assert (answer.status, answer.body["project"]["budget_limit"]) == (201, Decimal(limit.strip('"')))

    @pytest.mark.parametrize(
        "limit",
        ["0", "-1", "0.001", "1e30", "1e400", "NaN", '"NaN"', "Infinity", '"1,000"', "true", "[]", '""', "1e999999"],
    )
    async def test_refuses_what_is_no_budget(self, house: House, limit: str):
        resident = await house.open_account()
        body = f'{{"name": "Budget", "budget_limit": {limit}}}'.encode()
        answer = await house.call("POST", "/v1/projects", key=resident.key, body=body)
        assert (answer.status, answer.code) == (400, "invalid_parameter")
        assert (await house.call("GET", "/v1/projects", key=resident.key)).body["meta"]["total"] == 1

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            ({"name": ""}, ["name"]),
            ({"name": None}, ["name"]),
            ({"name": "x" * 201}, ["name"]),
            ({"name": "a\u0000"}, ["name"]),
            ({"description": ""}, ["description"]),
            ({"description": "x" * 2001}, ["description"]),
            ({"region": 5}, ["region"]),
            ({"is_default": True, "id": "proj_1", "status": "active"}, ["id", "is_default", "status"]),
            ({"name": 5, "region": "", "budget_limit": "x"}, ["budget_limit", "name", "region"]),
        ],
    )
    async def test_names_every_fault(self, house: House, members, faults: list[str]):
        answer = await create(house, await house.open_account(), **members)
        assert (answer.status, answer.faults) == (400, faults)

    async def test_is_closed_to_a_suspended_account(self, house: House):
        resident = await house.open_account()
        await house.suspend(resident)
        assert (await create(house, resident)).code == "account_suspended"


class TestShowProject:
    async def test_shows_one(self, house: House):
        resident = await house.open_account()
        made = (await create(house, resident, budget_limit=5)).body
        project_id = made["project"]["id"]
        answer = await house.call("GET", f"/v1/projects/{project_id}", key=resident.key)
        assert (answer.status, answer.body) == (200, made)

    async def test_protects_the_default_project(self, house: House):
        resident = await house.open_account()
        path = f"/v1/projects/{ids.encode('proj', resident.default_project_id)}"
        project = (await house.call("GET", path, key=resident.key)).body["project"]
        assert (project["is_default"], project["protected"], project["budget_limit"]) == (True, True, None)

    async def test_does_not_find_unknown_or_foreign_ids(self, house: House):
        resident, stranger = await house.open_account(), await house.open_account()
        foreign = ids.encode("proj", stranger.default_project_id)
        for method, tail in (("GET", ""), ("PUT", ""), ("GET", "/resources")):
            body = {} if method == "PUT" else None
            answers = [
                await house.call(method, f"/v1/projects/{project_id}{tail}", key=resident.key, body=body)
                for project_id in (foreign, UNKNOWN, "x", "acc_" + "0" * 26, "proj_" + "z" * 26)
            ]
            assert {answer.status for answer in answers} == {404}
            assert len({answer.text for answer in answers}) == 1


class TestUpdateProject:
    async def test_needs_the_write_permission(self, house: House):
        resident = await house.open_account()
        path = f"/v1/projects/{ids.encode('proj', resident.default_project_id)}"
        assert (await house.call("PUT", path, body={})).status == 401
        reading = await house.issue(resident, "read")
        assert (await house.call("PUT", path, key=reading, body={"name": "x"})).status == 403

    async def test_sets_what_is_named_and_clears_with_null(self, house: House):
        resident = await house.open_account()
        made = (await create(house, resident, description="Old", budget_limit=100)).body["project"]
        path = f"/v1/projects/{made['id']}"
        answer = await house.call("PUT", path, key=resident.key, body={"name": "New", "budget_limit": 150.00})
        assert (answer.status, list(answer.body["project"])) == (200, DETAILS)
        assert answer.body["project"] == {**made, "name": "New", "budget_limit": Decimal("150.00")}
        cleared = await house.call("PUT", path, key=resident.key, body={"description": None, "budget_limit": None})
        assert cleared.body["project"] == {**made, "name": "New", "description": None, "budget_limit": None}
        assert (await house.call("PUT", path, key=resident.key, body={})).body == cleared.body

    @pytest.mark.parametrize(
        ("sent", "faults"),
        [
            ({"name": None}, ["name"]),
            ({"budget_limit": 0}, ["budget_limit"]),
            ({"region": "lagos"}, ["region"]),
            ({"name": "", "description": 5, "protected": False}, ["description", "name", "protected"]),
        ],
    )
    async def test_names_every_fault(self, house: House, sent, faults: list[str]):
        resident = await house.open_account()
        path = f"/v1/projects/{ids.encode('proj', resident.default_project_id)}"
        answer = await house.call("PUT", path, key=resident.key, body=sent)
        assert (answer.status, answer.faults) == (400, faults)
