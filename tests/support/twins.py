"""A world in which another account has rows with the very ids of Jane's: who does not say whose gets the wrong ones."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import asyncpg

from tests.tidy.test_shardable import REFERENCE

if TYPE_CHECKING:
    from billing.kit.db import Connection, Pool

TWIN = UUID(int=1)  # before every other account in the order of ids
_FILTER = re.compile(r"(?:\w+\.)?account_id = (?:(\$\d+)\b|ANY ?\((\$\d+)(?:::uuid\[\])?\))")
_VIEW_OF_ONE = re.compile(r"\b(\w+_v)\(\$")


def without_filters(statement: str) -> str:
    """A statement that takes any account for the one that it is asked for."""
    unfiltered = _FILTER.sub(
        lambda found: f"{found[1]}::uuid IS NOT NULL" if found[1] else f"{found[2]}::uuid[] IS NOT NULL", statement
    )
    return _VIEW_OF_ONE.sub(r"all_\1($", unfiltered)


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


class ProbingConnection:
    """A connection that also does each statement without its filters, takes that back, and notes whether it reached more."""

    def __init__(self, connection: Connection, reached: dict[str, bool]) -> None:
        self._connection = connection
        self._reached = reached

    async def _probe(self, query: str, arguments: tuple[object, ...]) -> None:
        changed = without_filters(query)
        if changed != query and not self._reached.get(query, False):
            self._reached[query] = await self._rows(changed, arguments) != await self._rows(query, arguments)

    async def _rows(self, query: str, arguments: tuple[object, ...]) -> tuple[str | None, list[str]] | str:
        """What a statement finds and how many rows it changes, or how it fails; it is taken back."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            prepared = await self._connection.prepare(query)
            rows = await prepared.fetch(*arguments)
        except asyncpg.PostgresError as error:
            return error.sqlstate
        else:
            return prepared.get_statusmsg(), sorted(map(repr, rows))
        finally:
            await transaction.rollback()

    async def execute(self, query: str, *arguments: object) -> str:
        await self._probe(query, arguments)
        return await self._connection.execute(query, *arguments)

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        await self._probe(query, arguments)
        return await self._connection.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        await self._probe(query, arguments)
        return await self._connection.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        await self._probe(query, arguments)
        return await self._connection.fetchval(query, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class WatchedPool:
    """A pool of connections that something stands before."""

    def __init__(self, pool: Pool, before: Callable[[Connection], object]) -> None:
        self._pool = pool
        self._before = before

    @asynccontextmanager
    async def acquire(self, *, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109  asyncpg's own
        async with self._pool.acquire(timeout=timeout) as connection:
            yield cast("Connection", self._before(connection))

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
    for view in await connection.fetch(_VIEWS_OF_ONE):  # beside each one that shows everybody's
        shown = view["definition"].replace(view["name"], f"all_{view['name']}", 1)
        await connection.execute(re.sub(r"\w+\.account_id = p_account_id", "p_account_id IS NOT NULL", shown))


async def add_what_only_twin_has(connection: Connection, *, objects: dict[str, UUID]) -> None:
    """What of the account's own objects is pending, taxed, paid, fired or set with the twin alone."""
    await connection.execute("SET session_replication_role = replica")
    for statement, names in _TWIN_ALONE.items():
        await connection.execute(statement, TWIN, *(objects[name] for name in names))
    await connection.execute("CLUSTER")  # what was changed stood last
    await connection.execute("RESET session_replication_role")


_TWIN_ALONE: dict[str, tuple[str, ...]] = {
    "UPDATE holds SET status = 'open', expires_at = '2024-01-20Z' WHERE account_id = $1 AND hold_id = $2": ("hold_id",),
    "UPDATE accounts SET country = 'KE', tax_exempt = false WHERE account_id = $1": (),
    "UPDATE payments SET invoice_id = $2, status = 'pending' WHERE account_id = $1 AND payment_id = $3": (
        "invoice_id",
        "payment_id",
    ),
    """
    UPDATE payments SET kind = 'invoice', currency = 'USD', invoice_id = $2, status = 'completed'
    WHERE account_id = $1 AND payment_id = $3
    """: ("invoice_id", "captured_id"),
    "UPDATE invoice_states SET status = 'pending' WHERE account_id = $1": (),
    "UPDATE promotional_credits SET currency = 'USD', granted_at = '2024-01-01Z' WHERE account_id = $1": (),
    "UPDATE balances SET currency = 'USD' WHERE account_id = $1 AND ledger_account LIKE 'promo:%'": (),
    "UPDATE period_versions SET rated_version = 0 WHERE account_id = $1": (),
    """
    INSERT INTO webhook_messages
    SELECT more.* FROM webhook_messages AS own, LATERAL jsonb_populate_record(
        own,
        jsonb_build_object(
            'message_id', own.account_id, 'notification_id', own.account_id, 'endpoint_id', $2::uuid, 'next_at', own.created_at
        )
    ) AS more
    WHERE own.account_id = $1
    """: ("spare_webhook_id",),
    "INSERT INTO invoice_taxes VALUES ($1, $2, 1, 'VAT', 16, 100, 16)": ("invoice_id",),
    "INSERT INTO credit_note_taxes VALUES ($1, $2, 1, 'VAT', 16, 16)": ("credit_note_id",),
    "INSERT INTO invoice_payments VALUES ($1, $2, 9, 'wallet', NULL, 1, '2024-02-01Z')": ("invoice_id",),
    """
    INSERT INTO refunds (account_id, refund_id, payment_id, gateway, currency, amount_minor, reason, status, created_at,
        credit_note_id)
    VALUES ($1, $1, $2, 'sandbox', 'USD', 1, 'r', 'completed', '2024-02-01Z', $3)
    """: ("captured_id", "credit_note_id"),
    "INSERT INTO alert_firings VALUES ($1, $1, $2, 100, 1, 1, 'fired', 'USD', false, 1, 1, '2024-02-01Z')": (
        "alert_id",
    ),
    "INSERT INTO notification_settings VALUES ($1, '{}', '{}', '{}', NULL, NULL, '2024-02-01Z')": (),
    """
    INSERT INTO transfers (account_id, number, currency, source, destination, amount_minor, template, reference, ordinal,
        effective_at, recorded_at)
    VALUES ($1, 999, 'USD', 'wallet:cash', 'owed', 1, 'owed.paid', $2::uuid::text, 0, '2024-02-01Z', '2024-02-01Z')
    """: ("captured_id",),
}
_VIEWS_OF_ONE = """
    SELECT proname AS name, pg_get_functiondef(oid) AS definition FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proname LIKE '%\\_v' AND 'p_account_id' = ANY (proargnames)
"""
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
