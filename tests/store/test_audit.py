"""The audit trail in a real database: appended alone, numbered, chained, and every change of it found (quality.md X21, L6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from billing.core.page import PageRequest
from billing.kit import audit
from billing.kit.audit import Action, Actor, Filter
from billing.kit.db import Database, Tx, open_pool

if TYPE_CHECKING:
    from billing.kit.db import Connection

ACCOUNT, KEY, OTHER_KEY = UUID(int=1), UUID(int=2), UUID(int=3)
ACTION = Action(
    actor=Actor("operator", KEY, "Finance"),
    action="POST /accounts/{account_id}/suspend",
    objects={"account_id": "acc_1"},
    account_id=ACCOUNT,
    ip="192.0.2.1",
    request_id="r1",
    body_digest=bytes(32),
    details={"members": ["reason"]},
)
# What an owner of the tables could do to one column of a record.
CHANGES = {
    "number": "number + 100",
    "actor_kind": "'system'",
    "actor_id": "gen_random_uuid()",
    "actor_name": "'Somebody'",
    "action": "'PUT /issuer'",
    "objects": '\'{"account_id": "acc_2"}\'',
    "account_id": "NULL",
    "occurred_at": "occurred_at + interval '1 microsecond'",
    "ip": "'192.0.2.2'",
    "request_id": "NULL",
    "status": "500",
    "body_digest": "set_byte(body_digest, 31, 1)",
    "details": "'{}'",
    "chain_hash": "set_byte(chain_hash, 0, get_byte(chain_hash, 0) # 1)",
}


@pytest.fixture
def owner_tx(owner_connection: Connection, tx: Tx) -> Tx:
    """A transaction with the rights of the schema's owner, rolled back when the test ends."""
    return Tx(owner_connection, tx.now)


@pytest_asyncio.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    pool = await open_pool(database_dsn, size=8)
    yield Database(pool)
    await pool.close()


async def write(tx: Tx, count: int) -> None:
    for _ in range(count):
        await audit.write(tx, ACTION, status=200)


async def broken(connection: Connection) -> set[str]:
    return {check.name for check in await audit.run_checks(connection) if check.violations}


async def numbers(connection: Connection, wanted: Filter | None = None) -> list[int]:
    found = await audit.list_records(connection, page=PageRequest(per_page=100), wanted=wanted or Filter())
    assert len(found.items) == found.total
    return [record.number for record in found.items]


class TestWrite:
    async def test_keeps_what_it_is_given(self, tx: Tx):
        assert await audit.write(tx, ACTION, status=202) == 1
        found = await audit.list_records(tx.connection, page=PageRequest(), wanted=Filter())
        (record,) = found.items
        assert (record.action, record.status, record.occurred_at, record.number) == (ACTION, 202, tx.now, 1)
        assert await audit.get_head(tx.connection) == audit.Head(1, record.chain_hash)
        assert found.total == 1

    async def test_keeps_what_a_command_does_without_address_and_outcome(self, tx: Tx):
        action = Action(actor=Actor.program("billing close"), action="run.requested")
        await audit.write(tx, action)
        (record,) = (await audit.list_records(tx.connection, page=PageRequest(), wanted=Filter())).items
        assert (record.action, record.status) == (action, None)

    async def test_is_undone_with_its_transaction(self, database: Database):
        class Refused(Exception):
            pass

        for is_refused in (False, True, False):
            with pytest.raises(Refused) if is_refused else nullcontext():
                async with database.transaction() as tx:
                    await audit.write(tx, ACTION)
                    if is_refused:
                        raise Refused
        async with database.snapshot() as tx:
            assert await numbers(tx.connection) == [2, 1]
            assert await broken(tx.connection) == set()

    async def test_holds_its_numbers_and_its_chain_for_many_at_once(self, database: Database):
        async def one(position: int) -> int:
            async with database.transaction() as tx:
                return await audit.write(tx, replace(ACTION, request_id=str(position)))

        written = await asyncio.gather(*(one(position) for position in range(200)))
        assert sorted(written) == list(range(1, 201))
        async with database.snapshot() as tx:
            assert await broken(tx.connection) == set()
            assert (await audit.get_head(tx.connection)).number == 200

    async def test_makes_nobody_wait_who_has_not_come_to_it(self, database: Database):
        written = asyncio.Event()

        async def second() -> int:
            async with database.transaction() as tx:
                await tx.connection.execute("SELECT FROM accounts")  # its own work
                written.set()
                return await audit.write(tx, ACTION)

        async with database.transaction() as tx:
            assert await audit.write(tx, ACTION) == 1
            waiting = asyncio.create_task(second())
            await asyncio.wait_for(written.wait(), 5)
            await asyncio.sleep(0.05)
            assert not waiting.done()
        assert await waiting == 2


class TestApplication:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_records SET ip = NULL",
            "DELETE FROM audit_records",
            "TRUNCATE audit_records",
            "DELETE FROM audit_head",
            "TRUNCATE audit_head",
            "INSERT INTO audit_head VALUES (true, 0, '')",
        ],
    )
    async def test_can_only_append(self, tx: Tx, statement: str):
        await write(tx, 1)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.connection.execute(statement)

    async def test_has_no_other_right_on_records(self, owner_connection: Connection):
        rights = await owner_connection.fetch(
            """
            SELECT privilege_type FROM information_schema.table_privileges
            WHERE grantee = 'lineserve_app' AND table_name = 'audit_records'
            UNION
            SELECT privilege_type FROM information_schema.column_privileges
            WHERE grantee IN ('lineserve_app', 'PUBLIC') AND table_name = 'audit_records'
            """
        )
        assert {row["privilege_type"] for row in rights} == {"INSERT", "SELECT"}


