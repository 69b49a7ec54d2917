"""Bounds that break: that account's billing stops, loudly, and not the run; a retry may accept an unusual total."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from billing import accounts, invoices
from billing.core import ids
from billing.core.period import Period
from billing.invoices.model import INVOICE_MAX_MINOR
from billing.invoices.operations import ending
from billing.invoices.store import worklist
from tests.support.cloud import Cloud, open_cloud, price

FIRST = Period(2023, 10)
LAST = Period(2024, 1)


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        for currency in ("USD", "JPY", "KWD"):
            await opened.publish(price(meter="m", unit_price="1"), currency=currency)
        yield opened


async def billed(cloud: Cloud, *quantities: object, **members: Any) -> UUID:
    """An account with an invoice of each of the months from October 2023 on."""
    account_id = await cloud.open_account(**members)
    period = FIRST
    for quantity in quantities:
        await cloud.report(account_id, effective_at=FIRST.start)
        await cloud.use(account_id, quantity, occurred_at=period.start)
        assert (await cloud.close(period, only_accounts=[account_id])).invoices == 1
        period = period.next()
    return account_id


async def close_last(cloud: Cloud, account_id: UUID, quantity: object) -> dict[UUID, str]:
    """What is parked after the close of January with so much usage in it."""
    await cloud.use(account_id, quantity, occurred_at=LAST.start)
    run_id = await cloud.request(LAST, only_accounts=[account_id])
    await invoices.advance(cloud.database, run_id=run_id)
    return await cloud.parked(run_id)


class TestBillingPaused:
    async def test_bills_nothing_of_the_account_until_it_goes_on(self, cloud: Cloud) -> None:
        account_id, other_id = await billed(cloud, 1), await billed(cloud, 1)
        await cloud.use(other_id, 2, occurred_at=FIRST.next().start)
        await cloud.use(account_id, 2, occurred_at=FIRST.next().start)
        await pause(cloud, account_id, True)
        run_id = await cloud.request(FIRST.next())
        run = await invoices.advance(cloud.database, run_id=run_id)
        assert (run.status, await cloud.parked(run_id)) == ("completed", {account_id: "billing_paused"})
        assert (await cloud.progress(run_id)).invoices == 1
        await pause(cloud, account_id, False)
        async with cloud.database.transaction() as tx:
            await worklist.requeue_parked(tx.connection, run_id=run_id, accepts_totals=False)
        await invoices.advance(cloud.database, run_id=run_id)
        assert await cloud.parked(run_id) == {}
        assert (await cloud.progress(run_id)).invoices == 2
        assert await cloud.broken() == []


async def pause(cloud: Cloud, account_id: UUID, is_paused: bool) -> None:
    async with cloud.database.transaction() as tx:
        await accounts.change(tx, account_id=account_id, changes={"billing_paused": is_paused})


class TestTotalUnusual:
    @pytest.mark.parametrize(
        ("quantities", "last", "is_parked"),
        [
            ((1, 1, 1), "10000", False),  # exactly 10,000.00
            ((1, 1, 1), "10000.01", True),
            ((900, 1000, "1100.01"), "10000.03", False),  # exactly ten times the mean: 3,000.01 / 3 × 10 = 10,000.0333…
            ((900, 1000, "1100.01"), "10000.04", True),
            ((2000, 2000, 2000), "20000", False),
            ((2000, 2000, 2000), "20000.01", True),
        ],
    )
    async def test_is_above_the_larger_of_ten_means_and_10000(
        self, cloud: Cloud, quantities: tuple[object, ...], last: str, is_parked: bool
    ) -> None:
        account_id = await billed(cloud, *quantities)
        assert await close_last(cloud, account_id, last) == ({account_id: "total_unusual"} if is_parked else {})
        assert await cloud.broken() == []

    async def test_is_taxed_as_the_account_is_and_no_other(self, cloud: Cloud) -> None:
        """In one chunk: with 16 % it is beyond, without it would not be."""
        await cloud.set_taxes(VAT="16")
        taxed, untaxed = await billed(cloud, 1, 1, 1, country="KE"), await billed(cloud, 1, 1, 1)
        for account_id in (taxed, untaxed):
            await cloud.use(account_id, 9_500, occurred_at=LAST.start)
        run_id = await cloud.request(LAST)
        await invoices.advance(cloud.database, run_id=run_id)
        assert await cloud.parked(run_id) == {taxed: "total_unusual"}
        rows = await cloud.fetch("SELECT account_id FROM closes WHERE period = $1", LAST.start_date)
        assert [row["account_id"] for row in rows] == [untaxed]

    @pytest.mark.parametrize("quantities", [(), (1,), (1, 1)])
    async def test_is_not_judged_before_three_invoices_exist(
        self, cloud: Cloud, quantities: tuple[object, ...]
    ) -> None:
        start = LAST
        for _ in quantities:
            start = start.previous()
        account_id = await cloud.open_account()
        await cloud.report(account_id, effective_at=start.start)
        for quantity in quantities:
            await cloud.use(account_id, quantity, occurred_at=start.start)
            await cloud.close(start, only_accounts=[account_id])
            start = start.next()
        assert await close_last(cloud, account_id, 1_000_000) == {}

    @pytest.mark.parametrize(
        ("currency", "last", "is_parked"),
        [("JPY", 10_000, False), ("JPY", 10_001, True), ("KWD", "10000", False), ("KWD", "10000.001", True)],
    )
    async def test_counts_in_the_currencys_own_decimals(
        self, cloud: Cloud, currency: str, last: object, is_parked: bool
    ) -> None:
        account_id = await billed(cloud, 1, 1, 1, currency=currency)
        assert bool(await close_last(cloud, account_id, last)) == is_parked

    @pytest.mark.parametrize(("last", "is_parked"), [("8620.69", False), ("8620.70", True)])
    async def test_looks_at_totals_with_their_taxes(self, cloud: Cloud, last: str, is_parked: bool) -> None:
        await cloud.set_taxes(VAT="16")  # 8,620.69 and 1,379.31 are 10,000.00
        account_id = await billed(cloud, 1, 1, 1, country="KE")
        assert bool(await close_last(cloud, account_id, last)) == is_parked

    async def test_takes_the_last_three_that_stand(self, cloud: Cloud) -> None:
        start = FIRST.previous()
        account_id = await cloud.open_account()
        await cloud.report(account_id, effective_at=start.start)
        for quantity in (5000, 2000, 1000, 1000):
            await cloud.use(account_id, quantity, occurred_at=start.start)
            await cloud.close(start, only_accounts=[account_id])
            start = start.next()
        ((newest,),) = await cloud.fetch("SELECT invoice_id FROM invoices ORDER BY period DESC LIMIT 1")
        async with cloud.database.transaction() as tx:
            await ending.void(tx, invoice_id=newest)
        # Of 5,000, 2,000 and 1,000 ten means are 26,666.66…; with the voided one they would be 13,333.33….
        assert await close_last(cloud, account_id, "26666.66") == {}

    async def test_stops_one_account_loudly_and_not_the_run(self, cloud: Cloud) -> None:
        account_id, other_id = await billed(cloud, 1, 1, 1), await cloud.open_account()
        await cloud.report(other_id, effective_at=LAST.start)
        await cloud.use(other_id, 5)
        await cloud.use(account_id, 50_000, occurred_at=LAST.start)
        run_id = await cloud.request(LAST)
        with capture_logs() as logs:
            run = await invoices.advance(cloud.database, run_id=run_id)
        assert [one for one in logs if one["event"] == "account_parked"] == [
            {
                "event": "account_parked",
                "log_level": "warning",
                "account_id": ids.encode("acc", account_id),
                "period": "2024-01",
                "reason": "total_unusual",
                "dry_run": False,
            }
        ]
        assert run.status == "completed"
        progress = await cloud.progress(run_id)
        assert (progress.accounts_total, progress.accounts_done, progress.accounts_parked, progress.invoices) == (
            2,
            1,
            1,
            1,
        )
        rows = await cloud.fetch("SELECT account_id FROM closes WHERE period = $1", LAST.start_date)
        assert [row["account_id"] for row in rows] == [other_id]
        assert await cloud.broken() == []

    async def test_is_billed_once_it_is_accepted_and_not_before(self, cloud: Cloud) -> None:
        account_id = await billed(cloud, 1, 1, 1)
        await cloud.use(account_id, 50_000, occurred_at=LAST.start)
        run_id = await cloud.request(LAST)
        await invoices.advance(cloud.database, run_id=run_id)
        for accepts_totals in (False, True):
            assert await cloud.parked(run_id) == {account_id: "total_unusual"}
            async with cloud.database.transaction() as tx:
                assert await worklist.requeue_parked(tx.connection, run_id=run_id, accepts_totals=accepts_totals) == 1
            assert (await invoices.advance(cloud.database, run_id=run_id)).status == "completed"
        assert await cloud.parked(run_id) == {}
        ((total,),) = await cloud.fetch("SELECT total_minor FROM invoices WHERE period = $1", LAST.start_date)
        assert total == 5_000_000
        assert await cloud.broken() == []

    async def test_parks_a_dry_run_too(self, cloud: Cloud) -> None:
        account_id = await billed(cloud, 1, 1, 1)
        await cloud.use(account_id, 50_000, occurred_at=LAST.start)
        run_id = await cloud.request(LAST, dry_run=True)
        await invoices.advance(cloud.database, run_id=run_id)
        assert await cloud.parked(run_id) == {account_id: "total_unusual"}


class TestAmountOutOfBounds:
    @pytest.mark.parametrize(("minor", "is_parked"), [(INVOICE_MAX_MINOR, False), (INVOICE_MAX_MINOR + 1, True)])
    async def test_is_above_what_an_invoice_may_come_to(self, cloud: Cloud, minor: int, is_parked: bool) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        parked = await close_last(cloud, account_id, Decimal(minor) / 100)
        assert parked == ({account_id: "amount_out_of_bounds"} if is_parked else {})

    async def test_is_not_lifted_by_accepting_totals(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.use(account_id, 10**13)
        run_id = await cloud.request(LAST)
        await invoices.advance(cloud.database, run_id=run_id)
        async with cloud.database.transaction() as tx:
            await worklist.requeue_parked(tx.connection, run_id=run_id, accepts_totals=True)
        await invoices.advance(cloud.database, run_id=run_id)
        assert await cloud.parked(run_id) == {account_id: "amount_out_of_bounds"}
