"""A database that takes no writes, as a standby or a failover that has not ended: every call of the API all the same.

Reads are answered, of documents those that were asked for before, for a PDF stays as it was first made; writes hear that they may
come again, and nothing is logged as a fault of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support import databases, postgres
from tests.support.every_route import TABLE, Route, fresh
from tests.support.house import Reply
from tests.support.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

READS = {name: route for name, route in TABLE.items() if route.method == "GET"}


@pytest_asyncio.fixture(loop_scope="session")
async def world(database_server: Path) -> AsyncIterator[World]:
    name = await databases.clone(database_server)
    async with open_world(postgres.dsn(database_server, name)) as opened:
        yield opened
    await databases.drop(database_server, name)


async def stop_writes(world: World) -> None:
    pool = world.house.database.pool
    async with AsyncExitStack() as held:
        for _ in range(pool.get_max_size()):
            session = await held.enter_async_context(pool.acquire())
            await session.execute("SET default_transaction_read_only = on")


async def call(world: World, route: Route) -> Reply:
    key = world.jane.key if route.is_public else world.house.operator_key
    query = "&".join(f"{name}={value}" for name, value in route.query.items())
    headers = {"Content-Type": route.media_type, "Idempotency-Key": fresh()} if route.method == "POST" else {}
    body = None if route.body is None else route.body(world.mine)
    if body is not None:
        headers["Content-Type"] = route.media_type
    return await world.house.call(
        route.method, f"{route.path(world.mine)}?{query}", key=key, body=body, headers=headers
    )


class TestEveryRoute:
    async def test_reads_and_refuses_writes_for_now(self, world: World) -> None:
        for route in READS.values():
            assert (await call(world, route)).status < 300
        world.house.clock.advance(timedelta(minutes=2))  # uses of the keys would be noted
        await stop_writes(world)
        heard: dict[str, tuple[int, str | None]] = {}
        with capture_logs() as logs:
            for name, route in TABLE.items():
                reply = await call(world, route)
                heard[name] = reply.status, reply.headers.get("Retry-After")
            await world.house.keyring.close()
        assert {name: told for name, told in heard.items() if (told[0] < 300) != (name in READS)} == {}
        assert {told for name, told in heard.items() if name not in READS} == {(503, "2")}
        assert [log for log in logs if log["log_level"] == "error"] == []
