"""Events are relayed once to all readers, whoever refuses some; and the log misses none, however late it commits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from billing.kit import outbox
from billing.kit.db import Database, open_pool
from tests.conftest import NOW
from tests.support.house import Clock

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.kit.outbox import OutboxEvent

ACCOUNT, OTHER = UUID(int=1), UUID(int=2)


class Reading:
    """Notes what it is told, and refuses batches that hold a poisonous object."""

    def __init__(self, *poison: str) -> None:
        self.poison = set(poison)
        self.told: list[str] = []

    async def __call__(self, tx: Tx, events: Sequence[OutboxEvent]) -> None:
        if any(event.object_id in self.poison for event in events):
            raise ValueError("refused")
        self.told += [event.object_id for event in events]


@pytest_asyncio.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    pool = await open_pool(database_dsn, size=4)
    yield Database(pool, clock=Clock(NOW))
    await pool.close()


async def publish(database: Database, *object_ids: str, type: str = "x.happened", account_id: UUID = ACCOUNT) -> None:
    async with database.transaction() as tx:
        for object_id in object_ids:
            await outbox.publish(tx, account_id=account_id, type=type, object_id=object_id, payload={"n": "1.50"})


async def stuck(database: Database) -> int:
    async with database.reading() as tx:
        return (await outbox.run_checks(tx.connection, types=()))[1].violations


class TestRelay:
    async def test_hands_each_event_to_every_reader_once(self, database: Database) -> None:
        await publish(database, "a", "b", "c")
        first, second = Reading(), Reading()
        assert await outbox.relay(database, readers=[first, second]) == 3
        assert await outbox.relay(database, readers=[first, second]) == 0
        assert first.told == second.told == ["a", "b", "c"]

    async def test_gives_the_whole_event_with_a_version_that_rises(self, database: Database) -> None:
        seen: list[OutboxEvent] = []

        async def see(_: Tx, events: Sequence[OutboxEvent]) -> None:
            seen.extend(events)

        await publish(database, "a", "a")
        await outbox.relay(database, readers=[see])
        assert [(event.account_id, event.type, event.created_at) for event in seen] == [
            (ACCOUNT, "x.happened", NOW)
        ] * 2
        assert [event.payload for event in seen] == [{"n": "1.50"}] * 2
        assert seen[0].version < seen[1].version

    async def test_goes_on_without_what_is_refused_and_tries_it_again_later(self, database: Database) -> None:
        clock = database.clock
        assert isinstance(clock, Clock)
        await publish(database, "a", "poison", "b")
        before, reader = Reading(), Reading("poison")
        with capture_logs() as logs:
            assert await outbox.relay(database, readers=[before, reader]) == 2
        assert [(log["event"], log["log_level"], log["type"]) for log in logs] == [
            ("event_refused", "error", "x.happened")
        ]
        assert reader.told == ["a", "b"]
        await publish(database, "c")
        assert await outbox.relay(database, readers=[before, reader]) == 1  # the poison waits
        for _ in range(outbox.STUCK_AFTER_FAILURES - 1):
            assert await stuck(database) == 0
            clock.now += timedelta(minutes=1)
            assert await outbox.relay(database, readers=[before, reader]) == 0
        assert await stuck(database) == 1
        reader.poison.clear()
        clock.now += timedelta(minutes=1)
        before.told.clear()
        assert await outbox.relay(database, readers=[before, reader]) == 1
        assert before.told == ["poison"]
        assert reader.told == ["a", "b", "c", "poison"]
        assert await stuck(database) == 0

    async def test_blames_no_event_for_a_database_that_takes_no_writes(self, database: Database) -> None:
        """As after a failover: the batch began on the primary, and what is tried next hears that this is a standby."""
        await publish(database, "a", "b")
        reader = Reading()

        async def fail_over(tx: Tx, events: Sequence[OutboxEvent]) -> None:
            assert len(events) == 2
            for _ in range(database.pool.get_max_size() - 1):
                session = await held.enter_async_context(database.pool.acquire())
                await session.execute("SET default_transaction_read_only = on")
            await held.aclose()
            await tx.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        async with AsyncExitStack() as held:
            with capture_logs() as logs, pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await outbox.relay(database, readers=[fail_over, reader])
        assert logs == []
        await database.pool.expire_connections()
        async with AsyncExitStack() as held:
            for _ in range(database.pool.get_max_size()):
                session = await held.enter_async_context(database.pool.acquire())
                await session.execute("SET default_transaction_read_only = off")
        assert await outbox.relay(database, readers=[reader]) == 2
        assert reader.told == ["a", "b"]

    async def test_shares_events_between_any_number(self, database: Database) -> None:
        await publish(database, *map(str, range(1_200)))
        reader = Reading()
        counts = await asyncio.gather(*(outbox.relay(database, readers=[reader]) for _ in range(3)))
        assert sum(counts) == 1_200
        assert sorted(reader.told) == sorted(map(str, range(1_200)))

    async def test_leaves_to_a_dead_relay_what_it_had_not_committed(self, database: Database) -> None:
        await publish(database, "a")
        held = asyncio.Event()

        async def hang(*_: object) -> None:
            held.set()
            await asyncio.sleep(60)

        dying = asyncio.create_task(outbox.relay(database, readers=[hang]))
        await held.wait()
        assert await outbox.relay(database, readers=[Reading()]) == 0  # it is the other's
        dying.cancel()
        await asyncio.wait([dying])
        reader = Reading()
        assert await outbox.relay(database, readers=[reader]) == 1
        assert reader.told == ["a"]


class TestLog:
    """Along its cursor nothing is missed, though transactions end in another order than they began in."""

    async def read(
        self, database: Database, *wanted: str, after: tuple[int, int] = (0, 0), **filters: Any
    ) -> list[outbox.LoggedEvent]:
        """The log once it holds what is wanted: any transaction of the server that began earlier may hold it back."""
        async with asyncio.timeout(30):
            while True:
                async with database.reading() as tx:
                    found = await outbox.list_events(tx.connection, after=after, limit=100, **filters)
                if len(found) >= len(wanted):
                    assert [one.event.object_id for one in found] == list(wanted)
                    return found
                await asyncio.sleep(0.02)

    async def test_misses_nothing_that_commits_late(self, database: Database) -> None:
        await publish(database, "before")
        async with database.transaction() as late:
            await outbox.publish(late, account_id=ACCOUNT, type="x.late", object_id="late", payload={})
            await publish(database, "meanwhile")
            seen = await self.read(database, "before")
        place = (seen[-1].transaction_id, seen[-1].event.version)
        await self.read(database, "late", "meanwhile", after=place)

    async def test_can_be_of_an_account_and_of_types(self, database: Database) -> None:
        await publish(database, "a")
        await publish(database, "b", account_id=OTHER)
        await publish(database, "c", type="y.happened")
        await self.read(database, "b", account_id=OTHER)
        await self.read(database, "c", types=["y.happened"])
