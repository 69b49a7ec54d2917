"""Top-ups from the intent to the outcome, on a database of their own and the real sandbox gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from billing import accounts, ledger, payments, wallets
from billing.core.errors import NotFound, Unavailable
from billing.core.page import PageRequest
from billing.kit.db import Database, open_pool
from billing.payments import operations, rules, store
from billing.payments.model import (
    AmountOutOfRange,
    AmountRange,
    Charge,
    ChargeRequest,
    Gateway,
    GatewayUnknown,
    Instrument,
    InvalidPaymentMethod,
    Payment,
    PaymentMethod,
    PaymentMethodInUse,
    PaymentNotPending,
    PaymentReferenceReused,
)
from tests.support import databases, postgres
from tests.support.till import DyingGateway, Killed

if TYPE_CHECKING:
    from billing.kit.db import Pool

START = datetime(2024, 2, 1, 10, 0, tzinfo=UTC)
RANGE = AmountRange(100, 1_000_000)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@dataclass
class SilentGateway:
    """A gateway that cannot be reached."""

    name: str = "sandbox"
    settles_after_s: int | None = None

    async def attach(self, *, key: str, token: str) -> Instrument:
        raise GatewayUnknown(key, token)

    async def charge(self, request: ChargeRequest) -> Charge:
        raise GatewayUnknown(request.key)

    async def find_charge(self, key: str) -> Charge | None:
        raise GatewayUnknown(key)

    async def cancel(self, request: ChargeRequest) -> Charge:
        raise GatewayUnknown(request.key)


@dataclass
class World:
    database: Database
    clock: Clock
    gateway: payments.SandboxGateway
    account_id: UUID

    async def add(self, token: str, *, is_default: bool = False) -> PaymentMethod:
        async with self.database.transaction() as tx:
            payment_method_id = tx.new_id()
        return await operations.attach_method(
            self.database,
            self.gateway,
            account_id=self.account_id,
            payment_method_id=payment_method_id,
            type="bank_account" if token.startswith("ba_") else "card",
            token=token,
            is_default=is_default,
        )

    async def start(self, method: PaymentMethod, amount_minor: int = 10_000, *, currency: str = "USD") -> Payment:
        async with self.database.transaction() as tx:
            return await payments.start_topup(
                tx,
                gateway=self.gateway,
                wanted=payments.TopUp(
                    account_id=self.account_id,
                    payment_method_id=method.payment_method_id,
                    currency=currency,
                    amount_minor=amount_minor,
                ),
                allowed=RANGE,
            )

    async def charge(self, payment: Payment, gateway: Gateway | None = None) -> Payment:
        return await payments.charge(
            self.database, gateway or self.gateway, account_id=self.account_id, payment_id=payment.payment_id
        )

    async def top_up(self, token: str, amount_minor: int = 10_000) -> Payment:
        return await self.charge(await self.start(await self.add(token), amount_minor))

    async def reload(self, payment: Payment) -> Payment:
        async with self.database.reading() as reading:
            return await payments.get_payment(
                reading.connection, account_id=self.account_id, payment_id=payment.payment_id
            )

    async def poll(self, gateway: Gateway | None = None) -> int:
        return await payments.check_payments(self.database, gateway or self.gateway)

    async def wallet(self) -> tuple[int, int]:
        async with self.database.reading() as reading:
            wallet = await wallets.get_wallet(
                reading.connection,
                account_id=self.account_id,
                currency="USD",
                own_currency="USD",
                now=reading.now,
                reserve=wallets.nothing_reserved,
            )
        return wallet.available_minor, wallet.pending_minor

    async def charges(self) -> list[tuple[str, int]]:
        async with self.gateway.pool.acquire() as connection:
            rows = await connection.fetch("SELECT status, amount_minor FROM sandbox.charges ORDER BY created_at, key")
        return [(row["status"], row["amount_minor"]) for row in rows]

    async def events(self) -> list[str]:
        async with self.database.reading() as reading:
            rows = await reading.connection.fetch(
                "SELECT type FROM outbox_events WHERE account_id = $1 AND type LIKE 'payment.%'", self.account_id
            )
        return [row["type"] for row in rows]

    async def violations(self) -> int:
        async with self.database.reading() as reading:
            return sum(check.violations for check in await ledger.run_checks(reading.connection))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_dsn(database_server: Path) -> AsyncIterator[str]:
    """One database for the whole module, emptied before each test: cheaper than a clone for each."""
    name = await databases.clone(database_server)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


@pytest_asyncio.fixture
async def empty_dsn(module_dsn: str) -> str:
    connection = await asyncpg.connect(module_dsn)
    try:
        await connection.execute(
            """
            TRUNCATE accounts, heads, transfers, balances, outbox_events, payments, payment_methods,
                sandbox.charges, sandbox.instruments CASCADE
            """
        )
    finally:
        await connection.close()
    return module_dsn


@pytest_asyncio.fixture
async def app_pool(empty_dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(empty_dsn, size=8)
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def sandbox_pool(empty_dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(empty_dsn, size=4)
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def world(app_pool: Pool, sandbox_pool: Pool) -> World:
    clock = Clock()
    database = Database(app_pool, clock)
    async with database.transaction() as tx:
        account = await accounts.open_account(tx, email="a@example.org", name="A", currency="USD")
        await ledger.open_head(tx.connection, account_id=account.account_id)
    return World(database, clock, payments.SandboxGateway(sandbox_pool, clock), account.account_id)


class TestTokens:
    @pytest.mark.parametrize(
        ("token", "brand", "last4", "exp_year"),
        [
            ("tok_visa", "visa", "4242", 2028),
            ("tok_123456789", "visa", "4242", 2028),
            ("tok_mastercard", "mastercard", "4444", 2028),
            ("tok_amex", "amex", "0005", 2028),
            ("tok_expired", "visa", "0069", 2023),
        ],
    )
    async def test_are_cards(self, world: World, token: str, brand: str, last4: str, exp_year: int) -> None:
        method = await world.add(token)
        assert (method.type, method.brand, method.last4, method.exp_month, method.exp_year) == (
            "card",
            brand,
            last4,
            12,
            exp_year,
        )

    async def test_are_bank_accounts(self, world: World) -> None:
        method = await world.add("ba_bank")
        assert (method.type, method.brand, method.bank_name, method.exp_year) == (
            "bank_account",
            None,
            "Sandbox Bank",
            None,
        )

    @pytest.mark.parametrize(
        "token", ["tok_invalid", "4242", "", "ba_other", "tok_\x00", "tok_\u202e", "tok_" + "x" * 200]
    )
    async def test_are_refused_when_invalid(self, world: World, token: str) -> None:
        with pytest.raises(InvalidPaymentMethod):
            await world.add(token)
        async with world.database.reading() as reading:
            assert await store.count_methods(reading.connection, account_id=world.account_id) == 0

    @pytest.mark.parametrize("token", ["tok_visa", "tok_mastercard", "tok_amex", "ba_bank", "tok_whatever"])
    async def test_that_are_good_settle_at_once(self, world: World, token: str) -> None:
        payment = await world.top_up(token)
        assert (payment.status, payment.completed_at) == ("completed", START)
        assert await world.wallet() == (10_000, 0)
        assert await world.events() == ["payment.succeeded"]
        assert await world.violations() == 0

    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            ("tok_declined", "declined"),
            ("tok_insufficient_funds", "insufficient_funds"),
            ("tok_expired", "expired"),
        ],
    )
    async def test_that_are_bad_give_the_money_back(self, world: World, token: str, reason: str) -> None:
        payment = await world.top_up(token)
        assert (payment.status, payment.failure_reason) == ("failed", reason)
        assert await world.wallet() == (0, 0)
        assert await world.events() == ["payment.failed"]
        assert await world.violations() == 0

    async def test_that_are_pending_wait_for_the_operator(self, world: World) -> None:
        payment = await world.top_up("tok_pending")
        assert payment.status == "pending"
        assert await world.wallet() == (0, 10_000)
        world.clock.advance(days=3)
        assert await world.poll() == 0
        await world.gateway.settle(str(payment.payment_id))
        world.clock.advance(days=1)
        assert await world.poll() == 1
        assert await world.wallet() == (10_000, 0)

    async def test_that_are_pending_are_asked_for_ever_less_often(self, world: World) -> None:
        await world.top_up("tok_pending")
        for wait in (timedelta(minutes=5), timedelta(hours=1), timedelta(days=1), timedelta(days=1)):
            async with world.database.reading() as reading:
                due_at = await reading.connection.fetchval("SELECT next_check_at FROM payments")
                assert due_at - reading.now == wait
            world.clock.advance(seconds=wait.total_seconds())
            assert await world.poll() == 0

    async def test_that_are_pending_can_fail(self, world: World) -> None:
        payment = await world.top_up("tok_pending")
        await world.gateway.fail(str(payment.payment_id))
        with pytest.raises(PaymentNotPending):
            await world.gateway.settle(str(payment.payment_id))
        world.clock.advance(minutes=5)
        assert await world.poll() == 1
        assert (await world.reload(payment)).failure_reason == "declined"
        assert await world.wallet() == (0, 0)

    async def test_that_are_pending_settle_by_themselves_where_configured(self, world: World) -> None:
        world.gateway = replace(world.gateway, settles_after_s=30)
        await world.top_up("tok_pending")
        world.clock.advance(seconds=29)
        assert await world.poll() == 0
        world.clock.advance(seconds=1)
        assert await world.poll() == 1
        assert await world.wallet() == (10_000, 0)

    async def test_whose_answer_is_lost_are_found_out_by_the_poller(self, world: World) -> None:
        payment = await world.top_up("tok_lost")
        assert payment.status == "pending"
        assert await world.wallet() == (0, 10_000)
        world.clock.advance(minutes=5)
        assert await world.poll() == 1
        assert (await world.reload(payment)).status == "completed"
        assert await world.wallet() == (10_000, 0)
        assert await world.charges() == [("succeeded", 10_000)]


class TestStart:
    @pytest.mark.parametrize("amount_minor", [99, 1_000_001])
    async def test_refuses_amounts_out_of_range(self, world: World, amount_minor: int) -> None:
        method = await world.add("tok_visa")
        with pytest.raises(AmountOutOfRange) as refused:
            await world.start(method, amount_minor)
        assert {name: str(value) for name, value in refused.value.details.items()} == {
            "minimum": "1.00",
            "maximum": "10000.00",
            "currency": "USD",
        }
        assert await world.wallet() == (0, 0)

    @pytest.mark.parametrize("amount_minor", [100, 1_000_000])
    async def test_takes_both_ends_of_the_range(self, world: World, amount_minor: int) -> None:
        assert (await world.start(await world.add("tok_visa"), amount_minor)).status == "pending"

    async def test_does_not_know_another_accounts_method(self, world: World) -> None:
        method = await world.add("tok_visa")
        async with world.database.transaction() as tx:
            other = await accounts.open_account(tx, email="b@example.org", name="B", currency="USD")
            await ledger.open_head(tx.connection, account_id=other.account_id)
        world.account_id = other.account_id
        with pytest.raises(NotFound):
            await world.start(method)


class TestCrash:
    async def test_between_intent_and_call_is_healed_by_a_retry(self, world: World) -> None:
        payment = await world.start(await world.add("tok_visa"))
        with pytest.raises(Killed):
            await world.charge(payment, DyingGateway(world.gateway, dies="before_charge"))
        assert await world.wallet() == (0, 10_000)
        assert (await world.charge(payment)).status == "completed"
        assert await world.charges() == [("succeeded", 10_000)]
        assert await world.wallet() == (10_000, 0)

    async def test_look_before_the_call_leaves_the_key_to_it(self, world: World) -> None:
        """A worker may look sooner than the call is made, where the gateway settles soon."""
        payment = await world.start(await world.add("tok_visa"))
        looked = await operations.check(
            world.database, world.gateway, account_id=world.account_id, payment_id=payment.payment_id
        )
        assert (looked.status, (await world.charge(payment)).status) == ("pending", "completed")

    async def test_between_intent_and_call_without_a_retry_fails_uncharged(self, world: World) -> None:
        payment = await world.start(await world.add("tok_visa"))
        world.clock.advance(minutes=5)
        assert await world.poll() == 1
        assert (await world.reload(payment)).failure_reason == "cancelled"
        assert await world.wallet() == (0, 0)
        # The process was only asleep: its call comes late, and finds the key used up.
        async with world.database.reading() as reading:
            _, request = await store.get_charge_request(
                reading.connection, account_id=world.account_id, payment_id=payment.payment_id
            )
        answer = await world.gateway.charge(request)
        assert answer.status == "failed"
        assert (await world.charge(payment)).status == "failed"
        assert await world.charges() == [("failed", 10_000)]
        assert await world.violations() == 0

    async def test_between_call_and_outcome_is_healed_by_a_retry(self, world: World) -> None:
        payment = await world.start(await world.add("tok_visa"))
        with pytest.raises(Killed):
            await world.charge(payment, DyingGateway(world.gateway, dies="after_charge"))
        assert (await world.charge(payment)).status == "completed"
        assert await world.charges() == [("succeeded", 10_000)]
        assert await world.wallet() == (10_000, 0)

    async def test_between_call_and_outcome_is_healed_by_the_poller(self, world: World) -> None:
        payment = await world.start(await world.add("tok_visa"))
        with pytest.raises(Killed):
            await world.charge(payment, DyingGateway(world.gateway, dies="after_charge"))
        world.clock.advance(minutes=5)
        assert await world.poll() == 1
        assert await world.wallet() == (10_000, 0)
        assert await world.charges() == [("succeeded", 10_000)]

    async def test_of_the_poller_leaves_the_payment_to_the_next_check(self, world: World) -> None:
        payment = await world.top_up("tok_lost")
        world.clock.advance(minutes=5)
        assert await world.poll(SilentGateway()) == 0
        assert await world.poll() == 0, "claimed until the next check"
        world.clock.advance(hours=1)
        assert await world.poll() == 1
        assert (await world.reload(payment)).status == "completed"

    async def test_of_the_gateway_leaves_the_payment_pending(self, world: World) -> None:
        payment = await world.start(await world.add("tok_visa"))
        assert (await world.charge(payment, SilentGateway())).status == "pending"
        world.clock.advance(days=30)
        assert await world.poll(SilentGateway()) == 0
        assert await world.wallet() == (0, 10_000)


class TestRace:
    async def test_of_fifty_charges_takes_the_money_once(self, world: World) -> None:
        payment = await world.start(await world.add("tok_visa"))
        ended = await asyncio.gather(*(world.charge(payment) for _ in range(50)))
        assert {one.status for one in ended} == {"completed"}
        assert await world.charges() == [("succeeded", 10_000)]
        assert await world.wallet() == (10_000, 0)
        assert await world.events() == ["payment.succeeded"]
        assert await world.violations() == 0

    async def test_of_settlers_and_failers_has_one_winner(self, world: World) -> None:
        payment = await world.top_up("tok_pending")

        async def end(number: int) -> str:
            async with world.database.transaction() as tx:
                if number % 2:
                    ended = await payments.settle(tx, account_id=world.account_id, payment_id=payment.payment_id)
                else:
                    ended = await payments.fail(
                        tx, account_id=world.account_id, payment_id=payment.payment_id, reason="declined"
                    )
            return ended.status

        statuses = set(await asyncio.gather(*(end(number) for number in range(50))))
        assert len(statuses) == 1
        assert await world.wallet() == ((10_000, 0) if statuses == {"completed"} else (0, 0))
        assert await world.violations() == 0

    async def test_of_pollers_asks_each_payment_once(self, world: World) -> None:
        for _ in range(5):
            await world.top_up("tok_lost")
        world.clock.advance(minutes=5)
        ended = await asyncio.gather(*(world.poll() for _ in range(8)))
        assert sum(ended) == 5
        assert await world.wallet() == (50_000, 0)

    async def test_of_first_methods_makes_one_the_default(self, world: World) -> None:
        added = await asyncio.gather(*(world.add("tok_visa") for _ in range(10)))
        assert sum(method.is_default for method in added) == 1

    async def test_of_recordings_with_one_reference_records_once(self, world: World) -> None:
        recorded = await asyncio.gather(*(record(world, "bank-1", 700) for _ in range(20)))
        assert len({payment.payment_id for payment in recorded}) == 1
        assert await world.wallet() == (700, 0)


class TestAnswer:
    async def test_about_another_amount_is_never_posted(self, world: World) -> None:
        payment = await world.start(await world.add("tok_visa"))
        for wrong in (
            Charge(str(payment.payment_id), "acc", "USD", 10_001, "succeeded", None),
            Charge(str(payment.payment_id), "acc", "KES", 10_000, "succeeded", None),
            Charge("another", "acc", "USD", 10_000, "failed", "declined"),
        ):
            async with world.database.transaction() as tx:
                assert (await operations.take_answer(tx, payment=payment, answer=wrong)).status == "pending"
        assert await world.wallet() == (0, 10_000)

    async def test_after_the_end_changes_nothing(self, world: World) -> None:
        came, failed = await world.top_up("tok_visa"), await world.top_up("tok_declined")
        async with world.database.transaction() as tx:
            late = [await payments.fail(tx, account_id=world.account_id, payment_id=came.payment_id, reason="declined")]
            with capture_logs() as logs:
                late.append(await payments.settle(tx, account_id=world.account_id, payment_id=failed.payment_id))
        assert [payment.status for payment in late] == ["completed", "failed"]
        assert [(log["event"], log["payment_id"]) for log in logs] == [("charge_after_failure", str(failed.payment_id))]
        assert await world.wallet() == (10_000, 0)


class TestNextCheckAt:
    def test_spaces_checks_by_five_minutes_an_hour_and_days(self) -> None:
        spacing = [rules.next_check_at(START, checks=checks, settles_after_s=None) - START for checks in range(4)]
        assert spacing == [timedelta(minutes=5), timedelta(hours=1), timedelta(days=1), timedelta(days=1)]

    def test_begins_when_the_gateway_settles(self) -> None:
        spacing = [rules.next_check_at(START, checks=checks, settles_after_s=2) - START for checks in range(3)]
        assert spacing == [timedelta(seconds=2), timedelta(minutes=5), timedelta(hours=1)]


class TestMethods:
    async def test_stand_once_however_often_they_are_attached(self, world: World) -> None:
        first = await world.add("tok_visa")
        again = await operations.attach_method(
            world.database,
            world.gateway,
            account_id=world.account_id,
            payment_method_id=first.payment_method_id,
            type="card",
            token="tok_visa",
            is_default=False,
        )
        assert again == first

    async def test_are_not_stored_when_the_gateway_is_silent(self, world: World) -> None:
        with pytest.raises(Unavailable):
            await operations.attach_method(
                world.database,
                SilentGateway(),
                account_id=world.account_id,
                payment_method_id=world.account_id,
                type="card",
                token="tok_visa",
                is_default=False,
            )

    async def test_hand_the_default_on(self, world: World) -> None:
        first = await world.add("tok_visa")
        world.clock.advance(seconds=1)
        second = await world.add("tok_amex")
        world.clock.advance(seconds=1)
        third = await world.add("ba_bank", is_default=True)
        assert [method.is_default for method in (first, second, third)] == [True, False, True]
        async with world.database.transaction() as tx:
            await operations.delete_method(tx, account_id=world.account_id, payment_method_id=third.payment_method_id)
        async with world.database.reading() as reading:
            left = await store.list_methods(reading.connection, account_id=world.account_id, page=PageRequest())
        assert [(method.brand, method.is_default) for method in left.items] == [("amex", True), ("visa", False)]

    async def test_stay_while_invoices_are_open(self, world: World) -> None:
        only = await world.add("tok_visa")
        async with world.database.transaction() as tx:
            await ledger.post_all(
                tx.connection,
                ledger.invoice_issued(
                    account_id=world.account_id,
                    invoice_id=tx.new_id(),
                    currency="USD",
                    net_minor=500,
                    taxes_minor={},
                    at=tx.now,
                ),
                recorded_at=tx.now,
            )
        with pytest.raises(PaymentMethodInUse):
            async with world.database.transaction() as tx:
                await operations.delete_method(
                    tx, account_id=world.account_id, payment_method_id=only.payment_method_id
                )


async def record(world: World, reference: str, amount_minor: int) -> Payment:
    async with world.database.transaction() as tx:
        return await payments.record(
            tx,
            account_id=world.account_id,
            currency="USD",
            amount_minor=amount_minor,
            reference=reference,
            received_at=START,
        )


class TestRecord:
    async def test_is_cash_at_once_and_told_of(self, world: World) -> None:
        payment = await record(world, "cheque 7", 700)
        assert payment.status == "completed"
        assert await world.wallet() == (700, 0)
        assert await world.events() == ["payment.succeeded"]

    async def test_refuses_other_content_under_the_same_reference(self, world: World) -> None:
        first = await record(world, "cheque 7", 700)
        assert await record(world, "cheque 7", 700) == first
        with pytest.raises(PaymentReferenceReused):
            await record(world, "cheque 7", 701)
        assert await world.wallet() == (700, 0)
