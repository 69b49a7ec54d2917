"""GET /account/billing/history and /account/transactions/{id}: what is derived from invoices, payments, holds and credits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from billing.core import ids
from tests.support.house import Reply, Resident, counted
from tests.support.shop import Shop
from tests.support.till import Till, open_till

HISTORY = "/v1/account/billing/history"
ROW = ["id", "type", "amount", "currency", "description", "status", "created_at", "service", "resource_id"]
DETAILS = [*ROW, "payment_id", "payment_method", "invoice_id", "failure_reason"]


@pytest_asyncio.fixture
async def till(module_dsn: str) -> AsyncIterator[Till]:
    async with open_till(module_dsn) as opened:
        yield opened


@pytest_asyncio.fixture
async def shop(till: Till) -> Shop:
    shop = Shop(till)
    await shop.stock()
    return shop


@pytest_asyncio.fixture
async def jane(till: Till, shop: Shop) -> Resident:
    return await till.open_account()


async def ask(till: Till, resident: Resident, query: str = "") -> Reply:
    return await till.call("GET", f"{HISTORY}{query}", key=resident.key)


async def rows_of(till: Till, resident: Resident, query: str = "?per_page=100") -> list[dict[str, Any]]:
    reply = await ask(till, resident, query)
    assert reply.status == 200, reply.text
    return reply.body["transactions"]


async def record(till: Till, resident: Resident, amount: object, reference: str) -> None:
    body = {"amount": amount, "currency": "USD", "reference": reference, "received_at": "2024-01-15T00:00:00Z"}
    reply = await till.command(f"/accounts/{resident.id}/payments", key=f"{reference}{resident.id}", body=body)
    assert reply.status == 201, reply.text


async def live(till: Till, shop: Shop, resident: Resident) -> Decimal:
    """A month of the documentation's usage by an account in Kenya, with some money, closed; its invoice's amount."""
    await shop.live_in_kenya(resident)
    await shop.fill(resident)
    await record(till, resident, "20.00", "R-1")
    await shop.close(resident)
    (invoice,) = (await till.call("GET", "/v1/account/invoices", key=resident.key)).body["invoices"]
    return invoice["amount"]


class TestListHistory:
    async def test_needs_a_key_that_may_read(self, till: Till, jane: Resident):
        assert (await till.call("GET", HISTORY)).status == 401
        assert (await till.call("GET", HISTORY, key=await till.issue(jane, "write"))).code == "forbidden"

    async def test_is_empty_at_first(self, till: Till, jane: Resident):
        reply = await ask(till, jane)
        assert (
            reply.text == '{"transactions":[],"meta":{"total":0,"page":1,"per_page":25,"pages":0,"next_cursor":null}}'
        )

    async def test_shows_no_charge_before_the_close(self, till: Till, shop: Shop, jane: Resident):
        await shop.fill(jane)
        assert await rows_of(till, jane) == []

    async def test_shows_a_charge_per_line_and_tax(self, till: Till, shop: Shop, jane: Resident):
        await live(till, shop, jane)
        rows = await rows_of(till, jane, "?type=charge")
        assert all(list(row) == ROW for row in rows)
        shown = {(row["description"], row["amount"], row["service"], row["resource_id"]) for row in rows}
        (listed,) = (await till.call("GET", "/v1/account/invoices", key=jane.key)).body["invoices"]
        invoice = (await till.call("GET", f"/v1/account/invoices/{listed['id']}", key=jane.key)).body["invoice"]
        assert shown == {
            *(
                (f"{line['description']} - January 2024", line["amount"], line["service"], line["resource_id"])
                for line in invoice["lines"]
            ),
            ("VAT 16% - January 2024", Decimal("20.12"), None, None),
        }
        assert len(rows) == 6
        assert ("vps-2 (batch) - January 2024", Decimal("30.00"), "compute", "vps_2") in shown
        assert ("SMS - January 2024", Decimal("20.00"), "messaging", None) in shown
        assert {(row["type"], row["currency"], row["status"], row["created_at"]) for row in rows} == {
            ("charge", "USD", "completed", "2024-02-01T10:00:00Z")
        }

    async def test_agrees_with_the_usage_and_the_invoice_to_the_cent(self, till: Till, shop: Shop, jane: Resident):
        await shop.live_in_kenya(jane)
        await shop.fill(jane)
        await shop.use(jane, "bucket_2", "traffic", "0.333")
        usage = (await till.call("GET", "/v1/account/usage?detailed=true", key=jane.key)).body["usage"]
        await shop.close(jane)
        (listed,) = (await till.call("GET", "/v1/account/invoices", key=jane.key)).body["invoices"]
        invoice = (await till.call("GET", f"/v1/account/invoices/{listed['id']}", key=jane.key)).body["invoice"]
        charges = await rows_of(till, jane, "?type=charge")
        assert sum(row["amount"] for row in charges) == invoice["amount"]
        assert usage["total_cost"] == invoice["subtotal"] == Decimal("125.78")
        for service, shown in usage["services"].items():
            charged = sum(row["amount"] for row in charges if row["service"] == service)
            billed = sum(line["amount"] for line in invoice["lines"] if line["service"] == service)
            assert shown["cost"] == charged == billed == sum(resource["cost"] for resource in shown["resources"])
        assert sum(row["amount"] for row in charges if row["service"] is None) == invoice["tax"]

    async def test_gives_no_row_to_a_line_of_nothing(self, till: Till, shop: Shop, jane: Resident):
        await shop.run(jane, "db_1", service="database", type="postgres", name="main", plan=None)
        await shop.use(jane, "db_1", "queries", 5)
        await shop.close(jane)
        assert (await till.call("GET", "/v1/account/invoices", key=jane.key)).body["meta"]["total"] == 1
        assert await rows_of(till, jane) == []

    async def test_leaves_settlement_from_the_wallet_out(self, till: Till, shop: Shop, jane: Resident):
        await live(till, shop, jane)
        (wallet,) = await till.wallets(jane)
        assert wallet["total_balance"] == 0  # the 20.00 went to the invoice
        payments = [row for row in await rows_of(till, jane) if row["type"] != "charge"]
        assert [(row["type"], row["amount"], row["description"]) for row in payments] == [
            ("payment", Decimal("20.00"), "Payment received, R-1")
        ]

    async def test_shows_payments_whatever_became_of_them(self, till: Till, jane: Resident):
        for token in ("tok_visa", "tok_declined", "tok_pending"):
            till.clock.advance(timedelta(seconds=1))
            await till.top_up(jane, await till.add_method(jane, token), 5)
        rows = await rows_of(till, jane, "?type=payment")
        assert [(row["type"], row["status"]) for row in rows] == [
            ("payment", "pending"),
            ("payment", "failed"),
            ("payment", "completed"),
        ]
        assert await rows_of(till, jane) == rows
        assert await rows_of(till, jane, "?type=refund") == []

    async def test_shows_captured_holds_as_charges_and_no_others(self, till: Till, jane: Resident):
        await record(till, jane, 100, "R-2")
        for reference, end in (("domain", "capture"), ("other", "release"), ("open", None)):
            body = {"amount": 40, "currency": "USD", "reference": reference, "expires_at": "2024-03-01T00:00:00Z"}
            placed = await till.command(f"/accounts/{jane.id}/holds", key=f"{reference}{jane.id}", body=body)
            if end is not None:
                till.clock.advance(timedelta(seconds=1))
                members = {"amount": 15} if end == "capture" else {}
                path = f"/holds/{placed.body['hold']['id']}/{end}"
                assert (await till.command(path, key=f"{end}{jane.id}", body=members)).status == 200
        (charge,) = await rows_of(till, jane, "?type=charge")
        assert (charge["description"], charge["amount"], charge["created_at"]) == (
            "Captured hold, domain",
            Decimal("15.00"),
            "2024-02-01T00:00:00Z",
        )

    async def test_shows_credits_when_no_type_is_asked_for(self, till: Till, jane: Resident):
        body = {"amount": "25.00", "currency": "USD", "reason": "Welcome"}
        assert (await till.command(f"/accounts/{jane.id}/credits", key=f"c{jane.id}", body=body)).status == 201
        (row,) = await rows_of(till, jane)
        assert (row["type"], row["amount"], row["description"]) == ("credit", 25, "Promotional credit, Welcome")
        for kind in ("charge", "payment", "refund"):
            assert await rows_of(till, jane, f"?type={kind}") == []

    async def test_shows_what_is_below_0_as_an_adjustment(self, till: Till, shop: Shop, jane: Resident):
        amount = await live(till, shop, jane)
        async with till.database.transaction() as tx:
            await tx.connection.execute(
                """
                INSERT INTO invoice_lines
                SELECT (jsonb_populate_record(invoice_lines, jsonb_build_object('ordinal', 1000 + ordinal, 'kind', 'correction',
                    'service_period', '2023-12-01', 'amount_minor', -amount_minor, 'unrounded', -unrounded))).*
                FROM invoice_lines WHERE account_id = $1 AND charge_resource_id = 'vps_2'
                """,
                jane.account_id,
            )
        rows = await rows_of(till, jane)
        (adjustment,) = [row for row in rows if row["type"] == "adjustment"]
        assert (adjustment["description"], adjustment["amount"]) == ("vps-2 (batch) - December 2023", Decimal("30.00"))
        assert sum(row["amount"] for row in rows if row["type"] == "charge") - adjustment["amount"] == amount - 30
        assert adjustment not in await rows_of(till, jane, "?type=charge")

    async def test_shows_a_credit_note_as_one_adjustment(self, till: Till, shop: Shop, jane: Resident):
        await live(till, shop, jane)
        before = await rows_of(till, jane)
        async with till.database.transaction() as tx:
            note_id = tx.new_id()
            await tx.connection.execute(
                """
                WITH note AS (
                    INSERT INTO invoices
                    SELECT (jsonb_populate_record(invoices, jsonb_build_object('invoice_id', $2::uuid, 'kind', 'credit_note',
                        'number', 'CN-2024-001', 'period', '2023-12-01', 'subtotal_minor', -1000, 'tax_minor', -160,
                        'total_minor', -1160, 'paid_at_issue_minor', 0))).*
                    FROM invoices WHERE account_id = $1
                )
                INSERT INTO invoice_lines
                SELECT (jsonb_populate_record(invoice_lines, jsonb_build_object('invoice_id', $2::uuid, 'kind', 'correction',
                    'service_period', '2023-11-01', 'amount_minor', -1000, 'unrounded', -10))).*
                FROM invoice_lines WHERE account_id = $1 AND charge_resource_id = 'vps_2'
                """,
                jane.account_id,
                note_id,
            )
        (note,) = [row for row in await rows_of(till, jane) if row not in before]
        assert (note["type"], note["amount"]) == ("adjustment", Decimal("11.60"))
        assert note["description"] == "Credit note CN-2024-001 - December 2023"
        reply = await till.call("GET", f"/v1/account/transactions/{note['id']}", key=jane.key)
        assert reply.body["transaction"]["invoice_id"] == ids.encode("inv", note_id)

    async def test_never_shows_another_accounts(self, till: Till, shop: Shop, jane: Resident):
        other = await till.open_account()
        await live(till, shop, jane)
        reply = await ask(till, other)
        assert (reply.body["transactions"], reply.body["meta"]["total"]) == ([], 0)

    async def test_is_in_one_order_page_by_page(self, till: Till, shop: Shop, jane: Resident):
        await live(till, shop, jane)
        till.clock.advance(timedelta(days=1))
        for number in range(3):
            await record(till, jane, 1, f"P-{number}")
        whole = await rows_of(till, jane)
        assert len(whole) == 10
        assert whole == sorted(whole, key=lambda row: (row["created_at"], row["id"]), reverse=True)
        assert len({row["id"] for row in whole}) == 10
        for per_page in (1, 3, 7):
            pages = -(-10 // per_page)
            replies = [await ask(till, jane, f"?page={page}&per_page={per_page}") for page in range(1, pages + 1)]
            assert [row for reply in replies for row in reply.body["transactions"]] == whole
            assert counted(replies[0].body["meta"]) == {"total": 10, "page": 1, "per_page": per_page, "pages": pages}
        assert await rows_of(till, jane, "?page=5") == []
        assert (await ask(till, jane, "?page=5")).body["meta"] == {
            "total": 10,
            "page": 5,
            "per_page": 25,
            "pages": 1,
            "next_cursor": None,
        }

    @pytest.mark.parametrize(
        ("query", "amounts"),
        [
            ("", [4, 3, 2, 1]),
            ("?from_date=2024-01-31", [4, 3, 2]),
            ("?to_date=2024-01-31", [3, 2, 1]),
            ("?from_date=2024-01-31&to_date=2024-01-31", [3, 2]),
            ("?from_date=2024-01-31T12:00:00Z", [4, 3]),
            ("?to_date=2024-01-31T12:00:00Z", [3, 2, 1]),
            ("?to_date=2024-01-31T13:59:59%2B02:00", [2, 1]),
            ("?from_date=2024-02-02", []),
            ("?from_date=2024-01-31&to_date=2024-01-31&type=payment", [3, 2]),
            ("?from_date=2024-01-31&type=charge", []),
        ],
    )
    async def test_filters_by_whole_days_and_instants(self, till: Till, jane: Resident, query: str, amounts: list[int]):
        instants = ("2024-01-30T23:59:59", "2024-01-31T00:00:00", "2024-01-31T12:00:00", "2024-02-01T00:00:00")
        for amount, instant in enumerate(instants, start=1):
            till.clock.now = datetime.fromisoformat(instant).replace(tzinfo=UTC)
            await record(till, jane, amount, f"R-{amount}")
        assert [row["amount"] for row in await rows_of(till, jane, query)] == amounts

    @pytest.mark.parametrize(
        ("query", "paths"),
        [
            ("?type=adjustment", ["type"]),
            ("?type=credit", ["type"]),
            ("?type=CHARGE", ["type"]),
            ("?type=", ["type"]),
            ("?type=charge&type=payment", ["type"]),
            ("?from_date=2024-02-30", ["from_date"]),
            ("?from_date=01/02/2024", ["from_date"]),
            ("?from_date=2024-01-01T00:00:00", ["from_date"]),
            ("?to_date=", ["to_date"]),
            ("?to_date=9999-12-31", ["to_date"]),
            ("?from_date=2024-02-02&to_date=2024-02-01", ["from_date"]),
            ("?page=0", ["page"]),
            ("?page=-1", ["page"]),
            ("?page=1.5", ["page"]),
            ("?page=101&per_page=100", ["page"]),
            ("?per_page=0", ["per_page"]),
            ("?per_page=101", ["per_page"]),
            ("?cursor_=x", ["cursor_"]),
            ("?status=completed&page=x&type=%00", ["page", "status", "type"]),
            ("?type=%27%20OR%201%3D1--", ["type"]),
        ],
    )
    async def test_names_each_fault(self, till: Till, jane: Resident, query: str, paths: list[str]):
        reply = await ask(till, jane, query)
        assert (reply.status, reply.code, reply.faults) == (400, "invalid_parameter", paths)


class TestShowTransaction:
    async def test_shows_each_row_of_the_history(self, till: Till, shop: Shop, jane: Resident):
        await live(till, shop, jane)
        (invoice,) = (await till.call("GET", "/v1/account/invoices", key=jane.key)).body["invoices"]
        body = {"amount": "25.00", "currency": "USD", "reason": "Welcome"}
        await till.command(f"/accounts/{jane.id}/credits", key=f"d{jane.id}", body=body)
        rows = await rows_of(till, jane)
        assert {row["type"] for row in rows} == {"charge", "payment", "credit"}
        for row in rows:
            reply = await till.call("GET", f"/v1/account/transactions/{row['id']}", key=jane.key)
            transaction = reply.body["transaction"]
            assert (reply.status, list(transaction)) == (200, DETAILS)
            assert {name: transaction[name] for name in ROW} == row
            assert transaction["invoice_id"] == (invoice["id"] if row["type"] == "charge" else None)
            assert (transaction["payment_id"] is not None) == (row["type"] == "payment")

    async def test_does_not_know_other_ids(self, till: Till, shop: Shop, jane: Resident):
        await live(till, shop, jane)
        other = await till.open_account()
        theirs = [row["id"] for row in await rows_of(till, jane)]
        (invoice,) = (await till.call("GET", "/v1/account/invoices", key=jane.key)).body["invoices"]
        invoice_id = ids.decode("inv", invoice["id"])
        assert invoice_id is not None
        parts = [(1, 0), (1, 99), (1, 2**32 - 1), (2, 2), (3, 0), (4, 0), (0, 0), (255, 1)]
        unknown = [ids.encode_part("txn", invoice_id, kind, ordinal) for kind, ordinal in parts]
        unknown += [ids.encode("txn", invoice_id), invoice["id"], "txn_", "x", "txn_%00", "txn_" + "z" * 34]
        replies = [await till.call("GET", f"/v1/account/transactions/{one}", key=other.key) for one in theirs]
        replies += [await till.call("GET", f"/v1/account/transactions/{one}", key=jane.key) for one in unknown]
        assert {reply.status for reply in replies} == {404}
        assert len({reply.text for reply in replies}) == 1
