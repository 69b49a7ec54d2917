"""GET /account/invoices: which invoices are listed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from tests.support.house import Reply, Resident
from tests.support.shop import Shop
from tests.support.till import Till, open_till

INVOICES = "/v1/account/invoices"
SHOWN = [
    "id", "number", "status", "amount", "currency", "period_start", "period_end", "due_date", "paid_at", "created_at", "kind",
]  # fmt: skip
STATUSES = ("draft", "pending", "overdue", "paid", "void", "uncollectible")


@pytest_asyncio.fixture
async def till(database_dsn: str) -> AsyncIterator[Till]:
    async with open_till(database_dsn) as opened:
        await Shop(opened).stock()
        yield opened


@pytest_asyncio.fixture
async def jane(till: Till) -> Resident:
    resident = await till.open_account()
    await Shop(till).run(resident, "vps_1")
    await Shop(till).close(resident)
    return resident


async def ask(till: Till, resident: Resident, query: str = "") -> Reply:
    return await till.call("GET", f"{INVOICES}{query}", key=resident.key)


async def numbers(till: Till, resident: Resident, query: str = "") -> list[str]:
    reply = await ask(till, resident, query)
    assert reply.status == 200, reply.text
    assert reply.body["meta"]["total"] == len(reply.body["invoices"])
    return [invoice["number"] for invoice in reply.body["invoices"]]


async def mark(till: Till, status: str) -> None:
    async with till.database.transaction() as tx:
        await tx.connection.execute("UPDATE invoice_states SET status = $1", status)


class TestListInvoices:
    async def test_needs_a_key_that_may_read(self, till: Till, jane: Resident):
        assert (await till.call("GET", INVOICES)).status == 401
        assert (await till.call("GET", INVOICES, key=await till.issue(jane, "write"))).code == "forbidden"

    async def test_shows_the_accounts_own(self, till: Till, jane: Resident):
        [invoice] = (await ask(till, jane)).body["invoices"]
        assert list(invoice) == SHOWN
        assert invoice == {
            "id": invoice["id"],
            "number": "INV-2024-001",
            "status": "pending",
            "amount": Decimal("50.00"),
            "currency": "USD",
            "period_start": "2024-01-01T00:00:00Z",
            "period_end": "2024-01-31T23:59:59Z",
            "due_date": "2024-02-15T00:00:00Z",
            "paid_at": None,
            "created_at": "2024-02-01T10:00:00Z",
            "kind": "invoice",
        }
        assert await numbers(till, await till.open_account()) == []

    @pytest.mark.parametrize(
        ("stored", "shown"),
        [
            ("pending", "pending"),
            ("processing", "pending"),
            ("paid", "paid"),
            ("void", "void"),
            ("uncollectible", "uncollectible"),
        ],
    )
    async def test_lists_a_status_that_is_asked_for(self, till: Till, jane: Resident, stored: str, shown: str):
        await mark(till, stored)
        for status in STATUSES:
            assert bool(await numbers(till, jane, f"?status={status}")) == (status == shown)
        assert bool(await numbers(till, jane)) == (shown in {"pending", "paid"})

    async def test_reads_overdue_from_the_due_date_on(self, till: Till, jane: Resident):
        due = datetime(2024, 2, 15, tzinfo=UTC)
        for instant, status in ((due - timedelta(seconds=1), "pending"), (due, "overdue")):
            till.clock.now = instant
            [invoice] = (await ask(till, jane)).body["invoices"]
            assert invoice["status"] == status
            assert await numbers(till, jane, f"?status={status}") == ["INV-2024-001"]
        assert await numbers(till, jane, "?status=pending") == []

    @pytest.mark.parametrize(
        ("query", "is_listed"),
        [
            ("from_date=2024-02-01", True),
            ("from_date=2024-02-02", False),
            ("to_date=2024-02-01", True),
            ("to_date=2024-01-31", False),
            ("from_date=2024-02-01T10:00:00Z&to_date=2024-02-01T10:00:00Z", True),
            ("from_date=2024-02-01T13:00:00%2B03:00", True),
            ("from_date=2024-02-01T10:00:01Z", False),
            ("to_date=2024-02-01T09:59:59Z", False),
            ("from_date=2024-01-01&to_date=2024-02-01&status=pending", True),
            ("from_date=2024-01-01&to_date=2024-02-01&status=paid", False),
        ],
    )
    async def test_looks_at_when_an_invoice_was_made(self, till: Till, jane: Resident, query: str, is_listed: bool):
        assert bool(await numbers(till, jane, f"?{query}")) == is_listed

    @pytest.mark.parametrize(
        ("query", "faults"),
        [
            ("status=open", ["status"]),
            ("status=", ["status"]),
            ("status=paid&status=void", ["status"]),
            ("from_date=2024-02-30", ["from_date"]),
            ("from_date=2024-02-01T10:00:00", ["from_date"]),
            ("from_date=2024-02-02&to_date=2024-02-01", ["from_date"]),
            ("created=1&to_date=x", ["created", "to_date"]),
        ],
    )
    async def test_names_each_fault(self, till: Till, jane: Resident, query: str, faults: list[str]):
        reply = await ask(till, jane, f"?{query}")
        assert (reply.status, reply.faults) == (400, faults)
