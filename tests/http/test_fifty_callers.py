"""50 callers at once of every operator's verb that moves money, on the real application with many connections.

Money is single, statuses are legal, who comes too late is told what the documents say, and every invariant holds after it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support import databases, postgres
from tests.support.cloud import find_broken
from tests.support.counting_house import CountingHouse, open_counting_house
from tests.support.house import Reply, Resident

CALLERS = 50
Call = tuple[str, dict[str, Any]]
Prepare = Callable[[CountingHouse, Resident], Awaitable[Sequence[Call]]]


@pytest_asyncio.fixture
async def house(database_server: Path) -> AsyncIterator[CountingHouse]:
    name = await databases.clone(database_server)
    async with open_counting_house(postgres.dsn(database_server, name), connections=32) as opened:
        yield opened
    await databases.drop(database_server, name)


@dataclass(frozen=True)
class Case:
    """What 50 callers ask for, how many are answered how, and what the books say then (what is not named is 0)."""

    name: str
    prepare: Prepare
    answers: dict[str, int]
    books: dict[str, str]
    top_up: str | None = "10.00"
    broken: frozenset[str] = frozenset()


async def on_invoice(house: CountingHouse, resident: Resident, verb: str, **body: Any) -> list[Call]:
    invoice_id = await house.invoice_of(resident)
    return [(f"/invoices/{invoice_id}/{verb}", body)] * CALLERS


async def void(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return await on_invoice(house, resident, "void")


async def write_off(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return await on_invoice(house, resident, "write-off")


async def credit(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return await on_invoice(house, resident, "credit-notes", amount="0.29", reason="a mistake")


async def pay_back(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return await on_invoice(house, resident, "credit-notes", amount="0.29", reason="a mistake", kind="refund")


async def end_somehow(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    """Void it, write it off, and credit all of it, all at once."""
    credits = await on_invoice(house, resident, "credit-notes", reason="a mistake")
    return [*(await void(house, resident))[:17], *(await write_off(house, resident))[:16], *credits[:17]]


async def record(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    body = {"amount": "5.00", "currency": "USD", "reference": "cheque 1", "received_at": "2024-01-30T00:00:00Z"}
    return [(f"/accounts/{resident.id}/payments", body)] * CALLERS


async def record_differently(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    ((path, body), *_) = await record(house, resident)
    return [(path, {**body, "amount": f"5.{number:02d}"}) for number in range(CALLERS)]


async def hold(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    body = {"amount": "1.00", "currency": "USD", "expires_at": "2024-03-01T00:00:00Z"}
    return [(f"/accounts/{resident.id}/holds", {**body, "reference": f"hold {n}"}) for n in range(CALLERS)]


async def hold_once(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return [(path, {**body, "reference": "one"}) for path, body in await hold(house, resident)]


async def one_hold(house: CountingHouse, resident: Resident) -> str:
    ((path, body), *_) = await hold(house, resident)
    return (await house.command(path, body)).body["hold"]["id"]


async def capture(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return [(f"/holds/{await one_hold(house, resident)}/capture", {"amount": "0.40"})] * CALLERS


async def release(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return [(f"/holds/{await one_hold(house, resident)}/release", {})] * CALLERS


async def grant(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return [(f"/accounts/{resident.id}/credits", {"amount": "1.00", "currency": "USD", "reason": "a gift"})] * CALLERS


async def undo(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    ((path, body), *_) = await grant(house, resident)
    credit_id = (await house.command(path, body)).body["credit"]["id"]
    return [(f"{path}/{credit_id}/undo", {"reason": "a mistake"})] * CALLERS


async def give_back(house: CountingHouse, resident: Resident, what: str, amount: str) -> Sequence[Call]:
    history = await house.call("GET", "/v1/account/billing/history?type=payment", key=resident.key)
    transaction = history.body["transactions"][0]["id"]
    payment = await house.call("GET", f"/v1/account/transactions/{transaction}", key=resident.key)
    path = f"/payments/{payment.body['transaction']['payment_id']}/{what}"
    return [(path, {"amount": amount, "reason": "asked for"})] * CALLERS


async def refund(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return await give_back(house, resident, "refunds", "1.00")


async def charge_back(house: CountingHouse, resident: Resident) -> Sequence[Call]:
    return await give_back(house, resident, "chargebacks", "0.50")


PAID = {"gateway:sandbox": "-10.00", "revenue": "2.50", "tax:VAT": "0.40", "wallet:cash": "7.10"}
OPEN = {"receivable": "-2.90", "revenue": "2.50", "tax:VAT": "0.40"}
CASES = [
    Case("void", void, {"200": 1, "invoice_not_voidable": 49}, {"gateway:sandbox": "-10.00", "wallet:cash": "10.00"}),
    Case(
        "write-off",
        write_off,
        {"200": 1, "invoice_not_payable": 49},
        {"write_offs": "-2.90", "revenue": "2.50", "tax:VAT": "0.40"},
        top_up=None,
    ),
    Case(
        "credit note",
        credit,
        {"201": 10, "credit_note_exceeds_invoice": 40},
        {"gateway:sandbox": "-10.00", "wallet:cash": "10.00"},
    ),
    Case("credit note of an open invoice", credit, {"201": 10, "credit_note_exceeds_invoice": 40}, {}, top_up=None),
    Case(
        "credit note that pays back",
        pay_back,
        {"201": 10, "credit_note_exceeds_invoice": 40},
        {"gateway:sandbox": "-7.10", "wallet:cash": "7.10"},
    ),
    Case("recorded payment", record, {"201": 50}, {**OPEN, "gateway:external": "-5.00", "wallet:cash": "5.00"}, None),
    Case(
        "holds",
        hold,
        {"201": 7, "insufficient_balance": 43},
        {**PAID, "wallet:cash": "0.10", "wallet:held": "7.00"},
    ),
    Case("one hold", hold_once, {"201": 50}, {**PAID, "wallet:cash": "6.10", "wallet:held": "1.00"}),
    Case("capture", capture, {"200": 1, "hold_not_open": 49}, {**PAID, "wallet:cash": "6.70", "revenue": "2.90"}),
    Case("release", release, {"200": 1, "hold_not_open": 49}, PAID),
    Case("promotional credit", grant, {"201": 50}, {**PAID, "promotions": "-50.00"}),
    Case("undone credit", undo, {"200": 1, "credit_not_undoable": 49}, PAID),
    Case(
        "refund",
        refund,
        {"201": 7, "insufficient_balance": 43},
        {**PAID, "gateway:sandbox": "-3.00", "wallet:cash": "0.10"},
    ),
    Case(
        "chargeback",
        charge_back,
        {"201": 20, "chargeback_exceeds_payment": 30},
        {"owed": "-2.90", "revenue": "2.50", "tax:VAT": "0.40"},
        broken=frozenset({"nobody is owed by a chargeback"}),
    ),
]


def told(reply: Reply) -> str:
    return str(reply.status) if reply.status < 400 else reply.code


async def sound(house: CountingHouse) -> set[str]:
    """The names of the invariants that do not hold."""
    async with house.database.snapshot() as tx:
        return {check.name for check in await find_broken(tx)}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
class TestFiftyCallers:
    async def test_with_keys_of_their_own(self, house: CountingHouse, case: Case) -> None:
        resident = await house.billed(case.top_up)
        calls = await case.prepare(house, resident)
        replies = await asyncio.gather(*(house.command(path, body) for path, body in calls))
        assert Counter(told(reply) for reply in replies) == case.answers
        books = await house.books(resident)
        found = {name: str(minor) for name, minor in books.items() if not name.startswith("promo:")}
        assert found == case.books
        assert await sound(house) <= case.broken

    async def test_with_one_key_are_answered_once(self, house: CountingHouse, case: Case) -> None:
        resident = await house.billed(case.top_up)
        (path, body), *_ = await case.prepare(house, resident)
        before = await house.books(resident)
        replies = await asyncio.gather(*(house.command(path, body, key="one-for-all") for _ in range(20)))
        assert {told(reply) for reply in replies} <= {"200", "201", "idempotency_in_progress"}
        assert len({reply.text for reply in replies if reply.status < 400}) == 1
        again = await house.command(path, body, key="one-for-all")
        assert again.headers["Idempotent-Replayed"] == "true"
        once = await house.books(resident)
        assert once != before
        assert await sound(house) <= case.broken


class TestMixedCallers:
    async def test_end_an_invoice_in_one_way(self, house: CountingHouse) -> None:
        """An open invoice: voided, or written off, or credited; whoever comes later is refused."""
        resident = await house.billed(None)
        calls = await end_somehow(house, resident)
        replies = await asyncio.gather(*(house.command(path, body) for path, body in calls))
        assert sum(reply.status < 400 for reply in replies) == 1
        assert {told(reply) for reply in replies if reply.status >= 400} <= {
            "invoice_not_voidable",
            "invoice_not_payable",
            "credit_note_exceeds_invoice",
        }
        assert (await house.books(resident)).get("receivable", Decimal(0)) == 0
        assert await sound(house) == set()

    async def test_record_one_payment_of_a_reference(self, house: CountingHouse) -> None:
        resident = await house.billed(None)
        calls = await record_differently(house, resident)
        replies = await asyncio.gather(*(house.command(path, body) for path, body in calls))
        assert Counter(told(reply) for reply in replies) == {"201": 1, "payment_reference_reused": 49}
        assert await sound(house) == set()

    async def test_capture_or_release_a_hold(self, house: CountingHouse) -> None:
        resident = await house.billed("10.00")
        hold_id = await one_hold(house, resident)
        calls = [f"/holds/{hold_id}/{verb}" for verb in ("capture", "release") * (CALLERS // 2)]
        replies = await asyncio.gather(*(house.command(path, {}) for path in calls))
        assert Counter(told(reply) for reply in replies) == {"200": 1, "hold_not_open": 49}
        assert await sound(house) == set()

    async def test_refund_and_charge_back_no_more_than_was_paid(self, house: CountingHouse) -> None:
        resident = await house.billed("10.00")
        credits = await pay_back(house, resident)
        refunds = await refund(house, resident)
        disputes = await charge_back(house, resident)
        calls = [call for group in zip(credits, refunds, disputes, strict=True) for call in group][:CALLERS]
        replies = await asyncio.gather(*(house.command(path, body) for path, body in calls))
        assert {told(reply) for reply in replies} <= {
            "201",
            "credit_note_exceeds_invoice",
            "payments_not_refundable",
            "insufficient_balance",
            "refund_exceeds_payment",
            "chargeback_exceeds_payment",
        }
        assert (await house.books(resident)).get("gateway:sandbox", Decimal(0)) <= 0
        assert await sound(house) <= {"nobody is owed by a chargeback"}
