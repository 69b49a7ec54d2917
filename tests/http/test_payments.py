"""Top-up, payment methods, transactions, recorded money and the sandbox gateway's levers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar, Literal

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.house import STRANGER, Resident, counted
from tests.support.till import Till, open_till

TRANSACTION = [
    "id", "type", "amount", "currency", "description", "status", "created_at", "service", "resource_id", "payment_id",
    "payment_method", "invoice_id", "failure_reason",
]  # fmt: skip
METHOD = ["id", "type", "brand", "bank_name", "last4", "exp_month", "exp_year", "is_default", "created_at"]
NO_METHOD = "pm_" + "0" * 26
TOPUP = "/v1/account/wallets/topup"
METHODS = "/v1/account/payment-methods"


@pytest_asyncio.fixture
async def till(module_dsn: str) -> AsyncIterator[Till]:
    async with open_till(module_dsn) as opened:
        yield opened


@pytest_asyncio.fixture
async def jane(till: Till) -> Resident:
    return await till.open_account()


class TestTopUp:
    async def test_needs_a_key_that_may_write(self, till: Till, jane: Resident):
        assert (await till.call("POST", TOPUP, body={})).status == 401
        key = await till.issue(jane, "read")
        assert (await till.call("POST", TOPUP, key=key, body={})).code == "forbidden"

    async def test_adds_money(self, till: Till, jane: Resident):
        method = await till.add_method(jane)
        reply = await till.top_up(jane, method, 100.5)
        assert reply.status == 201
        assert list(reply.body) == ["transaction", "wallet"]
        transaction = reply.body["transaction"]
        assert list(transaction) == TRANSACTION
        assert transaction == {
            "id": transaction["id"],
            "type": "payment",
            "amount": Decimal("100.50"),
            "currency": "USD",
            "description": "Wallet top-up, Visa ending 4242",
            "status": "completed",
            "created_at": "2024-02-01T10:00:00Z",
            "service": None,
            "resource_id": None,
            "payment_id": transaction["payment_id"],
            "payment_method": method,
            "invoice_id": None,
            "failure_reason": None,
        }
        assert '"amount":100.50,' in reply.text
        assert '"available_balance":100.50,' in reply.text
        assert reply.body["wallet"] == (await till.wallets(jane))[0]
        assert reply.headers["Location"] == f"/v1/account/transactions/{transaction['id']}"

    async def test_tops_another_currency_up(self, till: Till, jane: Resident):
        reply = await till.top_up(jane, await till.add_method(jane), 500, currency="JPY")
        assert reply.body["wallet"]["total_balance"] == 500
        assert '"amount":500,' in reply.text
        assert [wallet["currency"] for wallet in await till.wallets(jane)] == ["USD", "JPY"]

    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            ("tok_declined", "declined"),
            ("tok_insufficient_funds", "insufficient_funds"),
            ("tok_expired", "expired"),
        ],
    )
    async def test_tells_a_decline_and_tells_it_again(self, till: Till, jane: Resident, token: str, reason: str):
        method = await till.add_method(jane, token)
        first = await till.top_up(jane, method, key="once")
        assert (first.status, first.code, first.body["error"]["details"]["reason"]) == (422, "payment_declined", reason)
        again = await till.top_up(jane, method, key="once")
        assert (again.status, again.text) == (first.status, first.text)
        assert again.headers["Idempotent-Replayed"] == "true"
        transaction_id = first.body["error"]["details"]["transaction_id"]
        shown = await till.call("GET", f"/v1/account/transactions/{transaction_id}", key=jane.key)
        assert shown.body["transaction"]["status"] == "failed"
        assert shown.body["transaction"]["failure_reason"] == reason
        assert (await till.wallets(jane))[0]["total_balance"] == 0

    @pytest.mark.parametrize("token", ["tok_pending", "tok_lost"])
    async def test_leaves_money_pending_until_settled(self, till: Till, jane: Resident, token: str):
        reply = await till.top_up(jane, await till.add_method(jane, token))
        assert (reply.status, reply.body["transaction"]["status"]) == (201, "pending")
        assert reply.body["wallet"]["pending_balance"] == Decimal("100.00")
        payment_id = reply.body["transaction"]["payment_id"]
        settled = await till.operate("POST", f"/sandbox/payments/{payment_id}/settle")
        assert (settled.status, settled.body["transaction"]["status"]) == (200, "completed")
        assert (await till.wallets(jane))[0]["available_balance"] == Decimal("100.00")

    async def test_happens_once_per_key(self, till: Till, jane: Resident):
        method = await till.add_method(jane)
        first = await till.top_up(jane, method, key="once")
        again = await till.top_up(jane, method, 100, key="once")
        assert (again.status, again.text) == (201, first.text)
        other = await till.top_up(jane, method, 101, key="once")
        assert (other.status, other.code) == (422, "idempotency_key_reused")
        assert (await till.wallets(jane))[0]["total_balance"] == Decimal("100.00")

    async def test_happens_once_for_many_at_the_same_time(self, till: Till, jane: Resident):
        method = await till.add_method(jane)
        replies = await asyncio.gather(*(till.top_up(jane, method, key="once") for _ in range(50)))
        assert {reply.status for reply in replies} <= {201, 409}
        assert len({reply.text for reply in replies if reply.status == 201}) == 1
        assert (await till.wallets(jane))[0]["total_balance"] == Decimal("100.00")

    @pytest.mark.parametrize("dies", ["before_charge", "after_charge"])
    async def test_is_finished_by_a_retry_after_a_crash(
        self, till: Till, jane: Resident, dies: Literal["before_charge", "after_charge"]
    ):
        method = await till.add_method(jane)
        till.gateway.dies = dies
        with capture_logs():
            assert (await till.top_up(jane, method, key="once")).status == 500
        assert (await till.wallets(jane))[0]["pending_balance"] == Decimal("100.00")
        till.gateway.dies = "never"
        reply = await till.top_up(jane, method, key="once")
        assert (reply.status, reply.body["transaction"]["status"]) == (201, "completed")
        assert (await till.top_up(jane, method, key="once")).text == reply.text
        (wallet,) = await till.wallets(jane)
        assert (wallet["available_balance"], wallet["total_balance"]) == (100, 100)

    async def test_is_open_to_a_suspended_account(self, till: Till, jane: Resident):
        await till.suspend(jane)
        assert (await till.top_up(jane, await till.add_method(jane))).status == 201

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            ({"amount": 0}, ["amount"]),
            ({"amount": -1}, ["amount"]),
            ({"amount": "0.001"}, ["amount"]),
            ({"amount": 10**30}, ["amount"]),
            ({"amount": "NaN"}, ["amount"]),
            ({"amount": "1e400"}, ["amount"]),
            ({"amount": True}, ["amount"]),
            ({"amount": None}, ["amount"]),
            ({"amount": 1.5, "currency": "JPY"}, ["amount"]),
            ({"currency": "usd"}, ["currency"]),
            ({"currency": "'; DROP TABLE payments; --"}, ["currency"]),
            ({"amount": -1, "currency": ""}, ["amount", "currency"]),
            ({"payment_method": 7}, ["payment_method"]),
            ({"payment_method": 7, "amount": "0.001"}, ["amount", "payment_method"]),
            ({"more": 1, "amount": 0, "currency": "usd"}, ["amount", "currency", "more"]),
            ({"more": 1}, ["more"]),
        ],
    )
    async def test_names_each_fault(self, till: Till, jane: Resident, members: dict[str, object], faults: list[str]):
        body = {"amount": 100, "currency": "USD", "payment_method": NO_METHOD, **members}
        reply = await till.call("POST", TOPUP, key=jane.key, body=body)
        assert (reply.status, reply.faults) == (400, faults)

    async def test_names_what_is_missing(self, till: Till, jane: Resident):
        reply = await till.call("POST", TOPUP, key=jane.key, body={})
        assert (reply.status, reply.faults) == (400, ["amount", "currency", "payment_method"])

    @pytest.mark.parametrize("currency", ["EUR", "XQX"])
    async def test_refuses_other_currencies(self, till: Till, jane: Resident, currency: str):
        reply = await till.top_up(jane, await till.add_method(jane), currency=currency)
        assert (reply.status, reply.code) == (422, "currency_not_supported")

    @pytest.mark.parametrize("amount", ["0.99", "10000.01"])
    async def test_refuses_amounts_out_of_range(self, till: Till, jane: Resident, amount: str):
        reply = await till.top_up(jane, await till.add_method(jane), amount, key="free")
        assert (reply.status, reply.code) == (422, "amount_out_of_range")
        assert '"details":{"minimum":1.00,"maximum":10000.00,"currency":"USD"}' in reply.text
        assert (await till.top_up(jane, await till.add_method(jane), 1, key="free")).status == 201

    async def test_does_not_know_another_accounts_method(self, till: Till, jane: Resident):
        theirs = await till.add_method(await till.open_account())
        replies = [await till.top_up(jane, method) for method in (theirs, NO_METHOD, "pm_x", "", "x" * 300)]
        assert {reply.status for reply in replies} == {404}
        assert len({reply.text for reply in replies}) == 1
        assert (await till.wallets(jane))[0]["total_balance"] == 0

    async def test_refuses_a_card_number(self, till: Till, jane: Resident):
        reply = await till.top_up(jane, "4242424242424242")
        assert (reply.status, reply.code) == (422, "card_number_refused")


class TestShowTransaction:
    async def test_needs_a_key_that_may_read(self, till: Till, jane: Resident):
        path = f"/v1/account/transactions/txn_{'0' * 26}"
        assert (await till.call("GET", path)).status == 401
        assert (await till.call("GET", path, key=await till.issue(jane, "write"))).code == "forbidden"

    async def test_shows_the_transaction_alone(self, till: Till, jane: Resident):
        made = (await till.top_up(jane, await till.add_method(jane))).body["transaction"]
        reply = await till.call("GET", f"/v1/account/transactions/{made['id']}", key=jane.key)
        assert (reply.status, reply.body) == (200, {"transaction": made})

    async def test_does_not_know_another_accounts(self, till: Till, jane: Resident):
        made = (await till.top_up(jane, await till.add_method(jane))).body["transaction"]
        other = await till.open_account()
        paths = [made["id"], made["payment_id"], f"txn_{'0' * 26}", "x", "txn_%00"]
        replies = [await till.call("GET", f"/v1/account/transactions/{path}", key=other.key) for path in paths]
        assert {reply.status for reply in replies} == {404}
        assert len({reply.text for reply in replies}) == 1


class TestPaymentMethods:
    async def test_need_a_key_with_the_permission(self, till: Till, jane: Resident):
        assert (await till.call("GET", METHODS)).status == 401
        assert (await till.call("POST", METHODS, body={})).status == 401
        assert (await till.call("GET", METHODS, key=await till.issue(jane, "write"))).code == "forbidden"
        assert (await till.call("POST", METHODS, key=await till.issue(jane, "read"), body={})).code == "forbidden"

    async def test_are_added_and_the_first_is_the_default(self, till: Till, jane: Resident):
        reply = await till.call("POST", METHODS, key=jane.key, body={"type": "card", "token": "tok_amex"})
        method = reply.body["payment_method"]
        assert (reply.status, list(method)) == (201, METHOD)
        assert reply.headers["Location"] == f"{METHODS}/{method['id']}"
        assert (await till.call("GET", reply.headers["Location"], key=jane.key)).body == reply.body
        assert method == {
            "id": method["id"],
            "type": "card",
            "brand": "amex",
            "bank_name": None,
            "last4": "0005",
            "exp_month": 12,
            "exp_year": 2028,
            "is_default": True,
            "created_at": "2024-02-01T10:00:00Z",
        }
        second = await till.call("POST", METHODS, key=jane.key, body={"type": "bank_account", "token": "ba_bank"})
        assert second.body["payment_method"]["bank_name"] == "Sandbox Bank"
        assert second.body["payment_method"]["is_default"] is False

    async def test_are_read_by_their_account_until_they_are_deleted(self, till: Till, jane: Resident):
        path, other = f"{METHODS}/{await till.add_method(jane)}", await till.open_account()
        found = await till.call("GET", path, key=jane.key)
        assert (found.status, found.body["payment_method"]["brand"]) == (200, "visa")
        assert (
            await till.call("GET", path, key=jane.key, headers={"If-None-Match": found.headers["ETag"]})
        ).status == 304
        assert (await till.call("GET", path, key=other.key)).status == 404
        assert (await till.call("GET", f"{METHODS}/pm_nothing", key=jane.key)).status == 404
        await till.call("DELETE", path, key=jane.key)
        assert (await till.call("GET", path, key=jane.key)).status == 404

    async def test_are_added_once_per_key(self, till: Till, jane: Resident):
        headers = {"Idempotency-Key": "once"}
        body = {"type": "card", "token": "tok_visa"}
        first = await till.call("POST", METHODS, key=jane.key, body=body, headers=headers)
        again = await till.call("POST", METHODS, key=jane.key, body=body, headers=headers)
        assert again.text == first.text
        assert (await till.call("GET", METHODS, key=jane.key)).body["meta"]["total"] == 1

    async def test_are_listed_newest_first_in_pages(self, till: Till, jane: Resident):
        added: list[str] = []
        for number in range(3):
            till.clock.advance(timedelta(seconds=1))
            added.append(await till.add_method(jane, set_default=number == 1))
        reply = await till.call("GET", f"{METHODS}?per_page=2", key=jane.key)
        assert [(one["id"], one["is_default"]) for one in reply.body["payment_methods"]] == [
            (added[2], False),
            (added[1], True),
        ]
        assert counted(reply.body["meta"]) == {"total": 3, "page": 1, "per_page": 2, "pages": 2}
        assert (await till.call("GET", f"{METHODS}?page=0", key=jane.key)).status == 400
        assert (await till.call("GET", f"{METHODS}?type=card", key=jane.key)).status == 400

    @pytest.mark.parametrize(
        ("body", "status", "told"),
        [
            ({"type": "card", "token": "tok_invalid"}, 422, "invalid_payment_method"),
            ({"type": "card", "token": "ba_bank"}, 422, "invalid_payment_method"),
            ({"type": "bank_account", "token": "tok_visa"}, 422, "invalid_payment_method"),
            ({"type": "card", "token": "<script>alert(1)</script>"}, 422, "invalid_payment_method"),
            ({"type": "card", "token": "4242 4242 4242 4242"}, 422, "card_number_refused"),
            ({"type": "cash", "token": "tok_visa"}, 400, ["type"]),
            ({"type": "card", "token": ""}, 400, ["token"]),
            ({"type": "card", "token": "tok_" + "x" * 200}, 400, ["token"]),
            ({"type": "card", "token": "tok_\x00"}, 400, ["token"]),
            ({"type": "card", "token": "tok_visa", "set_default": "yes"}, 400, ["set_default"]),
            ({"type": "card", "token": "tok_visa", "last4": "1111"}, 400, ["last4"]),
            ({}, 400, ["token", "type"]),
        ],
    )
    async def test_refuse_what_is_none(
        self, till: Till, jane: Resident, body: object, status: int, told: str | list[str]
    ):
        reply = await till.call("POST", METHODS, key=jane.key, body=body)
        assert (reply.status, reply.faults if status == 400 else reply.code) == (status, told)
        assert (await till.call("GET", METHODS, key=jane.key)).body["payment_methods"] == []

    async def test_change_the_default(self, till: Till, jane: Resident):
        first, second = await till.add_method(jane), await till.add_method(jane)
        reply = await till.call("PUT", f"{METHODS}/{second}", key=jane.key, body={"set_default": True})
        assert (reply.status, reply.body["payment_method"]["is_default"]) == (200, True)
        listed = (await till.call("GET", METHODS, key=jane.key)).body["payment_methods"]
        assert {one["id"]: one["is_default"] for one in listed} == {first: False, second: True}
        refused = await till.call("PUT", f"{METHODS}/{second}", key=jane.key, body={"set_default": False})
        assert refused.faults == ["set_default"]

    async def test_are_deleted_once(self, till: Till, jane: Resident):
        first, second = await till.add_method(jane), await till.add_method(jane)
        assert (await till.call("DELETE", f"{METHODS}/{first}", key=jane.key)).status == 204
        assert (await till.call("DELETE", f"{METHODS}/{first}", key=jane.key)).status == 404
        assert (await till.top_up(jane, first)).status == 404
        listed = (await till.call("GET", METHODS, key=jane.key)).body["payment_methods"]
        assert [(one["id"], one["is_default"]) for one in listed] == [(second, True)]

    async def test_do_not_know_another_accounts(self, till: Till, jane: Resident):
        theirs = await till.add_method(await till.open_account())
        for method in (theirs, NO_METHOD, "x"):
            assert (await till.call("DELETE", f"{METHODS}/{method}", key=jane.key)).status == 404
            reply = await till.call("PUT", f"{METHODS}/{method}", key=jane.key, body={"set_default": True})
            assert reply.status == 404


class TestRecordPayment:
    BODY: ClassVar = {"amount": 250, "currency": "USD", "reference": "Cheque 7", "received_at": "2024-01-31T09:00:00Z"}

    async def test_is_the_operators_alone(self, till: Till, jane: Resident):
        path = f"/operator/v1/accounts/{jane.id}/payments"
        assert (await till.call("POST", path, body=self.BODY)).status == 401
        assert (await till.call("POST", path, key=jane.key, body=self.BODY)).status == 404
        wrong_scope = await till.issue_operator("billing")
        assert (await till.call("POST", path, key=wrong_scope, body=self.BODY)).code == "forbidden"

    async def test_needs_an_idempotency_key(self, till: Till, jane: Resident):
        reply = await till.operate("POST", f"/accounts/{jane.id}/payments", body=self.BODY)
        assert (reply.status, reply.code) == (400, "idempotency_key_required")

    async def test_is_cash_once_per_reference(self, till: Till, jane: Resident):
        path = f"/accounts/{jane.id}/payments"
        first = await till.command(path, key=f"a{jane.id}", body=self.BODY)
        assert (first.status, first.body["transaction"]["status"]) == (201, "completed")
        assert first.body["transaction"]["payment_method"] is None
        again = await till.command(path, key=f"b{jane.id}", body=self.BODY)
        assert again.body == first.body
        other = await till.command(path, key=f"c{jane.id}", body={**self.BODY, "amount": 251})
        assert (other.status, other.code) == (422, "payment_reference_reused")
        assert (await till.wallets(jane))[0]["available_balance"] == Decimal("250.00")

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            (
                {"amount": 0, "reference": " ", "received_at": "2024-02-01T10:06:00Z"},
                ["amount", "received_at", "reference"],
            ),
            ({"received_at": "2024-02-30T10:00:00Z"}, ["received_at"]),
            ({"received_at": "2024-01-31"}, ["received_at"]),
            ({"reference": "a\nb"}, ["reference"]),
            ({"currency": 7}, ["currency"]),
            ({"currency": 7, "received_at": "2024-02-01T10:06:00Z"}, ["currency", "received_at"]),
        ],
    )
    async def test_names_each_fault(self, till: Till, jane: Resident, members: dict[str, object], faults: list[str]):
        body = {**self.BODY, **members}
        reply = await till.command(f"/accounts/{jane.id}/payments", key=f"d{jane.id}", body=body)
        assert (reply.status, reply.faults) == (400, faults)

    async def test_does_not_know_a_stranger(self, till: Till):
        for account in (STRANGER, "x"):
            assert (await till.command(f"/accounts/{account}/payments", key="e", body=self.BODY)).status == 404


@asynccontextmanager
async def sandbox_read_only(till: Till) -> AsyncIterator[None]:
    """The sandbox's database after a failover that has not ended: it reads and does not write."""

    async def set_all(is_read_only: bool) -> None:
        pool = till.gateway.gateway.pool
        async with AsyncExitStack() as stack:
            for _ in range(pool.get_max_size()):
                session = await stack.enter_async_context(pool.acquire())
                await session.execute(f"SET default_transaction_read_only = {'on' if is_read_only else 'off'}")

    await set_all(True)
    yield
    await set_all(False)


