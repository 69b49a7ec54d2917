"""Runs: dry, again, side by side, killed anywhere; numbers without holes (quality V1, V2, V4)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from billing import invoices, metering
from billing.core.period import Period
from billing.invoices.operations import closing
from billing.invoices.store import runs, worklist
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, event, open_account, open_cloud, price, report

MANY = closing.CHUNK + 60  # two chunks, of those with something to bill too


class Killed(Exception):
    """Stands for the death of the process after a commit."""


class Dying:
    """A process that dies after so many of its commits."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self) -> None:
        self.steps -= 1
        if not self.steps:
            raise Killed


async def advance_and_die(cloud: Cloud, run_id: UUID, steps: int) -> None:
    """Carry a run on and die after so many commits: the start is one, then each chunk, the numbers."""
    with pytest.raises(Killed):
        await invoices.advance(cloud.database, run_id=run_id, on_step=Dying(steps))


@pytest.fixture(autouse=True)
def _chunk_by_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "DRAFTED_AT_ONCE", 1)
    monkeypatch.setattr(closing, "ISSUED_AT_ONCE", 1)


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn, connections=12) as opened:
        await opened.publish(price(meter="m", unit_price="0.05"), price(meter="n", unit_price="1.111"))
        await opened.set_taxes(VAT="16")
        yield opened


async def fill(cloud: Cloud, count: int) -> list[UUID]:
    """Accounts with usage and some cash, every seventh with nothing to bill."""
    rng = random.Random(count)
    async with cloud.database.transaction() as tx:
        account_ids: list[UUID] = []
        for number in range(count):
            account = await open_account(tx, country="KE" if number % 2 else None, cash_minor=number % 5 * 100)
            await report(tx, account.account_id)
            account_ids.append(account.account_id)
        events = [
            event(account_id, meter, rng.randint(1, 900), meter=meter)
            for number, account_id in enumerate(account_ids)
            for meter in ("m", "n")
            if number % 7
        ]
        for start in range(0, len(events), 1000):
            await metering.ingest(tx, events[start : start + 1000])
    return account_ids


