"""Chargebacks, and what an account owes after one: money that arrives pays it first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio

from billing import payments, wallets
from billing.payments.model import ChargebackExceedsPayment, Payment
from billing.wallets import operations as wallet_operations
from tests.support import databases, postgres
from tests.support.counter import Counter, open_counter


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_dsn(database_server: Path) -> AsyncIterator[str]:
    name = await databases.clone(database_server)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


@pytest_asyncio.fixture
async def counter(module_dsn: str) -> AsyncIterator[Counter]:
    async with open_counter(module_dsn) as opened:
        yield opened


class TestChargeback:
    async def test_takes_the_wallets_cash(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.top_up()
        chargeback = await counter.charge_back(payment)
        assert (chargeback.amount_minor, chargeback.cash_minor, chargeback.owed_minor) == (10_000, 10_000, 0)
        assert await counter.books() == {"gateway:sandbox": -10_000, "wallet:cash": 10_000}

    async def test_leaves_the_rest_owed(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.spend(9_999)
        chargeback = await counter.charge_back(payment, 4_000)
        assert (chargeback.amount_minor, chargeback.cash_minor, chargeback.owed_minor) == (4_000, 1, 3_999)
        assert (await counter.templates())[-2:] == ["chargeback.taken 1", "chargeback.taken 3999"]
        assert await counter.books() == {"gateway:sandbox": -6_000, "owed": -3_999, "revenue": 9_999}
        assert await counter.violations() == 0

    async def test_is_owed_whole_by_an_empty_wallet(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.spend(10_000)
        await counter.charge_back(payment)
        assert await counter.books() == {"owed": -10_000, "revenue": 10_000}

    async def test_leaves_held_money_alone_but_not_that_of_expired_holds(self, counter: Counter) -> None:
        payment = await counter.top_up()
        for reference, hours in (("short", 1), ("long", 24)):
            async with counter.database.transaction() as tx:
                await wallet_operations.place_hold(
                    tx,
                    account_id=counter.account_id,
                    own_currency="USD",
                    currency="USD",
                    amount_minor=4_000,
                    reference=reference,
                    expires_at=tx.now + timedelta(hours=hours),
                    reserve=wallets.nothing_reserved,
                )
        counter.clock.advance(timedelta(hours=1))
        assert (await counter.charge_back(payment)).cash_minor == 6_000
        assert await counter.books() == {"owed": -4_000, "wallet:held": 4_000}

    async def test_may_come_for_recorded_money(self, counter: Counter) -> None:
        payment = await counter.record(5_000, "cheque-1")
        await counter.charge_back(payment)
        assert await counter.books() == {}

    async def test_is_in_its_currency(self, counter: Counter) -> None:
        payment = await counter.top_up(700, currency="JPY")
        await counter.spend(700, currency="JPY")
        await counter.top_up()
        await counter.charge_back(payment)
        books = await counter.books()
        assert (books["JPY owed"], books["wallet:cash"]) == (-700, 10_000)

    @pytest.mark.parametrize("amount_minor", [10_001, 10**15])
    async def test_is_never_more_than_the_payment(self, counter: Counter, amount_minor: int) -> None:
        payment = await counter.top_up()
        with pytest.raises(ChargebackExceedsPayment) as refused:
            await counter.charge_back(payment, amount_minor)
        assert refused.value.details == {
            "disputable": Decimal("100.00"),
            "captured": Decimal("100.00"),
            "refunded": Decimal("0.00"),
            "disputed": Decimal("0.00"),
            "currency": "USD",
        }

    async def test_of_many_at_once_are_never_more_than_the_payment(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.spend(3_000)

        async def take() -> int:
            try:
                return (await counter.charge_back(payment, 700)).amount_minor
            except ChargebackExceedsPayment:
                return 0

        assert sum(await asyncio.gather(*(take() for _ in range(50)))) == 14 * 700
        assert await counter.books() == {"gateway:sandbox": -200, "owed": -2_800, "revenue": 3_000}
        assert await counter.violations() == 0

    async def test_is_refused_when_nothing_is_left(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.refund(payment, 4_000)
        await counter.charge_back(payment)
        with pytest.raises(ChargebackExceedsPayment):
            await counter.charge_back(payment)
        assert await counter.books() == {}


class TestOwed:
    async def _owe(self, counter: Counter, owed_minor: int, *, currency: str = "USD") -> None:
        payment = await counter.top_up(owed_minor, currency=currency)
        await counter.spend(owed_minor, currency=currency)
        await counter.charge_back(payment)

    @pytest.mark.parametrize(
        ("arrived_minor", "owed_minor", "cash_minor"), [(1, -9_999, 0), (10_000, 0, 0), (10_001, 0, 1)]
    )
    @pytest.mark.parametrize("way", ["top-up", "recorded"])
    async def test_is_paid_first_by_money_that_arrives(
        self, counter: Counter, way: str, arrived_minor: int, owed_minor: int, cash_minor: int
    ) -> None:
        await self._owe(counter, 10_000)
        await (counter.top_up(arrived_minor) if way == "top-up" else counter.record(arrived_minor, "bank-1"))
        books = await counter.books()
        assert (books.get("owed", 0), books.get("wallet:cash", 0)) == (owed_minor, cash_minor)
        assert (await counter.templates())[-1] == f"owed.paid {min(arrived_minor, 10_000)}"
        assert await counter.violations() == 0

    async def test_is_paid_in_the_posting_that_brings_the_money(self, counter: Counter) -> None:
        await self._owe(counter, 10_000)
        await counter.top_up(4_000)
        async with counter.database.reading() as reading:
            hashes = await reading.connection.fetch(
                "SELECT template, chain_hash IS NOT NULL AS ends FROM transfers WHERE account_id = $1 ORDER BY number",
                counter.account_id,
            )
        assert [tuple(row) for row in hashes[-2:]] == [("topup.settled", False), ("owed.paid", True)]

    async def test_is_paid_once_when_recorded_money_is_told_again(self, counter: Counter) -> None:
        await self._owe(counter, 10_000)
        for _ in range(3):
            await counter.record(4_000, "bank-1")
        assert (await counter.books())["owed"] == -6_000

    async def test_is_paid_by_money_of_its_currency_alone(self, counter: Counter) -> None:
        await self._owe(counter, 700, currency="JPY")
        await counter.top_up()
        books = await counter.books()
        assert (books["JPY owed"], books["wallet:cash"]) == (-700, 10_000)

    async def test_is_paid_by_a_refund_that_failed(self, counter: Counter) -> None:
        await counter.attach("tok_refund_declined")
        refunded, disputed = await counter.top_up(4_000), await counter.top_up(6_000)
        started = await counter.start_refund(refunded)
        await counter.spend(6_000)
        await counter.charge_back(disputed)
        assert (await counter.books())["owed"] == -6_000
        await counter.finish_refund(started)
        books = await counter.books()
        assert (books["owed"], books.get("wallet:cash", 0)) == (-2_000, 0)
        assert (await counter.templates())[-2:] == ["refund.failed 4000", "owed.paid 4000"]

    async def test_is_paid_exactly_by_many_at_once(self, counter: Counter) -> None:
        """50 arrivals, of which 20 pay what an account owes: none pays the same debt again, the rest is the wallet's."""
        await self._owe(counter, 5_950)
        await counter.attach("tok_pending")
        waiting = [await counter.top_up(300) for _ in range(40)]

        async def settle(payment: Payment) -> None:
            async with counter.database.transaction() as tx:
                await payments.settle(tx, account_id=payment.account_id, payment_id=payment.payment_id)

        await asyncio.gather(
            *(settle(payment) for payment in waiting), *(counter.record(300, f"bank-{number}") for number in range(10))
        )
        books = await counter.books()
        assert (books.get("owed", 0), books["wallet:cash"]) == (0, 50 * 300 - 5_950)
        paid = [name for name in await counter.templates() if name.startswith("owed.paid")]
        assert paid == [*["owed.paid 300"] * 19, "owed.paid 250"]
        assert await counter.violations() == 0
