"""The audit trail at the edge: every operator's write and key event stands in it once, and GET /audit shows it (X21)."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest
import pytest_asyncio
from litestar import post
from litestar.handlers import HTTPRouteHandler

from billing import accounts, wallets
from billing.accounts import operator_routes as account_routes
from billing.api_keys import routes as key_routes
from billing.app import audit as audit_routes
from billing.app import check
from billing.app.http import OPERATOR, PUBLIC
from billing.core import ids
from billing.core.errors import Refused, Unavailable
from billing.kit.auth import Operator
from billing.kit.db import Tx
from billing.kit.web import Answer, Command
from billing.kit.web.endpoints import AUDITED
from billing.onboarding import operator_routes as opening_routes
from billing.wallets import operator_routes as wallet_routes
from tests.support import databases, postgres
from tests.support.every_route import TABLE, fresh
from tests.support.house import STRANGER, House, Reply, Resident, counted, open_house
from tests.support.serving import run, serving
from tests.support.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"
# What is not an operator's act: the platform's data, and what stores nothing.
EXCEPTIONS = {"POST /events", "PUT /accounts/{account_id}/resources/{resource_id}", "POST /quotes"}
KEY_EVENTS = {
    "POST /account/api-keys": "key.created",
    "DELETE /account/api-keys/{key_id}": "key.revoked",
    "POST /account/webhooks": "webhook.created",
    "PUT /account/webhooks/{webhook_id}": "webhook.updated",
    "DELETE /account/webhooks/{webhook_id}": "webhook.deleted",
    "POST /account/webhooks/{webhook_id}/rotate-secret": "webhook.secret_rotated",
}
OPENING = {"email": "new@example.com", "name": "Acme", "currency": "USD"}


class PaymentDeclined(Refused):
    """The gateway said no."""

    message = "The payment was declined"


@post("/stages/{account_id:str}/{outcome:str}")
async def stage(payments_operator: Operator, account_id: str, outcome: str, command: Command) -> Answer:
    """A staged call of an operator's, such as a refund through a gateway."""

    async def start(tx: Tx) -> dict[str, Any]:
        if outcome == "refused":
            raise PaymentDeclined
        return {}

    async def finish(_: dict[str, Any]) -> dict[str, Any]:
        if outcome == "declined":
            raise PaymentDeclined
        if outcome == "lost":
            raise Unavailable
        return {"ok": True}

    return await command.run_staged(start=start, finish=finish)


@post("/things/{thing_id:str}/change")
async def change_thing(payments_operator: Operator, thing_id: str, command: Command) -> Answer:
    """What belongs to an account that neither path nor body names."""

    async def work(tx: Tx) -> dict[str, Any]:
        identifier = ids.decode("acc", STRANGER)
        assert identifier is not None
        command.concerns(identifier)
        return {"id": thing_id}

    return await command.run(work)


@pytest_asyncio.fixture(loop_scope="session")
async def house(module_dsn: str) -> AsyncIterator[House]:
    operator = [
        *account_routes.HANDLERS,
        *opening_routes.HANDLERS,
        *wallet_routes.HANDLERS,
        *audit_routes.HANDLERS,
        *check.HANDLERS,
        stage,
        change_thing,
    ]
    values = {
        "wallet_settings": wallets.WalletSettings(
            reserve=wallets.nothing_reserved, currencies=accounts.CURRENCIES_DEFAULT
        )
    }
    async with open_house(module_dsn, public=key_routes.HANDLERS, operator=operator, values=values) as opened:
        yield opened


async def trail(house: House, query: str = "") -> list[dict[str, Any]]:
    """The records that a query lets through, newest first."""
    answer = await house.operate("GET", f"/audit?per_page=100{query}")
    assert answer.status == 200, answer.text
    return answer.body["entries"]


async def head(house: House) -> int:
    return (await house.operate("GET", "/audit?per_page=1")).body["head"]["number"]


