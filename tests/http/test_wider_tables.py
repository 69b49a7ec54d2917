"""Half of quality.md K14: while processes are replaced one by one, an old one runs on tables that a migration has made wider."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import structlog

from tests.support import databases, postgres
from tests.support.every_route import TABLE, fresh
from tests.support.world import World, open_world

WIDER = """
DO $$
DECLARE
    v_table regclass;
BEGIN
    FOR v_table IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN came_later integer', v_table);
    END LOOP;
END
$$
"""


async def ask(world: World, name: str) -> str:
    """A right call of a route; the method and path if it fails."""
    route = TABLE[name]
    key = world.jane.key if route.is_public else world.house.operator_key
    wanted = {} if "page" in route.query else route.query  # lists without filters: with everything that they may show
    query = "&".join(f"{part}={value}" for part, value in wanted.items())
    body = None if route.body is None else json.dumps(route.body(world.mine)).encode()
    headers = {"Content-Type": route.media_type, "Idempotency-Key": fresh()}
    path = route.path(world.mine)
    reply = await world.house.call(
        route.method, f"{path}?{query}" if query else path, key=key, headers=headers, body=body
    )
    return name if reply.status >= 500 else ""


class TestOldProcess:
    async def test_answers_as_before_when_every_table_has_one_more_column(self, database_server: Path):
        database = await databases.clone(database_server)
        dsn = postgres.dsn(database_server, database)
        try:
            async with open_world(dsn) as world:
                owner = await asyncpg.connect(dsn)
                await owner.execute(WIDER)
                await owner.close()
                reads_first = sorted(TABLE, key=lambda name: TABLE[name].method)
                with structlog.testing.capture_logs():
                    failed = {await ask(world, name) for name in reads_first} - {""}
            assert failed == set()
        finally:
            await databases.drop(database_server, database)
