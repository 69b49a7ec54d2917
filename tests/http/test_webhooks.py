"""The calls about webhooks and the log of events: the account's own, and the operator's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from billing import webhooks
from billing.app import outbox as outbox_routes
from billing.kit import outbox
from billing.kit.auth import read_networks
from billing.kit.secret_key import SecretKey
from billing.webhooks import Outcome, WebhookSettings, operator_routes, routes
from tests.support.house import STRANGER, House, Reply, Resident, open_house
from tests.support.sink import StubSender

WEBHOOKS = "/v1/account/webhooks"
UNKNOWN = "wh_" + "0" * 26
NO_MESSAGE = "evt_" + "0" * 26
URL = "https://hooks.example.com/billing"
MEMBERS = {
    "id", "url", "description", "events", "status", "disabled_reason", "disabled_at", "failing_since", "secret_rotated_at",
    "created_at",
}  # fmt: skip


@pytest.fixture
def sender() -> StubSender:
    return StubSender(refused={"https://inside.example.com/"})


@pytest_asyncio.fixture
async def house(module_dsn: str, sender: StubSender) -> AsyncIterator[House]:
    async with open_house(
        module_dsn,
        public=routes.HANDLERS,
        operator=[*operator_routes.HANDLERS, *outbox_routes.HANDLERS],
        values={"webhook_settings": sender.settings},
    ) as opened:
        yield opened


@pytest_asyncio.fixture
async def jane(house: House) -> Resident:
    return await house.open_account()


async def create(house: House, resident: Resident, *, headers: dict[str, str] | None = None, **members: Any) -> Reply:
    house.clock.advance(timedelta(seconds=1))
    return await house.call("POST", WEBHOOKS, key=resident.key, body={"url": URL, **members}, headers=headers)


async def created(house: House, resident: Resident, **members: Any) -> dict[str, Any]:
    reply = await create(house, resident, **members)
    assert reply.status == 201, reply.text
    return reply.body["webhook"]


async def sent(house: House, resident: Resident, sender: StubSender, *, code: int = 200) -> tuple[str, str]:
    """An endpoint and a message to it, which was answered so."""
    webhook = await created(house, resident)
    path = f"{WEBHOOKS}/{webhook['id']}"
    tested = await house.call("POST", f"{path}/test", key=resident.key)
    assert tested.status == 201, tested.text
    sender.answer = lambda _: Outcome(status_code=code, reason=None if code == 200 else "gone", duration_ms=7)
    await webhooks.send_due(house.database, settings=sender.settings)
    return path, tested.body["delivery"]["id"]


PATHS = [
    ("GET", "", "read"),
    ("POST", "", "write"),
    ("GET", f"/{UNKNOWN}", "read"),
    ("PUT", f"/{UNKNOWN}", "write"),
    ("DELETE", f"/{UNKNOWN}", "write"),
    ("POST", f"/{UNKNOWN}/rotate-secret", "write"),
    ("POST", f"/{UNKNOWN}/test", "write"),
    ("GET", f"/{UNKNOWN}/deliveries", "read"),
    ("GET", f"/{UNKNOWN}/deliveries/{NO_MESSAGE}", "read"),
    ("POST", f"/{UNKNOWN}/deliveries/{NO_MESSAGE}/redeliver", "write"),
]


@pytest.mark.parametrize(("method", "path", "permission"), PATHS)
async def test_every_call_asks_for_a_key_with_its_permission(
    house: House, jane: Resident, method: str, path: str, permission: str
) -> None:
    body = {"url": URL} if (method, path) == ("POST", "") or method == "PUT" else None
    lesser = await house.issue(jane, "write" if permission == "read" else "read")
    assert (await house.call(method, WEBHOOKS + path, body=body)).status == 401
    assert (await house.call(method, WEBHOOKS + path, key=lesser, body=body)).status == 403
    if path:
        assert (await house.call(method, WEBHOOKS + path, key=jane.key, body=body)).code == "not_found"


class TestCreate:
    async def test_shows_the_secret_once(self, house: House, jane: Resident) -> None:
        headers = {"Idempotency-Key": "once"}
        reply = await create(house, jane, headers=headers, events=["invoice.*", "payment.failed"], description="Books")
        webhook = reply.body["webhook"]
        assert reply.status == 201
        assert set(webhook) == {*MEMBERS, "secret", "previous_secret_until"}
        assert webhook["secret"].startswith("whsec_")
        assert (webhook["events"], webhook["status"]) == (["invoice.*", "payment.failed"], "enabled")
        assert reply.headers["Location"] == f"{WEBHOOKS}/{webhook['id']}"
        again = await create(house, jane, headers=headers, events=["invoice.*", "payment.failed"], description="Books")
        assert again.body["webhook"] == {**webhook, "secret": None}
        shown = (await house.call("GET", f"{WEBHOOKS}/{webhook['id']}", key=jane.key)).body["webhook"]
        assert (set(shown), shown["url"]) == (MEMBERS, URL)

    async def test_keeps_no_secret(self, house: House, jane: Resident) -> None:
        secret = (await created(house, jane))["secret"].removeprefix("whsec_")
        async with house.database.reading() as reading:
            tables = ("webhook_endpoints", "secret_keys", "audit_records", "idempotency_keys", "outbox_events")
            for table in tables:
                rows = await reading.connection.fetch(f"SELECT t::text AS row FROM {table} AS t")  # noqa: S608
                assert not [row for row in rows if secret in row["row"]]

    async def test_takes_all_events_unless_told(self, house: House, jane: Resident) -> None:
        assert (await created(house, jane))["events"] == ["*"]

    @pytest.mark.parametrize(
        ("members", "paths"),
        [
            ({"url": "http://hooks.example.com/"}, ["url"]),
            ({"url": "https://127.0.0.1/"}, ["url"]),
            ({"url": "https://user@hooks.example.com/"}, ["url"]),
            ({"url": "https://example.com/" + "x" * 500}, ["url"]),
            ({"url": None}, ["url"]),
            ({"events": []}, ["events"]),
            ({"events": ["invoice.eaten"]}, ["events[0]"]),
            ({"events": ["invoice.paid", "wallet.credited", "webhook.test"]}, ["events[1]", "events[2]"]),
            ({"description": ""}, ["description"]),
            ({"secret": "whsec_AAAA"}, ["secret"]),
        ],
    )
    async def test_refuses_what_cannot_be(
        self, house: House, jane: Resident, members: dict[str, Any], paths: list[str]
    ) -> None:
        reply = await create(house, jane, **members)
        assert (reply.status, reply.faults) == (400, paths)

    async def test_refuses_a_host_that_is_not_public(self, house: House, jane: Resident) -> None:
        assert (await create(house, jane, url="https://inside.example.com/")).code == "url_refused"

    async def test_allows_twenty(self, house: House, jane: Resident) -> None:
        replies = await asyncio.gather(*(create(house, jane) for _ in range(23)))
        assert sorted(reply.status for reply in replies) == [201] * 20 + [422] * 3
        assert {reply.code for reply in replies if reply.status == 422} == {"too_many_webhooks"}

    async def test_is_refused_with_another_secret_key_than_the_databases(
        self, module_dsn: str, house: House, jane: Resident, sender: StubSender
    ) -> None:
        await created(house, jane)
        settings = WebhookSettings(sender=sender, secret_key=SecretKey(bytes(32)))
        async with open_house(module_dsn, public=routes.HANDLERS, values={"webhook_settings": settings}) as other:
            reply = await create(other, jane)
            assert (reply.status, reply.code) == (503, "unavailable")
            assert (await other.call("GET", WEBHOOKS, key=jane.key)).status == 200

    async def test_allows_networks_of_the_installation(
        self, module_dsn: str, house: House, jane: Resident, sender: StubSender
    ) -> None:
        settings = WebhookSettings(
            sender=sender, secret_key=sender.settings.secret_key, networks=read_networks(["10.20.0.0/16"])
        )
        async with open_house(module_dsn, public=routes.HANDLERS, values={"webhook_settings": settings}) as other:
            assert (await create(other, jane, url="https://10.20.1.1/")).status == 201
            assert (await create(other, jane, url="https://10.21.1.1/")).status == 400


class TestChange:
    async def test_sets_what_it_names(self, house: House, jane: Resident) -> None:
        webhook = await created(house, jane, description="Books")
        path = f"{WEBHOOKS}/{webhook['id']}"
        changes = {"url": "https://new.example.com/", "events": ["refund.*"], "description": None}
        reply = await house.call("PUT", path, key=jane.key, body=changes)
        assert (reply.status, reply.body["webhook"] | changes) == (200, reply.body["webhook"])
        assert (await house.call("PUT", path, key=jane.key, body={})).body == reply.body
        inside = await house.call("PUT", path, key=jane.key, body={"url": "https://inside.example.com/"})
        assert inside.code == "url_refused"

    async def test_disables_and_enables(self, house: House, jane: Resident) -> None:
        path = f"{WEBHOOKS}/{(await created(house, jane))['id']}"
        disabled = (await house.call("PUT", path, key=jane.key, body={"status": "disabled"})).body["webhook"]
        assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "asked")
        assert (await house.call("POST", f"{path}/test", key=jane.key)).code == "webhook_disabled"
        enabled = (await house.call("PUT", path, key=jane.key, body={"status": "enabled"})).body["webhook"]
        assert (enabled["status"], enabled["disabled_reason"], enabled["disabled_at"]) == ("enabled", None, None)

    @pytest.mark.parametrize(
        ("body", "path"),
        [({"status": "gone"}, "status"), ({"events": ["x"]}, "events[0]"), ({"failures": 0}, "failures")],
    )
    async def test_refuses_what_cannot_be(self, house: House, jane: Resident, body: Any, path: str) -> None:
        webhook = await created(house, jane)
        reply = await house.call("PUT", f"{WEBHOOKS}/{webhook['id']}", key=jane.key, body=body)
        assert (reply.status, reply.faults) == (400, [path])

    async def test_is_the_owners_alone(self, house: House, jane: Resident, sender: StubSender) -> None:
        path, message_id = await sent(house, jane, sender)
        bob = await house.open_account()
        for method, tail in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/rotate-secret"), ("POST", "/test")):
            body = {"status": "disabled"} if method == "PUT" else None
            assert (await house.call(method, path + tail, key=bob.key, body=body)).code == "not_found"
        for method, tail in (("GET", ""), ("GET", f"/{message_id}"), ("POST", f"/{message_id}/redeliver")):
            assert (await house.call(method, f"{path}/deliveries{tail}", key=bob.key)).code == "not_found"


class TestRotate:
    async def test_shows_the_new_secret_and_how_long_the_old_one_signs(self, house: House, jane: Resident) -> None:
        webhook = await created(house, jane)
        path = f"{WEBHOOKS}/{webhook['id']}/rotate-secret"
        rotated = (await house.call("POST", path, key=jane.key, headers={"Idempotency-Key": "r"})).body["webhook"]
        assert rotated["secret"] not in {None, webhook["secret"]}
        until = (house.clock.now + timedelta(hours=24)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert rotated["previous_secret_until"] == until
        replayed = await house.call("POST", path, key=jane.key, headers={"Idempotency-Key": "r"})
        assert replayed.body["webhook"] == {**rotated, "secret": None}

    async def test_is_audited_without_the_secret(self, house: House, jane: Resident) -> None:
        webhook = await created(house, jane)
        path = f"{WEBHOOKS}/{webhook['id']}"
        await house.call("POST", f"{path}/rotate-secret", key=jane.key)
        await house.call("DELETE", path, key=jane.key)
        async with house.database.reading() as reading:
            rows = await reading.connection.fetch(
                "SELECT action FROM audit_records WHERE account_id = $1 ORDER BY number", jane.account_id
            )
        assert [row["action"] for row in rows] == ["webhook.created", "webhook.secret_rotated", "webhook.deleted"]


class TestDelete:
    async def test_removes_the_endpoint(self, house: House, jane: Resident, sender: StubSender) -> None:
        path, _ = await sent(house, jane, sender)
        assert (await house.call("DELETE", path, key=jane.key)).status == 204
        for tail in ("", "/deliveries"):
            assert (await house.call("GET", path + tail, key=jane.key)).status == 404
        assert (await house.call("DELETE", path, key=jane.key)).status == 404
        assert (await house.call("GET", WEBHOOKS, key=jane.key)).body["webhooks"] == []


class TestDeliveries:
    async def test_tell_how_each_attempt_went(self, house: House, jane: Resident, sender: StubSender) -> None:
        path, message_id = await sent(house, jane, sender)
        [delivery] = (await house.call("GET", f"{path}/deliveries", key=jane.key)).body["deliveries"]
        assert (delivery["id"], delivery["type"], delivery["status"]) == (message_id, "webhook.test", "delivered")
        [attempt] = delivery["newest_attempts"]
        assert (attempt["number"], attempt["status_code"], attempt["duration_ms"], attempt["reason"]) == (
            1,
            200,
            7,
            None,
        )
        one = await house.call("GET", f"{path}/deliveries/{message_id}", key=jane.key)
        assert one.body == {"delivery": delivery}
        failed = await house.call("GET", f"{path}/deliveries?status=failed", key=jane.key)
        assert failed.body["deliveries"] == []
        assert (await house.call("GET", f"{path}/deliveries?status=x", key=jane.key)).status == 400
        assert (await house.call("GET", f"{path}/deliveries/{NO_MESSAGE}", key=jane.key)).status == 404

    async def test_are_sent_again_with_the_same_id(self, house: House, jane: Resident, sender: StubSender) -> None:
        path, message_id = await sent(house, jane, sender)
        again = f"{path}/deliveries/{message_id}/redeliver"
        reply = await house.call("POST", again, key=jane.key)
        assert (reply.status, reply.body["delivery"]["status"]) == (200, "pending")
        assert (await house.call("POST", again, key=jane.key)).code == "delivery_under_way"
        await webhooks.send_due(house.database, settings=sender.settings)
        assert [headers["webhook-id"] for _, headers, _ in sender.sent] == [message_id] * 2
        await house.call("PUT", path, key=jane.key, body={"status": "disabled"})
        assert (await house.call("POST", again, key=jane.key)).code == "webhook_disabled"


class TestOperator:
    async def test_sees_endpoints_and_what_was_given_up_and_sends_it_again(
        self, house: House, jane: Resident, sender: StubSender
    ) -> None:
        path, message_id = await sent(house, jane, sender, code=410)
        webhook_id = path.rpartition("/")[2]
        listed = await house.operate("GET", f"/accounts/{jane.id}/webhooks")
        assert [one["disabled_reason"] for one in listed.body["webhooks"]] == ["gone"]
        failed = await house.operate("GET", f"/webhooks/deliveries?status=failed&account_id={jane.id}")
        [delivery] = failed.body["deliveries"]
        assert (delivery["id"], delivery["webhook_id"], delivery["account_id"]) == (message_id, webhook_id, jane.id)
        replay, since = f"/accounts/{jane.id}/webhooks/replay", {"since": "2024-01-01T00:00:00Z"}
        assert (await house.operate("POST", replay, body=since)).body == {"replayed": 0}  # it is disabled
        await house.call("PUT", path, key=jane.key, body={"status": "enabled"})
        assert (await house.operate("POST", replay, body={**since, "webhook_id": UNKNOWN})).status == 404
        assert (await house.operate("POST", replay, body={**since, "webhook_id": webhook_id})).body == {"replayed": 1}
        assert (await house.operate("POST", replay, body={})).faults == ["since"]
        assert (await house.operate("GET", f"/accounts/{STRANGER}/webhooks")).status == 404

    @pytest.mark.parametrize("path", ["/webhooks/deliveries", f"/accounts/{STRANGER}/webhooks"])
    async def test_needs_the_scope_of_accounts(self, house: House, path: str) -> None:
        key = await house.issue_operator("metering", "audit")
        assert (await house.call("GET", f"/operator/v1{path}", key=key)).status == 403


class TestLog:
    """GET /outbox."""

    async def publish(self, house: House, resident: Resident, *object_ids: str, type: str = "invoice.paid") -> None:
        async with house.database.transaction() as tx:
            for object_id in object_ids:
                await outbox.publish(
                    tx, account_id=resident.account_id, type=type, object_id=object_id, payload={"amount": "1.50"}
                )

    async def read(self, house: House, query: str = "", *, after: str | None = None) -> dict[str, Any]:
        cursor = "" if after is None else f"&after={after}"
        return (await house.operate("GET", f"/outbox?{query}{cursor}")).body

    async def follow(self, house: House, query: str, wanted: int, *, after: str | None = None) -> list[dict[str, Any]]:
        """The events behind a cursor, as a platform reads them, until so many have come."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            while len(found) < wanted:
                answer = await self.read(house, query, after=after)
                found, after = [*found, *answer["events"]], answer["cursor"]
                if not answer["has_more"]:
                    await asyncio.sleep(0.02)  # another test's transaction may hold the log back
        return found

    async def test_tells_each_event_once_in_parts(self, house: House, jane: Resident) -> None:
        await self.publish(house, jane, "a", "b", "c")
        await self.publish(house, jane, "d", type="payment.failed")
        found = await self.follow(house, f"account_id={jane.id}&limit=2", 5)
        opened, *found = found
        assert (opened["type"], [event["data"]["id"] for event in found]) == ("api_key.created", ["a", "b", "c", "d"])
        assert found[0]["account_id"] == jane.id
        assert (found[0]["type"], found[0]["data"]["amount"]) == ("invoice.paid", "1.50")
        assert found[0]["data"]["version"] < found[1]["data"]["version"]

    async def test_misses_nothing_that_commits_late(self, house: House, jane: Resident) -> None:
        """A transaction stays open while later ones commit; who goes on from the cursor sees its event all the same."""
        query = f"account_id={jane.id}&type=invoice.paid"
        await self.publish(house, jane, "before")
        async with house.database.transaction() as late:
            await outbox.publish(late, account_id=jane.account_id, type="invoice.paid", object_id="late", payload={})
            await self.publish(house, jane, "meanwhile")
            [before] = await self.follow(house, query, 1)
            assert before["data"]["id"] == "before"
            answer = await self.read(house, query)
            assert [event["data"]["id"] for event in answer["events"]] == ["before"]
        found = await self.follow(house, query, 2, after=answer["cursor"])
        assert [event["data"]["id"] for event in found] == ["late", "meanwhile"]

    async def test_moves_on_past_what_a_filter_leaves_out(self, house: House, jane: Resident) -> None:
        await self.publish(house, jane, "a")
        await self.follow(house, f"account_id={jane.id}", 2)
        answer = await self.read(house, f"type=refund.failed&account_id={jane.id}")
        assert (answer["events"], answer["has_more"]) == ([], False)
        assert (await self.read(house, f"account_id={jane.id}", after=answer["cursor"]))["events"] == []

    @pytest.mark.parametrize(
        ("query", "path"),
        [("after=x", "after"), ("after=", "after"), ("limit=0", "limit"), ("limit=1001", "limit"), ("type=x", "type")],
    )
    async def test_refuses_what_cannot_be(self, house: House, query: str, path: str) -> None:
        reply = await house.operate("GET", f"/outbox?{query}")
        assert (reply.status, reply.faults) == (400, [path])

    async def test_needs_the_scope_of_audit(self, house: House) -> None:
        keys = [await house.issue_operator("audit"), await house.issue_operator("billing", "metering", "accounts")]
        assert [(await house.call("GET", "/operator/v1/outbox", key=key)).status for key in keys] == [200, 403]
