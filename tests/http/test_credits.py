"""Promotional credits as their account sees them, and the operator's undoing of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from billing import invoices, ledger
from billing.core import ids
from billing.core.period import Period
from billing.invoices.operations import ending
from tests.support.house import Reply, Resident
from tests.support.shop import Shop
from tests.support.till import Till, open_till

CREDITS = "/v1/account/credits"
SHOWN = ["id", "amount", "remaining", "currency", "reason", "priority", "granted_at", "expires_at", "status"]
NOTHING = "0" * 26
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def till(database_dsn: str) -> AsyncIterator[Till]:
    async with open_till(database_dsn) as opened:
        await Shop(opened).stock()
        opened.clock.now = START
        yield opened


@pytest_asyncio.fixture
async def jane(till: Till) -> Resident:
    return await till.open_account()


async def grant(till: Till, resident: Resident, amount: object = 10, **members: object) -> str:
    """The id of a new credit, a second after the one before."""
    till.clock.advance(timedelta(seconds=1))
    body = {"amount": amount, "currency": "USD", "reason": "a gift", **members}
    reply = await till.command(f"/accounts/{resident.id}/credits", key=till.clock.now.isoformat(), body=body)
    assert reply.status == 201, reply.text
    assert list(reply.body["credit"]) == SHOWN
    return reply.body["credit"]["id"]


async def listed(till: Till, resident: Resident, query: str = "") -> list[dict[str, Any]]:
    reply = await till.call("GET", f"{CREDITS}{query}", key=resident.key)
    assert reply.status == 200, reply.text
    return reply.body["credits"]


async def undo(till: Till, resident: Resident, credit_id: str, *, key: str = "u", body: object = None) -> Reply:
    path = f"/accounts/{resident.id}/credits/{credit_id}/undo"
    return await till.command(path, key=key, body={"reason": "a mistake"} if body is None else body)


async def close(till: Till, resident: Resident) -> None:
    """An invoice of 50.00 for January."""
    till.clock.now = datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC)
    await Shop(till).run(resident, "vps_1")
    await Shop(till).close(resident)


async def broken(till: Till) -> list[str]:
    async with till.database.snapshot() as tx:
        checks = [*await ledger.run_checks(tx.connection), *await invoices.run_checks(tx.connection)]
    return [one.name for one in checks if one.violations]


class TestListCredits:
    async def test_needs_a_key_that_may_read(self, till: Till, jane: Resident):
        assert (await till.call("GET", CREDITS)).status == 401
        assert (await till.call("GET", CREDITS, key=await till.issue(jane, "write"))).code == "forbidden"

    async def test_shows_the_accounts_own_newest_first(self, till: Till, jane: Resident):
        assert await listed(till, jane) == []
        first = await grant(till, jane, 10, priority=5, expires_at="2024-06-01T00:00:00Z")
        second = await grant(till, jane, 500, currency="JPY")
        await grant(till, await till.open_account())
        reply = await till.call("GET", CREDITS, key=jane.key)
        assert [credit["id"] for credit in reply.body["credits"]] == [second, first]
        assert reply.body["credits"][1] == {
            "id": first,
            "amount": Decimal("10.00"),
            "remaining": Decimal("10.00"),
            "currency": "USD",
            "reason": "a gift",
            "priority": 5,
            "granted_at": "2024-01-01T00:00:01Z",
            "expires_at": "2024-06-01T00:00:00Z",
            "status": "active",
        }
        assert reply.body["meta"] == {"total": 2, "page": 1, "per_page": 25, "pages": 1, "next_cursor": None}
        assert '"amount":500,"remaining":500,"currency":"JPY"' in reply.text

    async def test_goes_page_by_page(self, till: Till, jane: Resident):
        made = [await grant(till, jane) for _ in range(5)]
        pages = [await listed(till, jane, f"?page={page}&per_page=2") for page in (1, 2, 3, 4)]
        assert [credit["id"] for page in pages for credit in page] == made[::-1]

    async def test_tells_what_became_of_each(self, till: Till, jane: Resident):
        spent = await grant(till, jane, 20, priority=1)
        part = await grant(till, jane, 40, priority=2, expires_at="2024-02-20T00:00:00Z")
        undone = await grant(till, jane, 5, priority=3)
        short = await grant(till, jane, 5, priority=4, expires_at="2024-01-20T00:00:00Z")
        assert (await undo(till, jane, undone)).status == 200
        await close(till, jane)
        shown = {credit["id"]: (credit["status"], credit["remaining"]) for credit in await listed(till, jane)}
        assert shown == {spent: ("used", 0), part: ("active", 10), undone: ("undone", 0), short: ("expired", 0)}
        till.clock.now = datetime(2024, 2, 20, tzinfo=UTC)
        shown = {credit["id"]: (credit["status"], credit["remaining"]) for credit in await listed(till, jane)}
        assert (shown[part], shown[spent]) == (("expired", 10), ("used", 0))

    @pytest.mark.parametrize("query", ["?page=0", "?per_page=101", "?status=active"])
    async def test_refuses_a_faulty_query(self, till: Till, jane: Resident, query: str):
        reply = await till.call("GET", f"{CREDITS}{query}", key=jane.key)
        assert (reply.status, reply.code) == (400, "invalid_parameter")


class TestUndoCredit:
    async def test_needs_an_operators_key_with_the_scope(self, till: Till, jane: Resident):
        path = f"/operator/v1/accounts/{jane.id}/credits/{await grant(till, jane)}/undo"
        assert (await till.call("POST", path, body={})).status == 401
        assert (await till.call("POST", path, key=jane.key, body={})).status == 404
        assert (await till.call("POST", path, key=await till.issue_operator("accounts"), body={})).code == "forbidden"
        reply = await till.operate("POST", path.removeprefix("/operator/v1"), body={"reason": "x"})
        assert reply.code == "idempotency_key_required"

    async def test_takes_it_back_whole(self, till: Till, jane: Resident):
        credit_id = await grant(till, jane, 10)
        reply = await undo(till, jane, credit_id)
        assert (reply.status, list(reply.body)) == (200, ["credit"])
        assert reply.body["credit"] == (await listed(till, jane))[0]
        assert (reply.body["credit"]["status"], reply.body["credit"]["remaining"]) == ("undone", 0)
        async with till.database.snapshot() as tx:
            balances_minor = await ledger.list_balances(tx.connection, account_id=jane.account_id)
        assert balances_minor["USD", "promotions"] == 0
        assert await broken(till) == []

    async def test_happens_once(self, till: Till, jane: Resident):
        credit_id = await grant(till, jane)
        replies = await asyncio.gather(*(undo(till, jane, credit_id, key=str(number)) for number in range(20)))
        assert sorted(reply.status for reply in replies) == [200] + [422] * 19
        refused = await undo(till, jane, credit_id, key="again")
        assert refused.code == "credit_not_undoable"
        assert refused.body["error"]["details"] == {"status": "undone", "remaining": 0, "currency": "USD"}

    async def test_lets_it_pay_for_nothing(self, till: Till, jane: Resident):
        await undo(till, jane, await grant(till, jane))
        await close(till, jane)
        [invoice] = (await till.call("GET", "/v1/account/invoices", key=jane.key)).body["invoices"]
        shown = await till.call("GET", f"/v1/account/invoices/{invoice['id']}", key=jane.key)
        assert shown.body["invoice"]["payments"] == []

    async def test_refuses_what_was_spent_until_the_invoice_is_voided(self, till: Till, jane: Resident):
        credit_id = await grant(till, jane, 80)
        await close(till, jane)
        refused = await undo(till, jane, credit_id)
        assert (refused.status, refused.code) == (422, "credit_not_undoable")
        assert refused.body["error"]["details"] == {"status": "active", "remaining": 30, "currency": "USD"}
        [invoice] = (await till.call("GET", "/v1/account/invoices", key=jane.key)).body["invoices"]
        async with till.database.transaction() as tx:
            await ending.void(tx, invoice_id=ids.expect("inv", invoice["id"]))
        assert (await undo(till, jane, credit_id)).status == 200
        assert await broken(till) == []

    async def test_meets_a_close(self, till: Till, jane: Resident):
        credit_id = await grant(till, jane, 80)
        till.clock.now = datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC)
        await Shop(till).run(jane, "vps_1")
        till.clock.now = datetime(2024, 2, 1, 10, tzinfo=UTC)
        async with till.database.transaction() as tx:
            run = await invoices.request_run(tx, period=Period(2024, 1))
        undone, _ = await asyncio.gather(
            undo(till, jane, credit_id), invoices.advance(till.database, run_id=run.run_id)
        )
        [credit] = await listed(till, jane)
        assert (credit["status"], credit["remaining"]) == (("undone", 0) if undone.status == 200 else ("active", 30))
        assert await broken(till) == []

    async def test_does_not_know_another_accounts_credit(self, till: Till, jane: Resident):
        theirs = await grant(till, await till.open_account())
        for number, credit_id in enumerate((theirs, f"cred_{NOTHING}", "x")):
            assert (await undo(till, jane, credit_id, key=str(number))).status == 404

    @pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "a\x00"}, {"reason": "x" * 501}, {"reason": 1}])
    async def test_names_each_fault(self, till: Till, jane: Resident, body: object):
        reply = await undo(till, jane, f"cred_{NOTHING}", body=body)
        assert (reply.status, reply.faults) == (400, ["reason"])
