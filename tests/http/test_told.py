"""What each cause tells the world: one event, in its own transaction, that holds all a message about it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest_asyncio

from billing import payments
from billing.core import ids
from tests.support.counting_house import CountingHouse, open_counting_house
from tests.support.house import Resident


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[CountingHouse]:
    async with open_counting_house(module_dsn) as opened:
        yield opened


async def told(house: CountingHouse, resident: Resident, *types: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(type, object, payload) of an account's events of some types, oldest first."""
    async with house.database.reading() as reading:
        rows = await reading.connection.fetch(
            """
            SELECT type, object_id, payload FROM outbox_events
            WHERE account_id = $1 AND type = ANY ($2) ORDER BY version
            """,
            resident.account_id,
            list(types),
        )
    return [(row["type"], row["object_id"], msgspec.json.decode(row["payload"])) for row in rows]


class TestInvoice:
    async def test_tells_whole_what_was_issued(self, house: CountingHouse) -> None:
        resident = await house.billed(None)
        [(_, object_id, payload)] = await told(house, resident, "invoice.issued", "invoice.paid")
        assert object_id == await house.invoice_of(resident)
        assert payload == {
            "number": payload["number"],
            "status": "pending",
            "currency": "USD",
            "subtotal": "2.50",
            "tax": "0.40",
            "amount": "2.90",
            "amount_paid": "0.00",
            "amount_due": "2.90",
            "credited": "0.00",
            "period_start": "2024-01-01T00:00:00Z",
            "period_end": "2024-01-31T23:59:59Z",
            "created_at": "2024-02-01T10:00:00Z",
            "due_date": "2024-02-15T00:00:00Z",
            "paid_at": None,
        }

    async def test_tells_that_it_was_paid_once_however_it_was(self, house: CountingHouse) -> None:
        at_issue = await house.billed("10.00")
        [issued, paid] = await told(house, at_issue, "invoice.issued", "invoice.paid")
        assert (issued[0], paid[0], issued[1:]) == ("invoice.issued", "invoice.paid", paid[1:])
        assert (paid[2]["status"], paid[2]["amount_paid"], paid[2]["amount_due"]) == ("paid", "2.90", "0.00")
        later = await house.billed(None)
        await house.pay(later, "2.00")
        await house.collect(later)
        assert await told(house, later, "invoice.paid") == []
        await house.pay(later, "2.00")
        await house.collect(later)
        [(_, _, payload)] = await told(house, later, "invoice.paid")
        assert (payload["amount_paid"], payload["paid_at"]) == ("2.90", "2024-02-01T10:00:00Z")

    async def test_tells_its_other_ends(self, house: CountingHouse) -> None:
        voided, given_up = await house.billed(None), await house.billed(None)
        await house.command(f"/invoices/{await house.invoice_of(voided)}/void", {})
        await house.command(f"/invoices/{await house.invoice_of(given_up)}/write-off", {})
        ends = [*await told(house, voided, "invoice.voided"), *await told(house, given_up, "invoice.written_off")]
        assert [(event, payload["status"], payload["amount"]) for event, _, payload in ends] == [
            ("invoice.voided", "void", "2.90"),
            ("invoice.written_off", "uncollectible", "2.90"),
        ]

    async def test_tells_what_a_credit_note_does(self, house: CountingHouse) -> None:
        resident = await house.billed(None)
        invoice_id = await house.invoice_of(resident)
        note = (await house.credit(invoice_id, kind="credit", amount="1.00")).body["credit_note"]
        [(_, object_id, payload)] = await told(house, resident, "credit_note.issued", "invoice.paid")
        assert (object_id, payload["invoice_id"]) == (note["id"], invoice_id)
        assert {name: payload[name] for name in ("number", "amount", "lowered", "returned", "reason", "currency")} == {
            "number": note["number"],
            "amount": "1.00",
            "lowered": "1.00",
            "returned": "0.00",
            "reason": "an outage",
            "currency": "USD",
        }
        await house.credit(invoice_id, kind="credit", amount="1.90")
        [(_, object_id, payload)] = await told(house, resident, "invoice.paid")
        assert (object_id, payload["amount_paid"], payload["credited"]) == (invoice_id, "0.00", "2.90")


