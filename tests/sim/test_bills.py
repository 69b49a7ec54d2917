"""An account's invoices against a model: usage of months, closes, credit, payments, credit notes, corrections, in any order.

All that `test_model.py` does with money happens between. The model (`books.py`) reckons in exact fractions from definitions; after
every step each invoice, balance and grant is what it says, at the end every month is billed as the oracle rates it and every
invariant of the program holds.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import currently_in_test_context, event
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from billing import catalog, invoices, metering, projects
from billing.app.check import run_all
from billing.core.errors import Refused
from billing.core.period import Period
from billing.invoices import model as invoices_model
from billing.invoices.operations import collecting, crediting, ending, overdue, paying
from billing.invoices.store import invoices as store
from tests.oracle.load import definition_of
from tests.oracle.world import Account, Event, Price, Resource, StatePoint, World
from tests.sim.books import METERS, PLANS, PRICES, Bill, Books, Part, next_month, reckon
from tests.sim.test_model import DECLINED, GOOD, LOST, NO_REFUNDS, Till, live
from tests.support.cloud import JANUARY, Cloud, report
from tests.support.cloud import event as usage_event

if TYPE_CHECKING:
    from billing.invoices.model import CreditNote
    from billing.kit.db import Tx
    from billing.metering.model import IngestResult
    from billing.payments.model import Payment, Refund

EXAMPLES, EXAMPLES_NIGHTLY = 10, 300
STEPS, STEPS_NIGHTLY = 25, 50
YEAR_2023 = datetime(2023, 1, 1, tzinfo=UTC)
TAXES = {"Levy": Fraction(3, 2), "VAT": Fraction(16)}
# A chargeback of what was spent leaves a debt, and nobody closes months in time here: neither is a fault of the books.
TOLERATED = {"nobody is owed by a chargeback", "months written to after their close are corrected within 45 days"}
NOT_RELAYED = {"outbox events are relayed within a day, and none is refused again and again"}  # no job does it here
AMOUNTS = st.integers(1, 4_000)


def happened(what: str) -> None:
    """For Hypothesis's statistics; a story that is told by hand has none."""
    if currently_in_test_context():
        event(what)


