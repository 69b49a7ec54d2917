"""Bad input on every route: the right status and field, nothing written, and the server still answers.

The routes come from app/http.py. `tests/support/every_route.py` says how each is rightly called; a route that is missing
there fails here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest
import pytest_asyncio

from tests.support import attacks
from tests.support.attacks import Attack, refused
from tests.support.every_route import NOTHING, TABLE, Route, fresh, routes
from tests.support.house import Reply
from tests.support.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVERY = sorted(TABLE)
WITH_BODY = sorted(name for name, route in TABLE.items() if route.body is not None)
WITH_PARAMETERS = sorted(name for name, route in TABLE.items() if route.parameters)
WITHOUT_BODY = sorted(name for name, route in TABLE.items() if route.method == "POST" and route.body is None)
MONEY_OR_DOCUMENTS = [
    "POST /operator/v1/accounts",
    "POST /operator/v1/accounts/{account_id:str}/credits",
    "POST /operator/v1/accounts/{account_id:str}/credits/{credit_id:str}/undo",
    "POST /operator/v1/accounts/{account_id:str}/holds",
    "POST /operator/v1/accounts/{account_id:str}/payments",
    "POST /operator/v1/holds/{hold_id:str}/capture",
    "POST /operator/v1/holds/{hold_id:str}/release",
    "POST /operator/v1/invoices/{invoice_id:str}/void",
    "POST /operator/v1/invoices/{invoice_id:str}/write-off",
    "POST /operator/v1/payments/{payment_id:str}/refunds",
    "POST /operator/v1/payments/{payment_id:str}/chargebacks",
]
TEXT_PARAMETERS = {"meter", "resource_id", "source", "event_id"}
OPTIONAL_BODY = {
    "POST /v1/account/invoices/{invoice_id:str}/pay",
    "POST /operator/v1/events/quarantine/replay",
    "POST /operator/v1/holds/{hold_id:str}/capture",
    "POST /operator/v1/holds/{hold_id:str}/release",
    "POST /operator/v1/runs/{run_id:str}/parked",
    "POST /operator/v1/invoices/{invoice_id:str}/void",
    "POST /operator/v1/invoices/{invoice_id:str}/write-off",
}
RIGHT_KEY = "the right key"
BATCH = "POST /operator/v1/events"
QUARANTINED = {"-1", "-0.01", "10000", "no id"}  # understood, but not billable: kept with their reason


@dataclass
class Guard:
    """Calls that must be refused; none of them may leave a trace in the database."""

    world: World
    watcher: asyncpg.Connection[asyncpg.Record]
    route: Route

    async def call(
        self,
        path: str,
        *,
        method: str | None = None,
        query: str = "",
        body: bytes | None = None,
        key: str | None = RIGHT_KEY,
        headers: dict[str, str] | None = None,
        is_keyed: bool = True,
    ) -> Reply:
        """A call that is right but for what is told."""
        house = self.world.house
        if key is RIGHT_KEY:
            key = self.world.jane.key if self.route.is_public else house.operator_key
        sent = {
            "Content-Type": self.route.media_type,
            **({"Idempotency-Key": fresh()} if is_keyed else {}),
            **(headers or {}),
        }
        path = f"{path}?{query}" if query else path
        return await house.call(method or self.route.method, path, key=key, headers=sent, body=body)

    def right_body(self) -> bytes | None:
        """What the route rightly takes."""
        return None if self.route.body is None else json.dumps(self.route.body(self.world.mine)).encode()

    @property
    def name(self) -> str:
        """The route as the table names it."""
        return f"{self.route.method} {self.route.template}"

    @property
    def path(self) -> str:
        """The path to what is Jane's."""
        return self.route.path(self.world.mine)

    async def state(self) -> dict[str, tuple[int, int]]:
        """Rows and content of every table."""
        tables = await self.watcher.fetch(
            """
            SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name
            FROM information_schema.tables
            WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
            ORDER BY 1
            """
        )
        parts = [
            f"SELECT '{table['name']}' AS name, count(*) AS total,"  # noqa: S608  names of the catalog
            " coalesce(sum(hashtextextended((to_jsonb(t) - 'last_used_at')::text, 0)), 0)::text AS content"
            f" FROM {table['name']} AS t"
            for table in tables
        ]
        rows = await self.watcher.fetch(" UNION ALL ".join(parts))
        return {row["name"]: (row["total"], int(row["content"])) for row in rows}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(module_dsn: str) -> AsyncIterator[World]:
    async with open_world(module_dsn) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watcher(module_dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(module_dsn)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def guard(
    request: pytest.FixtureRequest, world: World, watcher: asyncpg.Connection[asyncpg.Record]
) -> AsyncIterator[Guard]:
    """Refused calls of a route: afterwards the database is what it was, and the server answers."""
    opened = Guard(world, watcher, TABLE[request.param])
    before = await opened.state()
    yield opened
    after = await opened.state()
    assert {name for name in after if after[name] != before[name]} == set()
    assert (await world.house.call("GET", "/v1/account", key=world.jane.key)).status == 200


def faults_name(reply: Reply, path: str, about: object) -> None:
    """A refusal for what was sent says where."""
    if reply.status == 400:
        named = [fault["path"] for fault in reply.body["error"]["details"]["faults"]]
        assert any(one == path or one.startswith((f"{path}.", f"{path}[")) for one in named), (about, path, named)


def each(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("guard", names, indirect=True)


async def test_every_route_is_declared():
    assert set(routes()) == set(TABLE)


@pytest.mark.parametrize("name", WITH_BODY)
async def test_every_member_is_declared(world: World, name: str):
    route = TABLE[name]
    assert route.schema is not None
    assert route.body is not None
    body = route.body(world.mine)
    (body,) = body if isinstance(body, list) else [body]
    assert set(body) == set(route.schema.__struct_fields__)


@each(EVERY)
class TestWhoCalls:
    async def test_needs_a_right_key(self, guard: Guard):
        body = guard.right_body()
        for key in (None, "nonsense", "ls_prod_" + "a" * 36, "ls_op_" + "a" * 36, "", "a b", "x" * 10_000):
            reply = await guard.call(guard.path, body=body, key=key)
            refused(reply, frozenset({401, 404}), key)
            is_other_plane = key is not None and key.startswith("ls_op_" if guard.route.is_public else "ls_prod_")
            assert reply.status == (404 if is_other_plane else 401), key

    async def test_needs_a_key_of_its_plane_and_permission(self, guard: Guard):
        world, body = guard.world, guard.right_body()
        house = world.house
        other_plane = house.operator_key if guard.route.is_public else world.jane.key
        refused(await guard.call(guard.path, body=body, key=other_plane), frozenset({404}), "other plane")
        lesser = world.lesser_key(guard.route)
        refused(await guard.call(guard.path, body=body, key=lesser), frozenset({403}), "permission")


@each(EVERY)
class TestCall:
    async def test_has_a_method_of_its_path(self, guard: Guard):
        known = {method for method, path in (name.split(" ") for name in TABLE) if path == guard.route.template}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - known:
            reply = await guard.call(guard.path, method=method, body=guard.right_body())
            refused(reply, frozenset({405}), method)
            assert known <= set(reply.headers["allow"].split(", "))

    async def test_has_known_parameters_alone(self, guard: Guard):
        for name, query in attacks.wrong_queries(guard.route.query):
            reply = await guard.call(guard.path, query=query, body=guard.right_body())
            refused(reply, frozenset({400}), query)
            faults_name(reply, name, query)
            assert {fault["in"] for fault in reply.body["error"]["details"]["faults"]} == {"query"}

    async def test_has_a_right_idempotency_key_if_any(self, guard: Guard):
        if guard.route.method != "POST":
            return
        for key in ("", "x" * 256, "a b"):
            reply = await guard.call(guard.path, body=guard.right_body(), headers={"Idempotency-Key": key})
            refused(reply, frozenset({400}), key)
            faults_name(reply, "Idempotency-Key", key)


@each(WITH_PARAMETERS)
class TestPath:
    async def test_to_what_is_not_there_answers_404_and_no_more(self, guard: Guard):
        unknown = {**guard.world.unknown, **{name: f"none-{name}" for name in TEXT_PARAMETERS}}
        if guard.route.method == "PUT" and "{meter" in guard.route.template:
            return
        reply = await guard.call(guard.route.path(unknown), body=guard.right_body())
        refused(reply, frozenset({404}), unknown)
        if guard.route.is_public:
            foreign = await guard.call(guard.route.path(guard.world.others), body=guard.right_body())
            assert (foreign.status, foreign.text) == (404, reply.text)

    async def test_with_malformed_ids_answers_404(self, guard: Guard):
        for name in guard.route.parameters:
            for wrong in ("%00", "a%00", "%ED%A0%80", "x" * 600):
                path = guard.route.path({**guard.world.mine, guard.route.names.get(name, name): wrong})
                refused(await guard.call(path, body=guard.right_body()), frozenset({400, 404}), wrong)
            if name in TEXT_PARAMETERS:
                continue
            used = guard.route.names.get(name, name)
            right = guard.world.mine[used]
            prefix = right.partition("_")[0]
            for wrong in (
                *("1", "0", "-1", "null", "*", f"{prefix}_", f"{prefix}_{'z' * 26}", f"{prefix}_{NOTHING}0"),
                *(right.upper(), f"zzz_{right.partition('_')[2]}", f"{right}%20", "%27%20OR%201=1--", "%3Cscript%3E"),
                *("%2e%2e%2f", "..%2f..%2fetc%2fpasswd", "٣"),
            ):
                reply = await guard.call(guard.route.path({**guard.world.mine, used: wrong}), body=guard.right_body())
                refused(reply, frozenset({404}), wrong)


def swapped(value: Any, names: dict[str, Any]) -> Any:
    """The same with other names for what it names."""
    match value:
        case dict():
            return {key: swapped(member, names) for key, member in value.items()}
        case list():
            return [swapped(member, names) for member in value]
        case str():
            return names.get(value, value)
        case _:
            return value


@each([name for name in WITH_BODY if TABLE[name].is_public])
class TestOthersIdsInBodies:
    async def test_are_as_if_they_were_nobodys(self, guard: Guard):
        world = guard.world
        assert guard.route.body is not None
        right = guard.route.body(world.mine)
        texts: list[str] = []
        for names in (world.others, world.unknown):
            asked = swapped(right, {world.mine[name]: names[name] for name in world.mine.keys() & names.keys()})
            if asked == right:
                return
            reply = await guard.call(guard.path, body=json.dumps(asked).encode())
            refused(reply, frozenset({404}), asked)
            texts.append(reply.text)
        assert texts[0] == texts[1]


@each(MONEY_OR_DOCUMENTS)
class TestIdempotencyKey:
    async def test_is_required_for_money_and_documents(self, guard: Guard):
        reply = await guard.call(guard.path, body=guard.right_body(), is_keyed=False)
        refused(reply, frozenset({400}), "no key")
        assert reply.code == "idempotency_key_required"
        faults_name(reply, "Idempotency-Key", "no key")


@each(WITHOUT_BODY)
class TestNoBody:
    async def test_is_what_a_post_without_members_takes(self, guard: Guard):
        for content, status in (
            (b"nonsense", 400),
            (b"[]", 400),
            (b'{"reason": "x"}', 400),
            (b"[" * 10_000, 400),
            (b'{"a": "' + b"x" * 2_000_000 + b'"}', 413),
        ):
            refused(await guard.call(guard.path, body=content), frozenset({status}), content[:20])


@each(WITH_BODY)
class TestBody:
    async def test_is_json_of_its_type(self, guard: Guard):
        for attack in attacks.unreadable_bodies():
            if attack.content.strip(b" ") or guard.name not in OPTIONAL_BODY:
                reply = await guard.call(guard.path, body=attack.content)
                refused(reply, attack.statuses, attack.content[:20])
                faults_name(reply, "", attack.content[:20])

    async def test_has_the_right_content_type(self, guard: Guard):
        for wrong in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "x"):
            reply = await guard.call(guard.path, body=guard.right_body(), headers={"Content-Type": wrong})
            refused(reply, frozenset({415}), wrong)
        reply = await guard.call(guard.path, body=guard.right_body(), headers={"Content-Encoding": "gzip"})
        refused(reply, frozenset({415}), "gzip")

    async def test_wrong_in_one_place_is_refused_there(self, guard: Guard):
        assert guard.route.body is not None
        for attack in attacks.wrong_bodies(guard.route.body(guard.world.mine)):
            if guard.name == BATCH and attack.path:
                if attack.name not in QUARANTINED and attack.path != "[0].surplus":
                    rejected(await guard.call(guard.path, body=attack.content, is_keyed=False), attack)
                continue
            reply = await guard.call(guard.path, body=attack.content)
            refused(reply, attack.statuses, attack)
            faults_name(reply, attack.path, attack)


def rejected(reply: Reply, attack: Attack) -> None:
    """A faulty event does not fail its batch: its result says what is wrong."""
    assert reply.status == 200, (attack, reply.text)
    (result,) = reply.body["results"]
    assert result["status"] == "rejected", attack
    assert result["reason"].startswith(attack.path.removeprefix("[0]").removeprefix(".")), (attack, result)


@pytest.mark.parametrize("name", EVERY)
class TestRightCall:
    async def test_is_answered(self, world: World, watcher: asyncpg.Connection[asyncpg.Record], name: str):
        guard = Guard(world, watcher, TABLE[name])
        query = "&".join(f"{name}={value}" for name, value in guard.route.query.items())
        reply = await guard.call(guard.path, query=query, body=guard.right_body())
        assert reply.status in {200, 201, 202, 204}, reply.text


@pytest.mark.parametrize("name", WITH_BODY)
class TestOddBody:
    async def test_is_never_an_error_of_the_server(
        self, world: World, watcher: asyncpg.Connection[asyncpg.Record], name: str
    ):
        guard = Guard(world, watcher, TABLE[name])
        assert guard.route.body is not None
        for attack in attacks.odd_bodies(guard.route.body(world.mine)):
            reply = await guard.call(guard.path, body=attack.content)
            assert reply.status in attack.statuses, (attack, reply.text)
            if reply.status >= 400:
                refused(reply, attack.statuses, attack)


@pytest.mark.parametrize("name", sorted(name for name, route in TABLE.items() if route.query))
class TestOddQuery:
    async def test_is_never_an_error_of_the_server(
        self, world: World, watcher: asyncpg.Connection[asyncpg.Record], name: str
    ):
        guard = Guard(world, watcher, TABLE[name])
        for parameter in guard.route.query:
            for text in attacks.HOSTILE_TEXTS:
                reply = await guard.call(guard.path, query=urlencode({parameter: text}), body=guard.right_body())
                assert reply.status in {200, 400, 404}, (parameter, text, reply.text)


class TestLimits:
    async def test_a_batch_holds_at_most_1000_events(self, world: World, watcher: asyncpg.Connection[asyncpg.Record]):
        guard = Guard(world, watcher, TABLE[BATCH])
        assert guard.route.body is not None
        events = [guard.route.body(world.mine)[0] for _ in range(1_001)]
        before = await guard.state()
        reply = await guard.call(guard.path, body=json.dumps(events).encode())
        refused(reply, frozenset({400}), "1001 events")
        assert reply.body["error"]["details"]["faults"][0]["reason"] == "must not have more than 1000 items"
        assert await guard.state() == before
        assert (await guard.call(guard.path, body=json.dumps(events[:1_000]).encode())).body["accepted"] == 1_000
