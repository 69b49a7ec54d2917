"""POST /account/invoices/{id}/pay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from billing import invoices, ledger, payments, wallets
from billing.core import ids
from billing.invoices.operations import collecting, ending
from billing.kit.checks import Scope
from billing.kit.db import Tx
from tests.support.house import Reply, Resident
from tests.support.shop import JANUARY, Shop
from tests.support.till import Till, open_till

DUE = Decimal("125.75")
NOTHING = "0" * 26
TRANSACTION = [
    "id", "type", "amount", "currency", "description", "status", "created_at", "service", "resource_id", "payment_id",
    "payment_method", "invoice_id", "failure_reason",
]  # fmt: skip


@pytest_asyncio.fixture
async def till(database_dsn: str) -> AsyncIterator[Till]:
    async with open_till(database_dsn) as opened:
        await Shop(opened).stock()
        yield opened


@pytest_asyncio.fixture
async def jane(till: Till) -> Resident:
    return await till.open_account()


async def bill(till: Till, resident: Resident) -> str:
    """The id of an invoice of 125.75 for January."""
    shop = Shop(till)
    await shop.fill(resident)
    await shop.close(resident)
    return (await shown(till, resident))["id"]


async def shown(till: Till, resident: Resident) -> dict[str, Any]:
    """The account's one invoice, with its parts."""
    [listed] = (await till.call("GET", "/v1/account/invoices", key=resident.key)).body["invoices"]
    return (await till.call("GET", f"/v1/account/invoices/{listed['id']}", key=resident.key)).body["invoice"]


async def pay(till: Till, resident: Resident, invoice_id: str, *, key: str | None = None, **members: object) -> Reply:
    headers = {"Idempotency-Key": key} if key else None
    path = f"/v1/account/invoices/{invoice_id}/pay"
    return await till.call("POST", path, key=resident.key, body=members or None, headers=headers)


async def receive(till: Till, resident: Resident, amount: object = 50) -> None:
    """Money in the wallet, whose event nobody has acted on yet."""
    body = {"amount": amount, "currency": "USD", "reference": str(amount), "received_at": "2024-02-01T00:00:00Z"}
    reply = await till.command(f"/accounts/{resident.id}/payments", key=str(amount), body=body)
    assert reply.status == 201, reply.text


async def grant(till: Till, resident: Resident, amount_minor: int, *, at: datetime = JANUARY) -> None:
    async with till.database.transaction() as tx:
        await wallets.grant_credit(
            Tx(tx.connection, at, tx.random_bits),
            account_id=resident.account_id,
            currency="USD",
            amount_minor=amount_minor,
            reason="a gift",
            priority=1,
            expires_at=None,
        )


async def charges(till: Till) -> list[tuple[str, int]]:
    """(status, amount) of what the gateway was asked for."""
    async with till.gateway.gateway.pool.acquire() as connection:
        rows = await connection.fetch("SELECT status, amount_minor FROM sandbox.charges ORDER BY created_at, key")
    return [tuple(row) for row in rows]


async def wallet(till: Till, resident: Resident) -> dict[str, Any]:
    return (await till.wallets(resident))[0]


async def history(till: Till, resident: Resident) -> list[tuple[str, Decimal, str]]:
    reply = await till.call("GET", "/v1/account/billing/history?type=payment", key=resident.key)
    return [(one["type"], one["amount"], one["status"]) for one in reply.body["transactions"]]


async def broken(till: Till) -> list[str]:
    async with till.database.snapshot() as tx:
        slices = (ledger, payments, invoices)
        checks = [check for one in slices for check in await one.run_checks(tx.connection, Scope(tx.now))]
    return [one.name for one in checks if one.violations]