async def credit(house: House, resident: Resident, *, key: str, amount: object = 5) -> Reply:
    return await house.operate(
        "POST",
        f"/accounts/{resident.id}/credits",
        body={"amount": amount, "currency": "USD", "reason": "Sorry"},
        headers={"Idempotency-Key": key},
    )


def writing(handlers: list[HTTPRouteHandler]) -> list[tuple[str, HTTPRouteHandler]]:
    """Every handler that is not a GET's, as `METHOD /path/{parameter}`."""
    return [
        (f"{method} {re.sub(r':[a-z]+}', '}', path)}", handler)
        for handler in handlers
        for path in sorted(handler.paths)
        for method in sorted(handler.http_methods)
        if method != "GET"
    ]


class TestRoutes:
    async def test_of_operators_that_write_are_audited_or_told_exceptions(self):
        found = writing(OPERATOR)
        assert {name for name, handler in found if handler.opt.get(AUDITED) is False} == EXCEPTIONS
        assert [name for name, handler in found if handler.opt.get(AUDITED, True) not in {True, False}] == []
        assert [name for name, handler in found if "command" not in inspect.signature(handler.fn).parameters] == []

    async def test_of_accounts_are_audited_where_keys_and_webhooks_come_and_go(self):
        found = {name: handler.opt[AUDITED] for name, handler in writing(PUBLIC) if AUDITED in handler.opt}
        assert found == KEY_EVENTS

    async def test_that_are_exceptions_are_those_of_the_document(self):
        text = DOCUMENT.read_text(encoding="utf-8").partition("## What is not in it")[2]
        assert set(re.findall(r"^\| `([A-Z]+ /[^`]+)` \|", text, re.MULTILINE)) == EXCEPTIONS


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(database_dsn_of_world: str) -> AsyncIterator[World]:
    async with open_world(database_dsn_of_world) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database_dsn_of_world(database_server: Path) -> AsyncIterator[str]:
    name = await databases.clone(database_server)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


@pytest.mark.parametrize("name", TABLE)
class TestEveryRoute:
    async def test_leaves_one_record_if_it_is_an_operators_write(self, world: World, name: str):
        house, route = world.house, TABLE[name]
        before = await self._records(world)
        body = None if route.body is None else json.dumps(route.body(world.mine)).encode()
        query = f"?{urlencode(route.query)}" if route.method == "GET" and route.query else ""
        answer = await house.call(
            route.method,
            route.path(world.mine) + query,
            key=world.jane.key if route.is_public else house.operator_key,
            body=body,
            headers={"Content-Type": route.media_type, "Idempotency-Key": fresh()},
        )
        assert answer.status < 300, answer.text
        written = (await self._records(world))[len(before) :]
        plane = "/v1" if route.is_public else "/operator/v1"
        action = f"{route.method} {re.sub(r':[a-z]+}', '}', route.template.removeprefix(plane))}"
        expected = KEY_EVENTS.get(action) if route.is_public else action
        if route.method == "GET" or action in EXCEPTIONS or expected is None:
            assert written == []
        else:
            ((done, kind, status, objects, request_id, digest),) = written
            assert (done, kind) == (expected, "account_key" if route.is_public else "operator")
            assert status in {answer.status, None}
            assert set(json.loads(objects)) == set(route.parameters)
            assert request_id == answer.headers["X-Request-Id"]
            assert (digest is not None) == (body is not None)

    async def _records(self, world: World) -> list[asyncpg.Record]:
        async with world.house.database.reading() as tx:
            return await tx.connection.fetch(
                "SELECT action, actor_kind, status, objects, request_id, body_digest FROM audit_records ORDER BY number"
            )


