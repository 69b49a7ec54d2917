"""A world in which another account has rows with the very ids of Jane's: who does not say whose gets the wrong ones."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from tests.tidy.test_shardable import REFERENCE

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection, Pool

TWIN = UUID(int=1)  # before every other account in the order of ids
_FILTER = re.compile(r"(?:\w+\.)?account_id = (?:(\$\d+)\b|ANY ?\((\$\d+)(?:::uuid\[\])?\))")


def without_filters(statement: str) -> str:
    """A statement that takes any account for the one that it is asked for."""
    return _FILTER.sub(
        lambda found: f"{found[1]}::uuid IS NOT NULL" if found[1] else f"{found[2]}::uuid[] IS NOT NULL", statement
    )


class WatchedConnection:
    """A connection that notes each statement and changes some."""

    def __init__(self, connection: Connection, watch: Callable[[str], str]) -> None:
        self._connection = connection
        self._watch = watch

    async def execute(self, query: str, *arguments: object) -> str:
        return await self._connection.execute(self._watch(query), *arguments)

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        return await self._connection.fetch(self._watch(query), *arguments)

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        return await self._connection.fetchrow(self._watch(query), *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        return await self._connection.fetchval(self._watch(query), *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class WatchedPool:
    """A pool of such connections."""

    def __init__(self, pool: Pool, watch: Callable[[str], str]) -> None:
        self._pool = pool
        self._watch = watch

    @asynccontextmanager
    async def acquire(self, *, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109  asyncpg's own
        async with self._pool.acquire(timeout=timeout) as connection:
            yield cast("Connection", WatchedConnection(connection, self._watch))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


async def _tables(connection: Connection) -> list[str]:
    rows = await connection.fetch(
        """
        SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'account_id'
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        ORDER BY relname
        """
    )
    return [row["relname"] for row in rows if row["relname"] not in REFERENCE]


async def add_twin(connection: Connection, *, account_id: UUID) -> None:
    """Copy every row of an account to the twin, with other times, amounts and texts, before it in every table.

    As the schema's owner; the database is good for reading wrong rows, and no more.
    """
    await connection.execute("SET session_replication_role = replica")  # foreign keys in any order
    for table in await _tables(connection):
        for check in await connection.fetch(_CHECKS, table):
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {check['conname']}")
        rows = await connection.fetch(_COLUMNS, table)
        columns = ", ".join(row["name"] for row in rows)
        values = ", ".join(_twins(row["name"], row["type"], is_key=row["is_key"]) for row in rows)
        await connection.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} WHERE account_id = $1",  # noqa: S608  names of the catalog
            account_id,
        )
        await connection.execute(f"CLUSTER {table} USING {rows[0]['key']}")
    await connection.execute("RESET session_replication_role")


_CHECKS = "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'"
_COLUMNS = """
    SELECT attname AS name, format_type(atttypid, NULL) AS type, indexrelid::regclass::text AS key, attnum = ANY (indkey) AS is_key
    FROM pg_attribute
    JOIN pg_index ON indrelid = attrelid AND indisprimary
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""
_TOLD = {"brand", "company", "description", "email", "failure_reason", "last4", "name", "number", "reason"}


def _twins(column: str, type_: str, *, is_key: bool) -> str:
    """What the twin has in a column."""
    if column == "account_id":
        return f"'{TWIN}'"
    if is_key:
        return column
    match type_:
        case "timestamp with time zone":
            return f"{column} + interval '1 hour'"
        case "bigint" | "integer" | "numeric":
            return f"{column} + 1"
        case "bytea":
            return f"{column} || '\\x00'"
        case "jsonb":
            return f"replace({column}::text, 'Jane', 'Twin')::jsonb"
        case "text" if column in _TOLD:
            return f"{column} || '?'"
        case _:
            return column


async def twin_rows(connection: Connection) -> dict[str, str]:
    """The content of every table of the twin's."""
    return {
        table: await connection.fetchval(
            f"SELECT md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM {table} AS t WHERE account_id = $1",  # noqa: S608
            TWIN,
        )
        for table in await _tables(connection)
    }