async def outcome(cloud: Cloud, *, numbered: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """All that a close makes, without the ids that are new each time."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, columns in {
        "invoices": "account_id, period, subtotal_minor, tax_minor, total_minor, paid_at_issue_minor",
        "invoice_lines": "account_id, ordinal, item, quantity, amount_minor, unrounded",
        "invoice_taxes": "account_id, name, amount_minor",
        "invoice_payments": "account_id, ordinal, source, amount_minor",
        "transfers": "account_id, number, source, destination, amount_minor, template",
        "closes": "account_id, period, subtotal_minor, finalized_at IS NOT NULL",
        "period_versions": "account_id, period, version, rated_version",
        "billed_items": "item, last_period",
        "outbox_events": "account_id, type",
        "invoice_numbers": "series, number" + (", account_id" if numbered else ""),
    }.items():
        rows = await cloud.fetch(f"SELECT {columns} FROM {name} ORDER BY {columns}")  # noqa: S608  names above
        found[name] = [tuple(row) for row in rows]
    return found


async def rows_by_table(cloud: Cloud) -> dict[str, int]:
    """How many rows each table has, but for those of runs."""
    tables = await cloud.fetch(
        """
        SELECT relname FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND has_table_privilege(oid, 'SELECT')
            AND relname NOT IN ('runs', 'run_accounts', 'run_chunks')
        """
    )
    return {
        row["relname"]: (await cloud.fetch(f"SELECT count(*) FROM {row['relname']}"))[0]["count"]  # noqa: S608  the catalog's
        for row in tables
    }


async def expect_one_each(cloud: Cloud, count: int) -> None:
    """One invoice for each account with something to bill, numbered without holes, and the books in order."""
    rows = await cloud.fetch("SELECT account_id, number FROM invoices ORDER BY number")
    billed = count - len(range(0, count, 7))
    assert [row["number"] for row in rows] == [f"INV-2024-{number:03d}" for number in range(1, billed + 1)]
    assert max(Counter(row["account_id"] for row in rows).values()) == 1
    assert await cloud.broken() == []


class TestDryRun:
    async def test_says_what_the_run_makes_and_writes_nothing(self, cloud: Cloud) -> None:
        await fill(cloud, 30)
        before = await rows_by_table(cloud)
        dry = await cloud.close(dry_run=True)
        assert await rows_by_table(cloud) == before
        assert dry == await cloud.close()
        assert (dry.accounts_total, dry.accounts_done, dry.invoices) == (30, 30, 25)

    async def test_leaves_what_another_run_has_drafted(self, cloud: Cloud) -> None:
        await fill(cloud, 10)
        run_id = await cloud.request()
        await advance_and_die(cloud, run_id, 2)
        before = await rows_by_table(cloud)
        assert before["closes"] == 10
        dry = await cloud.close(dry_run=True)
        assert await rows_by_table(cloud) == before
        await invoices.advance(cloud.database, run_id=run_id)
        made = await cloud.progress(run_id)
        assert (made.invoices, made.amount_minor_by_currency) == (dry.invoices, dry.amount_minor_by_currency)


class TestAgain:
    async def test_is_harmless(self, cloud: Cloud) -> None:
        await fill(cloud, 20)
        first = await cloud.close()
        before = await outcome(cloud)
        again = await cloud.close()
        assert (first.accounts_total, again.accounts_total) == (20, 0)
        assert await outcome(cloud) == before
        await expect_one_each(cloud, 20)

    async def test_of_a_run_that_has_ended_is_harmless(self, cloud: Cloud) -> None:
        await fill(cloud, 10)
        run_id = await cloud.request()
        first = await invoices.advance(cloud.database, run_id=run_id)
        before = await outcome(cloud)
        cloud.wait(hours=1)
        assert await invoices.advance(cloud.database, run_id=run_id) == first
        assert await outcome(cloud) == before


class TestKilled:
    # The start, two chunks drafted, the numbers, two chunks issued, and once more numbers of which there are none.
    @pytest.mark.parametrize("steps", range(1, 8))
    async def test_after_each_commit_ends_the_same(self, cloud: Cloud, steps: int) -> None:
        await fill(cloud, MANY)
        run_id = await cloud.request()
        await advance_and_die(cloud, run_id, steps)
        assert await cloud.broken() == []
        assert (await invoices.advance(cloud.database, run_id=run_id, on_step=Dying(9))).status == "completed"
        await expect_one_each(cloud, MANY)
        assert await outcome(cloud) == await _uninterrupted(cloud)

    async def test_inside_transactions_ends_the_same(self, cloud: Cloud) -> None:
        await fill(cloud, MANY)
        run_id = await cloud.request()
        rng = random.Random(3)
        for _ in range(12):
            running = asyncio.create_task(invoices.advance(cloud.database, run_id=run_id))
            await asyncio.sleep(rng.random() * 0.15)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert (await invoices.advance(cloud.database, run_id=run_id)).status == "completed"
        await expect_one_each(cloud, MANY)
        assert await outcome(cloud) == await _uninterrupted(cloud)


async def _uninterrupted(cloud: Cloud) -> dict[str, list[tuple[Any, ...]]]:
    """What one run makes in one go of the same accounts: all that was made is taken away first, and made again."""
    async with cloud.database.transaction() as tx:
        await tx.connection.execute("SET LOCAL ROLE NONE")
        await tx.connection.execute(
            """
            TRUNCATE invoices, invoice_lines, invoice_numbers, number_series, closes, close_corrections, runs, billed_items,
                outbox_events CASCADE;
            DELETE FROM transfers WHERE template LIKE 'invoice.%';
            DELETE FROM balances;
            INSERT INTO balances
            SELECT account_id, currency, unnest(ARRAY[source, destination]), unnest(ARRAY[-amount_minor, amount_minor])
            FROM transfers;
            UPDATE heads SET last_number = (SELECT count(*) FROM transfers WHERE transfers.account_id = heads.account_id),
                chain_hash = coalesce((SELECT chain_hash FROM transfers WHERE transfers.account_id = heads.account_id),
                    chain_start(account_id));
            UPDATE period_versions SET rated_version = NULL;
            """
        )
    await cloud.close()
    return await outcome(cloud)


class TestSideBySide:
    async def test_lanes_of_one_run_make_one_invoice_each(self, cloud: Cloud) -> None:
        await fill(cloud, MANY)
        run_id = await cloud.request()
        assert await closing.advance_all(cloud.database, grace=timedelta(0), lanes=4) == 1
        async with cloud.database.transaction() as tx:
            assert (await closing.get_run(tx, run_id=run_id)).status == "completed"
        await expect_one_each(cloud, MANY)
        assert await outcome(cloud, numbered=False) == _without_owners(await _uninterrupted(cloud))

    async def test_runs_of_one_month_make_one_invoice_each(self, cloud: Cloud) -> None:
        account_ids = await fill(cloud, MANY)
        run_ids = [
            await cloud.request(),
            await cloud.request(only_accounts=account_ids[::2]),
            await cloud.request(only_accounts=account_ids[::3]),
        ]
        await asyncio.gather(
            *(invoices.advance(cloud.database, run_id=run_id) for run_id in [*run_ids, *reversed(run_ids)])
        )
        for run_id in run_ids:
            assert (await invoices.advance(cloud.database, run_id=run_id)).status == "completed"
        await expect_one_each(cloud, MANY)
        assert await outcome(cloud, numbered=False) == _without_owners(await _uninterrupted(cloud))

    async def test_a_month_waits_for_what_another_worker_has_in_hand_of_the_one_before(self, cloud: Cloud) -> None:
        await fill(cloud, 20)
        cloud.advance_to(FEBRUARY.end)
        january, february = await cloud.request(JANUARY), await cloud.request(FEBRUARY)
        await advance_and_die(cloud, january, 1)
        async with cloud.database.transaction() as other:
            await worklist.claim_chunks(other.connection, run_id=january, state="queued", limit=1)
            assert await closing.advance_all(cloud.database, grace=timedelta(0)) == 0
        assert await closing.advance_all(cloud.database, grace=timedelta(0)) == 2
        for run_id in (january, february):
            async with cloud.database.transaction() as tx:
                assert (await closing.get_run(tx, run_id=run_id)).status == "completed"
            assert (await cloud.progress(run_id)).accounts_parked == 0

    async def test_a_run_takes_over_what_another_left(self, cloud: Cloud) -> None:
        account_ids = await fill(cloud, 20)
        abandoned = await cloud.request(only_accounts=account_ids)
        await advance_and_die(cloud, abandoned, 3)  # start, draft, numbers
        progress = await cloud.close()
        assert progress.invoices == 17
        await expect_one_each(cloud, 20)
        assert (await invoices.advance(cloud.database, run_id=abandoned)).status == "completed"
        await expect_one_each(cloud, 20)


def _without_owners(made: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    return made | {"invoice_numbers": [row[:2] for row in made["invoice_numbers"]]}


async def _number_and_die(cloud: Cloud, run_id: UUID) -> None:
    async with cloud.database.transaction() as tx:
        await runs.insert_numbers(tx.connection, run_id=run_id, series="INV-2024", is_credit=False, now=tx.now)
        raise Killed


class TestNumbers:
    async def test_have_no_holes_after_aborted_runs(self, cloud: Cloud) -> None:
        account_ids = await fill(cloud, 12)
        for account_id in account_ids:
            run_id = await cloud.request(only_accounts=[account_id])
            await advance_and_die(cloud, run_id, 2)
            for _ in range(5):
                with pytest.raises(Killed):
                    await _number_and_die(cloud, run_id)
            await invoices.advance(cloud.database, run_id=run_id)
            cloud.wait(seconds=1)
        await expect_one_each(cloud, 12)

    async def test_rise_with_the_time_of_issue(self, cloud: Cloud) -> None:
        first, second = (await fill(cloud, 7))[1:3]
        cloud.wait(seconds=30)
        await cloud.close(only_accounts=[second])
        cloud.wait(seconds=-30)  # a worker that read its clock and then waited for the series
        await cloud.close(only_accounts=[first])
        rows = await cloud.fetch("SELECT number, issued_at FROM invoice_numbers ORDER BY number")
        assert [row["number"] for row in rows] == [1, 2]
        assert rows[0]["issued_at"] <= rows[1]["issued_at"]
        invoice_times = await cloud.fetch("SELECT issued_at FROM invoices ORDER BY number")
        assert [row["issued_at"] for row in invoice_times] == [row["issued_at"] for row in rows]

    async def test_are_in_the_order_of_accounts_however_many_lanes_draft(self, cloud: Cloud) -> None:
        """The second chunk is the smaller one, and drafted first."""
        await fill(cloud, MANY)
        await cloud.request()
        await closing.advance_all(cloud.database, grace=timedelta(0), lanes=2)
        rows = await cloud.fetch("SELECT account_id FROM invoice_numbers ORDER BY number")
        assert len(rows) > closing.CHUNK
        assert [row["account_id"] for row in rows] == sorted(row["account_id"] for row in rows)

    async def test_begin_anew_with_the_year_and_grow_past_3_digits(self, cloud: Cloud) -> None:
        async with cloud.database.transaction() as tx:
            account = await open_account(tx)
        november = Period(2024, 11)
        await cloud.report(account.account_id, effective_at=november.start)
        cloud.advance_to(november.next().end - timedelta(days=31))
        for period, at_end in ((november, False), (november.next(), True)):
            if at_end:
                cloud.advance_to(period.end)
            else:
                async with cloud.database.transaction() as tx:
                    await tx.connection.execute("INSERT INTO number_series VALUES ('INV-2024', 999)")
            await cloud.use(account.account_id, 100, occurred_at=period.start)
            await cloud.close(period)
        numbers = await cloud.fetch("SELECT number FROM invoices ORDER BY period")
        assert [row["number"] for row in numbers] == ["INV-2024-1000", "INV-2025-001"]


class TestGrace:
    async def test_keeps_a_run_waiting(self, cloud: Cloud) -> None:
        await fill(cloud, 3)
        cloud.advance_to(FEBRUARY.end)
        january, february = await cloud.request(JANUARY), await cloud.request(FEBRUARY)
        assert await closing.advance_all(cloud.database, grace=timedelta(hours=1)) == 1
        assert (await cloud.progress(january)).invoices == 2
        assert (await cloud.progress(february)).accounts_total == 0
        cloud.wait(hours=1)
        assert await closing.advance_all(cloud.database, grace=timedelta(hours=1)) == 1
        assert (await cloud.progress(february)).accounts_total == 3