class TestRecord:
    async def test_says_who_did_what_to_what_when_and_from_where(self, house: House):
        resident = await house.open_account()
        answer = await house.operate(
            "PUT",
            f"/accounts/{resident.id}",
            body={"name": "New name", "terms_days": 30},
            headers={"X-Request-Id": "abc"},
        )
        assert answer.status == 200
        (record, *_) = await trail(house)
        assert re.fullmatch(r"op_[0-9a-z]{26}", record["actor"]["id"])
        assert record == {
            "number": await head(house),
            "occurred_at": "2024-02-01T10:00:00Z",
            "actor": {"kind": "operator", "id": record["actor"]["id"], "name": "Test"},
            "action": "PUT /accounts/{account_id}",
            "objects": {"account_id": resident.id},
            "account_id": resident.id,
            "status": 200,
            "ip": "127.0.0.1",
            "request_id": "abc",
            "body_digest": record["body_digest"],
            "details": {"members": ["name", "terms_days"]},
            "hash": record["hash"],
        }

    async def test_holds_the_same_digest_for_the_same_values_alone(self, house: House):
        resident = await house.open_account()
        digests: list[str] = []
        for body in (b'{"amount":5,"currency":"USD","reason":"a"}', b'{"reason":"a", "currency":"USD","amount":5.00}'):
            headers = {"Idempotency-Key": fresh()}
            await house.operate("POST", f"/accounts/{resident.id}/credits", body=body, headers=headers)
            digests.append((await trail(house))[0]["body_digest"])
        await credit(house, resident, key=fresh(), amount=6)
        assert digests[0] == digests[1] != (await trail(house))[0]["body_digest"]
        await house.operate("POST", f"/accounts/{resident.id}/suspend")
        assert (await trail(house))[0]["body_digest"] is None

    async def test_names_the_account_that_an_opening_made(self, house: House):
        answer = await house.operate("POST", "/accounts", body=OPENING, headers={"Idempotency-Key": fresh()})
        made = answer.body["account"]["id"]
        (record, *_) = await trail(house)
        assert (record["action"], record["account_id"], record["objects"]) == ("POST /accounts", made, {})
        assert record["details"]["location"] == f"/operator/v1/accounts/{made}"
        secret = answer.body["api_key"]["key"]
        async with house.database.reading() as tx:
            rows = await tx.connection.fetch("SELECT audit_text(r) AS text FROM audit_records AS r")
        assert not [row for row in rows if secret in row["text"] or "new@example.com" in row["text"]]

    async def test_names_the_account_that_the_work_tells(self, house: House):
        assert (await house.operate("POST", "/things/t1/change")).status == 200
        (record, *_) = await trail(house)
        assert (record["objects"], record["account_id"]) == ({"thing_id": "t1"}, STRANGER)

    async def test_names_the_key_that_made_or_revoked_another(self, house: House):
        resident = await house.open_account()
        body = {"name": "CI", "permissions": ["read"]}
        made = (await house.call("POST", "/v1/account/api-keys", key=resident.key, body=body)).body["api_key"]
        path = f"/v1/account/api-keys/{made['id']}"
        assert (await house.call("DELETE", path, key=resident.key)).status == 204
        revoked, created = await trail(house, f"&account_id={resident.id}")
        assert (created["action"], revoked["action"]) == ("key.created", "key.revoked")
        assert created["details"] == {"members": ["name", "permissions"], "location": path}
        assert revoked["objects"] == {"key_id": made["id"]}
        assert created["actor"] == revoked["actor"]
        assert created["actor"]["kind"] == "account_key"
        assert created["actor"]["id"] not in {None, made["id"]}
        assert (created["status"], revoked["status"]) == (201, 204)


