"""The filters by account are needed: without them a call sees or changes what is another's, and that is noticed.

Every public call is made in a world in which another account, the twin, has rows with the same ids and other content. Then the
filters of its statements are taken away: the answer must be another one, or the twin's rows. And each statement by itself must
find or change other rows without them. That no relation of a statement goes without a filter is what
`tests/tidy/test_sql_accounts.py` reads from its text, and `tests/mutation/test_filters.py` that it would miss each of them.
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
from uuid import UUID

import asyncpg
import pytest

from billing.core import ids
from tests.support import databases, postgres
from tests.support.every_route import TABLE, Names
from tests.support.house import House, Reply
from tests.support.twins import (
    ProbingConnection,
    WatchedConnection,
    WatchedPool,
    add_twin,
    add_what_only_twin_has,
    twin_rows,
    without_filters,
)
from tests.support.world import World, open_app, open_world

if TYPE_CHECKING:
    from billing.kit.db import Connection, Pool

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
    "PUT /v1/account/notification-settings": "it locks what is there, and writes its own",
    "POST /v1/account/webhooks": "it inserts, and counts to 20",
    "POST /v1/account/alerts": "it counts to 100, shows figures by account, and a foreign key holds its project",
}
# Statements that can reach nobody else's rows, each with its reason.
UNREACHED = {
    "SELECT account_id, key_id, name, prefix": "keys stand in a reference table, which has no twin's; an id is one key's",
    "SELECT EXISTS ( SELECT FROM prices_v": "prices too",
    "SELECT EXISTS (SELECT FROM payment_methods": "it asks for an id that was made a moment before",
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
    others: Names
    blind: frozenset[str] = frozenset()
    seen: list[str] = field(default_factory=list)

    reached: dict[str, bool] | None = None
    """By statement, whether it reaches the twin's or another's rows without its filters; None: calls are not probed."""

    def before(self, connection: Connection) -> object:
        if self.reached is None:
            return WatchedConnection(connection, self.watch)
        return ProbingConnection(connection, self.reached)

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
            async with open_app(dsn, wrap=lambda pool: cast("Pool", WatchedPool(pool, self.before))) as house:
                yield house, owner
        finally:
            await owner.close()
            await databases.drop(self.folder, name)

    async def call(self, house: House, name: str, names: Names) -> Reply:
        """One of Jane's calls, to some objects."""
        route = TABLE[name]
        query = "&".join(f"{key}={value}" for key, value in route.query.items()) if name in ASKED else ""
        path = route.path(names) + (f"?{query}" if query else "")
        body = None if route.body is None else json.dumps(route.body(names)).encode()
        return await house.call(route.method, path, key=self.key, body=body)

    async def outcome(self, name: str, *, blind: frozenset[str] = frozenset()) -> Outcome:
        """What a call answers, and the twin's rows after it, with some of its statements taking any account for Jane's."""
        self.seen.clear()
        self.blind = blind
        async with self.house() as (house, owner):
            reply = await self.call(house, name, self.names)
            return reply.status, "" if name == SECRET else reply.text, await twin_rows(owner)


@asynccontextmanager
async def open_wall(folder: Path, *, has_more: bool = False) -> AsyncIterator[Wall]:
    """The world with a twin; `has_more`: who has also what Jane has not."""
    name = await databases.clone(folder)
    dsn = postgres.dsn(folder, name)
    try:
        async with open_world(dsn) as world:
            owner = await asyncpg.connect(dsn)
            await add_twin(owner, account_id=world.jane.account_id)
            if has_more:
                await _add_more(owner, world)
            await owner.close()
        default = ids.encode("proj", world.jane.default_project_id)  # where her resource is
        yield Wall(folder, name, world.jane.key, {**world.mine, "project_id": default}, world.others)
    finally:
        await databases.drop(folder, name)


async def _add_more(owner: asyncpg.Connection[asyncpg.Record], world: World) -> None:
    await owner.execute("INSERT INTO tax_rates VALUES ('KE', 'VAT', 16, '2024-01-01')")
    objects = {name: found for name, id_ in world.mine.items() if (found := _uuid_of(id_)) is not None}
    await add_what_only_twin_has(owner, objects=objects)
    # Bob's too, for he is asked for
    await owner.execute("UPDATE closes SET finalized_at = NULL WHERE account_id <> $1", world.jane.account_id)


def _uuid_of(id_: str) -> UUID | None:
    return ids.decode(id_.partition("_")[0], id_)


async def is_noticed(wall: Wall, name: str) -> tuple[bool, int]:
    """Whether a call shows that its statements lost their filters, and how many they are."""
    right = await wall.outcome(name)
    statements = frozenset(statement for statement in wall.seen if without_filters(statement) != statement)
    return bool(statements) and await wall.outcome(name, blind=statements) != right, len(statements)


async def test_each_call_shows_the_loss_of_its_filters(database_server: Path, pytestconfig: pytest.Config) -> None:
    calls = [name for name in PUBLIC if name not in UNNOTICED]
    chosen = calls if pytestconfig.getoption("--nightly") else random.Random(SEED).sample(calls, SAMPLED)
    unnoticed, statements = chosen, 0
    for has_more in (False, True):  # some show it only where others have what Jane has not
        if unnoticed:
            async with open_wall(database_server, has_more=has_more) as wall:
                found = {name: await is_noticed(wall, name) for name in unnoticed}
            unnoticed = [name for name, (is_shown, _) in found.items() if not is_shown]
            statements = statements or sum(many for _, many in found.values())
    sys.stdout.write(f"seed {SEED}: {len(chosen)} of {len(calls)} calls with {statements} statements\n")
    assert unnoticed == []


@pytest.mark.nightly
async def test_each_statement_reaches_others_without_its_filters(database_server: Path) -> None:
    """In calls for Jane's own objects, and for another's as anybody may try."""
    reached: dict[str, bool] = {}
    async with open_wall(database_server, has_more=True) as wall:
        wall.reached = reached
        for name in PUBLIC:
            for names in (wall.names, wall.others):
                async with wall.house() as (house, _):
                    await wall.call(house, name, names)
    missed = [" ".join(statement.split()) for statement, does in reached.items() if not does]
    sys.stdout.write(f"{len(reached) - len(missed)} of {len(reached)} statements reach others without their filters\n")
    assert [begins for begins in UNREACHED if not any(text.startswith(begins) for text in missed)] == []
    assert [text for text in missed if not text.startswith(tuple(UNREACHED))] == []
