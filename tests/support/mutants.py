"""Statements with one place changed: in the database where a function or view holds them, else on their way to it.

A `Stage` stands where a Database does; over one connection in a transaction that is rolled back a whole close runs in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from billing.kit import migrate
from billing.kit.db import APP_ROLE, Tx, open_pool
from tests.support.cloud import Cloud
from tests.support.house import Clock

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection, Database

PACKAGE = migrate.SQL.parent


@dataclass(frozen=True)
class Mutation:
    """A text of a file and what it becomes, and the check that has to see the difference."""

    file: str
    old: str
    new: str
    check: Callable[..., Awaitable[None]]

    @property
    def source(self) -> str:
        return (PACKAGE / self.file).read_text(encoding="utf-8")

    @property
    def is_installed(self) -> bool:
        """Whether the database holds the text: it is part of a function or view."""
        return Path(self.file).parts[0] == "sql"

    def __str__(self) -> str:
        return f"{Path(self.file).stem}: {self.old.strip().splitlines()[0]}"


class MutantConnection:
    """A connection that changes a text in every statement that holds it."""

    def __init__(self, connection: Connection, mutation: Mutation | None) -> None:
        self._connection = connection
        self._mutation = mutation

    def _changed(self, query: str) -> str:
        return query.replace(self._mutation.old, self._mutation.new) if self._mutation else query

    async def execute(self, query: str, *arguments: object) -> str:
        return await self._connection.execute(self._changed(query), *arguments)

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        return await self._connection.fetch(self._changed(query), *arguments)

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        return await self._connection.fetchrow(self._changed(query), *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        return await self._connection.fetchval(self._changed(query), *arguments)

    async def prepare(self, query: str) -> Any:
        return await self._connection.prepare(self._changed(query))

    def transaction(self) -> Any:
        return self._connection.transaction()


async def install(connection: Connection, mutation: Mutation) -> None:
    """Put a changed function or view into the database, as its owner."""
    assert mutation.old in mutation.source, "the text is not there any more"
    if mutation.is_installed:
        await connection.execute(mutation.source.replace(mutation.old, mutation.new))


@dataclass
class Stage:
    """Stands where a Database does: each transaction is a savepoint of one connection, or has a connection of a pool."""

    acquire: Callable[[], AbstractAsyncContextManager[Connection]]
    mutation: Mutation | None
    clock: Clock = field(default_factory=Clock)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        mutation = None if self.mutation is None or self.mutation.is_installed else self.mutation
        async with self.acquire() as connection, connection.transaction():
            yield Tx(cast("Connection", MutantConnection(connection, mutation)), self.clock())

    snapshot = reading = transaction

    @property
    def cloud(self) -> Cloud:
        """The cloud over it."""
        return Cloud(cast("Database", self), self.clock)


@asynccontextmanager
async def staged(connection: Connection, mutation: Mutation | None) -> AsyncIterator[Cloud]:
    """A cloud with a mutation, as the application, on one connection; all is undone at the end."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        if mutation is not None:
            await install(connection, mutation)
        await connection.execute(f"SET LOCAL ROLE {APP_ROLE}")
        yield Stage(lambda: nullcontext(connection), mutation).cloud
    finally:
        await transaction.rollback()


@asynccontextmanager
async def side_by_side(dsn: str, mutation: Mutation | None) -> AsyncIterator[Cloud]:
    """A cloud with a mutation over a database of the test's own, with several connections."""
    pool = await open_pool(dsn, size=2)
    try:
        async with pool.acquire(), pool.acquire():  # so that none of them has to be opened when they are to meet
            pass
        if mutation is not None:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("SET LOCAL ROLE NONE")
                await install(connection, mutation)
        yield Stage(pool.acquire, mutation).cloud
    finally:
        await pool.close()