class TestPayInvoice:
    async def test_needs_a_key_that_may_write(self, till: Till, jane: Resident):
        path = f"/v1/account/invoices/{await bill(till, jane)}/pay"
        assert (await till.call("POST", path)).status == 401
        assert (await till.call("POST", path, key=await till.issue(jane, "read"))).code == "forbidden"

    async def test_charges_the_default_method_for_what_is_due(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        method = await till.add_method(jane)
        reply = await pay(till, jane, invoice_id)
        assert (reply.status, list(reply.body)) == (200, ["invoice", "transaction"])
        transaction = reply.body["transaction"]
        assert list(transaction) == TRANSACTION
        assert transaction == {
            "id": transaction["id"],
            "type": "payment",
            "amount": DUE,
            "currency": "USD",
            "description": "Payment of invoice INV-2024-001, Visa ending 4242",
            "status": "completed",
            "created_at": "2024-02-01T10:00:00Z",
            "service": None,
            "resource_id": None,
            "payment_id": transaction["payment_id"],
            "payment_method": method,
            "invoice_id": invoice_id,
            "failure_reason": None,
        }
        invoice = reply.body["invoice"]
        assert invoice == await shown(till, jane)
        assert (invoice["status"], invoice["amount_due"], invoice["paid_at"]) == ("paid", 0, "2024-02-01T10:00:00Z")
        assert invoice["payments"] == [
            {
                "transaction_id": transaction["id"],
                "source": "method",
                "amount": DUE,
                "created_at": "2024-02-01T10:00:00Z",
            }
        ]
        got = await till.call("GET", f"/v1/account/transactions/{transaction['id']}", key=jane.key)
        assert got.body == {"transaction": transaction}
        assert await history(till, jane) == [("payment", DUE, "completed")]
        assert (await wallet(till, jane))["total_balance"] == 0
        assert await charges(till) == [("succeeded", 12_575)]
        assert await broken(till) == []

    async def test_charges_the_method_that_is_named(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane, "tok_declined")
        method = await till.add_method(jane, "tok_amex")
        reply = await pay(till, jane, invoice_id, payment_method=method)
        assert (reply.status, reply.body["transaction"]["payment_method"]) == (200, method)

    async def test_takes_credit_and_cash_first(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        await grant(till, jane, 1_000)
        await receive(till, jane, 50)
        reply = await pay(till, jane, invoice_id)
        assert reply.body["transaction"]["amount"] == Decimal("65.75")
        payments_shown = [(one["source"], one["amount"]) for one in reply.body["invoice"]["payments"]]
        assert payments_shown == [("credit", 10), ("wallet", 50), ("method", Decimal("65.75"))]
        assert reply.body["invoice"]["status"] == "paid"
        assert await broken(till) == []

    async def test_takes_no_credit_given_after_the_month(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        await grant(till, jane, 1_000, at=till.clock.now)
        assert (await pay(till, jane, invoice_id)).body["transaction"]["amount"] == DUE

    async def test_charges_nothing_where_the_wallet_has_it(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await receive(till, jane, 200)
        reply = await pay(till, jane, invoice_id)
        assert (reply.status, reply.body["transaction"]) == (200, None)
        assert [one["source"] for one in reply.body["invoice"]["payments"]] == ["wallet"]
        assert (await wallet(till, jane))["total_balance"] == Decimal("74.25")
        assert await charges(till) == []

    async def test_says_what_is_lacking_without_a_method_and_takes_nothing(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await receive(till, jane, 50)
        reply = await pay(till, jane, invoice_id)
        assert (reply.status, reply.code) == (422, "insufficient_balance")
        assert reply.body["error"]["details"] == {"required": DUE, "available": 50, "currency": "USD"}
        assert (await shown(till, jane))["amount_due"] == DUE
        assert (await wallet(till, jane))["total_balance"] == 50

    async def test_tells_a_decline_and_leaves_the_invoice(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane, "tok_insufficient_funds")
        reply = await pay(till, jane, invoice_id, key="once")
        assert (reply.status, reply.code) == (422, "payment_declined")
        assert reply.body["error"]["details"]["reason"] == "insufficient_funds"
        again = await pay(till, jane, invoice_id, key="once")
        assert (again.text, again.headers["Idempotent-Replayed"]) == (reply.text, "true")
        invoice = await shown(till, jane)
        assert (invoice["status"], invoice["amount_due"], invoice["payments"]) == ("pending", DUE, [])
        assert await history(till, jane) == [("payment", DUE, "failed")]
        assert (await wallet(till, jane))["total_balance"] == 0
        other = await till.add_method(jane)
        assert (await pay(till, jane, invoice_id, payment_method=other)).body["invoice"]["status"] == "paid"
        assert await broken(till) == []

    async def test_leaves_transaction_and_invoice_pending_until_the_gateway_settles(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane, "tok_pending")
        reply = await pay(till, jane, invoice_id)
        transaction = reply.body["transaction"]
        assert (reply.status, transaction["status"], reply.body["invoice"]["status"]) == (200, "pending", "pending")
        assert (await wallet(till, jane))["pending_balance"] == DUE
        assert await broken(till) == []
        refused = await pay(till, jane, invoice_id)
        assert (refused.status, refused.code) == (422, "invoice_not_payable")
        assert refused.body["error"]["details"] == {"status": "pending", "transaction_id": transaction["id"]}
        await till.operate("POST", f"/sandbox/payments/{transaction['payment_id']}/settle")
        await collecting.collect_arrived(till.database)
        invoice = await shown(till, jane)
        assert (invoice["status"], invoice["payments"][0]["transaction_id"]) == ("paid", transaction["id"])
        assert await broken(till) == []

    async def test_may_be_tried_again_after_a_failure(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane, "tok_pending")
        payment_id = (await pay(till, jane, invoice_id)).body["transaction"]["payment_id"]
        await till.operate("POST", f"/sandbox/payments/{payment_id}/fail")
        again = await pay(till, jane, invoice_id)
        assert again.body["transaction"]["status"] == "pending"
        assert sorted(await charges(till)) == [("failed", 12_575), ("pending", 12_575)]

    async def test_is_found_out_by_the_poller_when_the_answer_is_lost(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane, "tok_lost")
        reply = await pay(till, jane, invoice_id)
        assert (reply.status, reply.body["transaction"]["status"]) == (200, "pending")
        till.clock.advance(timedelta(minutes=5))
        assert await payments.check_payments(till.database, till.gateway) == 1
        await collecting.collect_arrived(till.database)
        assert (await shown(till, jane))["status"] == "paid"
        assert await charges(till) == [("succeeded", 12_575)]
        assert await broken(till) == []

    @pytest.mark.parametrize("dies", ["before_charge", "after_charge"])
    async def test_is_finished_by_a_retry_after_a_crash(
        self, till: Till, jane: Resident, dies: Literal["before_charge", "after_charge"]
    ):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        till.gateway.dies = dies
        with capture_logs():
            assert (await pay(till, jane, invoice_id, key="once")).status == 500
        till.gateway.dies = "never"
        reply = await pay(till, jane, invoice_id, key="once")
        assert (reply.status, reply.body["invoice"]["status"]) == (200, "paid")
        assert await charges(till) == [("succeeded", 12_575)]
        assert await broken(till) == []

    async def test_keeps_what_arrives_for_an_invoice_that_was_paid_meanwhile(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane, "tok_pending")
        payment_id = (await pay(till, jane, invoice_id)).body["transaction"]["payment_id"]
        await receive(till, jane, 100)
        await collecting.collect_arrived(till.database)
        assert (await shown(till, jane))["amount_due"] == Decimal("25.75")
        await till.operate("POST", f"/sandbox/payments/{payment_id}/settle")
        await collecting.collect_arrived(till.database)
        invoice = await shown(till, jane)
        assert [(one["source"], one["amount"]) for one in invoice["payments"]] == [
            ("wallet", 100),
            ("method", Decimal("25.75")),
        ]
        assert (await wallet(till, jane))["total_balance"] == 100
        assert await broken(till) == []

    async def test_sets_what_settled_against_its_invoice_whoever_comes_first(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        method = await till.add_method(jane)
        identifier = ids.expect("inv", invoice_id)
        async with till.database.transaction() as tx:
            payment = await payments.start_invoice_payment(
                tx,
                gateway=till.gateway,
                method=await payments.get_method(
                    tx.connection, account_id=jane.account_id, payment_method_id=ids.expect("pm", method)
                ),
                invoice_id=identifier,
                number="INV-2024-001",
                currency="USD",
                amount_minor=12_575,
            )
        await payments.charge(till.database, till.gateway, account_id=jane.account_id, payment_id=payment.payment_id)
        reply = await pay(till, jane, invoice_id)  # settled, and nobody has acted on it yet
        assert (reply.status, reply.code) == (422, "invoice_not_payable")
        await collecting.collect_arrived(till.database)
        assert (await shown(till, jane))["status"] == "paid"
        assert await charges(till) == [("succeeded", 12_575)]

    async def test_charges_once_with_50_at_the_same_time(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        replies = await asyncio.gather(*(pay(till, jane, invoice_id) for _ in range(50)))
        assert [reply.status for reply in replies].count(200) == 1
        assert {reply.code for reply in replies if reply.status != 200} == {"invoice_not_payable"}
        assert await charges(till) == [("succeeded", 12_575)]
        assert (await wallet(till, jane))["total_balance"] == 0
        assert await broken(till) == []

    async def test_happens_once_per_key_with_50_at_the_same_time(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        replies = await asyncio.gather(*(pay(till, jane, invoice_id, key="once") for _ in range(50)))
        assert {reply.status for reply in replies} <= {200, 409}
        assert len({reply.text for reply in replies if reply.status == 200}) == 1
        assert await charges(till) == [("succeeded", 12_575)]

    async def test_meets_money_that_arrives(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        await receive(till, jane, 100)
        await asyncio.gather(
            pay(till, jane, invoice_id), *(collecting.collect_arrived(till.database) for _ in range(5))
        )
        assert (await shown(till, jane))["status"] == "paid"
        assert (await wallet(till, jane))["total_balance"] == 0
        assert await broken(till) == []

    async def test_pays_what_a_chargeback_left_owing_first(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        method = await till.add_method(jane)
        topped = (await till.top_up(jane, method, 20)).body["transaction"]
        await collecting.collect_arrived(till.database)
        body = {"reason": "disputed"}
        await till.command(f"/payments/{topped['payment_id']}/chargebacks", key="c", body=body)
        reply = await pay(till, jane, invoice_id)
        assert reply.body["transaction"]["amount"] == Decimal("105.75")
        assert (reply.body["invoice"]["status"], reply.body["invoice"]["amount_due"]) == ("pending", 20)
        till.clock.advance(timedelta(seconds=1))
        assert (await pay(till, jane, invoice_id)).body["invoice"]["status"] == "paid"
        assert await broken(till) == []
        async with till.database.reading() as reading:
            paid_by = await reading.connection.fetch("SELECT source, source_id FROM invoice_payments ORDER BY ordinal")
        assert [row["source"] for row in paid_by] == ["wallet", "method", "method"]
        assert paid_by[1]["source_id"] != paid_by[2]["source_id"], "each payment's money is set against it once"

    async def test_pays_what_is_owed_with_what_a_hold_gives_back_first(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        topped = (await till.top_up(jane, await till.add_method(jane), 500)).body["transaction"]
        hold = {"amount": 20, "currency": "USD", "reference": "h", "expires_at": "2024-03-01T00:00:00Z"}
        placed = await till.command(f"/accounts/{jane.id}/holds", key="h", body=hold)
        body = {"reason": "disputed"}
        await till.command(f"/payments/{topped['payment_id']}/chargebacks", key="c", body=body)
        await till.command(f"/holds/{placed.body['hold']['id']}/release", key="r", body={})
        reply = await pay(till, jane, invoice_id)
        assert (reply.body["transaction"]["amount"], reply.body["invoice"]["status"]) == (DUE, "paid")
        listed = await till.operate("GET", f"/accounts/{jane.id}/ledger?per_page=4")
        assert [one["template"] for one in listed.body["transfers"]] == [
            "invoice.paid_from_method",
            "invoice.payment_settled",
            "invoice.payment_started",
            "owed.paid",
        ]

    async def test_is_open_to_a_suspended_account(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        await till.suspend(jane)
        assert (await pay(till, jane, invoice_id)).status == 200

    async def test_pays_an_overdue_one(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        till.clock.now = datetime(2024, 3, 1, tzinfo=UTC)
        assert (await shown(till, jane))["status"] == "overdue"
        assert (await pay(till, jane, invoice_id)).body["invoice"]["status"] == "paid"

    @pytest.mark.parametrize("status", ["void", "uncollectible"])
    async def test_refuses_what_was_ended(self, till: Till, jane: Resident, status: str):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        async with till.database.transaction() as tx:
            await tx.connection.execute("UPDATE invoice_states SET status = $1, ended_at = now()", status)
        reply = await pay(till, jane, invoice_id)
        assert (reply.status, reply.code) == (422, "invoice_not_payable")
        assert reply.body["error"]["details"] == {"status": status}
        assert await charges(till) == []

    async def test_refuses_what_is_paid(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        await pay(till, jane, invoice_id)
        reply = await pay(till, jane, invoice_id)
        assert (reply.status, reply.body["error"]["details"]) == (422, {"status": "paid"})

    async def test_refuses_a_draft(self, till: Till, jane: Resident):
        await till.add_method(jane)
        async with till.database.transaction() as tx:
            draft_id = tx.new_id()
            await tx.connection.execute(
                """
                INSERT INTO closes (account_id, period, invoice_id, currency, subtotal_minor, version, rated_at)
                VALUES ($1, '2024-01-01', $2, 'USD', 100, 0, $3)
                """,
                jane.account_id,
                draft_id,
                tx.now,
            )
        reply = await pay(till, jane, ids.encode("inv", draft_id))
        assert (reply.code, reply.body["error"]["details"]) == ("invoice_not_payable", {"status": "draft"})
        other = await till.open_account()
        assert (await pay(till, other, ids.encode("inv", draft_id))).status == 404

    async def test_does_not_know_another_accounts_invoice_or_method(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        other = await till.open_account()
        theirs = await till.add_method(other)
        replies = [
            *[await pay(till, other, one) for one in (invoice_id, f"inv_{NOTHING}", "x", "inv_%00")],
            *[await pay(till, jane, invoice_id, payment_method=one) for one in (theirs, f"pm_{NOTHING}", "x", "")],
        ]
        assert {reply.status for reply in replies} == {404}
        assert len({reply.text for reply in replies}) == 1
        assert await charges(till) == []

    @pytest.mark.parametrize(
        ("body", "faults"),
        [({"payment_method": 7}, ["payment_method"]), ({"amount": 5}, ["amount"]), ([], [""]), (b"{", [""])],
    )
    async def test_names_each_fault(self, till: Till, jane: Resident, body: object, faults: list[str]):
        path = f"/v1/account/invoices/inv_{NOTHING}/pay"
        reply = await till.call("POST", path, key=jane.key, body=body)
        assert (reply.status, reply.faults) == (400, faults)

    async def test_refuses_a_card_number(self, till: Till, jane: Resident):
        reply = await pay(till, jane, f"inv_{NOTHING}", payment_method="4242424242424242")
        assert (reply.status, reply.code) == (422, "card_number_refused")

    async def test_gives_the_money_back_to_the_wallet_when_the_invoice_is_voided(self, till: Till, jane: Resident):
        invoice_id = await bill(till, jane)
        await till.add_method(jane)
        await pay(till, jane, invoice_id)
        async with till.database.transaction() as tx:
            await ending.void(tx, invoice_id=ids.expect("inv", invoice_id))
        assert (await wallet(till, jane))["total_balance"] == DUE
        assert await broken(till) == []
