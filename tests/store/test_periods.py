"""Months: what an instant belongs to in whatever zone the session is, and the versions of past months (quality M4)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from billing import metering, rating
from billing.core.period import Period
from billing.kit.db import APP_ROLE, Database, Tx
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, event, find_broken, open_account, price, publish, report
from tests.support.house import Clock

MICROSECOND = timedelta(microseconds=1)
ZONES = [
    "UTC",
    "Africa/Nairobi",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Kiritimati",
]
DECEMBER = JANUARY.previous()


def months(first: Period, count: int) -> list[Period]:
    found = [first]
    while len(found) < count:
        found.append(found[-1].next())
    return found


async def versions(tx: Tx, account_id: UUID) -> dict[date, int]:
    rows = await tx.connection.fetch("SELECT period, version FROM period_versions WHERE account_id = $1", account_id)
    return {row["period"]: row["version"] for row in rows}


@pytest_asyncio.fixture
async def account_id(tx: Tx) -> AsyncIterator[UUID]:
    """An account whose meter and plan are priced."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    await publish(tx, price(meter="m", unit_price="1"), valid_from=start)
    await publish(tx, price(service="compute", model="hourly", plan="vps", hourly_price="0.01"), valid_from=start)
    yield (await open_account(tx)).account_id


class TestBounds:
    @pytest.mark.parametrize("zone", ZONES)
    async def test_of_24_months_hold_in_every_zone(self, tx: Tx, account_id: UUID, zone: str) -> None:
        wanted = months(Period(2023, 1), 24)
        tx = replace(tx, now=datetime(2025, 1, 10, tzinfo=UTC))
        await tx.connection.execute("SELECT set_config('TimeZone', $1, true)", zone)
        await report(tx, account_id, plan="vps", effective_at=wanted[0].start)
        edges = [instant for month in wanted for instant in (month.start, month.end - MICROSECOND)]
        sent = [event(account_id, n, occurred_at=instant) for n, instant in enumerate(edges)]
        assert {result.outcome for result in await metering.ingest(tx, sent, is_backfill=True)} == {"accepted"}
        days = await tx.connection.fetch("SELECT day, events FROM day_rows ORDER BY day")
        assert [(row["day"], row["events"]) for row in days] == [(instant.date(), 1) for instant in edges]
        for month in wanted:
            charges = await rating.list_charges(tx.connection, account_ids=[account_id], period=month, as_of=tx.now)
            assert sorted(charge.quantity for charge in charges) == [2, month.seconds]
            assert await metering.list_active_accounts(tx.connection, period=month) == [account_id]
        assert set(await versions(tx, account_id)) == {month.start_date for month in wanted}
        assert await find_broken(tx) == []

    @pytest.mark.parametrize("zone", ZONES)
    async def test_split_a_resource_to_the_microsecond(self, tx: Tx, account_id: UUID, zone: str) -> None:
        await tx.connection.execute("SELECT set_config('TimeZone', $1, true)", zone)
        await report(tx, account_id, plan="vps", effective_at=JANUARY.end - MICROSECOND)
        await report(tx, account_id, plan="vps", status="deleted", effective_at=JANUARY.end + 2 * MICROSECOND)
        for period, quantity in (
            (DECEMBER, []),
            (JANUARY, ["0.000001"]),
            (FEBRUARY, ["0.000002"]),
            (FEBRUARY.next(), []),
        ):
            charges = await rating.list_charges(
                tx.connection, account_ids=[account_id], period=period, as_of=period.end
            )
            assert [charge.quantity for charge in charges] == list(map(Decimal, quantity))
        for period, is_active in ((DECEMBER, False), (JANUARY, True), (FEBRUARY, True), (FEBRUARY.next(), False)):
            active = await metering.list_active_accounts(tx.connection, period=period)
            assert active == ([account_id] if is_active else [])


