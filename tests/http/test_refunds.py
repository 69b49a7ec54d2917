"""Refunds and chargebacks over HTTP: who may ask, what is answered, once per key, and what the history and the books show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, cast

import httpx2
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from billing import api_keys, payments, wallets
from billing.kit.db import Database, open_pool
from billing.kit.web import build_app
from tests.support.counter import FaultyGateway
from tests.support.house import Clock, Reply, Resident, counted
from tests.support.till import OPERATOR, PUBLIC, Till

REFUND = [
    "id", "payment_id", "amount", "currency", "reason", "status", "created_at", "failure_reason", "transaction_id"
]  # fmt: skip
CHARGEBACK = [
    "id", "payment_id", "amount", "currency", "reason", "taken", "owed", "created_at", "transaction_id"
]  # fmt: skip
NOTHING = "pay_" + "0" * 26


@dataclass(kw_only=True)
class Counter(Till):
    """A till whose gateway gives money back, over a `line` that fails when it is told to."""

    line: FaultyGateway

    async def paid(self, resident: Resident, amount: object = "100.00", token: str = "tok_visa") -> str:
        """The id of a new top-up."""
        reply = await self.top_up(resident, await self.add_method(resident, token), amount)
        assert reply.status == 201, reply.text
        return reply.body["transaction"]["payment_id"]

    async def give_back(self, what: str, payment_id: str, *, key: str | None = "once", **members: Any) -> Reply:
        """POST /payments/{id}/refunds or /chargebacks."""
        body = {"reason": "asked for", **members}
        headers = {"Idempotency-Key": f"{key} {payment_id}".replace(" ", "-")} if key else None
        return await self.operate("POST", f"/payments/{payment_id}/{what}", body=body, headers=headers)

    async def books(self, resident: Resident) -> dict[str, Decimal]:
        """The balances that are not 0 by ledger account."""
        reply = await self.operate("GET", f"/accounts/{resident.id}/ledger")
        return {one["ledger_account"]: one["balance"] for one in reply.body["balances"] if one["balance"]}

    async def history(self, resident: Resident, query: str = "") -> list[dict[str, Any]]:
        """GET /account/billing/history."""
        reply = await self.call("GET", f"/v1/account/billing/history{query}", key=resident.key)
        return reply.body["transactions"]


@pytest_asyncio.fixture
async def till(module_dsn: str) -> AsyncIterator[Counter]:
    clock = Clock()
    pool, sandbox_pool = await open_pool(module_dsn, size=4), await open_pool(module_dsn, size=2)
    database = Database(pool, clock)
    keyring = api_keys.Keyring(database)
    sandbox = payments.SandboxGateway(sandbox_pool, clock)
    gateway = FaultyGateway(sandbox)
    currencies = frozenset({"USD", "KES", "JPY"})
    async with database.transaction() as tx:
        operator_key = (await api_keys.create_operator_key(tx, name="Test", scopes=["*"])).secret
    app = build_app(
        database=database,
        read_caller=keyring.read_caller,
        read_operator=keyring.read_operator,
        public=PUBLIC,
        operator=OPERATOR,
        values={
            "payment_settings": payments.PaymentSettings(gateway, payments.topup_ranges(currencies)),
            "wallet_settings": wallets.WalletSettings(wallets.reserve_for_usage, currencies),
            "sandbox": sandbox,
            "topups": payments.TopUps(database, gateway=gateway, reserve=wallets.reserve_for_usage),
        },
    )
    transport = httpx2.ASGITransport(app=cast("Any", app), client=("127.0.0.1", 50_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://billing.test") as client:
        yield Counter(client, database, keyring, clock, operator_key, gateway=gateway, line=gateway)
    await keyring.close()
    await sandbox_pool.close()
    await pool.close()


@pytest_asyncio.fixture
async def jane(till: Counter) -> Resident:
    return await till.open_account()


@pytest.mark.parametrize("what", ["refunds", "chargebacks"])
class TestBoth:
    async def test_need_an_operator_for_payments(self, till: Counter, jane: Resident, what: str):
        path = f"/payments/{await till.paid(jane)}/{what}"
        body = {"reason": "r"}
        assert (await till.call("POST", f"/operator/v1{path}", body=body)).status == 401
        assert (await till.call("POST", f"/operator/v1{path}", key=jane.key, body=body)).status == 404
        async with till.database.transaction() as tx:
            lesser = await api_keys.create_operator_key(tx, name="Catalog", scopes=["catalog", "billing"])
        reply = await till.call("POST", f"/operator/v1{path}", key=lesser.secret, body=body)
        assert (reply.status, reply.code) == (403, "forbidden")

    async def test_need_a_key(self, till: Counter, jane: Resident, what: str):
        reply = await till.give_back(what, await till.paid(jane), key=None)
        assert (reply.status, reply.code) == (400, "idempotency_key_required")

    @pytest.mark.parametrize("payment_id", [NOTHING, "nonsense", "txn_" + "0" * 26, "pay_" + "z" * 26])
    async def test_know_no_other_payment(self, till: Counter, jane: Resident, what: str, payment_id: str):
        reply = await till.give_back(what, payment_id)
        assert (reply.status, reply.code) == (404, "not_found")

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            ({"amount": 0}, ["amount"]),
            ({"amount": -1}, ["amount"]),
            ({"amount": "-0.01"}, ["amount"]),
            ({"amount": "0.001"}, ["amount"]),
            ({"amount": 10**30}, ["amount"]),
            ({"amount": "NaN"}, ["amount"]),
            ({"amount": True}, ["amount"]),
            ({"reason": ""}, ["reason"]),
            ({"reason": "x" * 501}, ["reason"]),
            ({"reason": "\x00"}, ["reason"]),
            ({"reason": None}, ["reason"]),
            ({"reason": "", "amount": 0}, ["amount", "reason"]),
            ({"currency": "USD"}, ["currency"]),
            ({"status": "completed"}, ["status"]),
        ],
    )
    async def test_name_each_fault(
        self, till: Counter, jane: Resident, what: str, members: dict[str, Any], faults: list[str]
    ):
        reply = await till.give_back(what, await till.paid(jane), **members)
        assert (reply.status, reply.code, reply.faults) == (400, "invalid_parameter", faults)
        assert await till.books(jane) == {"gateway:sandbox": -100, "wallet:cash": 100}

    async def test_are_never_more_than_the_payment(self, till: Counter, jane: Resident, what: str):
        payment_id = await till.paid(jane)
        await till.paid(jane)
        reply = await till.give_back(what, payment_id, amount="100.01")
        assert (reply.status, reply.code) == (422, f"{what.removesuffix('s')}_exceeds_payment")
        assert reply.body["error"]["details"] == {
            "refundable" if what == "refunds" else "disputable": 100,
            "captured": 100,
            "refunded": 0,
            "disputed": 0,
            "currency": "USD",
        }
        assert '"captured":100.00' in reply.text
        again = await till.give_back(what, payment_id, amount="100.00")
        assert again.status == 201, "the key was left unused, so that another body may have it"

    async def test_happen_once_per_key(self, till: Counter, jane: Resident, what: str):
        payment_id = await till.paid(jane)
        first = await till.give_back(what, payment_id, amount=40)
        again = await till.give_back(what, payment_id, amount="40.00")
        assert (first.status, again.status, again.text) == (201, 201, first.text)
        assert again.headers["Idempotent-Replayed"] == "true"
        other = await till.give_back(what, payment_id, amount=41)
        assert (other.status, other.code) == (422, "idempotency_key_reused")
        assert (await till.books(jane))["wallet:cash"] == 60

    async def test_happen_once_for_many_at_the_same_time(self, till: Counter, jane: Resident, what: str):
        payment_id = await till.paid(jane)
        replies = await asyncio.gather(*(till.give_back(what, payment_id, amount=40) for _ in range(50)))
        assert {reply.status for reply in replies} <= {201, 409}
        assert len({reply.text for reply in replies if reply.status == 201}) == 1
        assert (await till.books(jane))["wallet:cash"] == 60

    async def test_answer_in_the_payments_currency(self, till: Counter, jane: Resident, what: str):
        method = await till.add_method(jane)
        topped = await till.top_up(jane, method, 700, currency="JPY")
        reply = await till.give_back(what, topped.body["transaction"]["payment_id"], amount=300)
        assert '"amount":300,"currency":"JPY"' in reply.text
        wrong = await till.give_back(what, topped.body["transaction"]["payment_id"], key="2", amount="0.5")
        assert (wrong.status, wrong.faults) == (400, ["amount"])


class TestRefund:
    async def test_gives_a_top_up_back(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane)
        reply = await till.give_back("refunds", payment_id, reason="Wrong amount")
        assert reply.status == 201
        assert list(reply.body["refund"]) == REFUND
        refund = reply.body["refund"]
        assert refund == {
            "id": refund["id"],
            "payment_id": payment_id,
            "amount": Decimal("100.00"),
            "currency": "USD",
            "reason": "Wrong amount",
            "status": "completed",
            "created_at": "2024-02-01T10:00:00Z",
            "failure_reason": None,
            "transaction_id": refund["transaction_id"],
        }
        assert refund["id"].startswith("ref_")
        assert '"amount":100.00,' in reply.text
        assert await till.books(jane) == {}
        (wallet,) = await till.wallets(jane)
        assert wallet["total_balance"] == 0

    async def test_is_never_more_than_what_is_available(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane)
        hold = {"amount": 30, "currency": "USD", "reference": "o", "expires_at": "2024-02-02T00:00:00Z"}
        assert (await till.command(f"/accounts/{jane.id}/holds", key=f"h{jane.id}", body=hold)).status == 201
        reply = await till.give_back("refunds", payment_id)
        assert (reply.status, reply.code) == (422, "insufficient_balance")
        assert reply.body["error"]["details"] == {"required": 100, "available": 70, "currency": "USD"}
        assert (await till.give_back("refunds", payment_id, amount=70)).status == 201

    async def test_is_not_for_recorded_money(self, till: Counter, jane: Resident):
        body = {"amount": 5, "currency": "USD", "reference": "b", "received_at": "2024-01-15T00:00:00Z"}
        recorded = await till.command(f"/accounts/{jane.id}/payments", key=f"p{jane.id}", body=body)
        reply = await till.give_back("refunds", recorded.body["transaction"]["payment_id"])
        assert (reply.status, reply.code) == (422, "payment_not_refundable")
        assert reply.body["error"]["details"] == {"kind": "recorded", "gateway": "external"}

    async def test_that_is_declined_is_told_and_told_again(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane, token="tok_refund_declined")
        first = await till.give_back("refunds", payment_id, amount=40)
        assert (first.status, first.code) == (422, "refund_declined")
        assert first.body["error"]["details"]["reason"] == "declined"
        again = await till.give_back("refunds", payment_id, amount=40)
        assert (again.status, again.text, again.headers["Idempotent-Replayed"]) == (422, first.text, "true")
        assert await till.books(jane) == {"gateway:sandbox": -100, "wallet:cash": 100}
        (refund,) = (await till.operate("GET", f"/payments/{payment_id}/refunds")).body["refunds"]
        assert (refund["id"], refund["status"]) == (first.body["error"]["details"]["refund_id"], "failed")

    async def test_without_an_answer_is_pending_until_the_poller_knows(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane)
        till.line.refunds = "unheard"
        reply = await till.give_back("refunds", payment_id, amount=40)
        assert (reply.status, reply.body["refund"]["status"]) == (201, "pending")
        (wallet,) = await till.wallets(jane)
        assert (wallet["available_balance"], wallet["reserved_balance"]) == (60, 40)
        till.line.refunds = "work"
        assert (await till.give_back("refunds", payment_id, amount=40)).text == reply.text, "replayed, not asked again"
        till.clock.advance(timedelta(minutes=5))
        assert await payments.check_payments(till.database, till.line) == 1
        listed = (await till.operate("GET", f"/payments/{payment_id}/refunds")).body
        assert [one["status"] for one in listed["refunds"]] == ["completed"]
        assert listed["meta"]["total"] == 1
        assert await till.books(jane) == {"gateway:sandbox": -60, "wallet:cash": 60}

    @pytest.mark.parametrize("fault", ["die before", "die after"])
    async def test_is_finished_by_a_retry_after_a_crash(
        self, till: Counter, jane: Resident, fault: Literal["die before", "die after"]
    ):
        payment_id = await till.paid(jane)
        till.line.refunds = fault
        with capture_logs():
            assert (await till.give_back("refunds", payment_id, amount=40)).status == 500
        assert (await till.books(jane))["wallet:held"] == 40
        till.line.refunds = "work"
        reply = await till.give_back("refunds", payment_id, amount=40)
        assert (reply.status, reply.body["refund"]["status"]) == (201, "completed")
        assert (await till.give_back("refunds", payment_id, amount=40)).text == reply.text
        assert await till.books(jane) == {"gateway:sandbox": -60, "wallet:cash": 60}

    async def test_is_in_the_history(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane)
        till.clock.advance(timedelta(minutes=1))
        refund = (await till.give_back("refunds", payment_id, amount=40)).body["refund"]
        rows = await till.history(jane)
        assert [row["type"] for row in rows] == ["refund", "payment"]
        assert rows[0] == {
            "id": refund["transaction_id"],
            "type": "refund",
            "amount": Decimal("40.00"),
            "currency": "USD",
            "description": "Refund of wallet top-up, Visa ending 4242",
            "status": "completed",
            "created_at": "2024-02-01T10:01:00Z",
            "service": None,
            "resource_id": None,
        }
        assert await till.history(jane, "?type=refund") == rows[:1]
        shown = await till.call("GET", f"/v1/account/transactions/{rows[0]['id']}", key=jane.key)
        details = shown.body["transaction"]
        assert (details["type"], details["payment_id"], details["status"]) == ("refund", payment_id, "completed")


class TestRefunds:
    async def test_are_listed_newest_first(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane)
        for amount in (1, 2, 3):
            till.clock.advance(timedelta(seconds=1))
            assert (await till.give_back("refunds", payment_id, key=str(amount), amount=amount)).status == 201
        listed = (await till.operate("GET", f"/payments/{payment_id}/refunds?per_page=2")).body
        assert [one["amount"] for one in listed["refunds"]] == [3, 2]
        assert counted(listed["meta"]) == {"total": 3, "page": 1, "per_page": 2, "pages": 2}
        assert (await till.operate("GET", f"/payments/{NOTHING}/refunds")).status == 404


class TestChargeback:
    async def test_takes_money_back(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane)
        reply = await till.give_back("chargebacks", payment_id, reason="Fraud")
        assert reply.status == 201
        chargeback = reply.body["chargeback"]
        assert list(chargeback) == CHARGEBACK
        assert (chargeback["amount"], chargeback["taken"], chargeback["owed"]) == (100, 100, 0)
        assert chargeback["id"].startswith("chb_")
        assert await till.books(jane) == {}

    async def test_leaves_the_rest_owed_in_the_books_and_out_of_the_wallet(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane)
        hold = {"amount": 70, "currency": "USD", "reference": "o", "expires_at": "2024-02-02T00:00:00Z"}
        placed = await till.command(f"/accounts/{jane.id}/holds", key=f"h{jane.id}", body=hold)
        await till.command(f"/holds/{placed.body['hold']['id']}/capture", key=f"c{jane.id}", body={})
        chargeback = (await till.give_back("chargebacks", payment_id)).body["chargeback"]
        assert (chargeback["taken"], chargeback["owed"]) == (30, 70)
        assert await till.books(jane) == {"owed": -70, "revenue": 70}
        (wallet,) = await till.wallets(jane)
        assert [wallet[name] for name in wallet if name != "currency"] == [0, 0, 0, 0]
        await till.paid(jane, 100)
        assert await till.books(jane) == {"gateway:sandbox": -100, "revenue": 70, "wallet:cash": 30}

    async def test_is_in_the_history_when_no_type_is_asked_for(self, till: Counter, jane: Resident):
        payment_id = await till.paid(jane)
        till.clock.advance(timedelta(minutes=1))
        chargeback = (await till.give_back("chargebacks", payment_id, amount=40)).body["chargeback"]
        rows = await till.history(jane)
        assert [(row["type"], row["id"], row["amount"]) for row in rows[:1]] == [
            ("chargeback", chargeback["transaction_id"], 40)
        ]
        assert [row["type"] for row in await till.history(jane, "?type=payment")] == ["payment"]


async def test_refunds_and_a_chargeback_at_once_never_exceed_the_payment(till: Counter, jane: Resident):
    payment_id = await till.paid(jane)
    await till.paid(jane, 500)
    calls = [till.give_back("refunds", payment_id, key=str(number), amount=7) for number in range(50)]
    calls.insert(25, till.give_back("chargebacks", payment_id, amount=45))
    replies = await asyncio.gather(*calls)
    accepted = [reply.body for reply in replies if reply.status == 201]
    assert {reply.status for reply in replies} == {201, 422}
    assert {reply.code for reply in replies if reply.status == 422} <= {
        "refund_exceeds_payment",
        "chargeback_exceeds_payment",
    }
    taken = sum(next(iter(body.values()))["amount"] for body in accepted)
    assert 93 < taken <= 100
    assert await till.books(jane) == {"gateway:sandbox": taken - 600, "wallet:cash": 600 - taken}
