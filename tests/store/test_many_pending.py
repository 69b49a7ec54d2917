"""What payments of others are waiting for, or were until a moment ago, costs nobody's own payment anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest_asyncio

from billing.payments import store
from tests.support import postgres
from tests.support.cloud import Cloud, open_cloud
from tests.support.watching import watching

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from tests.support.watching import Statement

OTHERS = 20
PAST = 20_000
PENDING = 2_000
TRIES = 8  # the first reads what a session needs once; the sixth may go by a plan that is kept
LATER = timedelta(days=365 * 10)  # than the checks that are due in an hour
PAGES_MOST = 20  # of one payment that ends: its key, its row, and the indexes that it is put into


@pytest_asyncio.fixture
async def own_dsn() -> AsyncIterator[str]:
    async with postgres.alone() as dsn:
        yield dsn


@pytest_asyncio.fixture
async def cloud(own_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(own_dsn, connections=1) as opened:
        yield opened


async def begin_payments(dsn: str, account_ids: list[UUID], *, first: int, count: int) -> None:
    """Pending top-ups of accounts in turn, numbered, of which PostgreSQL makes no statistics yet."""
    owner = await asyncpg.connect(dsn)
    await owner.execute(
        """
        INSERT INTO payments (account_id, payment_id, kind, gateway, currency, amount_minor, status, description, created_at,
            next_check_at)
        SELECT ($1::uuid[])[1 + number % cardinality($1)], lpad(to_hex(number), 32, '0')::uuid, 'topup', 'sandbox', 'USD', 100,
            'pending', 'Top-up', now(), now() + interval '1 hour'
        FROM generate_series($2::bigint, $3::bigint) AS number
        """,
        account_ids,
        first,
        first + count - 1,
    )
    await owner.close()


async def settle_payments(dsn: str) -> None:
    """All that is pending ends, and PostgreSQL looks at the table when nothing is."""
    owner = await asyncpg.connect(dsn)
    await owner.execute("UPDATE payments SET status = 'completed', completed_at = now(), next_check_at = NULL")
    await owner.execute("VACUUM ANALYZE payments")
    await owner.close()


async def end_one(cloud: Cloud, account_id: UUID, number: int) -> int:
    """The pages that ending a payment reads."""

    async def end() -> None:
        async with cloud.database.transaction() as tx:
            ended = await store.mark_completed(tx.connection, wanted=[(account_id, UUID(int=number))], now=tx.now)
        assert list(ended) == [UUID(int=number)]

    async with watching(cloud.database.pool) as watch:
        return pages_of_update(await watch.see(end))


def pages_of_update(seen: list[Statement]) -> int:
    """What the one statement read that changes payments."""
    (statement,) = [one for one in seen if one.query.lstrip().startswith("UPDATE payments")]
    return statement.pages


async def put_off(tx: Tx) -> int:
    """How many due payments a checker claims."""
    due = await store.list_due(tx.connection, now=tx.now, limit=1)
    later = tx.now + timedelta(hours=1)
    await store.update_next_checks(
        tx.connection, [(account_id, payment_id, later) for account_id, payment_id, _ in due]
    )
    return len(due)


async def open_accounts(cloud: Cloud, dsn: str) -> list[UUID]:
    """Accounts that have paid often and wait for no payment."""
    account_ids = [await cloud.open_account() for _ in range(OTHERS)]
    await begin_payments(dsn, account_ids, first=PAST, count=PAST)
    await settle_payments(dsn)
    return account_ids


class TestManyPending:
    """Thousands of payments are under way at once, where hardly any were when PostgreSQL last counted them."""

    async def test_a_payment_ends_without_a_look_at_the_others(self, cloud: Cloud, own_dsn: str) -> None:
        account_ids = await open_accounts(cloud, own_dsn)
        await begin_payments(own_dsn, account_ids, first=0, count=PENDING)
        pages = [await end_one(cloud, account_ids[number % OTHERS], number) for number in range(TRIES)]
        assert max(pages[1:]) <= PAGES_MOST, pages

    async def test_a_payment_ends_without_a_look_at_those_that_have_just_ended(
        self, cloud: Cloud, own_dsn: str
    ) -> None:
        account_ids = await open_accounts(cloud, own_dsn)
        await begin_payments(own_dsn, account_ids, first=0, count=PENDING)
        async with cloud.database.transaction() as tx:
            wanted = [(account_ids[number % OTHERS], UUID(int=number)) for number in range(TRIES, PENDING)]
            assert len(await store.mark_completed(tx.connection, wanted=wanted, now=tx.now)) == PENDING - TRIES
        pages = [await end_one(cloud, account_ids[number % OTHERS], number) for number in range(TRIES)]
        assert max(pages[1:]) <= PAGES_MOST, pages

    async def test_a_check_is_put_off_without_a_look_at_the_others(self, cloud: Cloud, own_dsn: str) -> None:
        account_ids = await open_accounts(cloud, own_dsn)
        await begin_payments(own_dsn, account_ids, first=0, count=PENDING)
        cloud.clock.advance(LATER)

        async def claim() -> None:
            async with cloud.database.transaction() as tx:
                assert await put_off(tx) == 1

        async with watching(cloud.database.pool) as watch:
            pages = [pages_of_update(await watch.see(claim)) for _ in range(TRIES)]
        assert max(pages[1:]) <= PAGES_MOST, pages