class TestVersions:
    async def test_of_past_months_alone_go_up(self, tx: Tx, account_id: UUID) -> None:
        await report(tx, account_id, effective_at=at("02-01"))
        assert await versions(tx, account_id) == {}
        await metering.ingest(tx, [event(account_id, 1, occurred_at=at("02-01 09:00"))])
        assert await versions(tx, account_id) == {}
        await report(tx, account_id, effective_at=at("01-31 23:59"))
        assert await versions(tx, account_id) == {date(2024, 1, 1): 1}
        await metering.ingest(tx, [event(account_id, 2, occurred_at=at("01-31 23:59:59"))])
        assert await versions(tx, account_id) == {date(2024, 1, 1): 2}

    async def test_go_up_with_each_write_and_only_with_one(self, tx: Tx, account_id: UUID) -> None:
        await report(tx, account_id)
        before = (await versions(tx, account_id))[date(2024, 1, 1)]
        sent = [event(account_id, n) for n in range(5)]
        await metering.ingest(tx, sent)
        assert (await versions(tx, account_id))[date(2024, 1, 1)] == before + 1
        await metering.ingest(tx, [*sent, event(account_id, 0, 2), event(account_id, 9, -1)])  # nothing new
        assert (await versions(tx, account_id))[date(2024, 1, 1)] == before + 1
        await report(tx, account_id)
        assert (await versions(tx, account_id))[date(2024, 1, 1)] == before + 1

    async def test_of_every_past_month_from_a_state_on_go_up(self, tx: Tx, account_id: UUID) -> None:
        await report(tx, account_id, effective_at=datetime(2023, 11, 30, 23, tzinfo=UTC))
        assert await versions(tx, account_id) == {date(2023, 11, 1): 1, date(2023, 12, 1): 1, date(2024, 1, 1): 1}

    async def test_go_up_when_quarantine_is_released(self, tx: Tx, account_id: UUID) -> None:
        await metering.ingest(tx, [event(account_id, 1, resource_id="s")])
        assert await versions(tx, account_id) == {}
        await report(tx, account_id, "s", effective_at=at("01-10"))
        assert (await versions(tx, account_id))[date(2024, 1, 1)] >= 1

    async def test_are_another_accounts_own(self, tx: Tx, account_id: UUID) -> None:
        other_id = (await open_account(tx)).account_id
        await report(tx, account_id)
        assert await versions(tx, other_id) == {}


class TestRated:
    async def test_is_the_version_that_was_seen(self, tx: Tx, account_id: UUID) -> None:
        await report(tx, account_id)
        seen = await metering.list_versions(tx.connection, account_ids=[account_id], period=JANUARY)
        await metering.ingest(tx, [event(account_id, 1)])
        await metering.mark_rated(tx.connection, versions=seen, period=JANUARY)
        assert await metering.list_dirty(tx.connection, account_ids=[account_id], before=FEBRUARY) == {
            JANUARY: {account_id: seen[account_id] + 1}
        }
        await metering.mark_rated(tx.connection, versions={account_id: seen[account_id] + 1}, period=JANUARY)
        await metering.mark_rated(tx.connection, versions=seen, period=JANUARY)  # a slower close saw less
        assert await metering.list_dirty(tx.connection, account_ids=[account_id], before=FEBRUARY) == {}

    async def test_takes_a_month_that_nothing_touched(self, tx: Tx, account_id: UUID) -> None:
        await metering.mark_rated(tx.connection, versions={account_id: 0}, period=JANUARY)
        assert await versions(tx, account_id) == {date(2024, 1, 1): 0}

    async def test_takes_an_account_off_the_list_of_the_month_and_those_before(self, tx: Tx, account_id: UUID) -> None:
        await report(tx, account_id, effective_at=DECEMBER.start)
        await metering.mark_rated(tx.connection, versions={account_id: 1}, period=JANUARY)
        for period, active in ((DECEMBER, []), (JANUARY, []), (FEBRUARY, [account_id])):
            assert await metering.list_active_accounts(tx.connection, period=period) == active


class TestActiveAccounts:
    @pytest.mark.parametrize(
        ("start", "end", "is_active"),
        [
            (JANUARY.end, None, False),
            (JANUARY.end - MICROSECOND, None, True),
            (DECEMBER.start, JANUARY.start, False),
            (DECEMBER.start, JANUARY.start + MICROSECOND, True),
            (DECEMBER.start, None, True),
        ],
    )
    async def test_have_a_resource_in_the_month(
        self, tx: Tx, account_id: UUID, start: datetime, end: datetime | None, is_active: bool
    ) -> None:
        tx = replace(tx, now=at("03-01"))
        await report(tx, account_id, effective_at=start)
        if end is not None:
            await report(tx, account_id, status="deleted", effective_at=end)
        active = await metering.list_active_accounts(tx.connection, period=JANUARY)
        assert active == ([account_id] if is_active else [])


class TestUnratedBefore:
    async def unrated(self, tx: Tx, account_id: UUID, period: Period) -> bool:
        found = await metering.list_unrated_before(tx.connection, account_ids=[account_id], period=period)
        assert found in ([], [account_id])
        return bool(found)

    async def test_is_a_month_with_a_resource_that_no_close_has_rated(self, tx: Tx, account_id: UUID) -> None:
        await report(tx, account_id, effective_at=DECEMBER.end - MICROSECOND)
        assert [await self.unrated(tx, account_id, one) for one in (DECEMBER, JANUARY, FEBRUARY)] == [False, True, True]
        await metering.mark_rated(tx.connection, versions={account_id: 1}, period=DECEMBER)
        assert [await self.unrated(tx, account_id, one) for one in (JANUARY, FEBRUARY)] == [False, True]

    async def test_is_no_month_after_the_end_of_the_last_resource(self, tx: Tx, account_id: UUID) -> None:
        await report(tx, account_id, effective_at=DECEMBER.start)
        await report(tx, account_id, status="deleted", effective_at=JANUARY.start)
        await metering.mark_rated(tx.connection, versions={account_id: 1}, period=DECEMBER)
        assert not await self.unrated(tx, account_id, FEBRUARY)

    async def test_is_no_month_before_the_last_closed_one(self, tx: Tx, account_id: UUID) -> None:
        await report(tx, account_id, effective_at=DECEMBER.start)
        await metering.mark_rated(tx.connection, versions={account_id: 1}, period=JANUARY)
        assert not await self.unrated(tx, account_id, FEBRUARY)


