"""Totals of a month over all accounts: what rating says of each account and what its documents say, summed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest

from billing import rating
from billing.analytics.model import CurrencyTotal, MonthTotals
from billing.analytics.operations import totals
from billing.core.period import Period
from billing.kit.db import Database, open_pool
from tests.oracle.generate import scenario
from tests.oracle.load import load_world
from tests.support.cloud import Cloud, at, open_cloud, price

if TYPE_CHECKING:
    from billing.kit.db import Connection

ACCOUNTS = 80
JANUARY = Period(2024, 1)
Amounts = list[tuple[UUID, str, str, int]]  # account, currency, service, minor units


@pytest.fixture(autouse=True)
def _some_accounts_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "CHUNK", 7)


async def rated(connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime) -> Amounts:
    """What rating says of each account, one after the other."""
    rows = await connection.fetch("SELECT account_id, currency FROM accounts")
    currencies = {row["account_id"]: row["currency"] for row in rows}
    services = {
        row["price_id"]: row["service"] for row in await connection.fetch("SELECT price_id, service FROM prices")
    }
    return [
        (charge.account_id, currencies[charge.account_id], services[charge.price_id], charge.amount_minor)
        for account_id in account_ids
        for charge in await rating.list_charges(connection, account_ids=[account_id], period=period, as_of=as_of)
    ]


def summed(amounts: Iterable[tuple[UUID, str, str, int]]) -> dict[str, tuple[int, int, dict[str, tuple[int, int]]]]:
    """By currency (accounts, minor units), and each service of it the same way."""
    accounts: dict[tuple[str, str | None], set[UUID]] = defaultdict(set)
    minor: dict[tuple[str, str | None], int] = defaultdict(int)
    for account_id, currency, service, amount_minor in amounts:
        for key in ((currency, None), (currency, service)):
            accounts[key].add(account_id)
            minor[key] += amount_minor
    return {
        currency: (
            len(accounts[currency, None]),
            minor[currency, None],
            {
                service: (len(accounts[currency, service]), minor[currency, service])
                for one, service in accounts
                if one == currency and service is not None
            },
        )
        for currency in {currency for currency, _ in accounts}
    }


def shown(found: MonthTotals) -> dict[str, tuple[int, int, dict[str, tuple[int, int]]]]:
    return {
        currency: (
            total.accounts,
            total.amount_minor,
            {name: (service.accounts, service.amount_minor) for name, service in total.services.items()},
        )
        for currency, total in found.by_currency.items()
    }


class TestTotalMonth:
    async def test_is_the_sum_of_what_rating_says_of_each_account(self, database_dsn: str, seed: int) -> None:
        made = scenario(Random(seed), prefix="totals-", accounts=ACCOUNTS)
        period = Period(made.year, made.month)
        owner = await asyncpg.connect(database_dsn)
        try:
            async with owner.transaction():
                await load_world(owner, made.world, recorded_at=datetime(2024, 12, 1, tzinfo=UTC))
            wanted = await rated(owner, account_ids=list(made.world.accounts), period=period, as_of=made.as_of)
        finally:
            await owner.close()
        pool = await open_pool(database_dsn, size=2)
        try:
            found = await totals.total_month(Database(pool, lambda: made.as_of), period=period)
        finally:
            await pool.close()
        assert found.counted_until == min(made.as_of, period.end)
        assert wanted
        assert shown(found) == summed(wanted)

    async def test_reads_the_documents_of_accounts_whose_month_is_closed(self, database_dsn: str) -> None:
        async with open_cloud(database_dsn) as cloud:
            await cloud.publish(
                price(meter="m", unit_price="0.05"), price(service="api", meter="n", unit_price="1.111", minimum="20")
            )
            closed, still_open = await _fill(cloud, 10), await _fill(cloud, 10)
            await cloud.close(only_accounts=closed)
            late = timedelta(days=1)
            for account_id in closed[:3]:  # corrected in February, and counted in January
                await cloud.use(account_id, 100, meter="m", occurred_at=JANUARY.end - late)
            cloud.advance_to(JANUARY.next().end + late)
            await cloud.close(Period(2024, 2), only_accounts=closed)
            found = await totals.total_month(cloud.database, period=JANUARY)
            rows = await cloud.fetch(
                """
                SELECT account_id, 'USD', service, amount_minor::integer FROM invoice_lines WHERE service_period = '2024-01-01'
                """
            )
            billed: Amounts = [tuple(row) for row in rows]
            async with cloud.database.snapshot() as tx:
                unbilled = await rated(tx.connection, account_ids=still_open, period=JANUARY, as_of=JANUARY.end)
        assert shown(found) == summed([*billed, *unbilled])
        total = found.by_currency["USD"]
        assert (total.accounts_billed, total.billed_minor) == (10, sum(minor for *_, minor in billed))
        assert total.accounts == 20

    async def test_of_no_account_is_nothing(self, database_dsn: str) -> None:
        async with open_cloud(database_dsn) as cloud:
            cloud.clock.now = at("01-15 12:00")
            found = await totals.total_month(cloud.database, period=JANUARY)
        assert found == MonthTotals(JANUARY, at("01-15 12:00"), dict[str, CurrencyTotal]())


async def _fill(cloud: Cloud, count: int) -> list[UUID]:
    account_ids: list[UUID] = []
    for number in range(count):
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.use(account_id, 10 * number + 1, meter="m")
        await cloud.use(account_id, number + 1, meter="n")
        account_ids.append(account_id)
    return account_ids
