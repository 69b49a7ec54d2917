"""The filters by account are needed: without them a call sees or changes what is another's, and that is noticed.

Every public call is made in a world in which another account, the twin, has rows with the same ids and other content. Then the
filters of its statements are taken away, of all of them and of each alone: the answer must be another one, or the twin's
rows. That no relation of a statement goes without a filter is what `tests/tidy/test_sql_accounts.py` reads from its text.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest

from billing.core import ids
from tests.support import databases, postgres
from tests.support.every_route import TABLE, Names
from tests.support.house import House, Reply
from tests.support.twins import WatchedPool, add_twin, twin_rows, without_filters
from tests.support.world import open_app, open_world

if TYPE_CHECKING:
    from billing.kit.db import Pool

SEED = 20240201
SAMPLED = 6
# Calls that reach no account's data but by an id that is nobody else's, each with its reason.
UNNOTICED = {
    "GET /v1/account/api-keys": "keys stand in a reference table, which has no twin's",
    "GET /v1/account/api-keys/{key_id:str}": "the same",
    "POST /v1/account/api-keys": "the same",
    "DELETE /v1/account/api-keys/{key_id:str}": "the same",
    "POST /v1/projects": "it inserts, and reads nothing",
    "POST /v1/account/payment-methods": "it asks for an id that is new, and whether there is any method",
    "POST /v1/account/alerts": "it counts to 100, shows figures by account, and a foreign key holds its project",
}
# The calls that are made with their parameters; the others list all there is.
ASKED = {"GET /v1/account/explain", "GET /v1/account/analytics/trends"}

Outcome = tuple[int, str, dict[str, str]]
PUBLIC = [name for name, route in TABLE.items() if route.is_public]
SECRET = "POST /v1/account/api-keys"  # of what it answers, the key is another each time


@dataclass
class Wall:
    """The twins' database, and Jane's calls in it."""

    folder: Path
    template: str
    key: str
    names: Names
    blind: frozenset[str] = frozenset()
    seen: list[str] = field(default_factory=list)

    def watch(self, statement: str) -> str:
        self.seen.append(statement)
        return without_filters(statement) if statement in self.blind else statement

    @asynccontextmanager
    async def house(self) -> AsyncIterator[tuple[House, asyncpg.Connection[asyncpg.Record]]]:
        """The application over a copy of the database, which the statements go to through `watch`; and its owner."""
        name = await databases.clone(self.folder, template=self.template)
        dsn = postgres.dsn(self.folder, name)
        owner = await asyncpg.connect(dsn)
        await owner.execute(f"ALTER DATABASE {name} SET enable_seqscan = off")  # indexes find the twin's rows first
        try:
            async with open_app(dsn, wrap=lambda pool: cast("Pool", WatchedPool(pool, self.watch))) as house:
                yield house, owner
        finally:
            await owner.close()
            await databases.drop(self.folder, name)

    async def call(self, house: House, name: str) -> Reply:
        """One of Jane's calls, to objects of hers."""
        route = TABLE[name]
        query = "&".join(f"{key}={value}" for key, value in route.query.items()) if name in ASKED else ""
        path = route.path(self.names) + (f"?{query}" if query else "")
        body = None if route.body is None else json.dumps(route.body(self.names)).encode()
        return await house.call(route.method, path, key=self.key, body=body)

    async def outcome(self, name: str, *, blind: frozenset[str] = frozenset()) -> Outcome:
        """What a call answers, and the twin's rows after it, with some of its statements taking any account for Jane's."""
        self.seen.clear()
        self.blind = blind
        async with self.house() as (house, owner):
            reply = await self.call(house, name)
            return reply.status, "" if name == SECRET else reply.text, await twin_rows(owner)


@asynccontextmanager
async def open_wall(folder: Path) -> AsyncIterator[Wall]:
    name = await databases.clone(folder)
    dsn = postgres.dsn(folder, name)
    try:
        async with open_world(dsn) as world:
            owner = await asyncpg.connect(dsn)
            await add_twin(owner, account_id=world.jane.account_id)
            await owner.close()
        default = ids.encode("proj", world.jane.default_project_id)  # where her resource is
        yield Wall(folder, name, world.jane.key, {**world.mine, "project_id": default})
    finally:
        await databases.drop(folder, name)


async def noticed(wall: Wall, name: str, *, each: bool) -> tuple[bool, int, int]:
    """Whether a call shows that its statements lost their filters; of how many of them alone, and of how many (`each`)."""
    right = await wall.outcome(name)
    statements = frozenset(statement for statement in wall.seen if without_filters(statement) != statement)
    is_noticed = bool(statements) and await wall.outcome(name, blind=statements) != right
    if not each:
        return is_noticed, 0, len(statements)
    alone = [await wall.outcome(name, blind=frozenset({statement})) != right for statement in sorted(statements)]
    return is_noticed and any(alone), sum(alone), len(statements)


async def test_each_call_shows_the_loss_of_its_filters(database_server: Path, pytestconfig: pytest.Config) -> None:
    is_nightly = bool(pytestconfig.getoption("--nightly"))
    calls = [name for name in PUBLIC if name not in UNNOTICED]
    chosen = calls if is_nightly else random.Random(SEED).sample(calls, SAMPLED)
    unnoticed: list[str] = []
    alone = statements = 0
    async with open_wall(database_server) as wall:
        for name in chosen:
            is_noticed, few, many = await noticed(wall, name, each=is_nightly)
            alone, statements = alone + few, statements + many
            if not is_noticed:
                unnoticed.append(name)
    told = f", {alone} of them noticed alone" if is_nightly else ""
    sys.stdout.write(f"seed {SEED}: {len(chosen)} of {len(calls)} calls with {statements} statements{told}\n")
    assert unnoticed == []
