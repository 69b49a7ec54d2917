"""Reports, usage and closes at once, and closes whose connections die: what is billed in the end is what was used, once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from billing import invoices, metering
from billing.core.period import Period
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, event, open_cloud, price

CALLERS = 50
DECEMBER = JANUARY.previous()
MARCH = FEBRUARY.next()
# (the last is asyncpg's own word for a connection that died while it was being cleaned up)
DIED = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncpg.InternalClientError)


async def furnish(cloud: Cloud, count: int) -> list[UUID]:
    """Accounts with a resource since December; a unit costs 1.00."""
    await cloud.publish(price(meter="m", unit_price="1"))
    account_ids = [await cloud.open_account() for _ in range(count)]
    for account_id in account_ids:
        await cloud.report(account_id, effective_at=DECEMBER.start)
    return account_ids


async def billed(cloud: Cloud) -> dict[UUID, int]:
    """What each account's documents say in minor units."""
    rows = await cloud.fetch("SELECT account_id, sum(total_minor)::bigint AS minor FROM invoices GROUP BY account_id")
    return {row["account_id"]: row["minor"] for row in rows}


class TestAtOnce:
    async def test_reports_usage_and_a_close_bill_everything_once(self, database_dsn: str) -> None:
        async with open_cloud(database_dsn, connections=16) as cloud:
            account_ids = await furnish(cloud, 6)
            await cloud.close(DECEMBER)

            async def caller(number: int) -> None:
                rng = random.Random(number)
                for step in range(4):
                    account_id = rng.choice(account_ids)
                    sent = [
                        event(
                            account_id,
                            f"{number} {step} {n}",
                            rng.randint(1, 9),
                            occurred_at=at(f"01-{rng.randint(10, 31)}"),
                        )
                        for n in range(8)
                    ]
                    async with cloud.database.transaction() as tx:
                        await metering.ingest(tx, sent)
                    if number % 5 == 0:
                        await cloud.report(
                            account_id, units=Decimal(step + 1), effective_at=at(f"01-{rng.randint(1, 9):02}")
                        )
                    if number == 7 and step == 1:
                        await cloud.report(account_ids[0], status="deleted", effective_at=at("01-20"))

            async def closer() -> None:
                await asyncio.sleep(0.05)
                await invoices.advance(cloud.database, run_id=await cloud.request(JANUARY))

            await asyncio.gather(closer(), *map(caller, range(CALLERS)))
            cloud.advance_to(MARCH.start + timedelta(hours=10))
            await metering.settle_shortened(cloud.database)
            await cloud.close(JANUARY)
            await cloud.close(FEBRUARY)
            await self.once(cloud, ended=account_ids[0])

    async def once(self, cloud: Cloud, *, ended: UUID) -> None:
        """What is counted is billed; of the account whose resource ended on January 20 nothing from then on."""
        rows = await cloud.fetch("SELECT account_id, sum(quantity)::bigint * 100 AS minor FROM usage_events GROUP BY 1")
        assert await billed(cloud) == {row["account_id"]: row["minor"] for row in rows}
        late = "SELECT FROM usage_events WHERE account_id = $1 AND occurred_at >= '2024-01-20Z'"
        assert await cloud.fetch(late, ended) == []
        counted = await cloud.fetch("SELECT FROM usage_events")
        waiting = await cloud.fetch("SELECT FROM quarantined_events WHERE resolved_at IS NULL")
        assert len(counted) + len(waiting) == CALLERS * 4 * 8
        assert await cloud.broken() == []

    async def test_two_workers_close_several_months_in_order(self, database_dsn: str) -> None:
        async with open_cloud(database_dsn, connections=8) as cloud:
            account_ids = await furnish(cloud, 5)
            for ordinal, account_id in enumerate(account_ids, start=1):
                for month in (DECEMBER, JANUARY):
                    await cloud.use(account_id, ordinal, occurred_at=month.start)
            dry = await cloud.close(DECEMBER, dry_run=True)
            run_ids = [await cloud.request(month) for month in (DECEMBER, JANUARY)]

            async def worker() -> None:
                for run_id in run_ids:
                    await invoices.complete(cloud.database, run_id=run_id)

            await asyncio.gather(*(worker() for _ in range(4)))
            progress = [await cloud.progress(run_id) for run_id in run_ids]
            assert [one.amount_minor_by_currency for one in progress] == [{"USD": 1_500}, {"USD": 1_500}]
            assert dry.amount_minor_by_currency == progress[0].amount_minor_by_currency
            assert await billed(cloud) == {one: 200 * ordinal for ordinal, one in enumerate(account_ids, start=1)}
            assert await cloud.broken() == []


class TestKilled:
    @pytest.mark.parametrize("seed", range(3))
    async def test_connections_at_any_point_change_nothing_of_the_result(self, database_dsn: str, seed: int) -> None:
        async with open_cloud(database_dsn, connections=6) as cloud:
            account_ids = await furnish(cloud, 12)
            for ordinal, account_id in enumerate(account_ids, start=1):
                for month in (DECEMBER, JANUARY):
                    await cloud.use(account_id, ordinal, occurred_at=month.end - timedelta(hours=1))
                await cloud.pay_in(account_id, 250)
            deaths: Counter[str] = Counter()
            done = asyncio.Event()
            killing = asyncio.create_task(self.kill(database_dsn, random.Random(seed), done))
            for month in (DECEMBER, JANUARY):
                await asyncio.gather(*(self.worker(cloud, month, deaths) for _ in range(2)))
            done.set()
            kills = await killing
            assert kills > 0
            assert await billed(cloud) == {one: 200 * ordinal for ordinal, one in enumerate(account_ids, start=1)}
            rows = await cloud.fetch("SELECT account_id, period FROM invoices")
            assert len(rows) == len({tuple(row) for row in rows}) == 2 * len(account_ids)
            assert await cloud.broken() == []

    async def worker(self, cloud: Cloud, month: Period, deaths: Counter[str]) -> None:
        """Ask for the close of a month until it is done, whatever dies on the way."""
        for _ in range(400):
            try:
                async with asyncio.timeout(15):
                    run_id = await cloud.request(month)
                    run = await invoices.advance(cloud.database, run_id=run_id)
            except DIED as error:  # TimeoutError too
                deaths[type(error).__name__] += 1
                continue
            if run.status == "completed":
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"the close does not end: {deaths}")

    async def kill(self, dsn: str, rng: random.Random, done: asyncio.Event) -> int:
        """End a session of the cloud now and then; at most 25 times, so that the work comes to its end."""
        owner = await asyncpg.connect(dsn)
        kills = 0
        while not done.is_set() and kills < 25:
            await asyncio.sleep(rng.uniform(0.005, 0.04))
            pids: Sequence[int] = [
                row["pid"]
                for row in await owner.fetch(
                    """
                    SELECT pid FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'lineserve-billing' AND state <> 'idle'
                    ORDER BY pid
                    """
                )
            ]
            if pids:
                kills += await owner.fetchval("SELECT pg_terminate_backend($1)::integer", rng.choice(pids))
        await owner.close()
        return kills