class TestOnce:
    async def test_a_replay_writes_no_second_record(self, house: House):
        resident, key = await house.open_account(), fresh()
        answers = [await credit(house, resident, key=key) for _ in range(3)]
        assert [answer.status for answer in answers] == [201, 201, 201]
        assert len(await trail(house, f"&account_id={resident.id}")) == 1

    async def test_same_calls_at_once_write_one_record(self, house: House):
        resident, key = await house.open_account(), fresh()
        answers = await asyncio.gather(*(credit(house, resident, key=key) for _ in range(10)))
        assert {answer.status for answer in answers} <= {201, 409}
        assert len(await trail(house, f"&account_id={resident.id}")) == 1

    async def test_other_calls_at_once_write_a_record_each(self, house: House):
        residents = [await house.open_account() for _ in range(3)]
        before = await head(house)
        answers = await asyncio.gather(*(credit(house, residents[at % 3], key=fresh()) for at in range(30)))
        assert {answer.status for answer in answers} == {201}
        assert await head(house) == before + 30
        checks = (await house.operate("GET", "/check")).body["checks"]
        assert [one["violations"] for one in checks if one["name"].startswith("audit ")] == [0, 0]

    async def test_what_is_refused_writes_nothing(self, house: House):
        resident = await house.open_account()
        before = await head(house)
        hold = {"amount": 5, "currency": "USD", "reference": "r", "expires_at": "2024-03-01T00:00:00Z"}
        refused = [
            await credit(house, resident, key=fresh(), amount=-1),
            await house.operate(
                "POST", f"/accounts/{resident.id}/holds", body=hold, headers={"Idempotency-Key": fresh()}
            ),
            await house.operate("POST", f"/accounts/{STRANGER}/suspend"),
            await house.call("POST", f"/operator/v1/accounts/{resident.id}/suspend", key=resident.key),
            await house.call(
                "POST", f"/operator/v1/accounts/{resident.id}/suspend", key=await house.issue_operator("audit")
            ),
        ]
        assert [answer.status for answer in refused] == [400, 422, 404, 404, 403]
        assert await head(house) == before

    async def test_waits_for_the_head_with_its_work_done(self, house: House, module_dsn: str):
        resident = await house.open_account()
        owner, watcher = await asyncpg.connect(module_dsn), await asyncpg.connect(module_dsn)
        async with owner.transaction():
            await owner.execute("SELECT FROM audit_head FOR UPDATE")
            call = asyncio.create_task(credit(house, resident, key=fresh()))
            waiting = ""
            for _ in range(200):
                waiting = waiting or await watcher.fetchval(
                    "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                await asyncio.sleep(0 if waiting else 0.02)
            assert str(waiting).startswith("SELECT write_audit_record(")
            free = "SELECT true FROM heads WHERE account_id = $1 FOR UPDATE SKIP LOCKED"
            assert await watcher.fetchval(free, resident.account_id) is None  # it has posted
            assert not call.done()
        assert (await call).status == 201
        await owner.close()
        await watcher.close()


class TestStaged:
    @pytest.mark.parametrize("is_keyed", [True, False])
    @pytest.mark.parametrize(
        ("outcome", "status", "count"), [("done", 201, 1), ("declined", 422, 1), ("lost", 503, 1), ("refused", 422, 0)]
    )
    async def test_writes_the_intent_once_whatever_comes_of_it(
        self, house: House, outcome: str, status: int, count: int, is_keyed: bool
    ):
        resident = await house.open_account()
        headers = {"Idempotency-Key": fresh()} if is_keyed else {}
        for _ in range(2 if is_keyed else 1):
            answer = await house.operate("POST", f"/stages/{resident.id}/{outcome}", headers=headers)
            assert answer.status == status
        written = await trail(house, f"&account_id={resident.id}")
        assert [(one["action"], one["status"]) for one in written] == [
            ("POST /stages/{account_id}/{outcome}", None)
        ] * count


class TestListAudit:
    async def test_needs_the_audit_scope(self, house: House):
        assert (await house.call("GET", "/operator/v1/audit")).status == 401
        resident = await house.open_account()
        assert (await house.call("GET", "/operator/v1/audit", key=resident.key)).status == 404
        audit_key, billing_key = await house.issue_operator("audit"), await house.issue_operator("billing")
        assert (await house.call("GET", "/operator/v1/audit", key=audit_key)).status == 200
        assert (await house.call("GET", "/operator/v1/audit", key=billing_key)).status == 403

    async def test_pages_newest_first_with_the_head(self, house: House):
        resident = await house.open_account()
        for _ in range(3):
            await house.operate("POST", f"/accounts/{resident.id}/suspend")
        answer = await house.operate("GET", f"/audit?account_id={resident.id}&per_page=2")
        assert counted(answer.body["meta"]) == {"total": 3, "page": 1, "per_page": 2, "pages": 2}
        numbers = [one["number"] for one in answer.body["entries"]]
        assert numbers == sorted(numbers, reverse=True)
        assert 'rel="next"' in answer.headers["Link"]
        assert answer.body["head"] == {"number": numbers[0], "hash": answer.body["entries"][0]["hash"]}
        second = await house.operate("GET", f"/audit?account_id={resident.id}&per_page=2&page=2")
        assert [one["number"] for one in second.body["entries"]] == [numbers[0] - 2]

    async def test_lets_through_what_is_wanted(self, house: House):
        resident = await house.open_account()
        await credit(house, resident, key=fresh())
        house.clock.advance(timedelta(days=2))
        await house.operate("POST", f"/accounts/{resident.id}/suspend")
        of = f"&account_id={resident.id}"
        suspended, credited = await trail(house, of)
        other = ids.encode("op", ids.UUID(int=5))
        for query, found in {
            "&action=POST%20/accounts/%7Baccount_id%7D/susp": [suspended],
            "&action=PUT": [],
            "&actor=operator": [suspended, credited],
            "&actor=system": [],
            f"&actor={suspended['actor']['id']}": [suspended, credited],
            f"&actor={other}": [],
            "&from_date=2024-02-02": [suspended],
            "&to_date=2024-02-01": [credited],
            "&from_date=2024-02-01&to_date=2024-02-03": [suspended, credited],
            "&from_date=2024-02-01T10:00:01Z&to_date=2024-02-03T09:59:59Z": [],
        }.items():
            assert await trail(house, of + query) == found, query
        assert await trail(house, f"&account_id={STRANGER}&action=PUT") == []

    @pytest.mark.parametrize(
        ("query", "status", "path"),
        [
            ("actor=nobody", 400, "actor"),
            ("actor=acc_00000000000000000000000000", 400, "actor"),
            ("from_date=2024-02-02&to_date=2024-02-01", 400, "from_date"),
            ("from_date=yesterday", 400, "from_date"),
            ("page=0", 400, "page"),
            ("surplus=1", 400, "surplus"),
            ("account_id=x", 404, None),
        ],
    )
    async def test_refuses_what_is_no_filter(self, house: House, query: str, status: int, path: str | None):
        answer = await house.operate("GET", f"/audit?{query}")
        assert answer.status == status
        if path is not None:
            assert answer.faults == [path]


class TestCommands:
    async def test_are_in_the_trail_and_checked(self, database_dsn: str, tmp_path: Path):
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path)}
        assert run("keys", "create-operator", "--name", "Finance", "--scopes", "audit", **settings).returncode == 0
        assert run("close", "--period", "2024-01", **settings).returncode == 0
        with serving(tmp_path, "--no-worker", "--demo", **settings) as served, served.operator() as client:
            shown = client.get("audit").json()["entries"]
        done = [(one["actor"]["name"], one["action"]) for one in reversed(shown)]
        assert done == [
            ("billing keys create-operator", "key.created"),
            ("billing close", "run.requested"),
            ("billing serve --demo", "account.opened"),
            ("billing serve --demo", "key.created"),
        ]
        assert {(one["actor"]["kind"], one["actor"]["id"], one["status"]) for one in shown} == {("system", None, None)}
        assert shown[-1]["details"] == {"name": "Finance", "scopes": ["audit"]}
        checked = run("check", **settings)
        assert checked.returncode == 0
        assert f"The audit trail has 4 entries, the last with hash {shown[0]['hash']}." in checked.stdout
        owner = await asyncpg.connect(database_dsn)
        await owner.execute("UPDATE audit_records SET details = '{}' WHERE number = 2")
        await owner.close()
        checked = run("check", **settings)
        assert checked.returncode == 1
        assert "The audit chain breaks at entry 2.\n" in checked.stdout
        assert re.search(r"^audit chain holds +1$", checked.stdout, re.MULTILINE)