class Bills(Till):
    """A till whose account is billed."""

    country = "KE"

    @initialize(percent_of_vat=st.sampled_from((16, 0)))
    def tax(self, percent_of_vat: int) -> None:
        """With and without the larger of two taxes."""
        self.books.percents = {name: percent for name, percent in TAXES.items() if percent_of_vat or name != "VAT"}
        self._do(self.cloud.set_taxes(**{name: str(float(percent)) for name, percent in self.books.percents.items()}))

    async def _begin(self) -> None:
        await super()._begin()
        self.account_id = self.counter.account_id
        self.cloud = Cloud(self.counter.database, self.clock)
        self.sent: list[tuple[str, str, Event]] = []
        self.points: dict[str, list[StatePoint]] = {}
        self.overdue: set[UUID] = set()
        self.left_of_cards: dict[UUID, int] = {}
        self.cards: dict[UUID, tuple[Payment, UUID]] = {}
        async with self.database() as tx:
            self.project_ids = [
                (await projects.create_default(tx, account_id=self.account_id)).project_id,
                (await projects.create(tx, account_id=self.account_id, name="Other")).project_id,
            ]
            for meter, aggregation in METERS.items():
                await catalog.define_meter(
                    tx,
                    meter=catalog.Meter(
                        meter=meter, service="messaging", name=meter, unit="units", aggregation=aggregation
                    ),
                )
        self.prices = [Price(UUID(int=n), price, "USD", YEAR_2023) for n, price in enumerate(PRICES, 1)]
        await self.cloud.publish(*[definition_of(price) for price in self.prices])
        rows = await self.connection.fetch("SELECT series, max(number) AS last FROM invoice_numbers GROUP BY series")
        self.books = Books({}, JANUARY.start, Counter({row["series"]: row["last"] for row in rows}))
        for name, plan in zip(("one", "two"), PLANS, strict=True):
            await self._report(name, StatePoint(JANUARY.start + timedelta(days=3, hours=5), "running", plan))

    def database(self) -> AbstractAsyncContextManager[Tx]:
        return self.counter.database.transaction()

    @property
    def world(self) -> World:
        """The account's usage as the oracle takes it."""
        resources = [
            Resource(
                account_id=self.account_id,
                resource_id=name,
                project_id=project_id,
                region="eu",
                type="vps",
                service="compute",
                points=tuple(self.points[name]),
                events=tuple(sent for _, of, sent in self.sent if of == name),
            )
            for name, project_id in zip(self.points, self.project_ids, strict=True)
        ]
        accounts = {self.account_id: Account(self.account_id, "USD")}
        return World(accounts, resources, METERS, self.prices)

    # Usage

    @rule(
        name=st.sampled_from(("one", "two")),
        meter=st.sampled_from(tuple(METERS)),
        quantity=st.integers(1, 60_000),
        hours=st.one_of(st.integers(0, 48), st.integers(0, 1_400)),
    )
    def use(self, name: str, meter: str, quantity: int, hours: int) -> None:
        """Usage, perhaps of a month that is closed."""
        at = max(self.clock.now - timedelta(hours=hours), self.points[name][0].effective_at)
        sent = Event(meter, Decimal(quantity) / 8, at)
        event_id = f"e{len(self.sent)}"
        assert self._do(self._send(event_id, name, sent)).outcome == "accepted"
        self.sent.append((event_id, name, sent))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), is_other=st.booleans())
    def use_again(self, data: st.DataObject, is_other: bool) -> None:
        """The same event again changes nothing, and another one under its id is refused."""
        event_id, name, sent = data.draw(st.sampled_from(self.sent))
        again = Event(sent.meter, sent.quantity + is_other, sent.occurred_at)
        result = self._do(self._send(event_id, name, again))
        assert (result.outcome, result.reason) == (("rejected", "event_conflict") if is_other else ("duplicate", None))

    async def _send(self, event_id: str, name: str, sent: Event) -> IngestResult:
        async with self.database() as tx:
            made = usage_event(
                self.account_id,
                event_id,
                sent.quantity,
                resource_id=name,
                meter=sent.meter,
                occurred_at=sent.occurred_at,
            )
            (result,) = await metering.ingest(tx, [made], is_backfill=True)
            return result

    @rule(
        name=st.sampled_from(("one", "two")),
        plan=st.sampled_from(PLANS),
        status=st.sampled_from(("running", "running", "stopped")),
        units=st.integers(1, 3),
        hours=st.one_of(st.integers(0, 48), st.integers(0, 1_400)),
    )
    def change(self, name: str, plan: str, status: Any, units: int, hours: int) -> None:
        """A resource is resized, stopped or started, perhaps in a month that is closed."""
        at = self.clock.now - timedelta(hours=hours, microseconds=len(self.points[name]))
        if at > self.points[name][0].effective_at and at not in {one.effective_at for one in self.points[name]}:
            self._do(self._report(name, StatePoint(at, status, plan, Decimal(units))))

    async def _report(self, name: str, point: StatePoint) -> None:
        async with self.database() as tx:
            await report(
                tx,
                self.account_id,
                name,
                project_id=self.project_ids[name == "two"],
                status=point.status,
                plan=point.plan,
                units=point.units,
                effective_at=point.effective_at,
            )
        self.points.setdefault(name, []).append(point)

    # Closes

    @rule(days=st.sampled_from((3, 9, 15, 28)))
    def live_on(self, days: int) -> None:
        """Days to most of a month, and what was overdue is told once."""
        self._look_after(24 * days)
        told = self._do(overdue.tell_overdue(self.counter.database))
        late = {bill_id for bill_id, bill in self.books.bills.items() if bill.due > 0 and bill.due_at <= self.clock.now}
        assert told == len(late - self.overdue)
        self.overdue |= late

    @rule(times=st.sampled_from((1, 1, 2)))
    def close(self, times: int) -> None:
        """The first month that is not closed, and again; refused while it runs."""
        if next_month(self.books.month) > self.clock.now:
            assert self.refusal(self._close(self.books.month)) == "period_open"
            return
        month = self.books.month
        bill, cash = self.books.close(self.world, now=self.clock.now, cash=self.model.cash - self.model.unreleased)
        before = self.model.cash - self.model.unreleased
        for done in (1, 0)[:times]:  # who is billed is not on the list again
            progress = self._do(self._close(month))
            assert (progress.accounts_parked, progress.accounts_done) == (0, done)
        self.model.cash += cash - before
        if bill is None:
            happened("no bill")
            return
        self.model.told |= bill.total < 0
        bill_id = self._do(self.connection.fetchval("SELECT invoice_id FROM invoices WHERE number = $1", bill.number))
        self.books.bills[bill_id] = bill
        happened(
            "bill below 0" if bill.total < 0 else "correction" if len({of for of, _ in bill.parts}) > 1 else "bill"
        )

    @precondition(lambda self: next_month(next_month(self.books.month)) <= self.clock.now)
    @rule()
    def close_too_early(self) -> None:
        """A month whose earlier one is open stops the account's billing, loudly, and nothing else happens."""
        progress = self._do(self._close(next_month(self.books.month)))
        assert (progress.accounts_parked, progress.invoices) == (1, 0)

    @precondition(lambda self: self.books.closed)
    @rule(data=st.data())
    def close_again(self, data: st.DataObject) -> None:
        """What is closed stays so."""
        progress = self._do(self._close(data.draw(st.sampled_from(self.books.closed))))
        assert progress.accounts_parked == 0

    async def _close(self, month: datetime) -> invoices.Progress:
        return await self.cloud.close(Period(month.year, month.month), only_accounts=[self.account_id])

    # Credit and payment

    @rule(amount=AMOUNTS, priority=st.integers(0, 2), days=st.sampled_from((None, 2, 11, 30, 50)))
    def grant(self, amount: int, priority: int, days: int | None) -> None:
        """Promotional credit, for ever or for some days."""
        expires_at = None if days is None else self.clock.now + timedelta(days=days)
        given = self._do(
            self.cloud.grant(
                self.account_id, amount, granted_at=self.clock.now, priority=priority, expires_at=expires_at
            )
        )
        self.books.grant(given, amount, priority, granted_at=self.clock.now, expires_at=expires_at)

    @rule()
    def collect(self) -> None:
        """The job sets what arrived against what is owed, then against the invoices, the one due first first."""
        acted = self._do(collecting.collect_arrived(self.counter.database))
        assert (acted > 0) == self.model.told
        if self.model.told:
            self._collect()
        self.model.told = False

    def _collect(self) -> None:
        cash = self.model.cash - self.model.unreleased
        paid = min(cash, self.model.owed)
        self.model.owed -= paid
        used = paid + self.books.collect(cash - paid)
        self.model.cash -= used

    @precondition(lambda self: self.books.bills)
    @rule(data=st.data(), token=st.sampled_from((GOOD, GOOD, DECLINED)))
    def pay(self, data: st.DataObject, token: str) -> None:
        """Credit and cash, and a card for the rest."""
        bill_id = self.draw_bill(data)
        bill, method = self.books.bills[bill_id], self.here.methods[token]
        if bill.due == 0:
            assert self.refusal(self._pay(bill_id, method)) == "invoice_not_payable"
            return
        made = sum(brought for of, brought in self.books.made.values() if of == bill_id)
        if min(made, self.model.cash - self.model.owed) >= bill.due:  # it is paid when it is looked at
            assert self.refusal(self._pay(bill_id, method)) == "invoice_not_payable"
            return
        payment = self._do(self._pay(bill_id, method))
        self.model.unreleased = 0
        self.model.owed, self.model.cash = self._less_owed()
        self.model.cash -= self.books.use_made(self.model.cash)
        if bill.due > 0:
            self.books.spend(bill, self.world)
            self.model.cash -= self.books.use(bill_id, self.model.cash)
        assert (payment is None) == (bill.due == 0)
        if payment is None:
            return
        rest = bill.due
        assert (payment.amount_minor, payment.status) == (rest, "failed" if token == DECLINED else "completed")
        if token == GOOD:
            self.model.arrive(rest)
            self.books.made[payment.payment_id] = (bill_id, rest)
            self.cards[payment.payment_id] = (payment, bill_id)
            self.payments[payment.payment_id] = (payment, GOOD)
            self.left_of_cards[payment.payment_id] = rest
            self._collect()

    def _less_owed(self) -> tuple[int, int]:
        paid = min(self.model.cash, self.model.owed)
        return self.model.owed - paid, self.model.cash - paid

    async def _pay(self, bill_id: UUID, payment_method_id: UUID) -> Payment | None:
        key = {"account_id": self.account_id}
        async with self.database() as tx:
            started = await paying.start(
                tx, gateway=self.counter.gateway, invoice_id=bill_id, payment_method_id=payment_method_id, **key
            )
        if started is None:
            return None
        return await paying.charge(self.database_of, self.counter.gateway, payment_id=started.payment_id, **key)

    # Credit notes and ends

    @precondition(lambda self: self.books.bills)
    @rule(data=st.data(), amount=st.one_of(st.none(), AMOUNTS), pays_back=st.booleans())
    def credit(self, data: st.DataObject, amount: int | None, pays_back: bool) -> None:
        """An amount of an invoice is taken back, or all that is left of it."""
        bill_id = self.draw_bill(data)
        bill = self.books.bills[bill_id]
        work = self._credit(bill_id, pays_back=pays_back, gross_minor=amount)
        left = bill.total - bill.noted
        gross = left if amount is None else amount
        if bill.total < 0 or bill.status == "void":
            assert self.refusal(work) == "invoice_not_payable"
        elif not 0 < gross <= left:
            assert self.refusal(work) == "credit_note_exceeds_invoice"
        else:
            self._take_back(bill_id, *bill.split(gross), work=work, pays_back=pays_back)

    @precondition(lambda self: self.books.bills)
    @rule(data=st.data(), amount=AMOUNTS, pays_back=st.booleans())
    def credit_line(self, data: st.DataObject, amount: int, pays_back: bool) -> None:
        """A net amount of a line is taken back, with its taxes."""
        bill_id = self.draw_bill(data)
        bill = self.books.bills[bill_id]
        lines = self._do(self._lines(bill_id))
        ordinal = data.draw(st.sampled_from(sorted(lines)))
        work = self._credit(bill_id, pays_back=pays_back, parts=[(ordinal, amount)])
        taxes = bill.taxes_on(amount)
        left = min(lines[ordinal] - bill.noted_lines[ordinal], bill.net - bill.noted_net)
        if bill.total < 0 or bill.status == "void":
            assert self.refusal(work) == "invoice_not_payable"
        elif amount > left or amount + sum(taxes.values()) > bill.total - bill.noted:
            assert self.refusal(work) == "credit_note_exceeds_invoice"
        elif self._take_back(bill_id, amount, taxes, work=work, pays_back=pays_back):
            bill.noted_lines[ordinal] += amount

    def _take_back(
        self, bill_id: UUID, net: int, taxes: dict[str, int], *, work: Coroutine[Any, Any, Any], pays_back: bool
    ) -> bool:
        """Whether a credit note of so much was written, as the model has it."""
        bill = self.books.bills[bill_id]
        refundable = [*self.model.left.values(), *self.left_of_cards.values()]
        money = sum(minor for source, minor in bill.returned_by(net, taxes) if source is None)
        if pays_back and money and (money > sum(refundable) or self.model.owed):
            assert self.refusal(work) == "payments_not_refundable"
            return False
        note, refunds = self._do(work)
        happened("credit note that pays back" if money and pays_back else "credit note")
        assert self.books.give_back(bill.take_back(net, taxes)) == money
        series = f"CN-{self.clock.now.year}"
        self.books.numbers[series] += 1
        assert (note.number, note.net_minor, note.total_minor) == (
            f"{series}-{self.books.numbers[series]:03}",
            net,
            net + sum(taxes.values()),
        )
        assert (note.returned_minor, note.refunded_minor) == ((0, money) if pays_back else (money, 0))
        if pays_back:
            self._pay_back(money, bill_id, refunds)
        else:
            self.model.cash += money
            self.model.told |= money > 0
        return True

    def _pay_back(self, money: int, bill_id: UUID, refunds: list[Refund]) -> None:
        """It goes over the payments of its invoice, then over the newest."""
        left = {**self.model.left, **self.left_of_cards}

        def rank(payment_id: UUID) -> tuple[bool, datetime, UUID]:
            is_own = payment_id in self.cards and self.cards[payment_id][1] == bill_id
            return is_own, self.payments[payment_id][0].created_at, payment_id

        expected: dict[UUID, int] = {}
        for payment_id in sorted(left, key=rank, reverse=True):
            part = min(left[payment_id], money - sum(expected.values()))
            if part:
                expected[payment_id] = part
        assert {one.payment_id: one.amount_minor for one in refunds} == expected
        for one in refunds:
            token = self.payments[one.payment_id][1]
            lefts = self.left_of_cards if one.payment_id in self.cards else self.model.left
            if token == NO_REFUNDS:
                assert one.status == "failed"
                self.model.arrive(one.amount_minor)
                continue
            lefts[one.payment_id] -= one.amount_minor
            assert one.status == "completed" or token == LOST
        if any(one.status == "pending" for one in refunds):
            self._look_after(2)
            assert {self._do(self.counter.reload(one)).status for one in refunds} <= {"completed", "failed"}

    async def _credit(self, bill_id: UUID, *, pays_back: bool, **amount: Any) -> tuple[CreditNote, list[Refund]]:
        gateway = self.counter.gateway
        terms: crediting.Terms = {
            "invoice_id": bill_id,
            "reason": "an outage",
            "refund_by": gateway if pays_back else None,
        }
        async with self.database() as tx:
            if "parts" in amount:
                note = await crediting.credit_lines(tx, **amount, **terms)
            else:
                note = await crediting.credit_amount(tx, **amount, **terms)
        return note, await crediting.pay_back(
            self.database_of, gateway, account_id=self.account_id, credit_note_id=note.credit_note_id
        )

    @precondition(lambda self: self.books.bills)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        """An invoice is taken back whole; the next close bills its months again."""
        bill_id = self.draw_bill(data)
        bill = self.books.bills[bill_id]
        if bill.total < 0 or bill.status == "void" or bill.noted:
            assert self.refusal(self._void(bill_id)) == "invoice_not_voidable"
            return
        self._do(self._void(bill_id))
        happened("void")
        self.model.told |= bool(bill.paid)
        self.model.cash += self.books.give_back(bill.paid)
        bill.status = "void"

    async def _void(self, bill_id: UUID) -> None:
        async with self.database() as tx:
            await ending.void(tx, invoice_id=bill_id)

    # What is looked at

    @invariant()
    def bills_are_the_models(self) -> None:
        shown = {bill_id: self._do(self._bill(bill_id)) for bill_id in self.books.bills}
        assert shown == {bill_id: self._shown(bill) for bill_id, bill in self.books.bills.items()}
        count = "SELECT count(*) FROM invoices WHERE account_id = $1"
        assert self._do(self.connection.fetchval(count, self.account_id)) == len(shown)

    def _shown(self, bill: Bill) -> dict[str, Any]:
        is_late = bill.status == "pending" and bill.due_at <= self.clock.now
        return {
            "number": bill.number,
            "month": bill.month,
            "due_at": bill.due_at,
            "status": "overdue" if is_late else bill.status,
            "due": bill.due,
            "subtotal": bill.net,
            "taxes": {name: minor for name, (_, minor) in bill.taxes.items()},
            "total": bill.total,
            "paid": bill.paid,
            "lines": bill.parts,
        }

    async def _bill(self, bill_id: UUID) -> dict[str, Any]:
        key: invoices_model.InvoiceKey = {"account_id": self.account_id, "invoice_id": bill_id}
        async with self.database() as tx:
            invoice = await store.get_invoice(tx.connection, **key)
            taxes = await store.list_taxes(tx.connection, **key)
            paid = await store.list_payments(tx.connection, **key)
        return {
            "number": invoice.number,
            "month": invoice.period.start,
            "due_at": invoice.due_at,
            "status": invoice.status_at(self.clock.now),
            "due": invoice.due_minor,
            "subtotal": invoice.subtotal_minor,
            "taxes": {tax.name: tax.amount_minor for tax in taxes},
            "total": invoice.total_minor,
            "paid": [(one.source_id if one.source == "credit" else None, one.amount_minor) for one in paid],
            "lines": await self._parts(bill_id),
        }

    async def _parts(self, bill_id: UUID) -> dict[tuple[datetime, Part], int]:
        rows = await self.connection.fetch(
            """
            SELECT service_period, charge_kind, item, nullif(charge_resource_id, '') AS resource_id, units, project_id, region,
                amount_minor
            FROM invoice_lines WHERE account_id = $1 AND invoice_id = $2
            """,
            self.account_id,
            bill_id,
        )
        parts: dict[tuple[datetime, Part], int] = {}
        for period, kind, item, resource_id, units, project_id, region, minor in rows:
            of = datetime(period.year, period.month, 1, tzinfo=UTC)
            part = (of, (kind, item, resource_id, Fraction(units), project_id, region))
            assert part not in parts, "a part of a charge has one line"
            parts[part] = minor
        return parts

    async def _lines(self, bill_id: UUID) -> dict[int, int]:
        rows = await self.connection.fetch(
            "SELECT ordinal, amount_minor FROM invoice_lines WHERE account_id = $1 AND invoice_id = $2",
            self.account_id,
            bill_id,
        )
        return {row["ordinal"]: row["amount_minor"] for row in rows}

    @invariant()
    def balances_are_the_models(self) -> None:
        """Receivables are what invoices ask for, and of each grant is left what it did not pay."""
        books = self._do(self.cloud.balances(self.account_id))
        minor = {name: minor for (_, name), minor in books.items() if minor}
        assert -minor.get("receivable", 0) == self.books.receivable
        assert minor.get("wallet:cash", 0) == self.model.cash - self.model.unreleased
        assert -minor.get("owed", 0) == self.model.owed
        left = {f"promo:{one.grant_id}": one.left for one in self.books.grants.values() if one.left}
        assert {name: minor for name, minor in minor.items() if name.startswith("promo:")} == left
        for name in self.books.percents:
            standing = [bill for bill in self.books.bills.values() if bill.status != "void"]
            tax = sum(bill.taxes[name][1] - bill.noted_taxes[name] for bill in standing)
            assert minor.get(f"tax:{name}", 0) == tax

    @invariant()
    def invariants_hold(self) -> None:
        assert {check.name for check in self._do(self._broken())} <= TOLERATED

    @invariant()
    def numbers_are_the_models(self) -> None:
        rows = self._do(
            self.connection.fetch(
                "SELECT series, count(*) AS count, max(number) AS last FROM invoice_numbers GROUP BY series"
            )
        )
        assert {row["series"]: row["last"] for row in rows} == dict(self.books.numbers)
        assert all(row["count"] == row["last"] for row in rows)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._end_well()
        finally:
            super().teardown()

    def _end_well(self) -> None:
        """Every month that was lived in is billed, and what stands is what the oracle says: no part of it is lost or doubled."""
        self.clock.advance(max(next_month(self.books.month) - self.clock.now, timedelta(0)))
        self._look_after(1)
        while next_month(self.books.month) <= self.clock.now:
            self.close(1)
        self.collect()
        self.bills_are_the_models()
        self.balances_are_the_models()
        for month in self.books.closed:
            billed = {part: minor for part, minor in self.books.billed(month).items() if minor}
            cost = {part: minor for part, minor in reckon(self.world, month).items() if minor}
            assert billed == cost
        broken = {check.name for check in self._do(run_all(self.database_of)) if check.violations}
        assert broken <= TOLERATED | NOT_RELAYED

    # How it is asked

    @property
    def database_of(self) -> Any:
        return self.counter.database

    def draw_bill(self, data: st.DataObject) -> UUID:
        """One of the invoices, in the order of their numbers."""
        return data.draw(st.sampled_from(list(self.books.bills)))

    def refusal(self, work: Coroutine[Any, Any, Any]) -> str:
        """The code with which it is refused; nothing has happened."""
        with pytest.raises(Refused) as refused:
            self._do(work)
        return refused.value.code


class TestBills:
    def test_are_the_models(self, shared_dsn: str, seed: int, pytestconfig: pytest.Config) -> None:
        is_nightly = bool(pytestconfig.getoption("--nightly"))
        examples, steps = (EXAMPLES_NIGHTLY, STEPS_NIGHTLY) if is_nightly else (EXAMPLES, STEPS)
        sys.stdout.write(f"seed {seed}: {examples} accounts, {steps} steps each\n")
        live(Bills, shared_dsn, seed=seed, examples=examples, steps=steps, shrinks=is_nightly)
