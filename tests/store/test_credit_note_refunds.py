"""Credit notes that pay back: what was paid goes where it came from, through gateways that die, are silent or decline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from billing import accounts, payments, projects, rating
from billing.core.period import Period
from billing.invoices import rules
from billing.invoices.model import (
    Credited,
    CreditNote,
    CreditNoteExceedsInvoice,
    Invoice,
    InvoicePayment,
    InvoiceTax,
)
from billing.invoices.operations import crediting, reading
from billing.invoices.operations.reading import WholeCreditNote
from billing.payments.model import PaymentsNotRefundable
from tests.support.cloud import Cloud, at, price
from tests.support.counter import Counter, open_counter
from tests.support.till import Killed


@dataclass
class Desk:
    """A counter that takes money, over a cloud that bills it."""

    counter: Counter
    cloud: Cloud

    @property
    def account_id(self) -> UUID:
        return self.counter.account_id

    async def bill(self, quantity: int) -> UUID:
        """The id of an invoice of so many dollars and 16 % of tax."""
        await self.cloud.report(self.account_id)
        await self.cloud.use(self.account_id, quantity)
        await self.cloud.close()
        ((invoice_id,),) = await self.cloud.fetch(
            "SELECT invoice_id FROM invoices WHERE account_id = $1", self.account_id
        )
        return invoice_id

    async def start(self, invoice_id: UUID, gross_minor: int | None = None, *, pays_back: bool = True) -> CreditNote:
        """The intent of a credit note."""
        async with self.cloud.database.transaction() as tx:
            return await crediting.credit_amount(
                tx,
                invoice_id=invoice_id,
                gross_minor=gross_minor,
                reason="an outage",
                refund_by=self.counter.gateway if pays_back else None,
            )

    async def finish(self, note: CreditNote) -> WholeCreditNote:
        """Ask the gateway; the credit note as it stands then."""
        key = {"account_id": self.account_id, "credit_note_id": note.credit_note_id}
        await crediting.pay_back(self.cloud.database, self.counter.gateway, **key)
        async with self.cloud.database.snapshot() as tx:
            return await reading.get_whole_credit_note(tx, **key)

    async def refund(self, invoice_id: UUID, gross_minor: int | None = None) -> WholeCreditNote:
        """A credit note that pays back, as far as it gets."""
        return await self.finish(await self.start(invoice_id, gross_minor))


@pytest_asyncio.fixture
async def desk(database_dsn: str) -> AsyncIterator[Desk]:
    async with open_counter(database_dsn) as counter:
        cloud = Cloud(counter.database, counter.clock)
        async with counter.database.transaction() as tx:
            await projects.create_default(tx, account_id=counter.account_id)
            await accounts.change(tx, account_id=counter.account_id, changes={"country": "KE"})
        await cloud.publish(price(meter="m", unit_price="1"))
        await cloud.set_taxes(VAT="16")
        yield Desk(counter, cloud)


class TestRefund:
    async def test_lowers_what_is_open_first(self, desk: Desk) -> None:
        payment = await desk.counter.top_up(3_000)
        whole = await desk.refund(await desk.bill(50), 3_800)  # of 58.00 are 28.00 open
        note = whole.note
        assert (note.lowered_minor, note.restored_minor, note.returned_minor, note.refunded_minor) == (2800, 0, 0, 1000)
        (refund,) = whole.refunds
        assert (refund.payment_id, refund.amount_minor, refund.status) == (payment.payment_id, 1_000, "completed")
        assert refund.credit_note_id == note.credit_note_id
        assert await desk.counter.given_back() == [("succeeded", 1_000)]
        books = await desk.counter.books()
        assert (books["gateway:sandbox"], books.get("receivable"), books.get("wallet:cash")) == (-2_000, None, None)
        assert await desk.cloud.broken() == []

    async def test_asks_no_gateway_where_nothing_was_paid(self, desk: Desk) -> None:
        whole = await desk.refund(await desk.bill(50), 5_800)
        assert (whole.note.lowered_minor, whole.note.refunded_minor, whole.refunds) == (5_800, 0, [])
        assert desk.counter.gateway.calls == []
        assert await desk.cloud.broken() == []

    async def test_goes_over_payments_the_newest_first(self, desk: Desk) -> None:
        first = await desk.counter.top_up(2_500)
        desk.cloud.wait(seconds=1)
        second = await desk.counter.top_up(3_000)
        desk.cloud.wait(seconds=1)
        third = await desk.counter.top_up(1_000)
        await desk.counter.charge_back(second, 500)
        await desk.counter.refund(third, 300)
        await desk.counter.top_up(500)
        invoice_id = await desk.bill(50)
        whole = await desk.refund(invoice_id, 4_500)
        assert {(one.payment_id, one.amount_minor) for one in whole.refunds} >= {
            (third.payment_id, 700),
            (second.payment_id, 2_500),
            (first.payment_id, 800),
        }
        assert sum(one.amount_minor for one in whole.refunds) == 4_500
        assert await desk.cloud.broken() == []

    async def test_gives_promotional_credit_back_to_its_grant_and_never_out(self, desk: Desk) -> None:
        credit_id = await desk.cloud.grant(desk.account_id, 2_000, granted_at=at("01-01"))
        await desk.counter.top_up(10_000)
        invoice_id = await desk.bill(50)  # 20.00 of credit, 38.00 of cash
        whole = await desk.refund(invoice_id, 3_000)
        assert (whole.note.restored_minor, whole.note.refunded_minor) == (0, 3_000)
        whole = await desk.refund(invoice_id)
        assert (whole.note.restored_minor, whole.note.refunded_minor) == (2_000, 800)
        books = await desk.counter.books()
        assert books[f"promo:{credit_id}"] == 2_000
        assert (books["gateway:sandbox"], books["wallet:cash"]) == (-6_200, 6_200)
        assert not {"revenue", "tax:VAT", "receivable"} & books.keys()
        assert await desk.cloud.broken() == []

    async def test_needs_no_available_money(self, desk: Desk) -> None:
        """What goes out came in with the credit note: the reserve and other holds have no say in it."""
        await desk.counter.top_up(5_800)
        invoice_id = await desk.bill(50)
        assert (await desk.counter.books()).get("wallet:cash") is None
        await desk.cloud.use(desk.account_id, 500, occurred_at=at("02-01 01:00"))
        assert (await desk.refund(invoice_id)).note.refunded_minor == 5_800

    async def test_refuses_what_no_payment_can_take(self, desk: Desk) -> None:
        await desk.counter.top_up(2_000)
        await desk.counter.record(3_800, "a cheque")
        invoice_id = await desk.bill(50)
        before = await desk.counter.templates()
        with pytest.raises(PaymentsNotRefundable) as refused:
            await desk.start(invoice_id, 2_001)
        assert {name: str(value) for name, value in (refused.value.details or {}).items()} == {
            "required": "20.01",
            "refundable": "20.00",
            "owed": "0.00",
            "currency": "USD",
        }
        assert await desk.counter.templates() == before
        assert await desk.cloud.fetch("SELECT FROM credit_notes") == []
        assert await desk.cloud.fetch("SELECT FROM invoice_numbers WHERE series = 'CN-2024'") == []
        assert (await desk.refund(invoice_id, 2_000)).note.number == "CN-2024-001"
        assert await desk.cloud.broken() == []

    async def test_refuses_an_account_that_owes(self, desk: Desk) -> None:
        payment = await desk.counter.top_up(5_800)
        await desk.counter.top_up(100)
        invoice_id = await desk.bill(50)
        await desk.counter.charge_back(payment, 200)
        with pytest.raises(PaymentsNotRefundable):
            await desk.start(invoice_id, 100)

    async def test_of_kind_credit_gives_money_to_the_wallet_and_credit_to_its_grant(self, desk: Desk) -> None:
        await desk.cloud.grant(desk.account_id, 2_000, granted_at=at("01-01"))
        await desk.counter.record(10_000, "a cheque")
        note = await desk.start(await desk.bill(50), pays_back=False)
        assert (note.kind, note.restored_minor, note.returned_minor, note.refunded_minor) == ("credit", 2000, 3800, 0)
        assert (await desk.counter.books())["wallet:cash"] == 10_000
        assert await desk.cloud.broken() == []


class TestGateway:
    async def test_that_declines_leaves_the_money_in_the_wallet(self, desk: Desk) -> None:
        await desk.counter.attach("tok_refund_declined")
        await desk.counter.top_up(5_800)
        whole = await desk.refund(await desk.bill(50))
        assert [(one.status, one.failure_reason) for one in whole.refunds] == [("failed", "declined")]
        assert (await desk.counter.books()) == {"gateway:sandbox": -5_800, "wallet:cash": 5_800}
        assert await desk.cloud.broken() == []

    @pytest.mark.parametrize("fault", ["unheard", "unreachable"])
    async def test_that_is_silent_leaves_it_pending_until_it_is_asked_again(self, desk: Desk, fault: str) -> None:
        await desk.counter.top_up(5_800)
        invoice_id = await desk.bill(50)
        desk.counter.gateway.refunds = "unheard" if fault == "unheard" else "unreachable"
        whole = await desk.refund(invoice_id)
        assert [one.status for one in whole.refunds] == ["pending"]
        assert (await desk.counter.books())["wallet:held"] == 5_800
        desk.counter.gateway.refunds = "work"
        desk.cloud.wait(minutes=6)
        assert await desk.counter.poll() == 1
        (refund,) = (await desk.finish(whole.note)).refunds
        assert refund.status == ("completed" if fault == "unheard" else "failed")
        cash_minor = (await desk.counter.books()).get("wallet:cash", 0)
        assert cash_minor == (0 if fault == "unheard" else 5_800)
        assert await desk.cloud.broken() == []

    @pytest.mark.parametrize("fault", ["die before", "die after"])
    async def test_is_asked_again_with_the_same_key_after_a_death(self, desk: Desk, fault: str) -> None:
        await desk.counter.top_up(5_800)
        note = await desk.start(await desk.bill(50))
        desk.counter.gateway.refunds = "die before" if fault == "die before" else "die after"
        with pytest.raises(Killed):
            await desk.finish(note)
        desk.counter.gateway.refunds = "work"
        for _ in range(2):
            assert [one.status for one in (await desk.finish(note)).refunds] == ["completed"]
        assert await desk.counter.given_back() == [("succeeded", 5_800)]
        assert await desk.counter.books() == {}
        assert await desk.cloud.broken() == []


class TestRace:
    async def test_of_50_callers_never_pays_back_more_than_was_paid(self, desk: Desk) -> None:
        credit_id = await desk.cloud.grant(desk.account_id, 1_000, granted_at=at("01-01"))
        await desk.counter.top_up(4_800)
        invoice_id = await desk.bill(50)
        done = await asyncio.gather(*(desk.refund(invoice_id, 290) for _ in range(50)), return_exceptions=True)
        notes = [one.note for one in done if isinstance(one, WholeCreditNote)]
        assert (len(notes), {type(one) for one in done}) == (20, {WholeCreditNote, CreditNoteExceedsInvoice})
        assert sum(note.refunded_minor for note in notes) == 4_800
        assert sum(note.restored_minor for note in notes) == 1_000
        assert sum(minor for status, minor in await desk.counter.given_back() if status == "succeeded") == 4_800
        assert await desk.counter.books() == {f"promo:{credit_id}": 1_000, "promotions": -1_000}
        assert sorted(note.number for note in notes) == [f"CN-2024-{number:03d}" for number in range(1, 21)]
        assert await desk.cloud.broken() == []

    async def test_with_refunds_and_a_chargeback_never_exceeds_the_payment(self, desk: Desk) -> None:
        payment = await desk.counter.top_up(5_800)
        invoice_id = await desk.bill(50)
        calls = [
            *(desk.refund(invoice_id, 300) for _ in range(25)),
            *(desk.counter.charge_back(payment, 300) for _ in range(25)),
        ]
        done = await asyncio.gather(*calls, return_exceptions=True)
        given_minor = sum(one.note.refunded_minor for one in done if isinstance(one, WholeCreditNote))
        taken_minor = sum(one.amount_minor for one in done if isinstance(one, payments.Chargeback))
        assert given_minor + taken_minor <= 5_800
        broken = {check.name for check in await desk.cloud.broken()}
        assert broken <= {"nobody is owed by a chargeback"}


payment_parts = st.lists(st.tuples(st.booleans(), st.integers(1, 1_000)), min_size=1, max_size=6)


@given(parts=payment_parts, cuts=st.lists(st.integers(1, 700), max_size=8))
def test_giving_back_in_parts_gives_each_payment_back_once(parts: list[tuple[bool, int]], cuts: list[int]) -> None:
    paid = [
        InvoicePayment(
            ordinal, "credit" if is_credit else "wallet", UUID(int=ordinal) if is_credit else None, minor, at("02-01")
        )
        for ordinal, (is_credit, minor) in enumerate(parts, 1)
    ]
    total_minor = sum(minor for _, minor in parts)
    earlier_minor, money_minor, credits_minor = 0, 0, dict[UUID, int]()
    for cut in [*cuts, total_minor]:
        cut_minor = min(cut, total_minor - earlier_minor)
        money, credits = rules.give_back(cut_minor, payments=paid, earlier_minor=earlier_minor)
        earlier_minor += cut_minor
        money_minor += money
        for credit_id, minor in credits.items():
            credits_minor[credit_id] = credits_minor.get(credit_id, 0) + minor
    assert money_minor == sum(minor for is_credit, minor in parts if not is_credit)
    assert credits_minor == {one.source_id: one.amount_minor for one in paid if one.source == "credit"}


def invoice_of(net_minor: int, taxes: list[InvoiceTax]) -> Invoice:
    total_minor = net_minor + sum(tax.amount_minor for tax in taxes)
    return Invoice(
        account_id=UUID(int=1),
        invoice_id=UUID(int=2),
        kind="invoice",
        number="INV-2024-001",
        period=Period(2024, 1),
        currency="USD",
        subtotal_minor=net_minor,
        tax_minor=total_minor - net_minor,
        total_minor=total_minor,
        paid_at_issue_minor=0,
        issued_at=at("02-01"),
        due_at=at("02-15"),
        parties={},
        status="pending",
        paid_minor=0,
        credited_minor=0,
        paid_at=None,
    )


def test_a_part_takes_its_share_of_a_tax_rounded_half_up() -> None:
    taxes = [InvoiceTax("VAT", Decimal(16), 100, 16)]
    nothing = Credited(net_minor=0, total_minor=0, given_back_minor=0, taxes_minor={}, lines_minor={})
    parts = [
        rules.split_gross(minor, invoice=invoice_of(100, taxes), taxes=taxes, credited=nothing) for minor in (3, 4)
    ]
    assert parts == [(3, {"VAT": 0}), (3, {"VAT": 1})]
    assert [rating.tax_minor(net_minor, Decimal("12.5")) for net_minor in (3, 4, 11)] == [0, 1, 1]


@st.composite
def credited_in_parts(draw: st.DrawFn) -> tuple[Invoice, list[InvoiceTax], list[int]]:
    """An invoice with up to two taxes, and gross amounts that are taken back of it one after the other, then the rest."""
    net_minor = draw(st.integers(1, 5_000))
    percents = draw(st.lists(st.decimals(0, 40, places=1), max_size=2))
    taxes = [
        InvoiceTax(f"T{number}", percent, net_minor, rating.tax_minor(net_minor, percent))
        for number, percent in enumerate(percents)
    ]
    invoice = invoice_of(net_minor, taxes)
    cuts = draw(st.lists(st.integers(1, max(invoice.total_minor // 2, 1)), max_size=8))
    return invoice, taxes, [*cuts, invoice.total_minor]


@given(world=credited_in_parts())
def test_credit_notes_that_take_all_back_take_its_net_and_its_taxes_back(
    world: tuple[Invoice, list[InvoiceTax], list[int]],
) -> None:
    invoice, taxes, cuts = world
    credited = Credited(net_minor=0, total_minor=0, given_back_minor=0, taxes_minor={}, lines_minor={})
    for cut in cuts:
        gross_minor = min(cut, invoice.total_minor - credited.total_minor)
        if gross_minor == 0:
            break
        net_minor, taxes_minor = rules.split_gross(gross_minor, invoice=invoice, taxes=taxes, credited=credited)
        assert net_minor + sum(taxes_minor.values()) == gross_minor
        assert min(net_minor, *taxes_minor.values(), 0) == 0
        credited = Credited(
            net_minor=credited.net_minor + net_minor,
            total_minor=credited.total_minor + gross_minor,
            given_back_minor=0,
            taxes_minor={tax.name: credited.taxes_minor.get(tax.name, 0) + taxes_minor[tax.name] for tax in taxes},
            lines_minor={},
        )
        assert credited.net_minor <= invoice.subtotal_minor
    assert credited.net_minor == invoice.subtotal_minor
    assert credited.taxes_minor == {tax.name: tax.amount_minor for tax in taxes}
