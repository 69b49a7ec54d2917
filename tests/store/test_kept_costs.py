"""Costs of months whose sums are kept are what they are when each read reckons them: on random histories, by every group.

The histories are those of test_costs.py, with closes, late usage, voided events and invoices, moves and stops; resources change
their type besides. `--seed` replays a run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from billing import invoices
from billing.analytics.model import BilledMonth, DaySpan, KeptRun
from billing.analytics.operations import costs, keeping
from billing.analytics.store import checks, kept
from billing.analytics.store import keeping as store
from billing.invoices.store import worklist
from tests.store import test_costs
from tests.store.test_costs import GROUPINGS, History
from tests.support import databases, postgres
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, open_cloud, price
from tests.support.mutants import Mutation, Stage

if TYPE_CHECKING:
    from uuid import UUID

    from billing.analytics.model import CostGroup, Grouping
    from billing.core.period import Period
    from billing.kit.db import Connection

STEPS = int(os.environ.get("LINESERVE_TEST_STEPS", "32"))
AT_ONCE = timedelta(0)
WHOLE = DaySpan(date(2023, 12, 1), date(2025, 1, 1))


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        yield opened


async def keep(cloud: Cloud, *, at_least: int = 0) -> int:
    return await keeping.keep_closed(cloud.database, at_least=at_least, settled_after=AT_ONCE)


async def months(cloud: Cloud, account_id: UUID) -> list[BilledMonth]:
    async with cloud.database.snapshot() as tx:
        return await kept.list_billed_months(tx.connection, account_id=account_id, days=WHOLE)


@asynccontextmanager
async def nothing_kept(connection: Connection, account_id: UUID) -> AsyncIterator[None]:
    """While nothing of an account is kept; then all is as it was."""
    savepoint = connection.transaction()
    await savepoint.start()
    await connection.execute("DELETE FROM kept_months WHERE account_id = $1", account_id)
    yield
    await savepoint.rollback()


async def kept_periods(history: History) -> list[Period]:
    return [month.period for month in await months(history.cloud, history.account_id) if month.is_kept]


async def compare(history: History) -> int:
    """Every grouping of some spans from kept sums and without; how often a month was kept that was asked for."""
    known = await kept_periods(history)
    spans = test_costs.spans_of(history.rng, history.cloud.clock.now)
    if known:
        some_day = history.rng.choice(known).start_date + timedelta(days=history.rng.randrange(25))
        spans.append(DaySpan(some_day, some_day + timedelta(days=3)))
        spans.append(DaySpan(known[0].start_date + timedelta(days=9), known[-1].start_date + timedelta(days=19)))
    for days in (days for days in spans if days.first_day < days.end_day):
        await compare_days(history, days, GROUPINGS)
    return sum(
        days.first_day < one.next().start_date and one.start_date < days.end_day for days in spans for one in known
    )


async def compare_days(history: History, days: DaySpan, groupings: Sequence[Grouping]) -> None:
    account_id, now = history.account_id, history.cloud.clock.now
    async with history.cloud.database.transaction() as tx:
        found = [
            await costs.break_down(tx.connection, account_id=account_id, days=days, group_by=grouping, now=now)
            for grouping in groupings
        ]
        async with nothing_kept(tx.connection, account_id):
            for grouping, groups in zip(groupings, found, strict=True):
                reckoned = await costs.break_down(
                    tx.connection, account_id=account_id, days=days, group_by=grouping, now=now
                )
                assert groups == reckoned, (grouping, days)


async def relabel(history: History) -> None:
    """A resource is reported as something else than it was, as of now."""
    live = [thing for thing in history.things if not thing.is_deleted and not thing.was_deleting]
    if live:
        thing = history.rng.choice(live)
        last = max(thing.points, key=lambda point: point.effective_at)
        thing.type = history.rng.choice(("vps", "bucket", "database"))
        project_id = thing.moves[-1][1]
        now = history.cloud.clock.now
        await history._report(thing, last.status, last.plan, last.units, now, project_id)


async def keep_anew(history: History) -> None:
    """Every month that can be kept, whatever is kept of it."""
    for month in await months(history.cloud, history.account_id):
        await keeping.keep_month(history.cloud.database, account_id=history.account_id, period=month.period)


async def kept_and_compared(history: History) -> None:
    await keep_anew(history)
    await compare(history)


async def compared(history: History) -> None:
    await compare(history)


async def compared_day_by_day(history: History) -> None:
    """By region: resources that share a place are not always there on the same days."""
    for period in (await kept_periods(history))[-3:]:
        for number in range(28):
            first_day = period.start_date + timedelta(days=number)
            await compare_days(history, DaySpan(first_day, first_day + timedelta(days=1)), ["region"])


async def written_and_compared(history: History) -> None:
    """With usage since the sums were made, of a month whose sums were kept."""
    live = [thing for thing in history.things if not thing.is_deleted and not thing.was_deleting]
    for thing in live:
        await history._use(thing)
    await compare(history)


async def relabelled_and_compared(history: History) -> None:
    for _ in range(3):
        await relabel(history)
    await compare(history)


async def live(seed: int, cloud: Cloud, steps: int) -> History:
    """A random history, kept now and then."""
    history = await test_costs.begin(cloud, seed)
    for step in range(steps):
        await history.step()
        if step % 4 == 1:
            await keep(cloud)
    return history


class TestKeepClosed:
    @pytest.mark.parametrize("number", range(2))
    async def test_changes_no_answer(self, cloud: Cloud, seed: int, number: int):
        history = await test_costs.begin(cloud, seed + number)
        seen = 0
        for step in range(STEPS):
            await history.step()
            if step % 4 == 1:
                await keep(cloud)
            if step % 4 == 3:
                seen += await compare(history)
        await test_costs.compare(history)  # with the oracle
        for _ in range(3):
            await relabel(history)
            seen += await compare(history)
            await history._close()
            await keep(cloud)
            seen += await compare(history)
        assert seen > 0
        async with cloud.database.snapshot() as tx:
            assert [check.violations for check in await checks.run_checks(tx.connection)] == [0]


async def begin_two(cloud: Cloud) -> tuple[UUID, UUID]:
    """An account with ten days of usage in January, one with a day, both closed."""
    await cloud.publish(price(meter="m", unit_price="1"))
    large, small = await cloud.open_account(), await cloud.open_account()
    for account_id, days in ((large, 10), (small, 1)):
        await cloud.report(account_id)
        for day in range(1, days + 1):
            await cloud.use(account_id, 1, occurred_at=at(f"01-{day:02d} 12:00"))
    await cloud.close(JANUARY)
    return large, small


class TestKept:
    async def test_are_months_of_accounts_with_much_and_their_later_ones(self, cloud: Cloud) -> None:
        large, small = await begin_two(cloud)
        assert await keep(cloud, at_least=11) == 1  # a resource and ten day rows
        assert await months(cloud, large) == [BilledMonth(JANUARY, is_kept=True)]
        assert await months(cloud, small) == [BilledMonth(JANUARY, is_kept=False)]
        assert await keep(cloud, at_least=0) == 0  # nothing is looked at twice
        cloud.clock.now = at("03-02 10:00")
        await cloud.close(FEBRUARY)
        await cloud.use(large, 1, occurred_at=at("03-01"))
        assert await keep(cloud, at_least=11) == 1
        assert [month.is_kept for month in await months(cloud, large)] == [True, True]

    async def test_stand_until_their_month_is_written_to_and_again_once_it_is_corrected(self, cloud: Cloud) -> None:
        large, _ = await begin_two(cloud)
        await keep(cloud)
        cloud.clock.now = at("03-02 10:00")
        await cloud.use(large, 5, occurred_at=at("01-20"))
        assert await months(cloud, large) == [BilledMonth(JANUARY, is_kept=False)]
        assert not await keeping.keep_month(cloud.database, account_id=large, period=JANUARY)
        await cloud.close(FEBRUARY)
        assert await months(cloud, large) == [BilledMonth(JANUARY, False), BilledMonth(FEBRUARY, False)]
        await keep(cloud)
        assert [month.is_kept for month in await months(cloud, large)] == [True, True]

    async def test_come_no_sooner_than_what_was_under_way_at_the_close_has_ended(self, cloud: Cloud) -> None:
        await begin_two(cloud)
        assert await keeping.keep_closed(cloud.database, at_least=0) == 0
        cloud.wait(minutes=5)
        assert await keeping.keep_closed(cloud.database, at_least=0) == 2

    async def test_go_on_where_a_job_was_killed(self, cloud: Cloud) -> None:
        await begin_two(cloud)
        first = await self.due_run(cloud)
        assert await keeping.keep_some(cloud.database, run=first, at_least=0, at_once=1) == 1
        second = await self.due_run(cloud)
        assert second.last_account_id > first.last_account_id
        await keeping.keep_some(cloud.database, run=second, at_least=0, at_once=1)
        before = await cloud.fetch("SELECT * FROM kept_months ORDER BY account_id")
        assert len(before) == 2
        async with cloud.database.transaction() as tx:  # as if it had died before it said so
            await store.mark_run(tx.connection, run=second, last_account_id=second.last_account_id, is_done=False)
        cloud.wait(minutes=1)
        assert await keep(cloud) == 0
        assert await cloud.fetch("SELECT * FROM kept_months ORDER BY account_id") == before
        assert [tuple(row) for row in await cloud.fetch("SELECT is_done FROM kept_runs")] == [(True,)]

    async def due_run(self, cloud: Cloud) -> KeptRun:
        async with cloud.database.reading() as tx:
            run = await store.find_due_run(tx.connection, finished_before=cloud.clock.now)
        assert run is not None
        return run

    async def test_are_each_accounts_own(self, cloud: Cloud) -> None:
        two = await begin_two(cloud)
        days = [DaySpan(date(2024, 1, 1), date(2024, 2, 1)), DaySpan(date(2024, 1, 1), date(2024, 1, 8))]
        asked = list(product(two, days, GROUPINGS))

        async def answers() -> list[list[CostGroup]]:
            async with cloud.database.snapshot() as tx:
                return [
                    await costs.break_down(
                        tx.connection, account_id=account_id, days=one, group_by=grouping, now=tx.now
                    )
                    for account_id, one, grouping in asked
                ]

        before = await answers()
        assert await keep(cloud) == 2
        assert await answers() == before

    async def test_are_the_same_when_two_keep_a_month_at_once(self, cloud: Cloud) -> None:
        large, _ = await begin_two(cloud)
        await asyncio.gather(*(keeping.keep_month(cloud.database, account_id=large, period=JANUARY) for _ in range(4)))
        assert await months(cloud, large) == [BilledMonth(JANUARY, is_kept=True)]
        async with cloud.database.snapshot() as tx:
            assert [check.violations for check in await checks.run_checks(tx.connection)] == [0]

    async def test_are_made_for_accounts_that_were_parked_first(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.use(account_id, 5)
        cloud.clock.now = at("03-02 10:00")
        await cloud.use(account_id, 5, occurred_at=at("02-10"))
        run_id = await cloud.request(FEBRUARY)
        await invoices.advance(cloud.database, run_id=run_id)
        assert await cloud.parked(run_id) == {account_id: "earlier_period_open"}
        assert await keep(cloud) == 0
        await cloud.close(JANUARY)
        assert await keep(cloud) == 1
        cloud.wait(minutes=1)
        async with cloud.database.transaction() as tx:
            await worklist.requeue_parked(tx.connection, run_id=run_id)
        await invoices.advance(cloud.database, run_id=run_id)
        assert await keep(cloud) == 1
        assert await months(cloud, account_id) == [BilledMonth(JANUARY, True), BilledMonth(FEBRUARY, True)]


SQL = "analytics/sql"
SEEDS = (3, 4, 5, 6, 7, 8)
LONG = 40
READ: list[tuple[str, str, str]] = [
    ("kept_by_place", "kept_places.amount_minor * 1e40", "kept_places.amount_minor * 2e40"),
    ("kept_by_place", "<< numbers.first_number AS bits", "<< 0 AS bits"),
    ("kept_by_place", "kept_days.shares[numbers.first_number + 1:", "kept_days.shares[numbers.first_number + 2:"),
    ("kept_by_day", "kept.to_day - kept.period]", "kept.to_day - kept.period - 1]"),
    ("kept_by_day", "bit_or(present.days)", "bit_and(present.days)"),
    ("kept_by_day", "<< (kept.from_day - kept.period)) AS days", "<< 0) AS days"),
]
KEEP: list[tuple[str, str, str]] = [
    ("place_sums", "AS type, div(sum(part_shares.share), 1e40)", "AS type, div(max(part_shares.share), 1e40)"),
    ("place_sums", "array_agg(DISTINCT part_shares.resource_id)", "array_agg(DISTINCT part_shares.type)"),
    ("day_sums", "= months.first_day + number", "= months.first_day + number + 1"),
    ("day_sums", "sum(line_days.share) AS share", "max(line_days.share) AS share"),
    ("day_sums", "<< (asked_runs.first_day - cost_lines.month)) AS days", "<< 0) AS days"),
    ("day_sums", "AND present.service = places.service AND", "AND"),
]
MUTATIONS = [
    Mutation(f"{SQL}/kept_by_place.sql", "present.days & asked.bits <> 0", "true", compared_day_by_day),
    *(Mutation(f"{SQL}/{file}.sql", old, new, compared) for file, old, new in READ),
    *(Mutation(f"{SQL}/{file}.sql", old, new, kept_and_compared) for file, old, new in KEEP),
    Mutation(f"{SQL}/billed_months.sql", "    AND kept_months.version = versions.version\n", "", written_and_compared),
    Mutation(
        f"{SQL}/billed_months.sql",
        "IS NOT NULL AND kept_months.types_digest = (",
        "IS NOT NULL AND 0 <= 0 * (",
        relabelled_and_compared,
    ),
]


async def survivors(dsn: str, mutations: list[Mutation], *, seed: int) -> list[Mutation]:
    """Those of some mutations that a random history does not tell from the statements as they are."""
    async with open_cloud(dsn) as cloud:
        history = await live(seed, cloud, LONG)
        await history._close()
        await keep(cloud)
        left: list[Mutation] = []
        for mutation in mutations:
            stage = Stage(cloud.database.pool.acquire, mutation, cloud.clock)
            state = history.rng.getstate()
            try:
                await mutation.check(replace(history, cloud=stage.cloud))
            except (AssertionError, asyncpg.PostgresError):
                pass
            else:
                left.append(mutation)
            history.rng.setstate(state)
        return left


async def test_the_comparison_sees_every_mutation(database_server: Path) -> None:
    left = MUTATIONS
    assert all(mutation.old in mutation.source for mutation in MUTATIONS), "a text is not there any more"
    for seed in SEEDS:
        name = await databases.clone(database_server)
        left = await survivors(postgres.dsn(database_server, name), left, seed=seed)
        await databases.drop(database_server, name)
        if not left:
            break
    assert not left, [str(mutation) for mutation in left]
