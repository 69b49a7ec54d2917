"""GET /account/transactions/{id}/receipt: what arrived, and which invoices it paid."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest_asyncio
from pypdf import PdfReader

from billing import accounts
from billing.invoices.operations import collecting
from tests.support.house import Reply, Resident
from tests.support.shop import Shop
from tests.support.till import Till, open_till

ISSUER = {"name": "Lineserve Cloud Ltd", "address": "Nairobi", "tax_id": "P051234567A"}


@pytest_asyncio.fixture
async def till(database_dsn: str) -> AsyncIterator[Till]:
    async with open_till(database_dsn) as opened:
        await Shop(opened).stock()
        yield opened


@pytest_asyncio.fixture
async def jane(till: Till) -> Resident:
    return await till.open_account()


async def bill(till: Till, resident: Resident) -> dict[str, Any]:
    """An invoice of 125.75 for January."""
    shop = Shop(till)
    await shop.fill(resident)
    await shop.close(resident)
    [listed] = (await till.call("GET", "/v1/account/invoices", key=resident.key)).body["invoices"]
    return listed


async def top_up(till: Till, resident: Resident, *, amount: int = 200, token: str = "tok_visa") -> Reply:
    return await till.top_up(resident, await till.add_method(resident, token), amount)


async def receipt(till: Till, key: str | None, transaction_id: str, **headers: str) -> httpx2.Response:
    path = f"/v1/account/transactions/{transaction_id}/receipt"
    return await till.client.get(path, headers=headers | ({} if key is None else {"Authorization": f"Bearer {key}"}))


def text_of(reply: httpx2.Response) -> str:
    assert reply.status_code == 200, reply.text
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(reply.content)).pages)


class TestReceipt:
    async def test_of_a_top_up(self, till: Till, jane: Resident) -> None:
        transaction = (await top_up(till, jane)).body["transaction"]
        reply = await receipt(till, jane.key, transaction["id"])
        text = text_of(reply)
        assert "Wallet top-up, Visa ending 4242" in text
        assert "$200.00 USD" in text
        assert "Still due" not in text
        assert reply.headers["content-type"] == "application/pdf"
        assert reply.headers["content-disposition"] == f'attachment; filename="receipt-{transaction["id"]}.pdf"'
        assert reply.headers["etag"] == f'"{hashlib.sha256(reply.content).hexdigest()}"'

    async def test_of_a_payment_of_an_invoice(self, till: Till, jane: Resident) -> None:
        invoice, method = await bill(till, jane), await till.add_method(jane)
        path = f"/v1/account/invoices/{invoice['id']}/pay"
        paid = await till.call("POST", path, key=jane.key, body={"payment_method": method})
        text = text_of(await receipt(till, jane.key, paid.body["transaction"]["id"]))
        assert re.search(rf"{invoice['number']} .* 2024 125\.75 125\.75 0\.00", text)
        assert "What it paid" in text

    async def test_of_money_that_paid_an_invoice_from_the_wallet(self, till: Till, jane: Resident) -> None:
        invoice = await bill(till, jane)
        body = {"amount": 100, "currency": "USD", "reference": "RTGS 7", "received_at": "2024-01-31T00:00:00Z"}
        recorded = await till.command(f"/accounts/{jane.id}/payments", key="rtgs", body=body)
        text = text_of(await receipt(till, jane.key, recorded.body["transaction"]["id"]))
        assert re.search(rf"{invoice['number']} .* 2024 125\.75 100\.00 25\.75", text)
        assert "Paid from the wallet as the money arrived" in text
        assert re.search(r"Received\s+31 January 2024", text)
        assert re.search(r"Reference\s+RTGS 7", text)

    async def test_says_the_same_whether_the_job_or_the_reader_comes_first(self, till: Till, jane: Resident) -> None:
        bob = await till.open_account()
        rows: list[str] = []
        for resident in (jane, bob):
            invoice = await bill(till, resident)
            transaction = (await top_up(till, resident, amount=100)).body["transaction"]
            if resident is bob:
                await collecting.collect_arrived(till.database)
            rows += re.findall(
                rf"{invoice['number']} (.*)", text_of(await receipt(till, resident.key, transaction["id"]))
            )
        assert [row.rpartition(" 2024 ")[2] for row in rows] == ["125.75 100.00 25.75"] * 2

    async def test_leaves_the_invoice_as_it_was_issued(self, till: Till, jane: Resident) -> None:
        invoice = await bill(till, jane)
        path = f"/v1/account/invoices/{invoice['id']}/pdf"
        headers = {"Authorization": f"Bearer {jane.key}"}
        before = (await till.client.get(path, headers=headers)).content
        transaction = (await top_up(till, jane)).body["transaction"]
        await receipt(till, jane.key, transaction["id"])
        assert (await till.client.get(path, headers=headers)).content == before

    async def test_is_frozen(self, till: Till, jane: Resident) -> None:
        """The parties are those of the payment; later changes of account and issuer are on later receipts."""
        await till.operate("PUT", "/issuer", body=ISSUER)
        first, second = [(await top_up(till, jane)).body["transaction"] for _ in range(2)]
        made = await receipt(till, jane.key, first["id"])
        await collecting.collect_arrived(till.database)
        till.clock.advance(timedelta(days=40))
        async with till.database.transaction() as tx:
            await accounts.change(tx, account_id=jane.account_id, changes={"company": "Later Ltd"})
        await till.operate("PUT", "/issuer", body={**ISSUER, "name": "Another Cloud"})
        again = await receipt(till, jane.key, first["id"])
        assert again.content == made.content
        text = text_of(await receipt(till, jane.key, second["id"]))
        assert "Lineserve Cloud Ltd" in text
        assert "Later Ltd" not in text

    async def test_is_the_same_for_many_at_once(self, till: Till, jane: Resident) -> None:
        await bill(till, jane)
        transaction = (await top_up(till, jane)).body["transaction"]
        made = await asyncio.gather(*(receipt(till, jane.key, transaction["id"]) for _ in range(8)))
        assert len({reply.content for reply in made}) == 1

    async def test_is_not_sent_again_to_who_has_it(self, till: Till, jane: Resident) -> None:
        transaction = (await top_up(till, jane)).body["transaction"]
        etag = (await receipt(till, jane.key, transaction["id"])).headers["etag"]
        again = await receipt(till, jane.key, transaction["id"], **{"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")

    async def test_is_of_completed_payments_alone(self, till: Till, jane: Resident) -> None:
        pending = (await top_up(till, jane, token="tok_pending")).body["transaction"]
        declined = (await top_up(till, jane, token="tok_declined")).body["error"]["details"]["transaction_id"]
        paid = (await top_up(till, jane)).body["transaction"]
        body = {"amount": 5, "reason": "disputed"}
        taken = await till.command(f"/payments/{paid['payment_id']}/chargebacks", key="taken", body=body)
        for transaction_id in (pending["id"], declined, taken.body["chargeback"]["transaction_id"], paid["payment_id"]):
            assert (await receipt(till, jane.key, transaction_id)).status_code == 404
        await till.command(f"/sandbox/payments/{pending['payment_id']}/settle", key="settle", body={})
        assert (await receipt(till, jane.key, pending["id"])).status_code == 200

    async def test_is_the_account_s_own(self, till: Till, jane: Resident) -> None:
        transaction = (await top_up(till, jane)).body["transaction"]
        bob = await till.open_account(email="bob@example.com")
        assert (await receipt(till, bob.key, transaction["id"])).status_code == 404

    async def test_needs_a_key_that_may_read(self, till: Till, jane: Resident) -> None:
        transaction_id = (await top_up(till, jane)).body["transaction"]["id"]
        assert (await receipt(till, None, transaction_id)).status_code == 401
        assert (await receipt(till, await till.issue(jane, "write"), transaction_id)).status_code == 403
        assert (await receipt(till, await till.issue(jane, "read"), transaction_id)).status_code == 200
