"""What time alone brings about is told once: invoices that become overdue, cards that expire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest_asyncio

from billing import invoices, payments
from billing.invoices.operations import ending
from billing.invoices.operations.overdue import tell_overdue
from billing.invoices.store import overdue as overdue_store
from billing.payments import rules
from billing.payments.operations import delete_method
from tests.support.cloud import Cloud, open_cloud, price
from tests.support.counter import Counter, open_counter
from tests.support.till import Killed

DUE = datetime(2024, 2, 15, tzinfo=UTC)


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn, connections=9) as opened:
        await opened.publish(price(meter="m", unit_price="1"))
        yield opened


async def owing(cloud: Cloud, accounts: int) -> list[UUID]:
    """Accounts with an unpaid invoice of 3.00 each."""
    opened = [await cloud.open_account() for _ in range(accounts)]
    for account_id in opened:
        await cloud.report(account_id)
        await cloud.use(account_id, 3)
    await cloud.close()
    return opened


class TestOverdue:
    async def test_is_told_once_when_the_due_date_has_passed(self, cloud: Cloud) -> None:
        [account_id] = await owing(cloud, 1)
        cloud.advance_to(DUE - timedelta(microseconds=1))
        assert await tell_overdue(cloud.database) == 0
        cloud.advance_to(DUE)
        assert [await tell_overdue(cloud.database) for _ in range(2)] == [1, 0]
        [event] = await cloud.fetch("SELECT * FROM outbox_events WHERE type = 'invoice.overdue'")
        payload = msgspec.json.decode(event["payload"])
        assert event["account_id"] == account_id
        assert (payload["status"], payload["amount_due"], payload["due_date"]) == (
            "overdue",
            "3.00",
            "2024-02-15T00:00:00Z",
        )

    async def test_is_not_told_of_what_was_paid_or_given_up_before(self, cloud: Cloud) -> None:
        paid, part_paid, given_up = await owing(cloud, 3)
        for account_id, minor in ((paid, 300), (part_paid, 100)):
            await cloud.pay_in(account_id, minor)
            async with cloud.database.transaction() as tx:
                await invoices.collect(tx, account_id=account_id, currency="USD")
        [given_up_invoice] = await cloud.fetch("SELECT invoice_id FROM invoices WHERE account_id = $1", given_up)
        async with cloud.database.transaction() as tx:
            await ending.write_off(tx, invoice_id=given_up_invoice["invoice_id"])
        cloud.advance_to(DUE + timedelta(days=3))
        assert await tell_overdue(cloud.database) == 1
        [event] = await cloud.fetch("SELECT account_id FROM outbox_events WHERE type = 'invoice.overdue'")
        assert event["account_id"] == part_paid

    async def test_is_told_once_by_many_at_once_and_by_who_comes_after_one_that_died(self, cloud: Cloud) -> None:
        opened = await owing(cloud, 20)
        cloud.advance_to(DUE)
        with suppress(Killed):
            async with cloud.database.transaction() as tx:
                assert len(await overdue_store.claim_due(tx.connection, now=tx.now, limit=100)) == 20
                raise Killed
        told = await asyncio.gather(*(tell_overdue(cloud.database) for _ in range(8)))
        assert sum(told) == 20
        events = await cloud.fetch("SELECT account_id FROM outbox_events WHERE type = 'invoice.overdue'")
        assert sorted(event["account_id"] for event in events) == sorted(opened)


class TestExpiry:
    async def test_is_told_a_month_ahead_and_as_the_last_month_begins(self, database_dsn: str) -> None:
        async with open_counter(database_dsn) as counter:
            expires = datetime(counter.clock.now.year + 1, 12, 1, tzinfo=UTC)
            await self.shorten(counter, expires)
            assert await payments.tell_expiring(counter.database) == 0
            for instant in (expires - timedelta(days=30), expires):
                counter.clock.now = instant
                told = await asyncio.gather(*(payments.tell_expiring(counter.database) for _ in range(4)))
                assert sum(told) == 1
            counter.clock.now = expires + timedelta(days=60)
            assert await payments.tell_expiring(counter.database) == 0
            assert await self.notices(counter) == [1, 2]

    async def test_of_two_missed_notices_only_the_second_is_told(self, database_dsn: str) -> None:
        async with open_counter(database_dsn) as counter:
            expires = datetime(counter.clock.now.year + 1, 12, 1, tzinfo=UTC)
            await self.shorten(counter, expires)
            counter.clock.now = expires + timedelta(days=60)
            assert await payments.tell_expiring(counter.database) == 1
            assert await self.notices(counter) == [2]

    async def test_is_not_told_of_a_card_that_was_removed(self, database_dsn: str) -> None:
        async with open_counter(database_dsn) as counter:
            expires = datetime(counter.clock.now.year + 1, 12, 1, tzinfo=UTC)
            await self.shorten(counter, expires)
            async with counter.database.transaction() as tx:
                await delete_method(tx, account_id=counter.account_id, payment_method_id=counter.payment_method_id)
            counter.clock.now = expires
            assert await payments.tell_expiring(counter.database) == 0

    async def shorten(self, counter: Counter, expires: datetime) -> None:
        """Let the sandbox's card, which is good for years, expire earlier."""
        first, _ = rules.expiry_notices(expires.year, expires.month)
        async with counter.database.transaction() as tx:
            await tx.connection.execute(
                """
                UPDATE payment_methods SET exp_year = $2, exp_month = $3, expiry_due_at = $4
                WHERE account_id = $1 AND expiry_due_at IS NOT NULL
                """,
                counter.account_id,
                expires.year,
                expires.month,
                first,
            )

    async def notices(self, counter: Counter) -> list[int]:
        """Which notices were told."""
        async with counter.database.reading() as reading:
            rows = await reading.connection.fetch(
                "SELECT payload FROM outbox_events WHERE type = 'card.expiring' ORDER BY version"
            )
        return [msgspec.json.decode(row["payload"])["attempt"] for row in rows]
