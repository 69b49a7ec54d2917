"""GET /account/wallets, and the operator's calls about credit, holds and the books."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

import pytest
import pytest_asyncio

from tests.support.house import STRANGER, Resident, counted
from tests.support.till import Till, open_till

WALLETS = "/v1/account/wallets"
NO_HOLD = "hold_" + "0" * 26


@pytest_asyncio.fixture
async def till(module_dsn: str) -> AsyncIterator[Till]:
    async with open_till(module_dsn) as opened:
        yield opened


@pytest_asyncio.fixture
async def jane(till: Till) -> Resident:
    return await till.open_account()


async def pay_in(till: Till, resident: Resident, amount: object, *, currency: str = "USD") -> None:
    body = {"amount": amount, "currency": currency, "reference": "Transfer 1", "received_at": "2024-01-31T09:00:00Z"}
    reply = await till.command(f"/accounts/{resident.id}/payments", key=f"paid{resident.id}", body=body)
    assert reply.status == 201, reply.text


class TestListWallets:
    async def test_needs_a_key_that_may_read(self, till: Till, jane: Resident):
        assert (await till.call("GET", WALLETS)).status == 401
        assert (await till.call("GET", WALLETS, key=await till.issue(jane, "write"))).code == "forbidden"

    async def test_shows_the_own_currency_before_it_has_had_money(self, till: Till):
        resident = await till.open_account(currency="KES")
        reply = await till.call("GET", WALLETS, key=resident.key)
        assert reply.status == 200
        assert reply.text == (
            '{"wallets":[{"currency":"KES","available_balance":0.00,"pending_balance":0.00,"reserved_balance":0.00,'
            '"total_balance":0.00}],"meta":{"total":1,"page":1,"per_page":25,"pages":1,"next_cursor":null}}'
        )

    async def test_shows_what_each_currency_holds(self, till: Till, jane: Resident):
        await pay_in(till, jane, 4000, currency="JPY")
        await till.top_up(jane, await till.add_method(jane, "tok_pending"), 25)
        reply = await till.call("GET", WALLETS, key=jane.key)
        usd, jpy = reply.body["wallets"]
        assert (usd["currency"], usd["pending_balance"], usd["total_balance"]) == ("USD", 25, 25)
        assert (jpy["currency"], jpy["available_balance"]) == ("JPY", 4000)
        assert '"available_balance":4000,' in reply.text

    async def test_adds_up_in_every_read(self, till: Till, jane: Resident):
        await pay_in(till, jane, 100)
        await till.top_up(jane, await till.add_method(jane, "tok_pending"), 25)
        body = {"amount": 30, "currency": "USD", "reference": "order", "expires_at": "2024-02-02T00:00:00Z"}
        await till.command(f"/accounts/{jane.id}/holds", key=f"h{jane.id}", body=body)
        (wallet,) = await till.wallets(jane)
        parts = [wallet[name] for name in ("available_balance", "pending_balance", "reserved_balance")]
        assert parts == [70, 25, 30]
        assert wallet["total_balance"] == sum(parts)

    async def test_pages_and_refuses_other_parameters(self, till: Till, jane: Resident):
        await pay_in(till, jane, 1, currency="KES")
        reply = await till.call("GET", f"{WALLETS}?page=2&per_page=1", key=jane.key)
        assert [wallet["currency"] for wallet in reply.body["wallets"]] == ["KES"]
        assert (await till.call("GET", f"{WALLETS}?currency=USD", key=jane.key)).status == 400


class TestGrantCredit:
    BODY: ClassVar = {"amount": 25, "currency": "USD", "reason": "Welcome"}

    async def test_is_the_operators_alone(self, till: Till, jane: Resident):
        path = f"/operator/v1/accounts/{jane.id}/credits"
        assert (await till.call("POST", path, body=self.BODY)).status == 401
        assert (await till.call("POST", path, key=jane.key, body=self.BODY)).status == 404
        assert (await till.operate("POST", f"/accounts/{jane.id}/credits", body=self.BODY)).code == (
            "idempotency_key_required"
        )

    async def test_gives_credit_that_is_no_money(self, till: Till, jane: Resident):
        reply = await till.command(f"/accounts/{jane.id}/credits", key=f"c{jane.id}", body=self.BODY)
        credit = reply.body["credit"]
        assert (reply.status, credit) == (
            201,
            {
                "id": credit["id"],
                "amount": Decimal("25.00"),
                "remaining": Decimal("25.00"),
                "currency": "USD",
                "reason": "Welcome",
                "priority": 100,
                "granted_at": "2024-02-01T10:00:00Z",
                "expires_at": None,
                "status": "active",
            },
        )
        again = await till.command(f"/accounts/{jane.id}/credits", key=f"c{jane.id}", body=self.BODY)
        assert again.text == reply.text
        assert (await till.wallets(jane))[0]["total_balance"] == 0

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            ({"amount": 0, "reason": "", "expires_at": "2024-02-01T10:00:00Z"}, ["amount", "expires_at", "reason"]),
            ({"amount": 0, "currency": None}, ["amount", "currency"]),
            ({"amount": "0.001", "currency": 7}, ["currency"]),
            ({"priority": -1}, ["priority"]),
            ({"priority": 1001}, ["priority"]),
            ({"priority": 1.5}, ["priority"]),
            ({"currency": "Usd"}, ["currency"]),
        ],
    )
    async def test_names_each_fault(self, till: Till, jane: Resident, members: dict[str, object], faults: list[str]):
        path = f"/accounts/{jane.id}/credits"
        reply = await till.command(path, key=f"f{jane.id}", body={**self.BODY, **members})
        assert (reply.status, reply.faults) == (400, faults)

    async def test_does_not_know_a_stranger(self, till: Till):
        assert (await till.command(f"/accounts/{STRANGER}/credits", key="s", body=self.BODY)).status == 404


class TestHolds:
    async def place(self, till: Till, resident: Resident, amount: object, **members: object):
        body = {
            "amount": amount,
            "currency": "USD",
            "reference": "order 1",
            "expires_at": "2024-02-02T10:00:00Z",
            **members,
        }
        return await till.command(f"/accounts/{resident.id}/holds", key=f"{amount}{resident.id}", body=body)

    async def test_set_money_aside_and_take_it(self, till: Till, jane: Resident):
        await pay_in(till, jane, 100)
        placed = await self.place(till, jane, 40)
        hold = placed.body["hold"]
        assert (placed.status, hold["status"], hold["amount"], hold["captured"]) == (201, "open", 40, None)
        above = await till.command(f"/holds/{hold['id']}/capture", key=f"a{jane.id}", body={"amount": "40.01"})
        assert (above.status, above.code) == (422, "capture_above_hold")
        wrong = await till.command(f"/holds/{hold['id']}/capture", key=f"w{jane.id}", body={"amount": 0})
        assert wrong.faults == ["amount"]
        taken = await till.command(f"/holds/{hold['id']}/capture", key=f"b{jane.id}", body={"amount": 15})
        assert (taken.status, taken.body["hold"]["status"], taken.body["hold"]["captured"]) == (200, "captured", 15)
        (wallet,) = await till.wallets(jane)
        assert (wallet["available_balance"], wallet["reserved_balance"]) == (85, 0)
        late = await till.command(f"/holds/{hold['id']}/release", key=f"l{jane.id}", body=None)
        assert (late.status, late.code) == (422, "hold_not_open")

    async def test_are_refused_beyond_what_is_available(self, till: Till, jane: Resident):
        await pay_in(till, jane, "25.75")
        reply = await self.place(till, jane, 50)
        assert (reply.status, reply.code) == (422, "insufficient_balance")
        assert '"details":{"required":50.00,"available":25.75,"currency":"USD"}' in reply.text

    async def test_expire(self, till: Till, jane: Resident):
        await pay_in(till, jane, 100)
        hold = (await self.place(till, jane, 40)).body["hold"]
        till.clock.advance(timedelta(days=1))
        (wallet,) = await till.wallets(jane)
        assert (wallet["available_balance"], wallet["reserved_balance"]) == (100, 0)
        late = await till.command(f"/holds/{hold['id']}/capture", key=f"e{jane.id}", body={})
        assert (late.status, late.body["error"]["details"]) == (422, {"status": "expired"})

    async def test_are_given_back(self, till: Till, jane: Resident):
        await pay_in(till, jane, 100)
        hold = (await self.place(till, jane, 40)).body["hold"]
        released = await till.command(f"/holds/{hold['id']}/release", key=f"r{jane.id}", body={})
        assert (released.status, released.body["hold"]["status"]) == (200, "released")
        assert (await till.wallets(jane))[0]["available_balance"] == 100

    async def test_are_not_known_by_other_ids(self, till: Till, jane: Resident):
        for hold in (NO_HOLD, jane.id, "x"):
            assert (await till.command(f"/holds/{hold}/release", key="x", body={})).status == 404

    async def test_name_each_fault(self, till: Till, jane: Resident):
        reply = await self.place(till, jane, -1, reference="", expires_at="2024-02-01T09:59:59Z")
        assert (reply.status, reply.faults) == (400, ["amount", "expires_at", "reference"])


class TestLedger:
    async def test_is_the_operators_alone(self, till: Till, jane: Resident):
        path = f"/operator/v1/accounts/{jane.id}/ledger"
        assert (await till.call("GET", path)).status == 401
        assert (await till.call("GET", path, key=jane.key)).status == 404

    async def test_shows_balances_and_transfers_newest_first(self, till: Till, jane: Resident):
        await pay_in(till, jane, 10)
        await till.top_up(jane, await till.add_method(jane), 5)
        reply = await till.operate("GET", f"/accounts/{jane.id}/ledger?per_page=2")
        assert {one["ledger_account"]: one["balance"] for one in reply.body["balances"]} == {
            "gateway:external": -10,
            "gateway:sandbox": -5,
            "wallet:cash": 15,
            "wallet:pending": 0,
        }
        assert [(one["number"], one["template"]) for one in reply.body["transfers"]] == [
            (3, "topup.settled"),
            (2, "topup.started"),
        ]
        assert {one["reference"].partition("_")[0] for one in reply.body["transfers"]} == {"pay"}
        assert counted(reply.body["meta"]) == {"total": 3, "page": 1, "per_page": 2, "pages": 2}
        second = await till.operate("GET", f"/accounts/{jane.id}/ledger?per_page=2&page=2")
        assert [one["number"] for one in second.body["transfers"]] == [1]
        beyond = await till.operate("GET", f"/accounts/{jane.id}/ledger?per_page=2&page=3")
        assert beyond.body["transfers"] == []

    async def test_of_a_new_account_is_empty(self, till: Till, jane: Resident):
        reply = await till.operate("GET", f"/accounts/{jane.id}/ledger")
        assert (reply.body["balances"], reply.body["transfers"], reply.body["meta"]["total"]) == ([], [], 0)

    async def test_does_not_know_a_stranger(self, till: Till):
        assert (await till.operate("GET", f"/accounts/{STRANGER}/ledger")).status == 404