class TestSandboxLevers:
    async def test_fail_a_pending_payment_and_stay_there(self, till: Till, jane: Resident):
        made = (await till.top_up(jane, await till.add_method(jane, "tok_pending"))).body["transaction"]
        path = f"/sandbox/payments/{made['payment_id']}"
        for _ in range(2):
            failed = await till.operate("POST", f"{path}/fail")
            assert (failed.status, failed.body["transaction"]["failure_reason"]) == (200, "declined")
        settled = await till.operate("POST", f"{path}/settle")
        assert (settled.status, settled.code) == (422, "payment_not_pending")
        assert (await till.wallets(jane))[0]["total_balance"] == 0

    async def test_settle_once_for_many_at_the_same_time(self, till: Till, jane: Resident):
        made = (await till.top_up(jane, await till.add_method(jane, "tok_pending"))).body["transaction"]
        path = f"/sandbox/payments/{made['payment_id']}/settle"
        replies = await asyncio.gather(*(till.operate("POST", path) for _ in range(50)))
        assert {reply.status for reply in replies} == {200}
        assert (await till.wallets(jane))[0]["available_balance"] == Decimal("100.00")

    async def test_ask_to_come_again_while_the_sandbox_is_not_there(self, till: Till, jane: Resident):
        made = (await till.top_up(jane, await till.add_method(jane, "tok_pending"))).body["transaction"]
        async with sandbox_read_only(till):
            for lever in ("settle", "fail"):
                reply = await till.operate("POST", f"/sandbox/payments/{made['payment_id']}/{lever}")
                assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "unavailable", "2")
        settled = await till.operate("POST", f"/sandbox/payments/{made['payment_id']}/settle")
        assert (settled.status, settled.body["transaction"]["status"]) == (200, "completed")

    async def test_do_not_know_other_payments(self, till: Till, jane: Resident):
        for payment in (f"pay_{'0' * 26}", "x"):
            assert (await till.operate("POST", f"/sandbox/payments/{payment}/settle")).status == 404
        path = f"/operator/v1/sandbox/payments/pay_{'0' * 26}/fail"
        assert (await till.call("POST", path, key=jane.key)).status == 404
