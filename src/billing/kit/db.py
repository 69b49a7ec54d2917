"""The database as operations see it: a transaction with the instant it happens at and a source of ids.

Clock and randomness come in from the edge, so that a scripted clock gives the same rows again.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg

from billing.core import ids
from billing.kit.sessions import SessionPool

if TYPE_CHECKING:
    from types import TracebackType

    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]

Clock = Callable[[], datetime]
RandomBits = Callable[[int], int]

APP_ROLE = "lineserve_app"
ACQUIRE_TIMEOUT_S = 2.5  # a caller hears 503 within 3 s, unless the settings say otherwise
_CONNECT_TIMEOUT_S = 5
_QUERIES_MAX = 50_000
_IDLE_S = 300.0
# How soon the server ends a session whose program is gone, or gave its statement up: else there would be more than the pool has.
_GONE = {
    "client_connection_check_interval": "1000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


def system_clock() -> datetime:
    """The current instant, aware, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction: its connection, its instant (aware, UTC) and new ids."""

    connection: Connection
    now: datetime
    random_bits: RandomBits = field(default=secrets.randbits)

    def new_id(self) -> UUID:
        """A UUIDv7 of this transaction's instant."""
        return ids.uuid7(self.now, self.random_bits(74))


@dataclass(frozen=True, slots=True)
class Database:
    """A pool, a clock and a source of randomness. What goes on for `wait_s` without a session is given up."""

    pool: Pool
    clock: Clock = system_clock
    random_bits: RandomBits = field(default=secrets.randbits)
    wait_s: float = ACQUIRE_TIMEOUT_S

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        async with self.pool.acquire(timeout=self.wait_s) as connection, connection.transaction():
            yield Tx(connection, self.clock(), self.random_bits)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Tx]:
        """A read-only transaction in which every statement sees the same state."""
        async with (
            self.pool.acquire(timeout=self.wait_s) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Tx(connection, self.clock(), self.random_bits)

    def reading(self) -> _Reading:
        """A connection for single statements, each a transaction of its own, without the round trips of one."""
        return _Reading(self)


class _Reading:
    """The block of `Database.reading`: each read enters one, and a class is entered faster than a generator."""

    __slots__ = ("_database", "_lease")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lease = database.pool.acquire(timeout=database.wait_s)

    async def __aenter__(self) -> Tx:
        connection = await self._lease.__aenter__()
        return Tx(connection, self._database.clock(), self._database.random_bits)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lease.__aexit__(kind, error, trace)


class Session(asyncpg.Connection):
    """A session that goes back to its pool as it came, so that nothing has to be sent to set it right.

    Settings are local to a transaction, and who takes a session's lock gives it back or ends the session.
    """

    def get_reset_query(self) -> str:
        """Nothing; a transaction that was left open is rolled back all the same."""
        return ""


async def open_pool(
    dsn: str,
    *,
    size: int,
    role: str | None = APP_ROLE,
    statement_timeout_ms: int = 30_000,
    connection_class: type[asyncpg.Connection[asyncpg.Record]] = Session,
) -> Pool:
    """A pool whose sessions work in UTC and, unless `role` is None, with the application's rights only."""
    settings = {
        "application_name": "lineserve-billing",
        "timezone": "UTC",
        "statement_timeout": str(statement_timeout_ms),
        "idle_in_transaction_session_timeout": "60000",
        "lock_timeout": "10000",
        "jit": "off",
        **_GONE,
    }
    if role is not None:
        settings["role"] = role
    return await SessionPool(
        dsn,
        min_size=1,
        max_size=size,
        max_queries=_QUERIES_MAX,
        max_inactive_connection_lifetime=_IDLE_S,
        loop=None,
        record_class=asyncpg.Record,
        server_settings=settings,
        command_timeout=60,
        timeout=_CONNECT_TIMEOUT_S,
        connection_class=connection_class,
        max_cacheable_statement_size=0,  # none is too long: the longest ones cost most to plan
    )
