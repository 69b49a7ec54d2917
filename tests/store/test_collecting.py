"""Money that has arrived pays the invoices that ask for it: the one due first, once (quality V4)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest_asyncio

from billing import invoices
from billing.core.period import Period
from billing.invoices.operations import collecting
from billing.kit import outbox
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, open_cloud, pay_in, price

MARCH = Period(2024, 3)


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn, connections=12) as opened:
        await opened.publish(price(meter="m", unit_price="1"))
        yield opened


async def owing(cloud: Cloud, *quantities: int) -> UUID:
    """An account with an unpaid invoice of each of the months from January on."""
    account_id = await cloud.open_account()
    await cloud.report(account_id)
    for period, quantity in zip((JANUARY, FEBRUARY, MARCH), quantities, strict=False):
        if cloud.clock.now < period.end:
            cloud.advance_to(period.end)
        await cloud.use(account_id, quantity, occurred_at=period.start)
        await cloud.close(period, only_accounts=[account_id])
    return account_id


async def arrive(cloud: Cloud, account_id: UUID, amount_minor: int, currency: str = "USD") -> None:
    """Money that settles, with the event that says so."""
    async with cloud.database.transaction() as tx:
        await pay_in(tx, account_id, amount_minor, currency)
        await outbox.publish(
            tx, account_id=account_id, type="payment.succeeded", object_id=str(tx.new_id()), payload={}
        )


async def paid(cloud: Cloud, account_id: UUID) -> list[tuple[str, int]]:
    """(status, paid) of the account's invoices by month."""
    rows = await cloud.fetch(
        """
        SELECT status, paid_minor FROM invoices JOIN invoice_states USING (account_id, invoice_id)
        WHERE account_id = $1
        ORDER BY period
        """,
        account_id,
    )
    return [(row["status"], row["paid_minor"]) for row in rows]


async def collect(cloud: Cloud, account_id: UUID, currency: str = "USD") -> int:
    async with cloud.database.transaction() as tx:
        return await invoices.collect(tx, account_id=account_id, currency=currency)


class TestCollect:
    async def test_pays_the_invoice_that_is_due_first(self, cloud: Cloud) -> None:
        account_id = await owing(cloud, 3, 5, 2)
        await cloud.pay_in(account_id, 450)
        assert await collect(cloud, account_id) == 450
        assert await paid(cloud, account_id) == [("paid", 300), ("pending", 150), ("pending", 0)]
        await cloud.pay_in(account_id, 10_000)
        assert await collect(cloud, account_id) == 550
        assert await paid(cloud, account_id) == [("paid", 300), ("paid", 500), ("paid", 200)]
        balances = await cloud.balances(account_id)
        assert (balances["USD", "receivable"], balances["USD", "wallet:cash"]) == (0, 9_450)
        assert await cloud.broken() == []

    async def test_goes_by_the_due_date_and_not_by_the_month(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        for period, terms_days in ((JANUARY, 90), (FEBRUARY, 5)):
            async with cloud.database.transaction() as tx:
                await tx.connection.execute("UPDATE accounts SET terms_days = $1", terms_days)
            if cloud.clock.now < period.end:
                cloud.advance_to(period.end)
            await cloud.use(account_id, 3, occurred_at=period.start)
            await cloud.close(period)
        await cloud.pay_in(account_id, 300)
        await collect(cloud, account_id)
        assert await paid(cloud, account_id) == [("pending", 0), ("paid", 300)]

    async def test_numbers_an_invoices_payments_on(self, cloud: Cloud) -> None:
        account_id = await owing(cloud, 3)
        for amount_minor in (100, 1, 199):
            await cloud.pay_in(account_id, amount_minor)
            await collect(cloud, account_id)
        rows = await cloud.fetch("SELECT ordinal, source, amount_minor FROM invoice_payments ORDER BY ordinal")
        assert [tuple(row) for row in rows] == [(1, "wallet", 100), (2, "wallet", 1), (3, "wallet", 199)]
        ((paid_at,),) = await cloud.fetch("SELECT paid_at FROM invoice_states")
        assert paid_at == cloud.clock.now
        assert await cloud.broken() == []

    async def test_says_once_that_an_invoice_is_paid(self, cloud: Cloud) -> None:
        account_id = await owing(cloud, 3)
        for _ in range(4):
            await cloud.pay_in(account_id, 100)
            await collect(cloud, account_id)
        assert len(await cloud.fetch("SELECT FROM outbox_events WHERE type = 'invoice.paid'")) == 1

    async def test_does_nothing_without_money_or_invoices(self, cloud: Cloud) -> None:
        owes = await owing(cloud, 3)
        rich = await cloud.open_account(cash_minor=500)
        assert [await collect(cloud, account_id) for account_id in (owes, rich)] == [0, 0]
        assert (await cloud.balances(rich))["USD", "wallet:cash"] == 500

    async def test_takes_no_held_or_foreign_money(self, cloud: Cloud) -> None:
        account_id = await owing(cloud, 3)
        await cloud.pay_in(account_id, 500, "KES")
        assert [await collect(cloud, account_id, currency) for currency in ("USD", "KES")] == [0, 0]

    async def test_pays_once_with_10_at_a_time(self, cloud: Cloud) -> None:
        account_id = await owing(cloud, 3, 5)
        await cloud.pay_in(account_id, 700)
        used = await asyncio.gather(*(collect(cloud, account_id) for _ in range(10)))
        assert Counter(used) == {700: 1, 0: 9}
        assert await paid(cloud, account_id) == [("paid", 300), ("pending", 400)]
        assert await cloud.broken() == []


class TestCollectArrived:
    async def test_acts_on_each_payment_once_with_10_at_a_time(self, cloud: Cloud) -> None:
        account_ids = [await owing(cloud, 3) for _ in range(6)]
        for account_id in account_ids:
            for amount_minor in (100, 50, 250):
                await arrive(cloud, account_id, amount_minor)
        acted = await asyncio.gather(*(collecting.collect_arrived(cloud.database) for _ in range(10)))
        assert sum(acted) == 18
        assert await collecting.collect_arrived(cloud.database) == 0
        for account_id in account_ids:
            assert await paid(cloud, account_id) == [("paid", 300)]
            assert (await cloud.balances(account_id))["USD", "wallet:cash"] == 100
        assert await cloud.broken() == []

    async def test_waits_for_the_next_invoice_with_what_is_left(self, cloud: Cloud) -> None:
        account_id = await owing(cloud, 3)
        await arrive(cloud, account_id, 400)
        await collecting.collect_arrived(cloud.database)
        cloud.advance_to(FEBRUARY.end)
        await cloud.use(account_id, 2, occurred_at=FEBRUARY.start)
        await cloud.close(FEBRUARY)
        assert await paid(cloud, account_id) == [("paid", 300), ("pending", 100)]
        assert await cloud.broken() == []

    async def test_meets_a_close_at_the_same_time(self, cloud: Cloud) -> None:
        account_ids = [await cloud.open_account() for _ in range(8)]
        for account_id in account_ids:
            await cloud.report(account_id)
            await cloud.use(account_id, 3)
        run_id = await cloud.request()

        async def top_up(account_id: UUID) -> None:
            await arrive(cloud, account_id, 300)
            await collecting.collect_arrived(cloud.database)

        await asyncio.gather(
            invoices.advance(cloud.database, run_id=run_id), *(top_up(account_id) for account_id in account_ids)
        )
        await collecting.collect_arrived(cloud.database)
        assert [await paid(cloud, account_id) for account_id in account_ids] == [[("paid", 300)]] * 8
        assert await cloud.broken() == []
