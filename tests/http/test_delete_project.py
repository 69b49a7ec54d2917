"""Deleting a project with all in it, what the platform may still report, and taking the deletion back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from billing import catalog, invoices, metering
from billing.analytics import routes as analytics_public
from billing.catalog import Meter, PriceDefinition
from billing.core import ids
from billing.core.period import Period
from billing.invoices import routes as invoices_public
from billing.metering import operator_routes as metering_operator
from billing.onboarding import operator_routes as onboarding_operator
from billing.onboarding import routes as onboarding_public
from billing.projects import operations, store
from billing.projects import operator_routes as projects_operator
from billing.projects import routes as projects_public
from tests.support.house import House, Reply, Resident, open_house

PUBLIC = [
    *projects_public.HANDLERS,
    *onboarding_public.HANDLERS,
    *analytics_public.HANDLERS,
    *[handler for handler in invoices_public.HANDLERS if handler.fn.__name__ != "pay_invoice"],
]
OPERATOR = [*projects_operator.HANDLERS, *onboarding_operator.HANDLERS, *metering_operator.HANDLERS]
EVENTS = "application/cloudevents-batch+json"
UNKNOWN = "proj_" + "0" * 26
HOUR = timedelta(hours=1)
_names = count(1)


@pytest_asyncio.fixture
async def house(database_dsn: str) -> AsyncIterator[House]:
    values = {"wallet_settings": None}
    async with open_house(database_dsn, public=PUBLIC, operator=OPERATOR, values=values) as opened:
        opened.clock.now = datetime(2024, 1, 10, tzinfo=UTC)
        async with opened.database.transaction() as tx:
            sms = Meter(meter="sms", service="messaging", name="SMS", unit="messages", aggregation="sum")
            disk = Meter(meter="disk", service="storage", name="Disk", unit="GB", aggregation="time_weighted")
            await catalog.define_meter(tx, meter=sms)
            await catalog.define_meter(tx, meter=disk)
            prices = [
                PriceDefinition(service="compute", plan="vps", model="hourly", hourly_price=Decimal("0.10")),
                PriceDefinition(service="messaging", meter="sms", model="per_unit", unit_price=Decimal("0.05")),
                PriceDefinition(service="storage", meter="disk", model="per_unit", unit_price=Decimal(31)),
            ]
            start = datetime(2024, 1, 1, tzinfo=UTC)
            await catalog.publish_rate_card(tx, name="Prices", currency="USD", valid_from=start, prices=prices)
        yield opened


@pytest_asyncio.fixture
async def jane(house: House) -> Resident:
    return await house.open_account()


async def make(house: House, resident: Resident, name: str = "Staging") -> str:
    reply = await house.call("POST", "/v1/projects", key=resident.key, body={"name": name, "budget_limit": 10})
    return reply.body["project"]["id"]


async def report(house: House, resident: Resident, resource_id: str = "vps_1", **members: object) -> Reply:
    body = {
        "type": "vps",
        "service": "compute",
        "name": resource_id,
        "region": "nairobi",
        "status": "running",
        "effective_at": house.clock.now.isoformat(),
        "plan": "vps",
        **members,
    }
    return await house.operate("PUT", f"/accounts/{resident.id}/resources/{resource_id}", body=body)


async def use(house: House, resident: Resident, quantity: int = 1, **members: Any) -> dict[str, Any]:
    data = {"account_id": resident.id, "meter": members.pop("meter", "sms"), "quantity": quantity}
    event = {"specversion": "1.0", "id": f"e{next(_names)}", "source": "t", "type": "usage", "subject": "vps_1"}
    sent = {**event, "time": house.clock.now.isoformat(), "data": data, **members}
    reply = await house.operate("POST", "/events", body=[sent], headers={"Content-Type": EVENTS})
    return reply.body["results"][0]


async def remove(house: House, resident: Resident, project_id: str) -> Reply:
    return await house.call("DELETE", f"/v1/projects/{project_id}", key=resident.key)


async def restore(house: House, project_id: str) -> Reply:
    return await house.operate("POST", f"/projects/{project_id}/restore")


async def usage(house: House, resident: Resident) -> Decimal:
    reply = await house.call("GET", "/v1/account/usage", key=resident.key)
    return reply.body["usage"]["total_cost"]


async def events(house: House, *types: str) -> list[str]:
    """The objects of what was told, in order."""
    async with house.database.reading() as reading:
        rows = await reading.connection.fetch(
            "SELECT object_id FROM outbox_events WHERE type = ANY ($1) ORDER BY created_at, event_id", list(types)
        )
    return [row["object_id"] for row in rows]


async def status_of(house: House, resident: Resident, resource_id: str = "vps_1") -> str:
    async with house.database.reading() as reading:
        resource = await metering.find_resource(
            reading.connection, account_id=resident.account_id, resource_id=resource_id, at=house.clock.now
        )
    assert resource is not None
    return resource.status


class TestDeleteProject:
    async def test_needs_a_key_that_may_write(self, house: House, jane: Resident):
        path = f"/v1/projects/{await make(house, jane)}"
        assert (await house.call("DELETE", path)).status == 401
        assert (await house.call("DELETE", path, key=await house.issue(jane, "read"))).code == "forbidden"
        await house.suspend(jane)
        assert (await house.call("DELETE", path, key=jane.key)).code == "account_suspended"

    async def test_is_answered_with_nothing_and_gone_then(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        reply = await remove(house, jane, project_id)
        assert (reply.status, reply.text) == (204, "")
        path = f"/v1/projects/{project_id}"
        replies = [
            await house.call("GET", path, key=jane.key),
            await house.call("GET", f"{path}/resources", key=jane.key),
            await house.call("PUT", path, key=jane.key, body={"name": "Again"}),
            await house.call("DELETE", path, key=jane.key),
        ]
        assert [reply.status for reply in replies] == [404] * 4
        listed = await house.call("GET", "/v1/projects", key=jane.key)
        assert [project["name"] for project in listed.body["projects"]] == ["Default"]
        assert listed.body["meta"]["total"] == 1
        assert await events(house, "project.deleted") == [project_id]

    async def test_leaves_the_name_to_others(self, house: House, jane: Resident):
        await remove(house, jane, await make(house, jane, "Staging"))
        assert (await make(house, jane, "Staging")).startswith("proj_")

    async def test_refuses_the_default_project(self, house: House, jane: Resident):
        default = ids.encode("proj", jane.default_project_id)
        reply = await remove(house, jane, default)
        assert (reply.status, reply.code) == (422, "project_protected")
        assert (await house.call("GET", f"/v1/projects/{default}", key=jane.key)).status == 200

    async def test_does_not_know_another_accounts_project(self, house: House, jane: Resident):
        theirs = await make(house, await house.open_account())
        replies = [await remove(house, jane, project_id) for project_id in (theirs, UNKNOWN, "x", "proj_%00")]
        assert {reply.status for reply in replies} == {404}
        assert len({reply.text for reply in replies}) == 1
        assert await events(house, "project.deleted") == []

    async def test_takes_no_parameters(self, house: House, jane: Resident):
        reply = await house.call("DELETE", f"/v1/projects/{await make(house, jane)}?force=true", key=jane.key)
        assert (reply.status, reply.faults) == (400, ["force"])

    async def test_stops_metering_at_its_instant_and_keeps_what_was_used(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        await use(house, jane, 20)
        await use(house, jane, 1, meter="disk")
        house.clock.advance(10 * HOUR)
        before = await usage(house, jane)
        assert before == Decimal("1.00") + Decimal("1.00") + round(Decimal(31) * 10 / 744, 2)
        assert (await remove(house, jane, project_id)).status == 204
        house.clock.advance(100 * HOUR)
        assert await usage(house, jane) == before
        assert await status_of(house, jane) == "deleting"
        assert await events(house, "resource.deletion_requested") == ["vps_1"]

    async def test_is_on_the_invoice_by_its_name(self, house: House, jane: Resident):
        project_id = await make(house, jane, "Short-lived")
        await report(house, jane, project_id=project_id)
        house.clock.advance(10 * HOUR)
        await remove(house, jane, project_id)
        house.clock.now = datetime(2024, 2, 1, 10, tzinfo=UTC)
        async with house.database.transaction() as tx:
            run = await invoices.request_run(tx, period=Period(2024, 1))
        await invoices.advance(house.database, run_id=run.run_id)
        [invoice] = (await house.call("GET", "/v1/account/invoices", key=jane.key)).body["invoices"]
        assert invoice["amount"] == Decimal("1.00")
        lines = (await house.call("GET", f"/v1/account/invoices/{invoice['id']}/lines", key=jane.key)).body["lines"]
        assert [(line["project_id"], line["project"], line["quantity"]) for line in lines] == [
            (project_id, "Short-lived", 10)
        ]

    async def test_stops_what_was_reported_to_begin_later(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        soon = house.clock.now + timedelta(minutes=4)
        await report(house, jane, project_id=project_id, effective_at=soon.isoformat(), units=2)
        await report(house, jane, "vps_2", project_id=project_id, effective_at=soon.isoformat())
        await remove(house, jane, project_id)
        house.clock.advance(HOUR)
        assert await usage(house, jane) == 0
        assert [await status_of(house, jane, name) for name in ("vps_1", "vps_2")] == ["deleting"] * 2

    async def test_stops_very_many_by_and_by_as_of_the_same_instant(
        self, house: House, jane: Resident, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("billing.projects.operations.deleting.STOPPED_AT_ONCE", 2)
        project_id = await make(house, jane)
        for number in range(5):
            await report(house, jane, f"vps_{number}", project_id=project_id)
        house.clock.advance(HOUR)
        await remove(house, jane, project_id)
        house.clock.advance(HOUR)
        refused = await report(house, jane, "vps_4", effective_at=house.clock.now.isoformat())
        assert (refused.status, refused.code) == (422, "resource_deleting")
        assert await operations.stop_asked(house.database) == 3
        assert await operations.stop_asked(house.database) == 0
        assert await usage(house, jane) == Decimal("0.50")
        assert len(await events(house, "resource.deletion_requested")) == 5

    async def test_stops_the_others_while_one_is_held(
        self, house: House, jane: Resident, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("billing.projects.operations.deleting.STOPPED_AT_ONCE", 0)
        project_id = await make(house, jane)
        for name in ("vps_1", "vps_2", "vps_3"):
            await report(house, jane, name, project_id=project_id)
        await remove(house, jane, project_id)
        async with house.database.transaction() as other:
            held = await store.claim_unstopped(other.connection)
            assert held is not None
            async with asyncio.timeout(5):
                assert await operations.stop_asked(house.database) == 2
        assert await operations.stop_asked(house.database) == 1

    async def test_happens_once_with_50_at_the_same_time(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        replies = await asyncio.gather(*(remove(house, jane, project_id) for _ in range(50)))
        assert sorted({reply.status for reply in replies}) == [204, 404]
        assert [reply.status for reply in replies].count(204) == 1
        assert await events(house, "resource.deletion_requested") == ["vps_1"]

    async def test_meets_50_reports_at_the_same_time(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        for number in range(0, 50, 2):
            await report(house, jane, f"vps_{number}", project_id=project_id)
        house.clock.advance(HOUR)
        deleted, *reports = await asyncio.gather(
            remove(house, jane, project_id),
            *(report(house, jane, f"vps_{number}", project_id=project_id, units=2) for number in range(50)),
        )
        assert deleted.status == 204
        known = {f"vps_{number}" for number in range(0, 50, 2)}
        for number, reply in enumerate(reports):
            assert reply.status in {200, 201} or reply.code in {"resource_deleting", "not_found"}
            if reply.status == 201:
                known.add(f"vps_{number}")
        house.clock.advance(50 * HOUR)
        assert await usage(house, jane) == Decimal("2.50")  # 25 of them for an hour, whoever came first
        assert {await status_of(house, jane, name) for name in known} == {"deleting"}
        assert sorted(await events(house, "resource.deletion_requested")) == sorted(known)


class TestReportAfterDeletion:
    async def test_refuses_what_still_runs_and_bills_none_of_it(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        house.clock.advance(HOUR)
        await remove(house, jane, project_id)
        still: list[dict[str, Any]] = [{}, {"project_id": project_id}, {"status": "stopped"}, {"units": 3}]
        for members in still:
            refused = await report(house, jane, **members)
            assert (refused.status, refused.code) == (422, "resource_deleting")
        moved = await report(house, jane, project_id=ids.encode("proj", jane.default_project_id))
        assert moved.code == "resource_deleting"
        assert (await use(house, jane))["status"] == "quarantined"
        house.clock.advance(HOUR)
        assert await usage(house, jane) == Decimal("0.10")

    async def test_takes_what_was_before(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        start = house.clock.now
        await report(house, jane, project_id=project_id)
        house.clock.advance(2 * HOUR)
        await remove(house, jane, project_id)
        earlier = start + HOUR
        late = await report(house, jane, effective_at=earlier.isoformat(), units=2)
        assert late.status == 200
        assert await usage(house, jane) == Decimal("0.30")
        accepted = await use(house, jane, 20, time=earlier.isoformat())
        assert accepted["status"] == "accepted"
        assert await usage(house, jane) == Decimal("1.30")

    async def test_takes_nothing_new_into_it(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, "other")
        await remove(house, jane, project_id)
        for resource_id in ("vps_1", "other"):
            assert (await report(house, jane, resource_id, project_id=project_id)).status == 404

    async def test_confirms_by_deleted(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        house.clock.advance(HOUR)
        await remove(house, jane, project_id)
        assert (await report(house, jane, project_id=project_id, status="deleting")).status == 200
        assert (await report(house, jane, project_id=project_id, status="deleted")).status == 200
        assert await status_of(house, jane) == "deleted"
        house.clock.advance(timedelta(hours=25))
        assert await operations.raise_alarms(house.database) == 0


class TestAlarm:
    async def test_tells_once_of_what_is_unconfirmed_for_24_hours(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        await remove(house, jane, project_id)
        house.clock.advance(timedelta(hours=23, minutes=59))
        assert await operations.raise_alarms(house.database) == 0
        house.clock.advance(timedelta(minutes=1))
        with capture_logs() as logs:
            assert await operations.raise_alarms(house.database) == 1
        assert [(entry["event"], entry["resource_id"]) for entry in logs] == [("deletion_unconfirmed", "vps_1")]
        assert await operations.raise_alarms(house.database) == 0
        assert await events(house, "resource.deletion_unconfirmed") == ["vps_1"]


class TestRestoreProject:
    async def test_needs_an_operators_key_with_the_scope(self, house: House, jane: Resident):
        path = f"/operator/v1/projects/{await make(house, jane)}/restore"
        assert (await house.call("POST", path)).status == 401
        assert (await house.call("POST", path, key=jane.key)).status == 404
        assert (await house.call("POST", path, key=await house.issue_operator("billing"))).code == "forbidden"

    async def test_lets_metering_go_on_from_then(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id, units=2)
        await use(house, jane, 1, meter="disk")
        house.clock.advance(10 * HOUR)
        await remove(house, jane, project_id)
        house.clock.advance(20 * HOUR)
        reply = await restore(house, project_id)
        assert reply.status == 200
        project = reply.body["project"]
        assert (project["id"], project["name"], project["status"]) == (project_id, "Staging", "active")
        assert (project["resource_count"], project["budget_limit"]) == (1, 10)
        assert await status_of(house, jane) == "running"
        between = house.clock.now - HOUR
        assert (await use(house, jane, time=between.isoformat()))["status"] == "quarantined"
        assert (await report(house, jane, effective_at=between.isoformat())).code == "resource_deleting"
        house.clock.advance(5 * HOUR)
        assert await usage(house, jane) == Decimal("3.00") + Decimal("0.63")  # 0.625
        assert (await use(house, jane))["status"] == "accepted"
        assert await events(house, "resource.deletion_withdrawn") == ["vps_1"]
        shown = await house.call("GET", f"/v1/projects/{project_id}", key=jane.key)
        assert {**shown.body["project"], "monthly_cost": None} == {**project, "monthly_cost": None}

    async def test_leaves_what_the_platform_has_deleted(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        await report(house, jane, "vps_2", project_id=project_id, status="stopped")
        await remove(house, jane, project_id)
        await report(house, jane, status="deleted")
        house.clock.advance(HOUR)
        assert (await restore(house, project_id)).body["project"]["resource_count"] == 1
        assert [await status_of(house, jane, name) for name in ("vps_1", "vps_2")] == ["deleted", "stopped"]
        assert await events(house, "resource.deletion_withdrawn") == ["vps_2"]

    async def test_may_come_before_the_job(self, house: House, jane: Resident, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("billing.projects.operations.deleting.STOPPED_AT_ONCE", 0)
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        house.clock.advance(HOUR)
        await remove(house, jane, project_id)
        house.clock.advance(10 * HOUR)
        await restore(house, project_id)
        assert await operations.stop_asked(house.database) == 0
        house.clock.advance(HOUR)
        assert await usage(house, jane) == Decimal("0.20")

    async def test_can_be_deleted_and_restored_again(self, house: House, jane: Resident):
        project_id = await make(house, jane)
        await report(house, jane, project_id=project_id)
        for _ in range(2):
            house.clock.advance(HOUR)
            assert (await remove(house, jane, project_id)).status == 204
            house.clock.advance(HOUR)
            assert (await restore(house, project_id)).status == 200
        house.clock.advance(HOUR)
        assert await usage(house, jane) == Decimal("0.30")

    async def test_is_possible_for_7_days(self, house: House, jane: Resident):
        early, late = await make(house, jane), await make(house, jane)
        await remove(house, jane, early)
        await remove(house, jane, late)
        house.clock.advance(timedelta(days=7))
        assert (await restore(house, early)).status == 200
        house.clock.advance(timedelta(seconds=1))
        refused = await restore(house, late)
        assert (refused.status, refused.code) == (422, "project_not_restorable")
        assert refused.body["error"]["details"] == {"deleted_at": "2024-01-10T00:00:00Z"}

    async def test_refuses_what_is_not_deleted(self, house: House, jane: Resident):
        reply = await restore(house, await make(house, jane))
        assert (reply.status, reply.code) == (422, "project_not_restorable")
        assert (await restore(house, UNKNOWN)).status == 404