class TestOpenPeriods:
    async def test_run_from_the_first_resource_to_now(self, tx: Tx, account_id: UUID) -> None:
        assert await metering.list_open_periods(tx.connection, account_id=account_id, now=tx.now) == []
        await report(tx, account_id, effective_at=DECEMBER.start)
        found = await metering.list_open_periods(tx.connection, account_id=account_id, now=tx.now)
        assert found == [DECEMBER, JANUARY, FEBRUARY]

    @pytest.mark.parametrize("zone", ZONES)
    async def test_begin_after_the_last_closed_month(self, tx: Tx, account_id: UUID, zone: str) -> None:
        await tx.connection.execute("SELECT set_config('TimeZone', $1, true)", zone)
        await report(tx, account_id, effective_at=DECEMBER.start)
        await metering.mark_rated(tx.connection, versions={account_id: 1}, period=DECEMBER)
        for now, wanted in ((tx.now, [JANUARY, FEBRUARY]), (JANUARY.end - MICROSECOND, [JANUARY])):
            assert await metering.list_open_periods(tx.connection, account_id=account_id, now=now) == wanted


class TestEdgesOfMonths:
    """24 months with usage in their first and last microsecond, closed one after the other, with everything in another zone."""

    @pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"])
    async def test_are_billed_in_one_month_each_whatever_the_zones(
        self, database_dsn: str, monkeypatch: pytest.MonkeyPatch, zone: str
    ) -> None:
        owner = await asyncpg.connect(database_dsn)
        await owner.execute("SELECT set_config('lineserve.zone', $1, false)", zone)
        await owner.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L',"
            " current_database(), current_setting('lineserve.zone')); END $$"
        )
        await owner.close()
        monkeypatch.setenv("TZ", zone)  # of this process, as of a server's
        time.tzset()
        try:
            assert await self.closed(database_dsn, zone) == self.wanted()
        finally:
            monkeypatch.undo()
            time.tzset()

    async def closed(self, dsn: str, zone: str) -> list[tuple[object, ...]]:
        """What the invoices of two years say."""
        pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2, server_settings={"role": APP_ROLE, "jit": "off"})
        try:
            clock = Clock()
            clock.now = datetime(2025, 1, 2, tzinfo=UTC)
            cloud = Cloud(Database(pool, clock), clock)
            assert await pool.fetchval("SHOW TimeZone") == zone
            start = datetime(2020, 1, 1, tzinfo=UTC)
            await cloud.publish(price(meter="m", unit_price="1"), valid_from=start)
            await cloud.publish(
                price(service="compute", model="hourly", plan="vps", hourly_price="0.01"), valid_from=start
            )
            account_id = await cloud.open_account()
            async with cloud.database.transaction() as tx:
                await tx.connection.execute("UPDATE accounts SET timezone = $2 WHERE account_id = $1", account_id, zone)
            first = Period(2023, 1)
            await cloud.report(account_id, plan="vps", effective_at=first.start)
            for month in months(first, 24):
                await cloud.use(account_id, 1, occurred_at=month.start)
                await cloud.use(account_id, 2, occurred_at=month.end - MICROSECOND)
            for month in months(first, 24):
                await cloud.close(month)
            rows = await cloud.fetch(
                """
                SELECT invoices.period, number, item, service_period, quantity, amount_minor, description, issued_at, due_at
                FROM invoices JOIN invoice_lines USING (account_id, invoice_id)
                ORDER BY invoices.period, item
                """
            )
            assert await cloud.broken() == []
            return [tuple(row) for row in rows]
        finally:
            await pool.close()

    def wanted(self) -> list[tuple[object, ...]]:
        issued_at, due_at = datetime(2025, 1, 2, tzinfo=UTC), datetime(2025, 1, 16, tzinfo=UTC)
        rows: list[tuple[object, ...]] = []
        for ordinal, month in enumerate(months(Period(2023, 1), 24), start=1):
            day, number, hours = month.start_date, f"INV-2025-{ordinal:03d}", month.seconds // 3600
            rows.append((day, number, "m", day, 3, 300, "m", issued_at, due_at))
            rows.append((day, number, "vps", day, hours, hours, "vps (r)", issued_at, due_at))
        return rows
