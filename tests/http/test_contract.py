"""Every route, called rightly, without a key, with too small a key and for what is not there, answers as its document says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from billing.webhooks.model import events
from tests.support import contract
from tests.support.every_route import TABLE, Route, fresh
from tests.support.house import Reply
from tests.support.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(module_dsn: str) -> AsyncIterator[World]:
    async with open_world(module_dsn) as opened:
        yield opened


async def call(world: World, route: Route, *, key: str | None, path: str) -> Reply:
    """A call of a route, held to its document."""
    body = None if route.body is None else json.dumps(route.body(world.mine)).encode()
    query = "&".join(f"{name}={value}" for name, value in route.query.items())
    path = f"{path}?{query}" if query else path
    headers = {"Content-Type": route.media_type, "Idempotency-Key": fresh()}
    reply = await world.house.call(route.method, path, key=key, body=body, headers=headers)
    contract.check(route.method, path, status=reply.status, headers=reply.headers, text=reply.text)
    return reply


@pytest.mark.parametrize("name", sorted(TABLE))
class TestAnswer:
    async def test_is_as_described(self, world: World, name: str):
        route = TABLE[name]
        right = world.jane.key if route.is_public else world.house.operator_key
        path, unknown = route.path(world.mine), route.path(world.unknown)
        assert (await call(world, route, key=None, path=path)).status == 401
        assert (await call(world, route, key=world.lesser_key(route), path=path)).status == 403
        if unknown != path:
            await call(world, route, key=right, path=unknown)
        assert (await call(world, route, key=right, path=path)).status < 300


class TestEvents:
    async def test_say_what_their_page_says(self, world: World):
        """Of what the calls above and the making of the world have published, each holds the members of docs/events.md."""
        told = {one.type: set(one.members) for one in (*events.PUBLIC, *events.INTERNAL)}
        async with world.house.database.reading() as reading:
            rows = await reading.connection.fetch("SELECT DISTINCT type, payload FROM outbox_events ORDER BY type")
        said = [(row["type"], set(json.loads(row["payload"]))) for row in rows]
        assert {type for type, _ in said} >= {"api_key.created", "invoice.issued", "payment.succeeded"}
        assert [(type, members ^ told.get(type, set())) for type, members in said if members != told.get(type)] == []
