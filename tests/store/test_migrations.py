"""How a database comes to the schema of the program, and what that schema is."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from billing.kit.migrate import LOCK_KEY, SQL, MigrationError, Outcome, Schema, dbmate_url, migrate
from tests.support import databases, postgres

HEADING = "-- What the migrations, functions and views make on PostgreSQL 18; `make golden` writes this file.\n"


class TestSchema:
    @pytest.mark.golden
    def test_is_the_committed_one(self, database_server: Path, golden: Callable[[Path, str], None]) -> None:
        golden(SQL / "schema.sql", HEADING + _dump(postgres.dsn(database_server, postgres.TEMPLATE)))

    def test_is_unknown_to_nobody(self) -> None:
        schema = Schema.read()
        assert len(schema.versions) == len(list((SQL / "migrations").glob("*.sql"))), "two migrations share a version"


class TestMigrate:
    async def test_leaves_an_up_to_date_database_alone(self, database_dsn: str) -> None:
        assert await migrate(database_dsn) == Outcome((), False)

    async def test_does_the_work_once_for_programs_that_start_together(self, empty_dsn: str) -> None:
        outcomes = await asyncio.gather(*(migrate(empty_dsn) for _ in range(3)))
        assert [len(outcome.applied) for outcome in outcomes if outcome.applied] == [len(Schema.read().versions)]
        assert [outcome.is_code_renewed for outcome in outcomes].count(True) == 1

    async def test_makes_functions_and_views_anew_when_they_differ(self, database_dsn: str) -> None:
        schema = Schema.read()
        changed = replace(schema, code=(*schema.code, "CREATE OR REPLACE VIEW extra_v AS SELECT 1 AS one;"))
        assert await migrate(database_dsn, schema=changed) == Outcome((), True)
        renamed = replace(schema, code=(*schema.code, "CREATE OR REPLACE VIEW extra_v AS SELECT 1 AS another;"))
        assert await migrate(database_dsn, schema=renamed) == Outcome((), True)
        assert await _value(database_dsn, "SELECT another FROM extra_v") == 1

    async def test_keeps_the_old_functions_and_views_when_the_new_ones_fail(self, database_dsn: str) -> None:
        schema = Schema.read()
        with pytest.raises(MigrationError, match="no_such_column"):
            await migrate(
                database_dsn, schema=replace(schema, code=(*schema.code, "SELECT no_such_column FROM accounts"))
            )
        assert await migrate(database_dsn) == Outcome((), False)

    async def test_refuses_a_database_that_a_newer_program_migrated(self, database_dsn: str) -> None:
        connection = await asyncpg.connect(database_dsn)
        await connection.execute("INSERT INTO schema_migrations VALUES ('29990101000000')")
        await connection.close()
        with pytest.raises(MigrationError, match="29990101000000, which is newer than this program"):
            await migrate(database_dsn)

    @pytest.mark.parametrize(
        "forgotten", [f"SELECT pg_advisory_lock({LOCK_KEY})", "BEGIN; LOCK TABLE schema_migrations, code_digest"]
    )
    async def test_waits_for_no_forgotten_session_for_ever(self, database_dsn: str, forgotten: str) -> None:
        changed = replace(Schema.read(), code=(*Schema.read().code, "SELECT 1"))
        session = await asyncpg.connect(database_dsn)
        await session.execute(forgotten)
        with pytest.raises(MigrationError, match="another session holds a lock"):
            await migrate(database_dsn, schema=changed, lock_wait_s=0.1)
        await session.close()
        assert (await migrate(database_dsn, schema=changed)).is_code_renewed

    async def test_says_what_dbmate_could_not_do(self, empty_dsn: str, tmp_path: Path) -> None:
        (tmp_path / "20240101000000_wrong.sql").write_text(
            "-- migrate:up\nCREATE TABLE t (x no_such_type);\n-- migrate:down\n"
        )
        with pytest.raises(MigrationError, match=r'a migration failed: .*"no_such_type"') as caught:
            await migrate(empty_dsn, schema=Schema(tmp_path, frozenset({"20240101000000"}), ()))
        assert "\n" not in str(caught.value)


class TestDbmateUrl:
    @pytest.mark.parametrize(
        ("dsn", "url"),
        [
            ("postgres://a@h/d", "postgres://a@/d?host=h&port=5432&sslmode=prefer"),
            ("postgresql://a:p%40%2F%3A@h:6/d", "postgres://a:p%40%2F%3A@/d?host=h&port=6&sslmode=prefer"),
            ("postgresql://a@/d?host=/run/x&port=7", "postgres://a@/d?host=%2Frun%2Fx&port=7&sslmode=prefer"),
            ("postgresql://a@%2Frun%2Fx:7/d", "postgres://a@/d?host=%2Frun%2Fx&port=7&sslmode=prefer"),
            ("postgres://a@[::1]:6/d?sslmode=disable", "postgres://a@/d?host=%3A%3A1&port=6&sslmode=disable"),
            ("postgres://h/d?sslmode=verify-full", "postgres:///d?host=h&port=5432&sslmode=verify-full"),
        ],
    )
    def test_names_the_same_place_as_for_asyncpg(self, dsn: str, url: str) -> None:
        assert dbmate_url(dsn, environment={}) == url

    def test_takes_what_the_environment_adds(self) -> None:
        added = {"PGHOST": "h", "PGPORT": "7", "PGSSLMODE": "require"}
        assert dbmate_url("postgres:///d", environment=added) == "postgres:///d?host=h&port=7&sslmode=require"

    def test_refuses_several_hosts(self) -> None:
        with pytest.raises(MigrationError, match="a single host"):
            dbmate_url("postgres://a@h:1,i:2/d", environment={})


@pytest.fixture
async def empty_dsn(database_server: Path):
    name = await databases.clone(database_server, template="template0")
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


async def _value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def _dump(dsn: str) -> str:
    """The schema without what differs from one dump to the next: versions of programs and the key of \\restrict."""
    command = [postgres.binaries_folder() / "pg_dump", "--schema-only", "--no-owner", "--restrict-key=golden", dsn]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text = re.sub(r"^(--.*|\\(un)?restrict .*|SET .*|SELECT pg_catalog.set_config.*)\n", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
