"""The database fixtures themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from billing.kit.db import APP_ROLE, Tx

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
