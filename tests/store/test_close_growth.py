"""Closing the sixtieth month of some accounts costs what closing their second did: pages of each statement of the whole run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import asyncpg

from billing import metering
from tests.support.cloud import JANUARY, Cloud, event, open_cloud, price
from tests.support.history import settle_neighbours
from tests.support.watching import watching

if TYPE_CHECKING:
    from uuid import UUID

    from billing.core.period import Period
    from tests.support.watching import Statement

ACCOUNTS = 5
NEIGHBOURS = 1_000
EARLY, MONTHS = 2, 60  # the first has no balances yet
PAGES_MORE = 2  # an account
# Of all: some 25 rows are written for an account, into tables that had none, so that their indexes get a level.
MORE = 1.3


async def use(cloud: Cloud, account_ids: Sequence[UUID], period: Period) -> None:
    """Use something in a month, until it is over."""
    cloud.advance_to(period.end + timedelta(days=2))
    async with cloud.database.transaction() as tx:
        used = [event(one, str(period), 5, occurred_at=period.start + timedelta(days=3)) for one in account_ids]
        await metering.ingest(tx, used, is_backfill=True)


async def close(cloud: Cloud, account_ids: Sequence[UUID], period: Period) -> None:
    """Close a month of some accounts."""
    assert (await cloud.close(period, only_accounts=account_ids)).invoices == len(account_ids)


def by_statement(sent: Sequence[Statement]) -> Counter[str]:
    """Pages by statement, for one may be sent more than once; without the search for whom to bill, who are others too."""
    pages: Counter[str] = Counter()
    for statement in sent:
        if not statement.name.startswith("SELECT account_id FROM accounts_v"):
            pages[statement.name] += statement.pages
    return pages


async def furnish(cloud: Cloud) -> list[UUID]:
    """Accounts with money, a server and something that is metered."""
    cloud.clock.now = JANUARY.start + timedelta(days=1)
    await cloud.publish(
        price(service="compute", plan="vps", model="hourly", hourly_price="0.10", monthly_price="50"),
        price(meter="m", unit_price="0.05"),
    )
    await cloud.set_taxes(VAT="16")
    account_ids = [await cloud.open_account(cash_minor=10**7) for _ in range(ACCOUNTS)]
    for account_id in account_ids:
        await cloud.report(account_id, plan="vps")
    return account_ids


class TestClose:
    async def test_costs_the_same_with_59_closed_months_behind_it(self, database_dsn: str) -> None:
        found: list[Counter[str]] = []
        owner = await asyncpg.connect(database_dsn)
        async with open_cloud(database_dsn, connections=2) as cloud:
            account_ids, period = await furnish(cloud), JANUARY
            for month in range(1, MONTHS + 1):
                await use(cloud, account_ids, period)
                if month == EARLY:
                    await settle_neighbours(owner, account_id=account_ids[0], count=NEIGHBOURS)
                if month in {EARLY, MONTHS}:
                    await owner.execute("VACUUM ANALYZE")
                    async with watching(cloud.database.pool) as watch:
                        found.append(by_statement(await watch.see(partial(close, cloud, account_ids, period))))
                else:
                    await close(cloud, account_ids, period)
                period = period.next()
        await owner.close()
        early, late = found
        print(f"pages of closing {ACCOUNTS} accounts, early and late: {early.total()}, {late.total()}")  # noqa: T201  a figure
        own = {
            name for name in early if name.startswith(("WITH -- The accounts that are rated", "-- Issue the drafted"))
        }
        assert len(own) == 2
        for name in own:
            assert late[name] <= early[name] + PAGES_MORE * ACCOUNTS, (name, early[name], late[name])
        assert late.total() <= early.total() * MORE, {name: (early[name], late[name]) for name in early | late}
