"""Operators' credit notes over HTTP: who may write and read them, what is answered, once per key, and their PDF."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from billing.core import ids
from tests.support.counting_house import CountingHouse, open_counting_house
from tests.support.house import Resident

SHOWN = [
    "id", "invoice_id", "number", "kind", "amount", "net", "tax", "returned", "currency", "reason", "created_at", "lowered",
    "restored", "refunded", "invoice_number", "lines", "taxes", "refunds",
]  # fmt: skip
NOTHING = "cn_" + "0" * 26


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[CountingHouse]:
    async with open_counting_house(module_dsn) as opened:
        yield opened


@pytest_asyncio.fixture
async def jane(house: CountingHouse) -> Resident:
    """An account whose January came to 2.50 and 0.40 of tax, of a top-up of 10.00."""
    return await house.billed("10.00")


class TestWrite:
    async def test_needs_an_operator_for_billing(self, house: CountingHouse, jane: Resident) -> None:
        path = f"/operator/v1/invoices/{await house.invoice_of(jane)}/credit-notes"
        body = {"reason": "r"}
        assert (await house.call("POST", path, body=body)).status == 401
        assert (await house.call("POST", path, key=jane.key, body=body)).status == 404
        lesser = await house.issue_operator("payments", "catalog")
        assert (await house.call("POST", path, key=lesser, body=body)).code == "forbidden"

    async def test_needs_a_key(self, house: CountingHouse, jane: Resident) -> None:
        path = f"/invoices/{await house.invoice_of(jane)}/credit-notes"
        assert (await house.operate("POST", path, body={"reason": "r"})).code == "idempotency_key_required"

    @pytest.mark.parametrize("invoice_id", ["inv_" + "0" * 26, "nonsense", NOTHING])
    async def test_knows_no_other_invoice(self, house: CountingHouse, invoice_id: str) -> None:
        assert (await house.credit(invoice_id)).code == "not_found"

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            ({"kind": "gift"}, ["kind"]),
            ({"amount": 0}, ["amount"]),
            ({"amount": "0.001"}, ["amount"]),
            ({"reason": ""}, ["reason"]),
            ({"lines": []}, ["lines"]),
            ({"lines": [{"line": "nonsense", "amount": 1}]}, ["lines[0].line"]),
            ({"colour": "red"}, ["colour"]),
        ],
    )
    async def test_names_each_fault(
        self, house: CountingHouse, jane: Resident, members: dict[str, Any], faults: list[str]
    ) -> None:
        reply = await house.credit(await house.invoice_of(jane), **members)
        assert (reply.status, reply.faults) == (400, faults)

    async def test_of_kind_refund_pays_back_what_was_paid(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        reply = await house.credit(invoice_id, kind="refund", amount="1.16")
        assert reply.status == 201, reply.text
        note = reply.body["credit_note"]
        assert list(note) == SHOWN
        assert (note["amount"], note["net"], note["tax"]) == (Decimal("1.16"), Decimal("1.00"), Decimal("0.16"))
        assert (note["lowered"], note["restored"], note["returned"], note["refunded"]) == (0, 0, 0, Decimal("1.16"))
        assert note["lines"] == [{"line": None, "description": None, "amount": Decimal("1.00")}]
        (refund,) = note["refunds"]
        assert (refund["status"], refund["amount"], refund["reason"]) == ("completed", Decimal("1.16"), "an outage")
        assert reply.headers["Location"] == f"/operator/v1/credit-notes/{note['id']}"
        history = (await house.call("GET", "/v1/account/billing/history", key=jane.key)).body["transactions"]
        assert {(one["type"], one["amount"]) for one in history if one["type"] in {"refund", "adjustment"}} == {
            ("refund", Decimal("1.16")),
            ("adjustment", Decimal("1.16")),
        }
        assert await house.is_sound()

    async def test_is_done_once_per_key(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        first = await house.credit(invoice_id, kind="refund", amount="1.00", key="once-and-for-all")
        again = await house.credit(invoice_id, kind="refund", amount=1, key="once-and-for-all")
        assert (first.status, again.status, again.text) == (201, 201, first.text)
        assert again.headers["Idempotent-Replayed"] == "true"
        other = await house.credit(invoice_id, kind="refund", amount="1.01", key="once-and-for-all")
        assert other.code == "idempotency_key_reused"

    async def test_goes_on_after_the_process_died(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        house.line.refunds = "die after"
        with capture_logs():
            assert (await house.credit(invoice_id, kind="refund", key="dies-once")).status == 500
        house.line.refunds = "work"
        reply = await house.credit(invoice_id, kind="refund", key="dies-once")
        assert (reply.status, [one["status"] for one in reply.body["credit_note"]["refunds"]]) == (201, ["completed"])
        listed = await house.operate("GET", f"/invoices/{invoice_id}/credit-notes")
        assert listed.body["meta"]["total"] == 1

    async def test_is_written_although_the_gateway_declines(self, house: CountingHouse) -> None:
        bob = await house.billed("10.00", token="tok_refund_declined")
        reply = await house.credit(await house.invoice_of(bob), kind="refund")
        (refund,) = reply.body["credit_note"]["refunds"]
        assert (reply.status, refund["status"], refund["failure_reason"]) == (201, "failed", "declined")
        assert (await house.books(bob))["wallet:cash"] == Decimal("10.00")

    async def test_refuses_what_cannot_be_paid_back(self, house: CountingHouse) -> None:
        bob = await house.billed(None)
        body = {"amount": 10, "currency": "USD", "reference": "a cheque", "received_at": "2024-01-30T00:00:00Z"}
        await house.command(f"/accounts/{bob.id}/payments", body)
        await house.collect(bob)
        before = await house.books(bob)
        reply = await house.credit(await house.invoice_of(bob), kind="refund", key="not-refundable")
        assert (reply.status, reply.code) == (422, "payments_not_refundable")
        assert reply.body["error"]["details"] == {
            "required": Decimal("2.90"),
            "refundable": 0,
            "owed": 0,
            "currency": "USD",
        }
        assert await house.books(bob) == before
        # It burnt no key: nothing was committed.
        assert (await house.credit(await house.invoice_of(bob), key="not-refundable")).status == 201

    async def test_refuses_more_than_is_left(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        reply = await house.credit(invoice_id, amount="2.91")
        assert (reply.status, reply.code) == (422, "credit_note_exceeds_invoice")
        assert reply.body["error"]["details"] == {"left": Decimal("2.90"), "currency": "USD"}
        line = ids.encode_part("line", ids.expect("inv", invoice_id), 1, 1)
        assert (await house.credit(invoice_id, lines=[{"line": line, "amount": 2}])).status == 201
        reply = await house.credit(invoice_id, lines=[{"line": line, "amount": "0.51"}])
        assert reply.body["error"]["details"] == {"line": line, "left": Decimal("0.50"), "currency": "USD"}

    async def test_is_single_under_50_callers_with_one_key(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        calls = (house.credit(invoice_id, kind="refund", amount="0.29", key="fifty") for _ in range(50))
        replies = await asyncio.gather(*calls)
        assert {reply.status for reply in replies} <= {201, 409}
        assert len({reply.text for reply in replies if reply.status == 201}) == 1
        listed = await house.operate("GET", f"/invoices/{invoice_id}/credit-notes")
        assert listed.body["meta"]["total"] == 1
        assert await house.is_sound()


class TestRead:
    async def test_lists_them_newest_first(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        written = [(await house.credit(invoice_id, amount="0.10")).body["credit_note"] for _ in range(3)]
        reply = await house.operate("GET", f"/invoices/{invoice_id}/credit-notes?per_page=2")
        assert [len(reply.body["credit_notes"]), reply.body["meta"]["total"]] == [2, 3]
        shown = reply.body["credit_notes"][0]
        assert list(shown) == SHOWN[:14]
        assert {one["number"] for one in written} >= {one["number"] for one in reply.body["credit_notes"]}

    async def test_shows_them_to_their_account_alone(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        note = (await house.credit(invoice_id, kind="refund", amount="0.50")).body["credit_note"]
        shown = await house.call("GET", f"/v1/account/credit-notes/{note['id']}", key=jane.key)
        assert shown.body["credit_note"] == note
        assert (await house.operate("GET", f"/credit-notes/{note['id']}")).body["credit_note"] == note
        other = await house.open_account()
        for path in (f"/v1/account/credit-notes/{note['id']}", f"/v1/account/credit-notes/{note['id']}/pdf"):
            assert (await house.call("GET", path)).status == 401
            assert (await house.call("GET", path, key=other.key)).code == "not_found"
            assert (await house.call("GET", path, key=await house.issue(jane, "write"))).status == 403
        invoice = (await house.call("GET", f"/v1/account/invoices/{invoice_id}", key=jane.key)).body["invoice"]
        assert list(invoice)[-1] == "credit_notes"
        assert invoice["credit_notes"] == [
            {name: note[name] for name in ("id", "number", "amount", "kind", "created_at")}
        ]

    async def test_is_found_in_the_history_with_its_invoice(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        note = (await house.credit(invoice_id, amount="0.50")).body["credit_note"]
        rows = (await house.call("GET", "/v1/account/billing/history", key=jane.key)).body["transactions"]
        (row,) = [one for one in rows if note["number"] in one["description"]]
        assert (row["type"], row["amount"], row["status"]) == ("adjustment", Decimal("0.50"), "completed")
        details = (await house.call("GET", f"/v1/account/transactions/{row['id']}", key=jane.key)).body["transaction"]
        assert {name: details[name] for name in row} == row
        assert details["invoice_id"] == invoice_id


class TestPdf:
    async def test_is_the_same_bytes_for_both_sides(self, house: CountingHouse, jane: Resident) -> None:
        note = (await house.credit(await house.invoice_of(jane), kind="refund", amount="0.50")).body["credit_note"]
        public = await house.download(f"/v1/account/credit-notes/{note['id']}/pdf", key=jane.key)
        operator = await house.download(f"/operator/v1/credit-notes/{note['id']}/pdf", key=house.operator_key)
        assert public.content == operator.content
        assert public.content[:5] == b"%PDF-"
        assert public.headers["content-type"] == "application/pdf"
        assert public.headers["content-disposition"] == f'attachment; filename="{note["number"]}.pdf"'
        assert public.headers["etag"] == f'"{hashlib.sha256(public.content).hexdigest()}"'

    async def test_of_an_invoice_is_not_had_under_a_credit_notes_id(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = ids.expect("inv", await house.invoice_of(jane))
        path = f"/v1/account/credit-notes/{ids.encode('cn', invoice_id)}"
        assert (await house.call("GET", f"{path}/pdf", key=jane.key)).code == "not_found"
        assert (await house.call("GET", path, key=jane.key)).code == "not_found"


class TestExplain:
    async def test_tells_how_a_credit_note_came_about(self, house: CountingHouse, jane: Resident) -> None:
        invoice_id = await house.invoice_of(jane)
        await house.credit(invoice_id, amount="1.00")
        note = (await house.credit(invoice_id, kind="refund", amount="0.90")).body["credit_note"]
        path = f"/v1/account/explain?credit_note={note['id']}"
        reply = await house.call("GET", path, key=jane.key)
        assert reply.status == 200, reply.text
        told = reply.body["explanation"]
        assert (told["charges"], told["line"], told["invoice"], told["status"]) == ([], None, None, "billed")
        explained = told["credit_note"]
        assert (explained["invoiced"], explained["credited_before"]) == (Decimal("2.90"), Decimal("1.00"))
        (tax,) = explained["taxes"]
        # The tax of all that was taken back so far, as its share of the invoice, less what went before.
        share = (Decimal("1.90") * tax["invoiced"] / explained["invoiced"]).quantize(Decimal("0.01"))
        assert tax["amount"] == share - tax["credited_before"]
        assert explained["net"] + explained["tax"] == explained["amount"] == Decimal("0.90")
        assert sum(line["amount"] for line in explained["lines"]) == explained["net"]
        assert explained["lowered"] + sum(part["amount"] for part in explained["given_back"]) == explained["amount"]
        (refund,) = note["refunds"]
        assert explained["given_back"] == [
            {"to": "payment", "id": refund["payment_id"], "amount": Decimal("0.90"), "status": "completed"}
        ]
        assert [one["template"] for one in explained["transfers"]] == [
            "credit_note.issued",
            "credit_note.issued",
            "credit_note.returned",
            "refund.started",
            "refund.settled",
        ]
        as_operator = await house.operate("GET", f"/accounts/{jane.id}/explain?credit_note={note['id']}")
        assert as_operator.body == reply.body

    async def test_knows_the_accounts_own_alone(self, house: CountingHouse, jane: Resident) -> None:
        note = (await house.credit(await house.invoice_of(jane), amount="1.00")).body["credit_note"]
        other = await house.open_account()
        for credit_note in (note["id"], NOTHING, "nonsense"):
            path = f"/v1/account/explain?credit_note={credit_note}"
            assert (await house.call("GET", path, key=other.key)).code == "not_found"

    async def test_takes_it_alone(self, house: CountingHouse, jane: Resident) -> None:
        path = f"/v1/account/explain?credit_note={NOTHING}&meter=sms&period=2024-01"
        reply = await house.call("GET", path, key=jane.key)
        assert (reply.status, reply.faults) == (400, ["meter", "period"])
