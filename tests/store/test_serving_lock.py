"""The lock between serving processes: together or alone, and taken anew when the database was away."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
import structlog

from billing.app.faults import CommandError
from billing.app.limiting import LOCK_KEY, ServingLock

_HOLDERS = """
    SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND ((classid::bigint << 32) | objid::bigint) = $1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY pid
"""


async def holders(dsn: str) -> list[int]:
    """The sessions that hold the lock."""
    connection = await asyncpg.connect(dsn)
    try:
        return [record["pid"] for record in await connection.fetch(_HOLDERS, LOCK_KEY)]
    finally:
        await connection.close()


class TestServingLock:
    async def test_is_held_together_or_alone(self, database_dsn: str) -> None:
        one, other = (ServingLock(database_dsn, is_shared=True) for _ in range(2))
        await one.take()
        await other.take()
        assert len(await holders(database_dsn)) == 2
        with pytest.raises(CommandError, match="set LINESERVE_RATE_LIMIT_URL"):
            await ServingLock(database_dsn, is_shared=False).take()
        await one.release()
        await other.release()

    async def test_is_taken_anew_when_its_session_is_lost(self, database_dsn: str) -> None:
        lock = ServingLock(database_dsn, is_shared=False, looks_every_s=0.02)
        await lock.take()
        keeping = asyncio.create_task(lock.keep())
        (before,) = await holders(database_dsn)
        connection = await asyncpg.connect(database_dsn)
        await connection.execute("SELECT pg_terminate_backend($1)", before)
        await connection.close()
        await _until_held_by_another(database_dsn, before)
        keeping.cancel()
        await asyncio.wait([keeping])
        await lock.release()

    async def test_that_another_has_taken_meanwhile_raises_an_alarm(self, database_dsn: str) -> None:
        lock, other = (ServingLock(database_dsn, is_shared=False, looks_every_s=0.02) for _ in range(2))
        await other.take()
        with structlog.testing.capture_logs() as logs:
            keeping = asyncio.create_task(lock.keep())
            async with asyncio.timeout(60):
                while not logs:  # noqa: ASYNC110  a log has no event
                    await asyncio.sleep(0.02)
        keeping.cancel()
        await asyncio.wait([keeping])
        assert logs[0]["event"] == "rate_limits_not_shared"
        await other.release()


async def _until_held_by_another(dsn: str, before: int) -> None:
    async with asyncio.timeout(60):
        while (await holders(dsn)) in ([], [before]):  # noqa: ASYNC110  nor has a lock
            await asyncio.sleep(0.02)
