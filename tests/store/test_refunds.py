"""Refunds and chargebacks from the intent to the outcome, with the real sandbox gateway and callers on connections of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio

from billing import ledger, payments, wallets
from billing.payments.model import (
    ChargebackExceedsPayment,
    Payment,
    PaymentNotRefundable,
    RefundExceedsPayment,
    RefundRequest,
)
from billing.payments.store import refunds as store
from billing.wallets import operations as wallet_operations
from tests.support import databases, postgres
from tests.support.counter import Counter, open_counter
from tests.support.till import DyingGateway, Killed

STANDING = ["captured", "refunded", "disputed", "currency"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_dsn(database_server: Path) -> AsyncIterator[str]:
    name = await databases.clone(database_server)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


@pytest_asyncio.fixture
async def counter(module_dsn: str) -> AsyncIterator[Counter]:
    async with open_counter(module_dsn) as opened:
        yield opened


async def standing(counter: Counter, payment: Payment) -> tuple[int, int, int]:
    async with counter.database.reading() as reading:
        captured = await payments.get_captured(
            reading.connection, account_id=payment.account_id, payment_id=payment.payment_id
        )
    return captured.captured_minor, captured.refunded_minor, captured.disputed_minor


class TestRefund:
    async def test_gives_all_back_unless_told(self, counter: Counter) -> None:
        refund = await counter.refund(await counter.top_up())
        assert (refund.status, refund.amount_minor, refund.ended_at) == ("completed", 10_000, counter.clock.now)
        assert await counter.books() == {}
        assert (await counter.templates())[2:] == ["refund.started 10000", "refund.settled 10000"]
        assert await counter.given_back() == [("succeeded", 10_000)]
        assert await counter.violations() == 0

    async def test_gives_the_rest_back_after_parts(self, counter: Counter) -> None:
        payment = await counter.top_up()
        assert (await counter.refund(payment, 1)).status == "completed"
        await counter.charge_back(payment, 2_500)
        assert (await counter.refund(payment)).amount_minor == 7_499
        assert await standing(counter, payment) == (10_000, 7_500, 2_500)
        assert await counter.books() == {}

    async def test_sets_money_aside_before_the_gateway_is_asked(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.start_refund(payment, 4_000)
        assert await counter.books() == {"gateway:sandbox": -10_000, "wallet:cash": 6_000, "wallet:held": 4_000}
        assert await counter.given_back() == []

    async def test_is_in_the_payments_currency(self, counter: Counter) -> None:
        payment = await counter.top_up(700, currency="JPY")
        await counter.top_up()
        await counter.refund(payment, 300)
        assert (await counter.books())["JPY wallet:cash"] == 400

    @pytest.mark.parametrize("amount_minor", [10_001, 10**15])
    async def test_is_never_more_than_the_payment(self, counter: Counter, amount_minor: int) -> None:
        payment = await counter.top_up()
        await counter.top_up()
        with pytest.raises(RefundExceedsPayment) as refused:
            await counter.refund(payment, amount_minor)
        assert list(refused.value.details) == ["refundable", *STANDING]
        assert refused.value.details["refundable"] == Decimal("100.00")

    async def test_is_refused_when_nothing_is_left(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.refund(payment)
        await counter.top_up()
        for amount_minor in (None, 1):
            with pytest.raises(RefundExceedsPayment):
                await counter.refund(payment, amount_minor)

    @pytest.mark.parametrize("token", ["tok_pending", "tok_declined"])
    async def test_is_refused_while_nothing_has_arrived(self, counter: Counter, token: str) -> None:
        await counter.top_up()
        await counter.attach(token)
        payment = await counter.top_up()
        with pytest.raises(RefundExceedsPayment) as refused:
            await counter.refund(payment)
        assert refused.value.details["captured"] == 0

    async def test_is_never_more_than_what_is_available(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.spend(3_000)
        with pytest.raises(ledger.InsufficientBalance) as refused:
            await counter.refund(payment)
        assert refused.value.details == {
            "required": Decimal("100.00"),
            "available": Decimal("70.00"),
            "currency": "USD",
        }
        assert (await counter.refund(payment, 7_000)).status == "completed"

    async def test_may_use_what_an_expired_hold_had(self, counter: Counter) -> None:
        payment = await counter.top_up()
        async with counter.database.transaction() as tx:
            await wallet_operations.place_hold(
                tx,
                account_id=counter.account_id,
                own_currency="USD",
                currency="USD",
                amount_minor=10_000,
                reference="order-1",
                expires_at=tx.now + timedelta(hours=1),
                reserve=wallets.nothing_reserved,
            )
        with pytest.raises(ledger.InsufficientBalance):
            await counter.refund(payment)
        counter.clock.advance(timedelta(hours=1))
        assert (await counter.refund(payment)).status == "completed"
        assert await counter.books() == {}

    async def test_is_not_for_money_that_came_another_way(self, counter: Counter) -> None:
        recorded = await counter.record(10_000, "bank-1")
        with pytest.raises(PaymentNotRefundable):
            await counter.refund(recorded)

    async def test_needs_a_gateway_that_gives_money_back(self, counter: Counter) -> None:
        payment = await counter.top_up()
        counter.gateway.name = "another"
        with pytest.raises(PaymentNotRefundable):
            await counter.refund(payment)
        cannot = DyingGateway(counter.gateway.gateway)
        with pytest.raises(PaymentNotRefundable):
            await replace(counter, gateway=cannot).refund(payment)

    async def test_that_is_declined_gives_the_money_to_the_wallet(self, counter: Counter) -> None:
        await counter.attach("tok_refund_declined")
        payment = await counter.top_up()
        refund = await counter.refund(payment, 4_000)
        assert (refund.status, refund.failure_reason) == ("failed", "declined")
        assert await counter.books() == {"gateway:sandbox": -10_000, "wallet:cash": 10_000}
        assert await standing(counter, payment) == (10_000, 0, 0)
        assert await counter.poll() == 0
        assert await counter.violations() == 0


class TestUnknown:
    @pytest.mark.parametrize("fault", ["unheard", "unreachable"])
    async def test_stays_pending_until_the_poller_knows(
        self, counter: Counter, fault: Literal["unheard", "unreachable"]
    ) -> None:
        payment = await counter.top_up()
        counter.gateway.refunds = fault
        refund = await counter.refund(payment, 4_000)
        assert refund.status == "pending"
        assert (await counter.books())["wallet:held"] == 4_000
        counter.clock.advance(timedelta(minutes=4))
        assert await counter.poll() == 0
        counter.gateway.refunds = "work"
        counter.clock.advance(timedelta(minutes=1))
        assert await counter.poll() == 1
        given = await counter.given_back()
        assert (await counter.reload(refund)).status == ("completed" if fault == "unheard" else "failed")
        assert given == [("succeeded" if fault == "unheard" else "failed", 4_000)]
        assert (await counter.books())["wallet:cash"] == (6_000 if fault == "unheard" else 10_000)
        assert len([call for call in counter.gateway.calls if call.startswith("refund")]) == 1
        assert await counter.violations() == 0

    async def test_whose_sandbox_answer_is_lost_is_found_out(self, counter: Counter) -> None:
        await counter.attach("tok_lost")
        payment = await counter.top_up()
        counter.clock.advance(timedelta(minutes=5))
        await counter.poll()
        refund = await counter.refund(payment)
        assert refund.status == "pending"
        counter.clock.advance(timedelta(minutes=5))
        assert await counter.poll() == 1
        assert (await counter.reload(refund)).status == "completed"
        assert await counter.given_back() == [("succeeded", 10_000)]
        assert await counter.books() == {}

    async def test_is_asked_for_rarely_however_long(self, counter: Counter) -> None:
        payment = await counter.top_up()
        counter.gateway.refunds = "unheard"
        await counter.refund(payment)
        counter.gateway.calls.clear()
        for _ in range(3 * 24):
            counter.clock.advance(timedelta(hours=1))
            await counter.poll()
        assert len(counter.gateway.calls) == 4

    async def test_counts_as_refunded(self, counter: Counter) -> None:
        payment = await counter.top_up()
        await counter.top_up()
        counter.gateway.refunds = "unheard"
        await counter.refund(payment, 9_999)
        with pytest.raises(RefundExceedsPayment):
            await counter.refund(payment, 2)
        with pytest.raises(ChargebackExceedsPayment):
            await counter.charge_back(payment, 2)

    async def test_late_call_after_the_key_was_used_up_gives_nothing(self, counter: Counter) -> None:
        payment = await counter.top_up()
        refund = await counter.start_refund(payment)
        counter.clock.advance(timedelta(minutes=5))
        assert await counter.poll() == 1
        assert (await counter.reload(refund)).failure_reason == "cancelled"
        late = RefundRequest(str(refund.refund_id), str(payment.payment_id), "USD", 10_000)
        assert (await counter.gateway.refund(late)).status == "failed"
        assert (await counter.finish_refund(refund)).status == "failed"
        assert (await counter.books())["wallet:cash"] == 10_000


class TestCrash:
    """Between any two commits of a refund; what the dead process left is finished by a retry or by the poller."""

    @pytest.mark.parametrize("fault", ["die before", "die after"])
    @pytest.mark.parametrize("healed_by", ["retry", "poller"])
    async def test_is_healed(self, counter: Counter, fault: Literal["die before", "die after"], healed_by: str) -> None:
        payment = await counter.top_up()
        refund = await counter.start_refund(payment, 4_000)
        counter.gateway.refunds = fault
        with pytest.raises(Killed):
            await counter.finish_refund(refund)
        assert (await counter.books())["wallet:held"] == 4_000
        counter.gateway.refunds = "work"
        if healed_by == "retry":
            await counter.finish_refund(refund)
        else:
            counter.clock.advance(timedelta(minutes=5))
            assert await counter.poll() == 1
        ended = await counter.reload(refund)
        is_given = fault == "die after" or healed_by == "retry"
        assert ended.status == ("completed" if is_given else "failed")
        assert await counter.given_back() == [("succeeded" if is_given else "failed", 4_000)]
        assert (await counter.books())["wallet:cash"] == (6_000 if is_given else 10_000)
        assert "wallet:held" not in await counter.books()
        assert await counter.violations() == 0

    async def test_of_the_poller_leaves_the_refund_to_the_next_check(self, counter: Counter) -> None:
        payment = await counter.top_up()
        counter.gateway.refunds = "unheard"
        refund = await counter.refund(payment)
        counter.gateway.refunds = "die before"
        counter.clock.advance(timedelta(minutes=5))
        with pytest.raises(Killed):
            await counter.poll()
        counter.gateway.refunds = "work"
        assert await counter.poll() == 0, "claimed until the next check"
        counter.clock.advance(timedelta(hours=1))
        assert await counter.poll() == 1
        assert (await counter.reload(refund)).status == "completed"


class TestAnswer:
    """X26: what a gateway says of something else is never posted."""

    @pytest.mark.parametrize(
        "lie",
        [
            {"amount_minor": 4_001},
            {"amount_minor": 0},
            {"amount_minor": -4_000},
            {"amount_minor": 10**30},
            {"currency": "KES"},
            {"currency": ""},
            {"key": "another"},
            {"charge_key": "another"},
        ],
    )
    @pytest.mark.parametrize("status", ["succeeded", "failed"])
    async def test_about_something_else_is_not_posted(
        self, counter: Counter, lie: dict[str, object], status: str
    ) -> None:
        payment = await counter.top_up()
        counter.gateway.lies = {**lie, "status": status}
        refund = await counter.refund(payment, 4_000)
        assert refund.status == "pending"
        counter.clock.advance(timedelta(minutes=5))
        assert await counter.poll() == 0
        assert (await counter.books())["wallet:held"] == 4_000
        counter.gateway.lies = {}
        counter.clock.advance(timedelta(hours=1))
        assert await counter.poll() == 1
        assert (await counter.reload(refund)).status == "completed"

    async def test_that_it_is_pending_changes_nothing(self, counter: Counter) -> None:
        counter.gateway.lies = {"status": "pending"}
        assert (await counter.refund(await counter.top_up())).status == "pending"

    async def test_after_the_end_changes_nothing(self, counter: Counter) -> None:
        payment = await counter.top_up()
        refund = await counter.refund(payment)
        before = await counter.templates()
        counter.gateway.lies = {"status": "failed", "reason": "declined"}
        assert (await counter.finish_refund(refund)).status == "completed"
        async with counter.database.transaction() as tx:  # two that heard before it ended
            late = await store.mark_refund_ended(
                tx.connection,
                account_id=refund.account_id,
                refund_id=refund.refund_id,
                failure_reason="declined",
                now=tx.now,
            )
        assert late is None
        assert await counter.templates() == before


class TestSandbox:
    """The outside world has limits of its own."""

    async def test_gives_no_more_than_it_took(self, counter: Counter) -> None:
        payment = await counter.top_up()
        requests = [
            RefundRequest(f"{payment.payment_id}-{n}", str(payment.payment_id), "USD", 3_000) for n in range(10)
        ]
        answers = await asyncio.gather(*(counter.gateway.refund(request) for request in requests))
        assert sorted(answer.reason or "" for answer in answers) == ["", "", "", *["exceeds_charge"] * 7]

    async def test_gives_once_per_key(self, counter: Counter) -> None:
        payment = await counter.top_up()
        request = RefundRequest(f"{payment.payment_id}-1", str(payment.payment_id), "USD", 3_000)
        answers = await asyncio.gather(*(counter.gateway.refund(request) for _ in range(20)))
        assert {answer.status for answer in answers} == {"succeeded"}
        assert await counter.given_back() == [("succeeded", 3_000)]

    @pytest.mark.parametrize("wrong", [{"charge_key": "none"}, {"currency": "KES"}])
    async def test_knows_what_it_took(self, counter: Counter, wrong: dict[str, str]) -> None:
        payment = await counter.top_up()
        request = replace(RefundRequest(f"{payment.payment_id}-1", str(payment.payment_id), "USD", 3_000), **wrong)
        answer = await counter.gateway.refund(request)
        assert (answer.status, answer.reason) == ("failed", "unknown_charge")


class TestConcurrency:
    """P3: whoever comes at once, refunded and disputed money is never more than was captured."""

    async def test_refunds_and_a_chargeback_never_exceed_the_payment(self, counter: Counter) -> None:
        payment = await counter.top_up(10_000)
        await counter.top_up(100_000)  # so that it is the payment that limits, not the wallet

        async def ask(number: int) -> int:
            try:
                if number == 25:
                    return (await counter.charge_back(payment, 4_500)).amount_minor
                return (await counter.refund(payment, 700)).amount_minor
            except (RefundExceedsPayment, ChargebackExceedsPayment):
                return 0

        taken_minor = await asyncio.gather(*(ask(number) for number in range(51)))
        captured_minor, refunded_minor, disputed_minor = await standing(counter, payment)
        assert captured_minor == 10_000
        assert (refunded_minor, disputed_minor) == (700 * taken_minor.count(700), taken_minor[25])
        assert 10_000 - 700 < refunded_minor + disputed_minor <= 10_000
        assert sum(minor for status, minor in await counter.given_back() if status == "succeeded") == refunded_minor
        assert await counter.books() == {
            "gateway:sandbox": -(110_000 - refunded_minor - disputed_minor),
            "wallet:cash": 110_000 - refunded_minor - disputed_minor,
        }
        assert await counter.violations() == 0

    async def test_refunds_never_exceed_the_wallet(self, counter: Counter) -> None:
        payment = await counter.top_up(100_000)
        await counter.spend(90_000)
        refusals: list[dict[str, object]] = []

        async def ask() -> int:
            try:
                return (await counter.refund(payment, 700)).amount_minor
            except ledger.InsufficientBalance as refused:
                refusals.append(refused.details)
                return 0

        taken_minor = await asyncio.gather(*(ask() for _ in range(50)))
        assert sum(taken_minor) == 14 * 700
        assert refusals == 36 * [{"required": Decimal("7.00"), "available": Decimal("2.00"), "currency": "USD"}]
        assert (await counter.books())["wallet:cash"] == 200

    async def test_finishers_of_one_refund_give_once(self, counter: Counter) -> None:
        payment = await counter.top_up()
        refund = await counter.start_refund(payment, 4_000)
        counter.clock.advance(timedelta(minutes=6))  # so that the poller joins in
        ended = await asyncio.gather(
            *(counter.finish_refund(refund) for _ in range(50)), counter.poll(), counter.poll()
        )
        statuses = {one.status for one in ended[:50] if not isinstance(one, int)}
        assert len(statuses) == 1
        given = await counter.given_back()
        assert len(given) == 1
        settled = [name for name in await counter.templates() if name.startswith(("refund.settled", "refund.failed"))]
        assert settled == [f"refund.{'settled' if given[0][0] == 'succeeded' else 'failed'} 4000"]
        assert await counter.violations() == 0
