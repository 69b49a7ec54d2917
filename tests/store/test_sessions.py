"""Sessions that stay at hand: lent, handed on, replaced when they broke, and never lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest

from billing.core.errors import Unavailable
from billing.kit import patience
from billing.kit.db import Session, open_pool
from billing.kit.sessions import NoAnswer, NoSession, SessionPool
from billing.kit.web.errors import translate


@pytest.fixture
async def pool(shared_dsn: str) -> AsyncIterator[SessionPool]:
    async with await open_pool(shared_dsn, size=2) as opened:
        assert isinstance(opened, SessionPool)
        yield opened


async def backend(pool: SessionPool) -> int:
    async with pool.acquire() as session:
        return int(await session.fetchval("SELECT pg_backend_pid()"))


async def end(dsn: str, pid: int) -> None:
    owner = await asyncpg.connect(dsn)
    await owner.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await owner.close()


class TestAcquire:
    async def test_lends_the_same_session_again(self, pool: SessionPool):
        assert await backend(pool) == await backend(pool)
        assert pool.get_idle_size() == 1

    async def test_opens_no_more_than_there_may_be(self, pool: SessionPool):
        pids = await asyncio.gather(*(backend(pool) for _ in range(20)))
        assert len(set(pids)) <= 2

    async def test_is_refused_after_its_time(self, pool: SessionPool):
        async with pool.acquire(), pool.acquire():
            with pytest.raises(NoSession):
                await pool.acquire(timeout=0.01)
        assert await backend(pool)

    async def test_hands_a_session_to_who_waits(self, pool: SessionPool):
        async with pool.acquire():
            async with pool.acquire() as second:
                waiting = asyncio.create_task(backend(pool))
                await asyncio.sleep(0)
                pid = await second.fetchval("SELECT pg_backend_pid()")
            assert await waiting == pid

    async def test_loses_no_session_to_who_stops_waiting(self, pool: SessionPool):
        for ticks in range(6):
            async with pool.acquire():
                async with pool.acquire():
                    waiting = asyncio.create_task(backend(pool))
                    await asyncio.sleep(0)
                for _ in range(ticks):
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
        pids = await asyncio.gather(*(backend(pool) for _ in range(4)))
        assert len(set(pids)) <= 2

    async def test_can_be_awaited_and_given_back(self, pool: SessionPool):
        session = await pool.acquire()
        pid = await session.fetchval("SELECT pg_backend_pid()")
        await pool.release(session)
        assert await backend(pool) == pid


class TestPatience:
    async def test_ends_with_the_session_and_the_server_s_work(self, pool: SessionPool, shared_dsn: str):
        async def sleep() -> None:
            async with pool.acquire() as session:
                pids.append(await session.fetchval("SELECT pg_backend_pid()"))
                await session.execute("SELECT pg_sleep(30)")

        pids: list[int] = []
        with pytest.raises(NoAnswer), patience.within(0.2):
            await sleep()
        async with pool.acquire(), pool.acquire() as second:
            assert await second.fetchval("SELECT 1") == 1
        owner = await asyncpg.connect(shared_dsn)
        async with asyncio.timeout(5):  # it looks every second whether somebody still listens
            while await owner.fetchval("SELECT count(pg_sleep(0.02)) FROM pg_stat_activity WHERE pid = $1", pids[0]):
                pass
        await owner.close()

    async def test_is_of_the_call_and_not_of_each_statement(self, pool: SessionPool):
        async def sleep() -> None:
            for _ in range(4):
                async with pool.acquire() as session, session.transaction():
                    await session.execute("SELECT pg_sleep(0.15)")

        with pytest.raises(NoAnswer), patience.within(0.4):
            await sleep()
        assert await backend(pool)

    async def test_counts_the_time_in_line(self, pool: SessionPool):
        async with pool.acquire(), pool.acquire():
            with pytest.raises(NoSession), patience.within(0.05):
                await backend(pool)

    async def test_that_is_over_costs_no_session(self, pool: SessionPool):
        pid = await backend(pool)
        with pytest.raises(NoSession), patience.within(0):
            await backend(pool)
        assert await backend(pool) == pid

    async def test_is_not_used_up_by_other_waits(self, pool: SessionPool):
        with patience.within(0.3):
            assert await backend(pool)
            await asyncio.sleep(0.4)
            assert await backend(pool)

    async def test_counts_waits_at_once_as_one(self, pool: SessionPool):
        with patience.within(0.5):
            async with pool.acquire() as first, pool.acquire() as second:
                await first.execute("SELECT pg_sleep(0.3)")
                await second.execute("SELECT 1")
            assert await backend(pool)

    async def test_leaves_a_failure_of_another_kind_as_it_is(self, pool: SessionPool):
        async def fail() -> None:
            async with pool.acquire():
                await asyncio.sleep(0.05)
                raise LookupError

        with pytest.raises(LookupError), patience.within(0.01):
            await fail()
        assert await backend(pool)

    async def test_has_no_end_where_nobody_waits(self, pool: SessionPool):
        with patience.within(0.05), patience.within(None):
            async with pool.acquire() as session:
                await session.execute("SELECT pg_sleep(0.1)")


class TestAfterTrouble:
    async def test_a_transaction_left_open_is_rolled_back(self, pool: SessionPool):
        async with pool.acquire() as session:
            await session.execute("BEGIN")
        async with pool.acquire() as session:
            assert not session.is_in_transaction()

    async def test_a_cancelled_statement_leaves_a_session_that_answers(self, pool: SessionPool):
        async def slow() -> None:
            async with pool.acquire() as session:
                await session.execute("SELECT pg_sleep(30)")

        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(slow(), 0.05)
        assert len(await asyncio.gather(backend(pool), backend(pool))) == 2

    async def test_a_session_that_died_at_hand_is_replaced(self, pool: SessionPool, shared_dsn: str):
        pid = await backend(pool)
        await end(shared_dsn, pid)
        await asyncio.sleep(0.05)  # until the driver has read of it
        assert await backend(pool) != pid
        async with pool.acquire(), pool.acquire() as second:
            assert await second.fetchval("SELECT 1") == 1

    async def test_a_session_that_dies_in_use_makes_room(self, pool: SessionPool, shared_dsn: str):
        async def die() -> None:
            async with pool.acquire() as session:
                await end(shared_dsn, await session.fetchval("SELECT pg_backend_pid()"))
                await session.execute("SELECT 1")

        for _ in range(3):
            with pytest.raises(NoAnswer):
                await die()
        async with pool.acquire(), pool.acquire() as second:
            assert await second.fetchval("SELECT 1") == 1

    @pytest.mark.parametrize("in_transaction", [False, True])
    async def test_a_session_that_dies_between_statements_is_told_as_that(
        self, pool: SessionPool, shared_dsn: str, in_transaction: bool
    ):
        """The driver has taken it away by then, and says that it was given back: what a caller would hear as a fault of ours."""

        async def die() -> None:
            async with pool.acquire() as session, session.transaction() if in_transaction else contextlib.nullcontext():
                await end(shared_dsn, await session.fetchval("SELECT pg_backend_pid()"))
                await asyncio.sleep(0.02)
                await session.execute("SELECT 1")

        with pytest.raises(Exception) as caught:
            await die()
        assert isinstance(translate(caught.value), Unavailable), repr(caught.value)

    async def test_a_session_that_is_ended_before_its_statement_runs_is_told_as_that(self, shared_dsn: str):
        """In the moment between a statement's plan and its run the driver stumbles over what is not there any more."""

        class Ending(Session):
            async def _get_statement(self, *arguments: Any, **named: Any) -> Any:
                statement = await cast("Any", super())._get_statement(*arguments, **named)
                self.terminate()
                return statement

        async with await open_pool(shared_dsn, size=1, connection_class=Ending) as pool:
            with pytest.raises(Exception) as caught:
                await backend(cast("SessionPool", pool))
            assert isinstance(translate(caught.value), Unavailable), repr(caught.value)

    async def test_a_mistake_of_ours_stays_one_though_the_session_ended(self, pool: SessionPool):
        async def err() -> None:
            async with pool.acquire() as session:
                session.terminate()
                cast("Any", None).anything()

        with pytest.raises(AttributeError):
            await err()

    async def test_an_error_of_a_statement_stays_what_it_is(self, pool: SessionPool):
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with pool.acquire() as session:
                await session.execute("SELECT 1 / 0")
        assert await backend(pool)

    async def test_close_waits_for_who_is_at_work(self, shared_dsn: str):
        pool = await open_pool(shared_dsn, size=2)
        async with pool.acquire() as session:
            closing = asyncio.create_task(pool.close())
            await asyncio.sleep(0.02)
            assert not closing.done()
            assert await session.fetchval("SELECT 1") == 1
        await closing
        with pytest.raises(asyncpg.InterfaceError):
            await pool.acquire()
