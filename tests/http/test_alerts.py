"""The calls about alerts: the account's own, and the operator's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from billing import accounts, alerts, wallets
from billing.alerts import operator_routes, routes
from billing.catalog import operator_routes as catalog_routes
from billing.core import ids
from billing.metering import operator_routes as metering_routes
from billing.projects import operator_routes as project_routes
from billing.projects import routes as public_project_routes
from tests.support import cloud
from tests.support.house import STRANGER, House, Reply, Resident, open_house

ALERTS = "/v1/account/alerts"
UNKNOWN = "alert_" + "0" * 26
BUDGET = {"type": "budget", "threshold": 200.00, "condition": "greater_than", "notification_methods": ["email"]}
MEMBERS = [
    "id", "type", "threshold", "condition", "notification_methods", "currency", "project_id", "metric", "status",
    "current_value", "last_triggered_at", "created_at",
]  # fmt: skip
TOLD = ["id", "alert_id", "kind", "value", "threshold", "created_at", "deliveries"]
EVENTS = "application/cloudevents-batch+json"


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[House]:
    settings = wallets.WalletSettings(wallets.reserve_for_usage, accounts.CURRENCIES_DEFAULT | {"JPY", "KWD"})
    async with open_house(
        module_dsn,
        public=[*routes.HANDLERS, *public_project_routes.HANDLERS],
        operator=[
            *operator_routes.HANDLERS,
            *metering_routes.HANDLERS,
            *project_routes.HANDLERS,
            *catalog_routes.HANDLERS,
        ],
        values={"wallet_settings": settings, "currencies": settings.currencies},
    ) as opened:
        yield opened


@pytest_asyncio.fixture
async def jane(house: House) -> Resident:
    return await house.open_account()


async def create(house: House, resident: Resident, **members: object) -> Reply:
    house.clock.advance(timedelta(seconds=1))
    return await house.call("POST", ALERTS, key=resident.key, body={**BUDGET, **members})


async def created(house: House, resident: Resident, **members: object) -> dict[str, Any]:
    reply = await create(house, resident, **members)
    assert reply.status == 201, reply.text
    return reply.body["alert"]


async def listed(house: House, resident: Resident) -> dict[str, Any]:
    return (await house.call("GET", ALERTS, key=resident.key)).body


async def give_phone(house: House, resident: Resident) -> None:
    async with house.database.transaction() as tx:
        await accounts.change(tx, account_id=resident.account_id, changes={"phone": "+254700000000"})


async def use(house: House, resident: Resident, quantity: object, **members: object) -> None:
    """Use a meter at 0.01 a piece, on a resource of the default project."""
    prices = [{"service": "messaging", "meter": "sms", "model": "per_unit", "unit_price": 0.01}]
    card = {"name": "C", "currency": "USD", "valid_from": "2024-01-01", "prices": prices}
    await house.operate("POST", "/rate-cards", body=card)  # refused but for the first one
    state = {"type": "vps", "service": "compute", "name": "w", "region": "x", "status": "running", **members}
    path = f"/accounts/{resident.id}/resources/r"
    reply = await house.operate("PUT", path, body={**state, "effective_at": "2024-02-01T00:00:00Z"})
    assert reply.status < 300, reply.text
    house.clock.advance(timedelta(seconds=1))
    now = house.clock.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    data = {"account_id": resident.id, "meter": "sms", "quantity": quantity}
    event = {"specversion": "1.0", "id": now, "source": "t", "type": "usage", "subject": "r", "time": now, "data": data}
    reply = await house.operate("POST", "/events", body=[event], headers={"Content-Type": EVENTS})
    assert reply.body["accepted"] == 1, reply.text


async def tick(house: House) -> int:
    return await alerts.evaluate_due(house.database, reserve=wallets.reserve_for_usage)


class TestCreateAlert:
    async def test_needs_a_key(self, house: House):
        assert (await house.call("POST", ALERTS, body=BUDGET)).status == 401

    async def test_needs_the_write_permission(self, house: House, jane: Resident):
        reply = await house.call("POST", ALERTS, key=await house.issue(jane, "read"), body=BUDGET)
        assert (reply.status, reply.code) == (403, "forbidden")

    async def test_makes_the_alert_of_the_spec(self, house: House, jane: Resident):
        await give_phone(house, jane)
        body = b'{"type": "budget", "threshold": 200.00, "condition": "greater_than", "notification_methods": ["email", "sms"]}'
        reply = await house.call("POST", ALERTS, key=jane.key, body=body)
        alert = reply.body["alert"]
        assert (reply.status, list(reply.body), list(alert)) == (201, ["alert"], MEMBERS)
        assert alert == {
            "id": alert["id"],
            "type": "budget",
            "threshold": Decimal("200.00"),
            "condition": "greater_than",
            "notification_methods": ["email", "sms"],
            "currency": "USD",
            "project_id": None,
            "metric": None,
            "status": "ok",
            "current_value": Decimal("0.00"),
            "last_triggered_at": None,
            "created_at": house.clock.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        assert '"threshold":200.00' in reply.text
        assert '"current_value":0.00' in reply.text
        assert reply.headers["Location"].endswith(f"{ALERTS}/{alert['id']}")

    @pytest.mark.parametrize("currency", ["USD", "KES", "JPY", "KWD"])
    async def test_takes_a_balance_in_any_currency_with_its_decimals(self, house: House, jane: Resident, currency: str):
        threshold = {"JPY": "5", "KWD": "5.125"}.get(currency, "5.25")
        alert = await created(house, jane, type="balance", currency=currency, threshold=threshold)
        assert (alert["currency"], alert["threshold"]) == (currency, Decimal(threshold))

    async def test_takes_the_accounts_currency_unless_told(self, house: House):
        resident = await house.open_account(currency="KES")
        assert (await created(house, resident, type="balance"))["currency"] == "KES"
        assert (await created(house, resident, currency="KES"))["currency"] == "KES"

    async def test_takes_a_quantity_with_a_metric(self, house: House, jane: Resident):
        await use(house, jane, 7)
        alert = await created(house, jane, type="usage", metric="sms", threshold="0.000000000001")
        assert (alert["metric"], alert["threshold"]) == ("sms", Decimal("0.000000000001"))
        assert (alert["status"], alert["current_value"]) == ("triggered", 7)

    async def test_takes_one_of_the_accounts_projects(self, house: House, jane: Resident):
        project_id = ids.encode("proj", jane.default_project_id)
        assert (await created(house, jane, project_id=project_id))["project_id"] == project_id

    async def test_does_not_find_another_accounts_project(self, house: House, jane: Resident):
        bob = await house.open_account()
        replies = [
            await create(house, jane, project_id=project_id)
            for project_id in (ids.encode("proj", bob.default_project_id), "proj_" + "0" * 26, "x")
        ]
        assert {reply.status for reply in replies} == {404}
        assert len({reply.text for reply in replies}) == 1
        assert (await listed(house, jane))["meta"]["total"] == 0

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            ({"type": "cost"}, ["type"]),
            ({"condition": "equals"}, ["condition"]),
            ({"threshold": 0}, ["threshold"]),
            ({"threshold": -1}, ["threshold"]),
            ({"threshold": "0.001"}, ["threshold"]),
            ({"threshold": 10**14}, ["threshold"]),
            ({"type": "balance", "condition": "less_than", "threshold": 0}, ["threshold"]),
            ({"type": "balance", "currency": "JPY", "threshold": 1.5}, ["threshold"]),
            ({"type": "balance", "currency": "usd"}, ["currency"]),
            ({"type": "usage", "metric": "sms", "threshold": "0.0000000000001"}, ["threshold"]),
            ({"type": "usage", "metric": "sms", "threshold": "1e29"}, ["threshold"]),
            ({"type": "usage", "metric": "nothing"}, ["metric"]),
            ({"type": "usage", "metric": ""}, ["metric"]),
            ({"metric": "sms"}, ["metric"]),
            ({"type": "usage", "project_id": "proj_" + "0" * 26}, ["project_id"]),
            ({"currency": "KES"}, ["currency"]),
            ({"notification_methods": []}, ["notification_methods"]),
            ({"notification_methods": "email"}, ["notification_methods"]),
            ({"notification_methods": ["pigeon"]}, ["notification_methods[0]"]),
            ({"notification_methods": ["email", "email"]}, ["notification_methods[1]"]),
            ({"status": "ok"}, ["status"]),
            (
                {
                    "type": "balance",
                    "metric": "sms",
                    "project_id": "x",
                    "threshold": 0,
                    "notification_methods": ["email"] * 2,
                },
                ["metric", "notification_methods[1]", "project_id", "threshold"],
            ),
        ],
    )
    async def test_names_every_fault(self, house: House, jane: Resident, members, faults: list[str]):
        reply = await create(house, jane, **members)
        assert (reply.status, reply.code, reply.faults) == (400, "invalid_parameter", faults)
        assert (await listed(house, jane))["meta"]["total"] == 0

    async def test_needs_all_four_members_of_the_spec(self, house: House, jane: Resident):
        reply = await house.call("POST", ALERTS, key=jane.key, body={})
        assert reply.faults == ["condition", "notification_methods", "threshold", "type"]

    async def test_refuses_a_currency_that_is_not_enabled(self, house: House, jane: Resident):
        reply = await create(house, jane, type="balance", currency="XXX")
        assert (reply.status, reply.code) == (422, "currency_not_supported")

    async def test_refuses_text_messages_without_a_phone(self, house: House, jane: Resident):
        reply = await create(house, jane, notification_methods=["email", "sms"])
        assert (reply.status, reply.code) == (422, "phone_missing")

    async def test_refuses_the_hundred_and_first(self, house: House, jane: Resident):
        for _ in range(100):
            assert (await create(house, jane)).status == 201
        reply = await create(house, jane)
        assert (reply.status, reply.code) == (422, "too_many_alerts")
        assert reply.body["error"]["details"] == {"limit": 100}

    async def test_is_made_once_per_idempotency_key(self, house: House, jane: Resident):
        headers = {"Idempotency-Key": "alert"}
        first, again = [await house.call("POST", ALERTS, key=jane.key, body=BUDGET, headers=headers) for _ in range(2)]
        assert (again.status, again.text) == (201, first.text)
        assert (await listed(house, jane))["meta"]["total"] == 1

    async def test_is_closed_to_a_suspended_account(self, house: House, jane: Resident):
        await house.suspend(jane)
        assert (await create(house, jane)).code == "account_suspended"


class TestListAlerts:
    async def test_needs_a_key_that_may_read(self, house: House, jane: Resident):
        assert (await house.call("GET", ALERTS)).status == 401
        assert (await house.call("GET", ALERTS, key=await house.issue(jane, "write"))).code == "forbidden"

    async def test_shows_nothing_at_first(self, house: House, jane: Resident):
        body = await listed(house, jane)
        assert list(body) == ["alerts", "notifications", "meta"]
        assert (body["alerts"], body["notifications"], body["meta"]["total"]) == ([], [], 0)

    async def test_pages_the_accounts_own_oldest_first(self, house: House, jane: Resident):
        await created(house, await house.open_account())
        made = [(await created(house, jane))["id"] for _ in range(3)]
        pages = [await house.call("GET", f"{ALERTS}?page={page}&per_page=2", key=jane.key) for page in (1, 2, 3)]
        assert [alert["id"] for page in pages for alert in page.body["alerts"]] == made
        assert [page.body["meta"]["total"] for page in pages] == [3, 3, 3]

    async def test_shows_them_live_before_anything_was_told(self, house: House, jane: Resident):
        budget = await created(house, jane, threshold=1)
        quantity = await created(
            house, jane, threshold=101, type="usage", condition="less_than", metric=await metric(house)
        )
        await use(house, jane, 100)
        at_threshold = (await listed(house, jane))["alerts"]
        assert [(one["status"], one["current_value"]) for one in at_threshold] == [("ok", 1), ("triggered", 100)]
        await use(house, jane, 1)
        above = (await listed(house, jane))["alerts"]
        assert [(one["status"], one["current_value"]) for one in above] == [("triggered", Decimal("1.01")), ("ok", 101)]
        assert [one["id"] for one in above] == [budget["id"], quantity["id"]]
        assert {one["last_triggered_at"] for one in above} == {None}

    async def test_shows_what_was_told_newest_first(self, house: House, jane: Resident):
        await pay_in(house, jane, 1000)
        await tick(house)
        alert = await created(
            house, jane, type="balance", condition="less_than", threshold=50, notification_methods=["webhook", "email"]
        )
        await tick(house)
        fired_at = house.clock.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        await pay_in(house, jane, 4000)
        await tick(house)
        body = await listed(house, jane)
        recovered, fired = body["notifications"]
        assert list(fired)[: len(TOLD)] == TOLD
        assert fired == {
            "id": fired["id"],
            "alert_id": alert["id"],
            "kind": "fired",
            "value": Decimal("10.00"),
            "threshold": Decimal("50.00"),
            "created_at": fired_at,
            "deliveries": [
                {"method": "email", "status": "pending"},
                {"method": "webhook", "status": "pending"},
            ],
            "project_id": None,
            "percent": None,
            "currency": "USD",
        }
        assert (recovered["kind"], recovered["value"], recovered["alert_id"]) == ("recovered", 50, alert["id"])
        assert (body["alerts"][0]["status"], body["alerts"][0]["last_triggered_at"]) == ("ok", fired_at)

    async def test_shows_the_steps_of_project_budgets(self, house: House, jane: Resident):
        project = await house.call("POST", "/v1/projects", key=jane.key, body={"name": "P", "budget_limit": 0.1})
        project_id = project.body["project"]["id"]
        await use(house, jane, 9, project_id=project_id)
        await tick(house)
        told = (await listed(house, jane))["notifications"]
        assert [(one["percent"], one["project_id"], one["alert_id"], one["threshold"]) for one in told] == [
            (80, project_id, None, Decimal("0.08")),
            (50, project_id, None, Decimal("0.05")),
        ]

    @pytest.mark.parametrize("query", ["page=0", "per_page=101", "page=x", "type=budget"])
    async def test_refuses_a_faulty_query(self, house: House, jane: Resident, query: str):
        reply = await house.call("GET", f"{ALERTS}?{query}", key=jane.key)
        assert (reply.status, reply.code) == (400, "invalid_parameter")


async def metric(house: House) -> str:
    """A meter that exists."""
    await use(house, await house.open_account(), 1)
    return "sms"


async def pay_in(house: House, resident: Resident, amount_minor: int) -> None:
    house.clock.advance(timedelta(seconds=1))
    async with house.database.transaction() as tx:
        await cloud.pay_in(tx, resident.account_id, amount_minor)


class TestShowAlert:
    async def test_shows_one(self, house: House, jane: Resident):
        alert = await created(house, jane)
        reply = await house.call("GET", f"{ALERTS}/{alert['id']}", key=jane.key)
        assert (reply.status, reply.body) == (200, {"alert": alert})

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    async def test_does_not_find_unknown_or_foreign_ids(self, house: House, jane: Resident, method: str):
        foreign = await created(house, await house.open_account())
        replies = [
            await house.call(method, f"{ALERTS}/{alert_id}", key=jane.key, body={} if method == "PUT" else None)
            for alert_id in (foreign["id"], UNKNOWN, "x", "acc_" + "0" * 26, "alert_" + "z" * 26)
        ]
        assert {reply.status for reply in replies} == {404}
        assert len({reply.text for reply in replies}) == 1

    @pytest.mark.parametrize(("method", "lesser"), [("GET", "write"), ("PUT", "read"), ("DELETE", "read")])
    async def test_needs_a_key_with_the_permission(self, house: House, jane: Resident, method: str, lesser: Any):
        path = f"{ALERTS}/{(await created(house, jane))['id']}"
        body = {} if method == "PUT" else None
        assert (await house.call(method, path, body=body)).status == 401
        key = await house.issue(jane, lesser)
        assert (await house.call(method, path, key=key, body=body)).status == 403


class TestUpdateAlert:
    async def test_sets_what_is_named(self, house: House, jane: Resident):
        alert = await created(house, jane)
        path = f"{ALERTS}/{alert['id']}"
        assert (await house.call("PUT", path, key=jane.key, body={})).body == {"alert": alert}
        sent = {"threshold": 12.5, "condition": "less_than", "notification_methods": ["webhook"]}
        reply = await house.call("PUT", path, key=jane.key, body=sent)
        assert (reply.status, reply.body["alert"]) == (200, {**alert, **sent, "status": "triggered"})

    @pytest.mark.parametrize(
        ("sent", "faults"),
        [
            ({"threshold": 0}, ["threshold"]),
            ({"threshold": None}, ["threshold"]),
            (
                {"threshold": 1.001, "notification_methods": ["email", "email"]},
                ["notification_methods[1]", "threshold"],
            ),
            ({"condition": "above"}, ["condition"]),
            ({"notification_methods": []}, ["notification_methods"]),
            ({"type": "usage", "metric": "sms", "currency": "KES"}, ["currency", "metric", "type"]),
        ],
    )
    async def test_names_every_fault(self, house: House, jane: Resident, sent, faults: list[str]):
        alert = await created(house, jane)
        reply = await house.call("PUT", f"{ALERTS}/{alert['id']}", key=jane.key, body=sent)
        assert (reply.status, reply.faults) == (400, faults)
        assert (await house.call("GET", f"{ALERTS}/{alert['id']}", key=jane.key)).body == {"alert": alert}

    async def test_refuses_text_messages_without_a_phone(self, house: House, jane: Resident):
        path = f"{ALERTS}/{(await created(house, jane))['id']}"
        sent = {"notification_methods": ["sms"]}
        assert (await house.call("PUT", path, key=jane.key, body=sent)).code == "phone_missing"
        await give_phone(house, jane)
        assert (await house.call("PUT", path, key=jane.key, body=sent)).status == 200


class TestDeleteAlert:
    async def test_removes_it_and_keeps_what_it_told(self, house: House, jane: Resident):
        alert = await created(house, jane, type="balance", condition="less_than")
        await tick(house)
        path = f"{ALERTS}/{alert['id']}"
        reply = await house.call("DELETE", path, key=jane.key)
        assert (reply.status, reply.text) == (204, "")
        assert {(await house.call(method, path, key=jane.key)).status for method in ("GET", "DELETE")} == {404}
        body = await listed(house, jane)
        assert body["alerts"] == []
        assert [one["alert_id"] for one in body["notifications"]] == [alert["id"]]


class TestOperatorsList:
    async def test_shows_what_the_account_sees(self, house: House, jane: Resident):
        await created(house, jane, type="balance", condition="less_than")
        await tick(house)
        reply = await house.operate("GET", f"/accounts/{jane.id}/alerts")
        assert (reply.status, reply.body) == (200, await listed(house, jane))

    async def test_needs_the_accounts_scope_and_an_account(self, house: House, jane: Resident):
        path = f"/operator/v1/accounts/{jane.id}/alerts"
        assert (await house.call("GET", path)).status == 401
        assert (await house.call("GET", path, key=await house.issue_operator("billing"))).status == 403
        assert (await house.call("GET", path, key=jane.key)).status == 404
        assert (await house.operate("GET", f"/accounts/{STRANGER}/alerts")).status == 404


class TestTestAlert:
    async def test_tells_it_by_all_channels_and_fires_nothing(self, house: House, jane: Resident):
        alert = await created(house, jane, notification_methods=["email", "webhook"])
        path = f"/accounts/{jane.id}/alerts/{alert['id']}/test"
        for _ in range(2):
            reply = await house.operate("POST", path)
            assert reply.status == 201
            trial = reply.body["notification"]
            assert (trial["alert_id"], trial["kind"]) == (alert["id"], "test")
            assert trial["deliveries"] == [
                {"method": "email", "status": "pending"},
                {"method": "webhook", "status": "pending"},
            ]
        await tick(house)
        body = await listed(house, jane)
        assert (body["notifications"], body["alerts"][0]["last_triggered_at"]) == ([], None)

    async def test_needs_the_accounts_scope_and_the_alert(self, house: House, jane: Resident):
        bob = await house.open_account()
        alert = await created(house, jane)
        path = f"/operator/v1/accounts/{jane.id}/alerts/{alert['id']}/test"
        assert (await house.call("POST", path)).status == 401
        assert (await house.call("POST", path, key=await house.issue_operator("billing"))).status == 403
        for account_id, alert_id in ((bob.id, alert["id"]), (jane.id, UNKNOWN), (STRANGER, alert["id"])):
            assert (await house.operate("POST", f"/accounts/{account_id}/alerts/{alert_id}/test")).status == 404

    async def test_refuses_text_messages_once_the_phone_is_gone(self, house: House, jane: Resident):
        await give_phone(house, jane)
        alert = await created(house, jane, notification_methods=["sms"])
        async with house.database.transaction() as tx:
            await accounts.change(tx, account_id=jane.account_id, changes={"phone": None})
        reply = await house.operate("POST", f"/accounts/{jane.id}/alerts/{alert['id']}/test")
        assert reply.code == "phone_missing"
