"""The database fixtures themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest

from billing.kit import idempotency
from billing.kit.db import APP_ROLE, Database, Tx, open_pool
from billing.kit.held_keys import HeldKeys

if TYPE_CHECKING:
    from billing.kit.db import Connection


class TestConnection:
    @pytest.mark.parametrize("round_number", [1, 2])
    async def test_starts_from_an_empty_database_each_time(
        self, owner_connection: Connection, round_number: int
    ) -> None:
        assert await owner_connection.fetchval("SELECT count(*) FROM api_keys") == 0
        await owner_connection.execute(
            "INSERT INTO operator_keys VALUES (sha256($1), gen_random_uuid(), 'x', '{}', now())", bytes([round_number])
        )
        assert await owner_connection.fetchval("SELECT count(*) FROM operator_keys") == 1

    async def test_has_the_rights_of_the_application_only(self, connection: Connection) -> None:
        assert await connection.fetchval("SELECT current_user") == APP_ROLE
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE t (x int)")


class TestTx:
    def test_has_a_fixed_instant_and_repeatable_ids(self, tx: Tx) -> None:
        assert tx.now.isoformat() == "2024-02-01T10:00:00+00:00"
        assert str(tx.new_id()).startswith("018d641c-6900-7")


class TestDatabaseDsn:
    async def test_is_a_migrated_database_of_the_tests_own(self, database_dsn: str) -> None:
        connection = await asyncpg.connect(database_dsn)
        try:
            assert await connection.fetchval("SELECT count(*) FROM accounts") == 0
        finally:
            await connection.close()


class TestPool:
    async def test_sends_nothing_when_a_session_comes_back(self, database_dsn: str) -> None:
        pool = await open_pool(database_dsn, size=1)
        watching = await asyncpg.connect(database_dsn)
        try:
            async with pool.acquire() as session:
                process = await session.fetchval("SELECT pg_backend_pid()")
            last = await watching.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", process)
            assert last == "SELECT pg_backend_pid()"
        finally:
            await watching.close()
            await pool.close()

    async def test_lends_no_session_with_the_lock_of_a_call_that_was_cancelled(self, database_dsn: str) -> None:
        attempt = idempotency.Attempt(account_id=UUID(int=1), route="POST /x", key="k", fingerprint=b"")
        pool = await open_pool(database_dsn, size=1)
        held_keys = HeldKeys(Database(pool))

        async def call() -> None:
            async with held_keys.hold(attempt):
                await asyncio.sleep(60)

        try:
            for steps in range(12):  # wherever the call is
                task = asyncio.create_task(call())
                for _ in range(steps):
                    await asyncio.sleep(0.0005 * steps)
                task.cancel()
                await asyncio.wait([task])
                async with asyncio.timeout(5), pool.acquire() as session:  # there is one: it came back
                    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                    assert await session.fetchval(locks) == 0
        finally:
            await pool.close()
