"""Money of wallets against a model of a few numbers: top-ups, holds, refunds, chargebacks and time, in any order.

The model knows nothing of transfers. After every step each wallet shows what the model has, and every invariant holds. Hypothesis
shrinks what goes wrong to the fewest steps. It all happens in one transaction that is rolled back.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from billing import accounts, ledger, payments, wallets
from billing.core.errors import Refused
from billing.payments.model import Payment
from billing.wallets import operations as holding
from billing.wallets.model import Hold, Wallet
from tests.support.cloud import find_broken
from tests.support.counter import Counter, FaultyGateway
from tests.support.mutants import Stage

EXAMPLES, EXAMPLES_NIGHTLY = 12, 1_000
STEPS = 15
AMOUNTS = st.integers(1, 5_000)
GOOD, PENDING, LOST, DECLINED, NO_REFUNDS = "tok_visa", "tok_pending", "tok_lost", "tok_declined", "tok_refund_declined"


@dataclass
class Model:
    """What a wallet has, in minor units."""

    cash: int = 0
    owed: int = 0
    unreleased: int = 0
    """Of the cash, what expired holds still have in the books; whoever spends next takes it out."""
    told: bool = False
    """Whether money has arrived that nobody has set against invoices yet."""
    pending: dict[UUID, int] = field(default_factory=dict)
    holds: dict[UUID, tuple[int, datetime]] = field(default_factory=dict)
    left: dict[UUID, int] = field(default_factory=dict)
    """Of each payment that arrived, what was not given back."""

    def arrive(self, amount: int) -> None:
        self.told = True
        paid = min(self.owed, amount)
        self.owed -= paid
        self.cash += amount - paid

    def expire(self, now: datetime) -> None:
        """Expired holds are cash again."""
        for hold_id, (amount, until) in list(self.holds.items()):
            if until <= now:
                del self.holds[hold_id]
                self.cash += amount
                self.unreleased += amount

    @property
    def held(self) -> int:
        return sum(amount for amount, _ in self.holds.values())


@dataclass
class Purse:
    """A wallet, by whose counter it is used, and what it has."""

    counter: Counter
    methods: dict[str, UUID]
    currency: str = "USD"
    model: Model = field(default_factory=Model)


class Till(RuleBasedStateMachine):
    """An account with every kind of card, and the wallet that is used now."""

    dsn = ""
    country: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.payments: dict[UUID, tuple[Payment, str]] = {}
        self._do(self._begin())

    @property
    def model(self) -> Model:
        return self.here.model

    @property
    def counter(self) -> Counter:
        return self.here.counter

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def _begin(self) -> None:
        self.connection = await asyncpg.connect(self.dsn)
        self.transaction = self.connection.transaction()
        await self.transaction.start()
        await self.connection.execute("SET LOCAL ROLE lineserve_app")
        self.stage = Stage(lambda: nullcontext(self.connection), None)
        self.clock = self.stage.clock
        self.gateway = FaultyGateway(payments.SandboxGateway(cast("Any", _OneConnection(self.connection)), self.clock))
        self.here = await self._open_account()
        self.purses = [self.here]

    async def _open_account(self) -> Purse:
        async with self.stage.transaction() as tx:
            account = await accounts.open_account(
                tx, email="a@example.org", name="A", currency="USD", country=self.country
            )
            await ledger.open_head(tx.connection, account_id=account.account_id)
        counter = Counter(cast("Any", self.stage), self.clock, self.gateway, account.account_id, account.account_id)
        methods: dict[str, UUID] = {}
        for token in (GOOD, PENDING, LOST, DECLINED, NO_REFUNDS):
            await counter.attach(token)
            methods[token] = counter.payment_method_id
        return Purse(counter, methods)

    def teardown(self) -> None:
        self._do(self._end())
        self.runner.close()

    async def _end(self) -> None:
        await self.transaction.rollback()
        await self.connection.close()

    @rule(amount=AMOUNTS, token=st.sampled_from((GOOD, GOOD, PENDING, LOST, DECLINED, NO_REFUNDS)))
    def top_up(self, amount: int, token: str) -> None:
        self.counter.payment_method_id = self.here.methods[token]
        payment = self._do(self.counter.top_up(amount, currency=self.here.currency))
        self.payments[payment.payment_id] = (payment, token)
        if token in {PENDING, LOST}:
            self.model.pending[payment.payment_id] = amount
        elif token != DECLINED:
            self.settle(payment.payment_id, amount)

    def settle(self, payment_id: UUID, amount: int) -> None:
        self.model.arrive(amount)
        self.model.left[payment_id] = amount

    @precondition(lambda self: self.model.pending)
    @rule(data=st.data(), succeeds=st.booleans())
    def end_at_gateway(self, data: st.DataObject, succeeds: bool) -> None:
        """The gateway makes up its mind about a pending charge; nobody hears of it before the next look."""
        payment_id = data.draw(st.sampled_from(list(self.model.pending)))
        payment, token = self.payments[payment_id]
        if token == PENDING:
            sandbox = self.counter.gateway.gateway
            self._do((sandbox.settle if succeeds else sandbox.fail)(str(payment_id)))
            self.payments[payment_id] = (payment, LOST if succeeds else DECLINED)

    @rule(hours=st.sampled_from((1, 20, 30, 60)))
    def pass_time(self, hours: int) -> None:
        """The worker looks at what is due; after two days at everything that was pending then."""
        self._look_after(hours)

    def _look_after(self, hours: int) -> None:
        """So many hours later the worker looks; what was pending may have arrived, or never will."""
        self.clock.advance(timedelta(hours=hours))
        self._do(self.counter.poll())
        here = self.here
        for purse in self.purses:
            self.here = purse
            self.model.expire(self.clock.now)
            self._hear_of_pending(hours)
        self.here = here

    def _hear_of_pending(self, hours: int) -> None:
        for payment_id, amount in list(self.model.pending.items()):
            status = self._do(self._status(payment_id))
            assert (status == "pending") <= (hours < 60 or self.payments[payment_id][1] == PENDING)
            if status == "pending":
                continue
            assert status == ("completed" if self.payments[payment_id][1] == LOST else "failed")
            del self.model.pending[payment_id]
            if status == "completed":
                self.settle(payment_id, amount)

    async def _status(self, payment_id: UUID) -> str:
        return await self.connection.fetchval("SELECT status FROM payments WHERE payment_id = $1", payment_id)

    @rule(amount=AMOUNTS, hours=st.integers(1, 50))
    def hold(self, amount: int, hours: int) -> None:
        until = self.clock.now + timedelta(hours=hours)
        made = self._do(self._refused_or(self._hold(amount, until)))
        assert (made is None) == (amount > self.model.cash)
        if made is not None:
            self.model.unreleased = 0
            self.model.cash -= amount
            self.model.holds[made.hold_id] = (amount, until)

    async def _hold(self, amount: int, until: datetime) -> Hold:
        async with self.counter.database.transaction() as tx:
            return await holding.place_hold(
                tx,
                account_id=self.counter.account_id,
                own_currency="USD",
                currency=self.here.currency,
                amount_minor=amount,
                reference=str(tx.new_id()),
                expires_at=until,
                reserve=wallets.nothing_reserved,
            )

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data(), part=st.one_of(st.none(), AMOUNTS))
    def end_hold(self, data: st.DataObject, part: int | None) -> None:
        """Captured up to all of it, or released."""
        hold_id = data.draw(st.sampled_from(list(self.model.holds)))
        amount, _ = self.model.holds.pop(hold_id)
        captured = 0 if part is None else min(part, amount)
        self._do(self._end_hold(hold_id, captured))
        self.model.cash += amount - captured

    async def _end_hold(self, hold_id: UUID, captured: int) -> None:
        async with self.counter.database.transaction() as tx:
            hold = await holding.lock_open_hold(tx, hold_id=hold_id)
            if captured:
                await holding.capture_hold(tx, hold=hold, amount_minor=captured)
            else:
                await holding.release_hold(tx, hold=hold)

    @precondition(lambda self: self.model.left)
    @rule(data=st.data(), amount=AMOUNTS)
    def refund(self, data: st.DataObject, amount: int) -> None:
        payment_id = data.draw(st.sampled_from(list(self.model.left)))
        payment, token = self.payments[payment_id]
        made = self._do(self._refused_or(self.counter.refund(payment, amount)))
        assert (made is None) == (amount > min(self.model.left[payment_id], self.model.cash))
        if made is None:
            return
        self.model.unreleased = 0
        if token == NO_REFUNDS:
            assert made.status == "failed"
            self.model.cash -= amount
            self.model.arrive(amount)  # what is owed is paid first
        elif token == LOST and made.status == "pending":  # its answer is lost once; the next look finds it
            self.give_back(payment_id, amount)
            self._look_after(2)
            assert self._do(self.counter.reload(made)).status == "completed"
        else:
            assert made.status == "completed"
            self.give_back(payment_id, amount)

    def give_back(self, payment_id: UUID, amount: int) -> None:
        self.model.left[payment_id] -= amount
        self.model.cash -= amount

    @precondition(lambda self: self.model.left)
    @rule(data=st.data(), amount=AMOUNTS)
    def charge_back(self, data: st.DataObject, amount: int) -> None:
        """The gateway takes it, whatever the wallet has: the rest is owed."""
        payment_id = data.draw(st.sampled_from(list(self.model.left)))
        made = self._do(self._refused_or(self.counter.charge_back(self.payments[payment_id][0], amount)))
        assert (made is None) == (amount > self.model.left[payment_id])
        if made is not None:
            self.model.unreleased = 0
            taken = min(self.model.cash, amount)
            self.model.cash -= taken
            self.model.owed += amount - taken
            self.model.left[payment_id] -= amount

    async def _refused_or(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await work
        except Refused:
            return None

    @invariant()
    def wallets_are_the_models(self) -> None:
        for purse in self.purses:
            wallet, model = self._do(self._wallet(purse)), purse.model
            shown = (wallet.available_minor, wallet.pending_minor, wallet.reserved_minor)
            assert shown == (model.cash, sum(model.pending.values()), model.held)

    async def _wallet(self, purse: Purse) -> Wallet:
        return await wallets.get_wallet(
            self.connection,
            account_id=purse.counter.account_id,
            currency=purse.currency,
            own_currency="USD",
            now=self.clock.now,
            reserve=wallets.nothing_reserved,
        )

    @invariant()
    def invariants_hold(self) -> None:
        assert {check.name for check in self._do(self._broken())} <= {"nobody is owed by a chargeback"}

    async def _broken(self) -> Any:
        async with self.counter.database.snapshot() as tx:
            return await find_broken(tx)


class Neighbours(Till):
    """Two wallets of an account, and one of another: what happens to one of them happens to no other."""

    async def _begin(self) -> None:
        await super()._begin()
        other_currency = replace(self.here, currency="EUR", model=Model())
        self.purses += [other_currency, await self._open_account()]

    @rule(data=st.data())
    def turn_to(self, data: st.DataObject) -> None:
        """Use another wallet from now on."""
        self.here = self.purses[data.draw(st.integers(0, len(self.purses) - 1))]


class _OneConnection:
    """Stands where the gateway's pool does."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def acquire(self, **_: object) -> Any:
        return nullcontext(self._connection)


def live(machine: type[Till], dsn: str, *, seed: int, examples: int, steps: int, shrinks: bool = True) -> None:
    """So many accounts from a seed, each with so many steps at most; `shrinks`: what goes wrong, to the fewest steps."""
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    seeded: Callable[[], Till] = hypothesis.seed(seed)(type("Account", (machine,), {"dsn": dsn}))
    run_state_machine_as_test(seeded, settings=settings)


class TestMoney:
    def test_is_the_models(self, shared_dsn: str, seed: int, pytestconfig: pytest.Config) -> None:
        is_nightly = bool(pytestconfig.getoption("--nightly"))
        examples, steps = (EXAMPLES_NIGHTLY, 2 * STEPS) if is_nightly else (EXAMPLES, STEPS)
        sys.stdout.write(f"seed {seed}: {examples} accounts, {steps} steps each\n")
        live(Neighbours, shared_dsn, seed=seed, examples=examples, steps=steps)