class TestPayment:
    async def test_tells_its_end_once_and_never_both(self, house: CountingHouse) -> None:
        resident = await house.open_account()
        payment_id = await house.pay(resident, "25.00")
        [(event, object_id, payload)] = await told(house, resident, "payment.succeeded", "payment.failed")
        assert (event, object_id) == ("payment.succeeded", payment_id)
        assert payload == {
            "transaction_id": payment_id.replace("pay_", "txn_"),
            "kind": "topup",
            "status": "completed",
            "amount": "25.00",
            "currency": "USD",
            "description": "Wallet top-up, Visa ending 4242",
            "payment_method": payload["payment_method"],
            "invoice_id": None,
            "reference": None,
            "failure_reason": None,
            "created_at": "2024-02-01T10:00:00Z",
            "received_at": None,
            "ended_at": "2024-02-01T10:00:00Z",
        }

    async def test_tells_each_attempt_that_failed_and_why(self, house: CountingHouse) -> None:
        resident = await house.billed(None)
        invoice_id = await house.invoice_of(resident)
        body = {"type": "card", "token": "tok_declined"}
        await house.call("POST", "/v1/account/payment-methods", key=resident.key, body=body)
        for _ in range(2):
            reply = await house.call("POST", f"/v1/account/invoices/{invoice_id}/pay", key=resident.key, body={})
            assert reply.code == "payment_declined"
        attempts = await told(house, resident, "payment.succeeded", "payment.failed")
        assert [(event, payload["failure_reason"], payload["invoice_id"]) for event, _, payload in attempts] == [
            ("payment.failed", "declined", invoice_id)
        ] * 2
        assert len({object_id for _, object_id, _ in attempts}) == 2

    async def test_tells_one_end_however_many_bring_one_about_at_once(self, house: CountingHouse) -> None:
        resident = await house.open_account()
        payment_id = ids.expect("pay", await house.pay(resident, "25.00", token="tok_pending"))

        async def end(reason: str | None) -> None:
            async with house.database.transaction() as tx:
                if reason is None:
                    await payments.settle(tx, account_id=resident.account_id, payment_id=payment_id)
                else:
                    await payments.fail(tx, account_id=resident.account_id, payment_id=payment_id, reason=reason)

        await asyncio.gather(*(end(reason) for reason in ("declined", None) * 4))
        assert len(await told(house, resident, "payment.succeeded", "payment.failed")) == 1

    async def test_tells_how_refunds_end(self, house: CountingHouse) -> None:
        good, bad = await house.open_account(), await house.open_account()
        for resident, token in ((good, "tok_visa"), (bad, "tok_refund_declined")):
            payment_id = await house.pay(resident, "25.00", token=token)
            await house.command(f"/payments/{payment_id}/refunds", {"amount": "5.00", "reason": "a gesture"})
        found = [
            *await told(house, good, "refund.succeeded", "refund.failed"),
            *await told(house, bad, "refund.succeeded", "refund.failed"),
        ]
        assert [(event, one["amount"], one["reason"], one["failure_reason"]) for event, _, one in found] == [
            ("refund.succeeded", "5.00", "a gesture", None),
            ("refund.failed", "5.00", "a gesture", "declined"),
        ]


class TestPaymentMethod:
    async def test_tells_what_is_added_made_the_default_and_removed(self, house: CountingHouse) -> None:
        resident = await house.open_account()
        path = "/v1/account/payment-methods"
        first, second = [
            (await house.call("POST", path, key=resident.key, body={"type": "card", "token": token})).body[
                "payment_method"
            ]["id"]
            for token in ("tok_visa", "tok_amex")
        ]
        for _ in range(2):
            await house.call("PUT", f"{path}/{second}", key=resident.key, body={"set_default": True})
        await house.call("DELETE", f"{path}/{second}", key=resident.key)
        events = await told(
            house, resident, *(f"payment_method.{name}" for name in ("added", "default_changed", "removed"))
        )
        assert [(event, object_id, payload["last4"]) for event, object_id, payload in events] == [
            ("payment_method.added", first, "4242"),
            ("payment_method.default_changed", first, "4242"),
            ("payment_method.added", second, "0005"),
            ("payment_method.default_changed", second, "0005"),
            ("payment_method.removed", second, "0005"),
            ("payment_method.default_changed", first, "4242"),
        ]


class TestAccount:
    async def test_tells_that_it_was_suspended_and_restored_once_each(self, house: CountingHouse) -> None:
        resident = await house.open_account(name="Ada")
        for verb in ("suspend", "suspend", "restore", "restore"):
            await house.operate("POST", f"/accounts/{resident.id}/{verb}")
        events = await told(house, resident, "account.suspended", "account.restored")
        assert events == [
            ("account.suspended", resident.id, {"name": "Ada", "status": "suspended", "since": "2024-02-01T10:00:00Z"}),
            ("account.restored", resident.id, {"name": "Ada", "status": "active", "since": "2024-02-01T10:00:00Z"}),
        ]


class TestKey:
    async def test_tells_of_a_key_without_its_secret(self, house: CountingHouse) -> None:
        resident = await house.open_account()
        body = {"name": "CI", "permissions": ["read"], "ip_whitelist": ["10.0.0.0/8"]}
        made = (await house.call("POST", "/v1/account/api-keys", key=resident.key, body=body)).body["api_key"]
        await house.call("DELETE", f"/v1/account/api-keys/{made['id']}", key=resident.key)
        events = await told(house, resident, "api_key.created", "api_key.revoked")
        assert [(event, payload["name"], payload["revoked_at"]) for event, _, payload in events] == [
            ("api_key.created", "First key", None),
            ("api_key.created", "CI", None),
            ("api_key.revoked", "CI", "2024-02-01T10:00:00Z"),
        ]
        assert events[1][1] == events[2][1] == made["id"]
        assert events[1][2]["ip_whitelist"] == ["10.0.0.0/8"]
        async with house.database.reading() as reading:
            found = await reading.connection.fetchval(
                "SELECT count(*) FROM outbox_events WHERE payload::text LIKE '%' || $1 || '%'", made["key"][8:]
            )
        assert found == 0
