"""Brings a database to the schema of this program: migrations by dbmate, then functions and views, which are made anew.

A database that is up to date costs two small reads. Of programs that start together one does the work, the others wait; not for
ever, for who holds a lock may be a session that somebody forgot.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import asyncpg

if TYPE_CHECKING:
    from billing.kit.db import Connection

SQL = Path(__file__).parents[1] / "sql"

LOCK_KEY = 7_302_646_011_905  # of the advisory lock; any number that nothing else uses
LOCK_WAIT_S = 60.0
_MADE = re.compile(r"^CREATE OR REPLACE (?P<kind>VIEW|FUNCTION) (?P<name>\w+)", re.MULTILINE)


class MigrationError(Exception):
    """The schema cannot be brought up to date; the message is one line."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What this program needs: migrations by version, and the files of functions and views in their order."""

    migrations: Path
    versions: frozenset[str]
    code: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path = SQL) -> Schema:
        """The schema of a folder with `migrations`, `functions` and `views`."""
        files = [*sorted((folder / "functions").glob("*.sql")), *sorted((folder / "views").glob("*.sql"))]
        return cls(
            migrations=folder / "migrations",
            versions=frozenset(path.name.partition("_")[0] for path in (folder / "migrations").glob("*.sql")),
            code=tuple(path.read_text(encoding="utf-8") for path in files),
        )

    @property
    def digest(self) -> str:
        """Of the functions and views."""
        return hashlib.sha256("\0".join(self.code).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `migrate` did."""

    applied: tuple[str, ...]
    is_code_renewed: bool


async def migrate(dsn: str, *, schema: Schema | None = None, lock_wait_s: float = LOCK_WAIT_S) -> Outcome:
    """Apply missing migrations, then functions and views if they differ. Raises MigrationError, also when others hold a lock that
    is needed for longer than `lock_wait_s`.

    `dsn` is the address of the schema's owner, as asyncpg takes it.
    """
    wanted = schema or Schema.read()
    own = {"application_name": "lineserve-migrate", "lock_timeout": str(int(lock_wait_s * 1000))}
    connection = await asyncpg.connect(dsn, server_settings=own)
    try:
        if await _is_current(connection, wanted):
            return Outcome((), False)
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        missing = wanted.versions - await _applied(connection, wanted)
        if missing:
            await _run_dbmate(dsn, wanted.migrations)
        is_renewed = await _renew_code(connection, wanted)
        return Outcome(tuple(sorted(missing)), is_renewed)
    except asyncpg.LockNotAvailableError as error:
        raise MigrationError(
            "another session holds a lock on the schema (pg_locks shows which): end it, or wait for its migration, and start again"
        ) from error
    except asyncpg.PostgresError as error:
        raise MigrationError(f"the schema could not be brought up to date: {error}") from error
    finally:
        await connection.close()


async def _is_current(connection: Connection, wanted: Schema) -> bool:
    if wanted.versions != await _applied(connection, wanted):
        return False
    return await connection.fetchval("SELECT digest FROM code_digest") == wanted.digest


async def _applied(connection: Connection, wanted: Schema) -> frozenset[str]:
    """The migrations that the database has. Raises MigrationError if it has one that this program does not know."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return frozenset()
    versions = frozenset(row["version"] for row in await connection.fetch("SELECT version FROM schema_migrations"))
    unknown = sorted(versions - wanted.versions)
    if unknown:
        raise MigrationError(
            f"the database has migration {unknown[-1]}, which is newer than this program: install the newer program"
        )
    return versions


async def _renew_code(connection: Connection, wanted: Schema) -> bool:
    """Drop and make all functions and views in one transaction, unless they are in place."""
    async with connection.transaction():
        if await connection.fetchval("SELECT digest FROM code_digest") == wanted.digest:
            return False
        # Bodies are checked when they first run: functions and views may name each other.
        await connection.execute("SET LOCAL check_function_bodies = off; SET LOCAL lock_timeout = '10s'")
        await _drop_code(connection, wanted)
        for text in wanted.code:
            await connection.execute(text)
        await connection.execute(
            "INSERT INTO code_digest (digest) VALUES ($1) ON CONFLICT (is_only) DO UPDATE SET digest = excluded.digest",
            wanted.digest,
        )
    return True


async def _drop_code(connection: Connection, wanted: Schema) -> None:
    """Drop the views and functions that the files make, so that they may change; what others built on them stops it."""
    names = {kind: _names(wanted, kind) for kind in ("VIEW", "FUNCTION")}
    dropped = await connection.fetch(
        """
        SELECT format('DROP VIEW %s', string_agg(oid::regclass::text, ', ')) AS statement
        FROM pg_class
        WHERE relkind = 'v' AND relname = ANY ($1) AND relnamespace = current_schema()::regnamespace
        HAVING count(*) > 0
        UNION ALL
        SELECT format('DROP FUNCTION %s', string_agg(oid::regprocedure::text, ', '))
        FROM pg_proc
        WHERE proname = ANY ($2) AND pronamespace = current_schema()::regnamespace
        HAVING count(*) > 0
        """,
        names["VIEW"],
        names["FUNCTION"],
    )
    for row in dropped:
        await connection.execute(row["statement"])


def _names(wanted: Schema, kind: str) -> list[str]:
    return [match["name"] for text in wanted.code for match in _MADE.finditer(text) if match["kind"] == kind]


async def _run_dbmate(dsn: str, migrations: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "dbmate",
        *("--env-file", os.devnull, "--migrations-dir", str(migrations), "--no-dump-schema", "migrate"),
        env={**os.environ, "DATABASE_URL": dbmate_url(dsn)},  # not an argument: those can be read by everybody
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        lines = said.decode(errors="replace").strip().splitlines() or ["dbmate said nothing"]
        raise MigrationError(f"a migration failed: {lines[-1].removeprefix('Error: ')}")


def dbmate_url(dsn: str, *, environment: dict[str, str] | None = None) -> str:
    """The address for dbmate of what asyncpg reaches at `dsn`: sockets as a parameter, TLS preferred unless told."""
    known = dict(os.environ) if environment is None else environment
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    login, at, address = parts.netloc.rpartition("@")
    host, port = _split_address(address)
    host = query.pop("host", host) or known.get("PGHOST", "")
    port = query.pop("port", port) or known.get("PGPORT", "5432")
    if "," in host or "," in port:
        raise MigrationError("migrations need one address: name a single host in DATABASE_URL to migrate")
    query = {"host": host or _local_host(port), "port": port, **query}
    query.setdefault("sslmode", known.get("PGSSLMODE", "prefer"))
    return f"postgres://{login}{at}{parts.path}?{urlencode(query)}"


def _split_address(address: str) -> tuple[str, str]:
    match = re.fullmatch(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[\d,]*))?", address)
    if match is None:  # several hosts
        return address, ""
    return unquote(match["host"].strip("[]")), match["port"] or ""


def _local_host(port: str) -> str:
    """Where libpq's kin look when no host is named."""
    for folder in ("/run/postgresql", "/var/run/postgresql", "/tmp"):  # noqa: S108  a standard place of the socket
        if Path(folder, f".s.PGSQL.{port}").exists():
            return folder
    return "localhost"
