"""The rate limits of a serving process, and the lock that keeps processes from limiting each for itself.

Processes of the public API on one database hold one advisory lock: together if they share a Redis, alone if not. It belongs
to a session of its own, so that it goes with the process, however that ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import structlog

from billing.app import stopping
from billing.app.faults import CommandError
from billing.kit.ratelimit import Limit, MemoryWindows, SharedWindows
from billing.kit.web.rate_limits import RateLimits

if TYPE_CHECKING:
    from billing.app.runtime import Installation
    from billing.kit.config import Settings
    from billing.kit.db import Connection

LOCK_KEY = 7_302_646_011_907  # of the advisory lock
# A process that was killed a moment ago, or is just ending, still holds it.
_WAIT_S = 3
_LOOKS_EVERY_S = 2.0
_STOP_LIMIT_S = 5.0
_ANY = (Limit("general", 1),)
_log = structlog.get_logger("billing.ratelimit")


@asynccontextmanager
async def rate_limits(installed: Installation, *, serves_public: bool) -> AsyncIterator[RateLimits]:
    """The limits that the settings say, for the length of the block.

    Raises CommandError where another process serves the public API on this database without sharing its windows.
    """
    settings, clock = installed.settings, installed.database.clock
    url = settings.rate_limit_url
    memory = MemoryWindows(clock)
    windows = memory if url is None else SharedWindows(url.get_secret_value(), spare=memory)
    lock = ServingLock(installed.dsn, is_shared=url is not None)
    if serves_public:
        await lock.take()
    await windows.peek("start", _ANY)  # so that the log tells at once when the address is wrong
    keeping = asyncio.create_task(lock.keep() if serves_public else asyncio.sleep(0))
    try:
        yield RateLimits(
            windows,
            clock=clock,
            calls=_calls(settings),
            operator_calls=settings.rate_limit_operator,
            failures=settings.rate_limit_failures,
        )
    finally:
        keeping.cancel()
        await stopping.finish(keeping, limit_s=_STOP_LIMIT_S)
        await lock.release()
        await windows.close()


def _calls(settings: Settings) -> dict[str, int]:
    return {
        "general": settings.rate_limit_general,
        "billing": settings.rate_limit_billing,
        "project": settings.rate_limit_project,
    }


class ServingLock:
    """The advisory lock, over a session of its own."""

    def __init__(self, dsn: str, *, is_shared: bool, looks_every_s: float = _LOOKS_EVERY_S) -> None:
        self._dsn = dsn
        self._is_shared = is_shared
        self._looks_every_s = looks_every_s
        self._session: Connection | None = None

    async def take(self) -> None:
        """Take it. Raises CommandError when it cannot be had."""
        session = await asyncpg.connect(self._dsn, timeout=_WAIT_S, command_timeout=2 * _WAIT_S)
        statement = "SELECT pg_advisory_lock_shared($1)" if self._is_shared else "SELECT pg_advisory_lock($1)"
        try:
            await session.execute(f"SET lock_timeout = '{_WAIT_S}s'")
            await session.execute(statement, LOCK_KEY)
        except asyncpg.LockNotAvailableError:
            session.terminate()
            raise CommandError(_refusal(is_shared=self._is_shared)) from None
        except BaseException:
            session.terminate()
            raise
        self._session = session

    async def keep(self) -> None:
        """See that it is still held, and take it anew once the database is back."""
        while True:
            await asyncio.sleep(self._looks_every_s)
            try:
                if self._session is None:
                    await self.take()
                else:
                    await self._session.execute("SELECT 1")
            except CommandError as error:
                _log.error("rate_limits_not_shared", reason=str(error))
            except Exception:  # a driver says many things of a session that died; this goes on
                await self.release()

    async def release(self) -> None:
        """Let it go with its session."""
        session, self._session = self._session, None
        if session is not None:
            session.terminate()


def _refusal(*, is_shared: bool) -> str:
    if is_shared:
        return (
            "another process serves the public API on this database and counts calls in its memory: "
            "start it with the same LINESERVE_RATE_LIMIT_URL"
        )
    return (
        "another process serves the public API on this database, and rate limits in memory are not shared: "
        "set LINESERVE_RATE_LIMIT_URL to one Redis or Valkey for all of them"
    )
