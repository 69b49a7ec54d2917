"""X22, X30: what each role of the database may do, from the catalog and by trying; none of ours is more than it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from billing.kit.db import APP_ROLE

if TYPE_CHECKING:
    from billing.kit.db import Connection

OPS, READ = "lineserve_ops", "lineserve_read"
ROLES = (APP_ROLE, OPS, READ)
READERS = (OPS, READ)
# What opens a door, or answers for somebody who did: for nobody's reports.
DOORS = {
    ("api_keys", "digest"),
    ("operator_keys", "digest"),
    ("idempotency_keys", "body"),
    ("idempotency_keys", "headers"),
    ("idempotency_keys", "intent"),
    ("idempotency_keys", "fingerprint"),
    ("payment_methods", "gateway_reference"),
}
PEOPLE = {"email", "name", "phone", "address", "company", "tax_id", "recipient"}


async def relations(connection: Connection, role: str, privilege: str) -> set[str]:
    """The tables and views of any schema of ours on which a role has a right, on all of it or on a column."""
    rows = await connection.fetch(
        """
        SELECT relname FROM pg_class
        WHERE relkind IN ('r', 'p', 'v') AND relnamespace::regnamespace::text IN ('public', 'queue', 'sandbox')
          AND has_schema_privilege($1, relnamespace, 'USAGE')
          AND (has_table_privilege($1, oid, $2) OR $2 IN ('SELECT', 'INSERT', 'UPDATE') AND has_any_column_privilege($1, oid, $2))
        """,
        role,
        privilege,
    )
    return {row["relname"] for row in rows}


class TestEveryRole:
    @pytest.mark.parametrize("role", ROLES)
    async def test_is_no_more_than_a_set_of_rights(self, owner_connection: Connection, role: str) -> None:
        row = await owner_connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", role)
        assert row is not None
        powers = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls", "rolcanlogin")
        assert not [power for power in powers if row[power]]
        member_of = await owner_connection.fetch("SELECT roleid FROM pg_auth_members WHERE member = $1", row["oid"])
        assert member_of == []

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE mine (one integer)",
            "ALTER TABLE transfers DISABLE TRIGGER ALL",
            "DROP TABLE transfers",
            "CREATE OR REPLACE FUNCTION post_transfer() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "COPY accounts TO '/tmp/accounts'",
            "COPY accounts TO PROGRAM 'cat'",
            "SELECT pg_read_file('PG_VERSION')",
            "SELECT pg_backup_start('stolen')",
            "SELECT pg_create_physical_replication_slot('stolen')",
            "SET ROLE lineserve_owner",
            "GRANT lineserve_app TO lineserve_read",
            "ALTER ROLE lineserve_app SUPERUSER",
            "SELECT * FROM pg_authid",
        ],
    )
    async def test_cannot(self, owner_connection: Connection, role: str, statement: str) -> None:
        await owner_connection.execute(f"SET LOCAL SESSION AUTHORIZATION {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner_connection.execute(statement)


class TestReaders:
    @pytest.mark.parametrize("role", READERS)
    async def test_write_nothing(self, owner_connection: Connection, role: str) -> None:
        for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"):
            assert await relations(owner_connection, role, privilege) == set()

    @pytest.mark.parametrize("role", READERS)
    async def test_call_nothing_that_writes(self, owner_connection: Connection, role: str) -> None:
        await owner_connection.execute(f"SET LOCAL ROLE {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner_connection.execute(
                """
                SELECT post_transfer(gen_random_uuid(), 'USD', 'gateway:x', 'wallet:cash', 1, 'topup.settled', 'r', 0, now(), now())
                """
            )


class TestOps:
    async def test_reads_every_table_of_ours(self, owner_connection: Connection) -> None:
        rows = await owner_connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v') AND relnamespace = 'public'::regnamespace"
        )
        everything = {row["relname"] for row in rows} - {"schema_migrations"}  # dbmate's
        assert everything - await relations(owner_connection, OPS, "SELECT") == set()

    async def test_reads_nothing_that_opens_a_door(self, owner_connection: Connection) -> None:
        columns = await owner_connection.fetch(
            """
            SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
              AND NOT has_column_privilege($1, attrelid, attnum, 'SELECT')
            """,
            OPS,
        )
        hidden = {(row["relname"], row["attname"]) for row in columns}
        assert hidden >= DOORS
        assert await relations(owner_connection, OPS, "SELECT") & {"instruments", "charges", "pgqueuer"} == set()

    async def test_sees_which_keys_there_are(self, owner_connection: Connection) -> None:
        await owner_connection.execute(f"SET LOCAL ROLE {OPS}")
        await owner_connection.fetch("SELECT account_id, name, permissions, revoked_at FROM api_keys")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner_connection.fetch("SELECT digest FROM api_keys")


class TestRead:
    async def test_sees_views_alone_and_nobodys_name(self, owner_connection: Connection) -> None:
        seen = await relations(owner_connection, READ, "SELECT")
        assert seen
        assert all(name.endswith("_v") for name in seen)
        rows = await owner_connection.fetch(
            "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relname = ANY ($1)",
            sorted(seen),
        )
        personal = {(row["relname"], row["attname"]) for row in rows if row["attname"] in PEOPLE - {"name"}}
        assert personal == set()
        assert "accounts_v" not in seen