class TestVerifier:
    async def test_is_content_with_a_trail_that_nobody_touched(self, tx: Tx):
        assert await broken(tx.connection) == set()
        await write(tx, 5)
        assert await broken(tx.connection) == set()
        assert await audit.list_broken(tx.connection, limit=10) == []

    async def test_reads_every_column(self, owner_connection: Connection):
        columns = await owner_connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_records'"
        )
        assert {row["column_name"] for row in columns} == set(CHANGES)

    @pytest.mark.parametrize("column", CHANGES)
    async def test_names_the_record_of_which_a_column_was_changed(self, owner_tx: Tx, column: str):
        await write(owner_tx, 5)
        statement = f"UPDATE audit_records SET {column} = {CHANGES[column]} WHERE number = 3"  # noqa: S608  CHANGES is ours
        await owner_tx.connection.execute(statement)
        named = await audit.list_broken(owner_tx.connection, limit=10)
        after = {"number": [4, 103], "chain_hash": [3, 4]}  # the one that was moved or whose hash changed, and the next
        assert named == after.get(column, [3])
        assert "audit chain holds" in await broken(owner_tx.connection)

    @pytest.mark.parametrize(("taken", "named"), [(1, [2]), (3, [4]), (5, [])])
    async def test_finds_what_was_taken_out(self, owner_tx: Tx, taken: int, named: list[int]):
        await write(owner_tx, 5)
        await owner_tx.connection.execute("DELETE FROM audit_records WHERE number = $1", taken)
        assert await audit.list_broken(owner_tx.connection, limit=10) == named
        assert await broken(owner_tx.connection) == {
            "audit chain holds",
            "audit entries are numbered without holes",
        }

    async def test_finds_a_record_whose_hash_was_made_to_fit(self, owner_tx: Tx):
        await write(owner_tx, 5)
        await owner_tx.connection.execute(
            """
            UPDATE audit_records SET ip = '192.0.2.9', chain_hash = sha256(
                (SELECT chain_hash FROM audit_records WHERE number = 2) || convert_to(audit_text(forged), 'UTF8'))
            FROM (SELECT jsonb_populate_record(r, '{"ip": "192.0.2.9"}') AS forged FROM audit_records AS r WHERE number = 3) AS f
            WHERE number = 3
            """
        )
        assert await audit.list_broken(owner_tx.connection, limit=10) == [4]

    async def test_finds_a_head_that_is_not_the_end(self, owner_tx: Tx):
        await write(owner_tx, 2)
        await owner_tx.connection.execute("UPDATE audit_head SET chain_hash = sha256('another')")
        assert await broken(owner_tx.connection) == {"audit chain holds"}

    async def test_finds_that_the_head_is_gone(self, owner_tx: Tx):
        await write(owner_tx, 2)
        await owner_tx.connection.execute("DELETE FROM audit_head")
        assert await broken(owner_tx.connection) == {"audit entries are numbered without holes"}


class TestListRecords:
    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            (Filter(), [4, 3, 2, 1]),
            (Filter(account_id=ACCOUNT), [4, 1]),
            (Filter(actor_kind="operator"), [2, 1]),
            (Filter(actor_kind="operator", actor_id=OTHER_KEY), [2]),
            (Filter(actor_kind="account_key", actor_id=OTHER_KEY), []),
            (Filter(actor_kind="system"), [3]),
            (Filter(action="POST /accounts"), [1]),
            (Filter(action="P"), [2, 1]),
            (Filter(action="key."), [4, 3]),
            (Filter(action="%"), []),
            (Filter(account_id=ACCOUNT, action="key."), [4]),
        ],
    )
    async def test_lets_through_what_is_wanted(self, tx: Tx, wanted: Filter, found: list[int]):
        await self._furnish(tx)
        assert await numbers(tx.connection, wanted) == found

    async def test_takes_the_start_of_a_window_and_not_its_end(self, tx: Tx):
        for hours in range(4):
            await audit.write(replace(tx, now=tx.now + timedelta(hours=hours)), ACTION)
        window = Filter(start=tx.now + timedelta(hours=1), end=tx.now + timedelta(hours=3))
        assert await numbers(tx.connection, window) == [3, 2]

    async def test_parts_its_pages_newest_first(self, tx: Tx):
        await write(tx, 5)
        pages = [
            await audit.list_records(tx.connection, page=PageRequest(page=page, per_page=2), wanted=Filter())
            for page in (1, 2, 3, 4)
        ]
        assert [[record.number for record in page.items] for page in pages] == [[5, 4], [3, 2], [1], []]
        assert {page.total for page in pages} == {5}

    async def _furnish(self, tx: Tx) -> None:
        await audit.write(tx, ACTION)
        await audit.write(
            tx, replace(ACTION, actor=Actor("operator", OTHER_KEY, "Other"), action="PUT /issuer", account_id=None)
        )
        await audit.write(tx, Action(actor=Actor.program("billing serve"), action="key.created"))
        await audit.write(tx, Action(actor=Actor("account_key", KEY), action="key.revoked", account_id=ACCOUNT))
