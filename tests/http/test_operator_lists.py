"""What operators see of an account: its keys, projects, resources, wallets, holds, payments and invoices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.every_route import NOTHING
from tests.support.house import STRANGER, House, Reply
from tests.support.world import World, open_world

LISTS = ("api-keys", "projects", "resources", "wallets", "holds", "payments", "invoices")
SCOPES = {
    "api-keys": "accounts",
    "projects": "accounts",
    "resources": "metering",
    "wallets": "payments",
    "holds": "payments",
    "payments": "payments",
    "invoices": "billing",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(database_server: Path, module_dsn: str) -> AsyncIterator[World]:
    async with open_world(module_dsn) as opened:
        yield opened


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def look(world: World, path: str) -> Reply:
    return await world.house.operate("GET", f"/accounts/{world.jane.id}{path}")


@pytest.mark.parametrize("what", LISTS)
class TestList:
    async def test_needs_a_key_of_its_scope(self, world: World, what: str) -> None:
        path = f"/operator/v1/accounts/{world.jane.id}/{what}"
        assert (await world.house.call("GET", path)).status == 401
        assert (await world.house.call("GET", path, key=world.lesser_keys["audit"])).status == 403
        allowed: Any = SCOPES[what]
        assert (await world.house.call("GET", path, key=await world.house.issue_operator(allowed))).status == 200

    async def test_of_an_account_that_is_not_there_is_not_found(self, world: World, what: str) -> None:
        assert (await world.house.operate("GET", f"/accounts/{STRANGER}/{what}")).status == 404

    async def test_holds_what_the_account_has_and_nothing_of_others(self, world: World, what: str) -> None:
        reply = await look(world, f"/{what}?per_page=100")
        (listed,) = [value for name, value in reply.body.items() if name != "meta"]
        assert reply.body["meta"]["total"] == len(listed) > 0
        others = await world.house.operate("GET", f"/accounts/{world.bob.id}/{what}?per_page=100")
        (foreign,) = [value for name, value in others.body.items() if name != "meta"]
        if what not in {"resources", "wallets"}:  # known by the platform's own id, by the currency
            assert not {one["id"] for one in listed} & {one["id"] for one in foreign}

    async def test_goes_along_a_cursor(self, world: World, what: str) -> None:
        whole = await look(world, f"/{what}?per_page=100")
        part = await look(world, f"/{what}?per_page=1&cursor=")
        (listed,) = [value for name, value in whole.body.items() if name != "meta"]
        (first,) = [value for name, value in part.body.items() if name != "meta"]
        assert first == listed[:1]


class TestKeys:
    async def test_can_be_revoked_and_open_nothing_from_then_on(self, world: World) -> None:
        house = world.house
        resident = await house.open_account()
        (shown,) = (await house.operate("GET", f"/accounts/{resident.id}/api-keys")).body["api_keys"]
        path = f"/accounts/{resident.id}/api-keys/{shown['id']}"
        assert (await house.call("GET", "/v1/account", key=resident.key)).status == 200
        assert (await house.operate("DELETE", path)).status == 204
        assert (await house.call("GET", "/v1/account", key=resident.key)).status == 401
        assert (await house.operate("DELETE", path)).status == 404
        assert (await house.operate("GET", f"/accounts/{resident.id}/api-keys")).body["api_keys"] == []
        (entry, *_) = (await house.operate("GET", f"/audit?account_id={resident.id}")).body["entries"]
        assert entry["action"] == "DELETE /accounts/{account_id}/api-keys/{key_id}"
        assert (entry["actor"]["kind"], entry["objects"]["key_id"]) == ("operator", shown["id"])

    async def test_of_another_account_are_not_found(self, world: World) -> None:
        reply = await world.house.operate("DELETE", f"/accounts/{world.bob.id}/api-keys/{world.mine['key_id']}")
        assert reply.status == 404
        assert (await world.house.operate("DELETE", f"/accounts/{world.bob.id}/api-keys/key_{NOTHING}")).status == 404


class TestResources:
    async def test_are_shown_with_plan_and_project(self, world: World) -> None:
        (shown,) = (await look(world, "/resources")).body["resources"]
        assert {shown["id"], shown["plan"], shown["status"]} == {"vps_1", "small", "running"}
        assert shown["project_id"].startswith("proj_")

    async def test_can_be_asked_for_by_project_service_and_status(self, world: World) -> None:
        (shown,) = (await look(world, "/resources")).body["resources"]
        asked = (f"project_id={shown['project_id']}", "service=compute", "status=running")
        for query in asked:
            assert (await look(world, f"/resources?{query}")).body["meta"]["total"] == 1
        other = world.mine["spare_project_id"]
        for query in (f"project_id={other}", "service=storage", "status=deleted"):
            assert (await look(world, f"/resources?{query}")).body["meta"]["total"] == 0
        assert (await look(world, "/resources?status=broken")).status == 400
        assert (await look(world, "/resources?service=pigeons")).status == 400

    async def test_are_shown_one_by_one_with_their_spans(self, world: World) -> None:
        shown = (await look(world, "/resources/vps_1")).body["resource"]
        (span,) = shown["spans"]
        assert (span["status"], span["start"], span["end"]) == ("running", "2024-01-10T00:00:00Z", None)
        assert (await look(world, "/resources/vps_2")).status == 404


class TestHolds:
    async def test_are_expired_past_their_expiry_and_can_be_asked_for_so(self, world: World) -> None:
        house = world.house
        path = f"/accounts/{world.jane.id}/holds"
        body = {"amount": 1, "currency": "USD", "reference": "short", "expires_at": "2024-02-01T10:00:01Z"}
        made = await house.operate("POST", path, body=body, headers={"Idempotency-Key": "short-hold"})
        assert made.status == 201
        assert (await look(world, "/holds?status=expired")).body["meta"]["total"] == 0
        house.clock.advance(timedelta(seconds=1))
        (shown,) = (await look(world, "/holds?status=expired")).body["holds"]
        assert (shown["reference"], shown["status"]) == ("short", "expired")
        assert (await look(world, "/holds?status=open")).body["meta"]["total"] == 2
        house.clock.advance(timedelta(seconds=-1))


class TestPayments:
    async def test_can_be_asked_for_by_kind_and_status(self, world: World) -> None:
        pending = (await look(world, "/payments?status=pending&kind=topup")).body["payments"]
        assert {one["id"] for one in pending} == {world.mine["payment_id"], world.mine["other_payment_id"]}
        assert (await look(world, "/payments?kind=recorded")).body["payments"] == []
        assert (await look(world, "/payments?kind=gift")).status == 400

    async def test_show_what_went_back_of_them(self, world: World) -> None:
        house, path = world.house, f"/payments/{world.mine['captured_id']}"
        before = (await house.operate("GET", path)).body["payment"]
        assert (before["status"], before["account_id"]) == ("completed", world.jane.id)
        assert [str(before[name]) for name in ("amount", "refunded", "charged_back")] == ["100.00", "0.00", "0.00"]
        for what, amount in (("refunds", 2.5), ("chargebacks", 1.25)):
            headers = {"Idempotency-Key": f"list-{what}"}
            body = {"amount": amount, "reason": "Sorry"}
            assert (await house.operate("POST", f"{path}/{what}", body=body, headers=headers)).status == 201
        after = (await house.operate("GET", path)).body["payment"]
        assert [str(after[name]) for name in ("refunded", "charged_back")] == ["2.50", "1.25"]
        assert (await house.operate("GET", f"/payments/pay_{NOTHING}")).status == 404


class TestInvoices:
    async def test_are_what_the_account_sees(self, world: World) -> None:
        house, invoice_id = world.house, world.mine["invoice_id"]
        assert await _same(house, world.jane.key, "/account/invoices", f"/accounts/{world.jane.id}/invoices")
        for part in ("", "/lines"):
            own, operators = f"/account/invoices/{invoice_id}{part}", f"/invoices/{invoice_id}{part}"
            assert await _same(house, world.jane.key, own, operators)
        pdf = await house.operate("GET", f"/invoices/{invoice_id}/pdf")
        own_pdf = await house.call("GET", f"/v1/account/invoices/{invoice_id}/pdf", key=world.jane.key)
        assert (pdf.status, pdf.text, pdf.headers["ETag"]) == (200, own_pdf.text, own_pdf.headers["ETag"])

    @pytest.mark.parametrize("part", ["", "/lines", "/pdf"])
    async def test_that_are_not_there_are_not_found(self, world: World, part: str) -> None:
        assert (await world.house.operate("GET", f"/invoices/inv_{NOTHING}{part}")).status == 404

    async def test_can_be_asked_for_by_status_and_date(self, world: World) -> None:
        assert (await look(world, "/invoices?status=void")).body["meta"]["total"] == 0
        assert (await look(world, "/invoices?from_date=2024-03-01")).body["meta"]["total"] == 0
        assert (await look(world, "/invoices?from_date=2024-03-01&to_date=2024-02-01")).status == 400


async def _same(house: House, key: str, own: str, operators: str) -> bool:
    seen, shown = await house.call("GET", f"/v1{own}", key=key), await house.operate("GET", operators)
    return (seen.status, seen.body) == (shown.status, shown.body) == (200, seen.body)
