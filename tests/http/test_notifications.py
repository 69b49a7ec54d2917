"""What accounts and operators see of messages, how accounts want to be told, and a whole way: a cause, its event, a mail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import pytest
import pytest_asyncio
from pypdf import PdfReader

from billing import notifications
from billing.app import messaging
from billing.core import ids
from billing.kit import outbox
from billing.notifications.model import Outlet
from billing.notifications.operations import sending, writing
from tests.support.counting_house import CountingHouse, open_counting_house
from tests.support.house import Reply, Resident
from tests.support.messages import MAILROOM, FakeChannel
from tests.support.post_office import PostOffice, open_post_office

DEFAULTS: dict[str, Any] = {
    "email": {"invoices": True, "payments": True, "budgets": True, "security": True, "account": True},
    "sms": {"invoices": False, "payments": False, "budgets": False, "security": False, "account": False},
    "email_recipients": [],
    "quiet_hours": {"start": "21:00", "end": "07:00"},
}
PHONE = "+254700000001"


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[CountingHouse]:
    async with open_counting_house(module_dsn) as opened:
        yield opened


@pytest_asyncio.fixture
async def jane(house: CountingHouse) -> Resident:
    return await house.open_account()


async def relay(house: CountingHouse) -> None:
    await outbox.relay(house.database, readers=(notifications.tell,))


async def told(house: CountingHouse, resident: Resident) -> list[dict[str, Any]]:
    reply = await house.call("GET", "/v1/account/notifications", key=resident.key)
    assert reply.status == 200
    return reply.body["notifications"]


async def settings(house: CountingHouse, resident: Resident, body: object = None) -> Reply:
    method = "GET" if body is None else "PUT"
    return await house.call(method, "/v1/account/notification-settings", key=resident.key, body=body)


async def set_phone(house: CountingHouse, resident: Resident) -> None:
    assert (await house.call("PUT", "/v1/account", key=resident.key, body={"phone": PHONE})).status == 200


async def send(house: CountingHouse, office: PostOffice | None = None) -> None:
    """Send what is due by e-mail, as the program does: with its issuer and its PDFs."""
    mailroom = replace(MAILROOM, find_issuer=messaging.find_issuer, find_document=messaging.find_document)
    outlet = Outlet(channel=FakeChannel() if office is None else office.channel())
    write = partial(writing.write, mailroom=mailroom)
    await sending.send_due(house.database, method="email", outlet=outlet, write=write)


class TestListNotifications:
    async def test_shows_what_became_of_each_message(self, house: CountingHouse, jane: Resident) -> None:
        await relay(house)
        [first] = await told(house, jane)
        assert (first["template"], first["object_id"][:4]) == ("api_key.created", "key_")
        [delivery] = first["deliveries"]
        assert {**delivery, "id": "", "recipient": ""} == {
            "id": "",
            "method": "email",
            "recipient": "",
            "status": "pending",
            "reason": None,
            "attempts": 0,
            "finished_at": None,
        }
        await send(house)
        [sent] = (await told(house, jane))[0]["deliveries"]
        assert (sent["status"], sent["attempts"], sent["finished_at"]) == ("sent", 1, "2024-02-01T10:00:00Z")
        by_operator = await house.operate("GET", f"/accounts/{jane.id}/notifications")
        assert by_operator.body["notifications"] == await told(house, jane)

    async def test_shows_nothing_of_others(self, house: CountingHouse, jane: Resident) -> None:
        bob = await house.open_account()
        await relay(house)
        mine, others = await told(house, jane), await told(house, bob)
        assert {one["id"] for one in mine}.isdisjoint(one["id"] for one in others)

    async def test_needs_a_key_that_reads(self, house: CountingHouse, jane: Resident) -> None:
        assert (await house.call("GET", "/v1/account/notifications")).code == "unauthorized"
        key = await house.issue(jane, "write")
        assert (await house.call("GET", "/v1/account/notifications", key=key)).code == "forbidden"
        unknown = await house.operate("GET", f"/accounts/acc_{'0' * 26}/notifications")
        assert unknown.code == "not_found"


class TestSettings:
    async def test_are_the_defaults_first(self, house: CountingHouse, jane: Resident) -> None:
        assert (await settings(house, jane)).body == {"settings": DEFAULTS}

    async def test_change_what_is_named(self, house: CountingHouse, jane: Resident) -> None:
        await set_phone(house, jane)
        changes = {
            "email": {"payments": False, "invoices": True},
            "sms": {"account": True},
            "email_recipients": ["books@example.com"],
            "quiet_hours": None,
        }
        changed = {
            "email": {**DEFAULTS["email"], "payments": False},
            "sms": {**DEFAULTS["sms"], "account": True},
            "email_recipients": ["books@example.com"],
            "quiet_hours": None,
        }
        assert (await settings(house, jane, changes)).body == {"settings": changed}
        assert (await settings(house, jane, {})).body == {"settings": changed}
        back = {"email": {"payments": True}, "sms": {"account": False}, "email_recipients": []}
        quiet = {"start": "22:30", "end": "06:00"}
        await settings(house, jane, {**back, "quiet_hours": quiet})
        assert (await settings(house, jane)).body == {"settings": {**DEFAULTS, "quiet_hours": quiet}}

    async def test_of_text_messages_need_a_phone(self, house: CountingHouse, jane: Resident) -> None:
        assert (await settings(house, jane, {"sms": {"payments": True}})).code == "phone_missing"
        assert (await settings(house, jane, {"sms": {"payments": False}})).status == 200

    @pytest.mark.parametrize("category", ["invoices", "security", "account"])
    async def test_cannot_switch_off_what_guards_the_account(
        self, house: CountingHouse, jane: Resident, category: str
    ) -> None:
        reply = await settings(house, jane, {"email": {category: False}})
        assert reply.faults == [f"email.{category}"]
        assert "cannot be switched off" in reply.text

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"email_recipients": ["a@example.com"] * 4}, "email_recipients"),
            ({"email_recipients": ["a@example.com", "a@example.com"]}, "email_recipients[1]"),
            ({"email_recipients": ["x\r\nBcc: y@example.com"]}, "email_recipients[0]"),
            ({"quiet_hours": {"start": "24:00", "end": "07:00"}}, "quiet_hours.start"),
            ({"quiet_hours": {"start": "21:00"}}, "quiet_hours.end"),
            ({"quiet_hours": {"start": "9:60", "end": "٠٧:٠٠"}}, "quiet_hours.start"),
            ({"email": {"alerts": True}}, "email.alerts"),
        ],
    )
    async def test_name_each_fault(self, house: CountingHouse, jane: Resident, body: object, field: str) -> None:
        reply = await settings(house, jane, body)
        assert reply.status == 400
        assert field in reply.faults

    async def test_need_a_key_that_writes(self, house: CountingHouse, jane: Resident) -> None:
        path, key = "/v1/account/notification-settings", await house.issue(jane, "read")
        assert (await house.call("PUT", path, body={})).code == "unauthorized"
        assert (await house.call("PUT", path, key=key, body={})).code == "forbidden"
        assert (await house.call("GET", path, key=key)).status == 200


class TestDeliveries:
    async def test_that_failed_are_found_and_sent_again(self, house: CountingHouse, jane: Resident) -> None:
        async with open_post_office() as office:
            office.on_rcpt = lambda _: "550 5.1.1 no such mailbox"
            await relay(house)
            await send(house, office)
            query = f"/deliveries?status=failed&account_id={jane.id}"
            [failed] = (await house.operate("GET", query)).body["deliveries"]
            assert (failed["reason"], failed["account_id"]) == ("550 5.1.1 no such mailbox", jane.id)
            assert [attempt["outcome"] for attempt in failed["newest_attempts"]] == ["refused"]
            resend = f"/accounts/{jane.id}/deliveries/{failed['id']}/resend"
            assert (await house.operate("POST", resend)).body["delivery"]["status"] == "pending"
            office.on_rcpt = lambda _: None
            await send(house, office)
            assert (await house.operate("GET", query)).body["deliveries"] == []
            assert len(office.mails) == 1

    async def test_are_sent_again_for_their_account_alone(self, house: CountingHouse, jane: Resident) -> None:
        bob = await house.open_account()
        await relay(house)
        [delivery] = (await told(house, jane))[0]["deliveries"]
        path = f"/accounts/{bob.id}/deliveries/{delivery['id']}/resend"
        assert (await house.operate("POST", path)).code == "not_found"
        key = await house.issue_operator("audit")
        for method, refused in (("POST", path), ("GET", "/deliveries")):
            assert (await house.call(method, f"/operator/v1{refused}", key=key)).code == "forbidden"

    async def test_by_webhook_are_not_sent_again_here(self, house: CountingHouse, jane: Resident) -> None:
        body = {"type": "budget", "threshold": 5, "condition": "greater_than", "notification_methods": ["webhook"]}
        made = await house.call("POST", "/v1/account/alerts", key=jane.key, body=body)
        await house.operate("POST", f"/accounts/{jane.id}/alerts/{made.body['alert']['id']}/test")
        [delivery] = (await told(house, jane))[0]["deliveries"]
        path = f"/accounts/{jane.id}/deliveries/{delivery['id']}/resend"
        assert (await house.operate("POST", path)).code == "delivered_by_webhook"


class TestTryChannel:
    async def test_says_what_became_of_it(self, house: CountingHouse) -> None:
        body = {"channel": "email", "recipient": "ops@example.com"}
        reply = await house.operate("POST", "/notifications/test", body=body)
        assert reply.body["trial"] == {
            **body,
            "gateway": "fake",
            "outcome": "sent",
            "gateway_id": "g-1",
            "reason": None,
        }

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"channel": "sms", "recipient": PHONE}, "channel_not_configured"),
            ({"channel": "sms", "recipient": "ops@example.com"}, "invalid_parameter"),
            ({"channel": "email", "recipient": PHONE}, "invalid_parameter"),
            ({"channel": "pigeon", "recipient": PHONE}, "invalid_parameter"),
        ],
    )
    async def test_refuses(self, house: CountingHouse, body: object, code: str) -> None:
        assert (await house.operate("POST", "/notifications/test", body=body)).code == code


class TestWholeWay:
    async def test_of_an_invoice_ends_in_a_mail_with_its_pdf(self, house: CountingHouse) -> None:
        issuer = {"name": "Cloud Ltd", "address": "1 Road", "tax_id": "P1", "support_email": "help@cloud.example"}
        await house.operate("PUT", "/issuer", body={**issuer, "bank_details": "Bank"})
        resident = await house.billed(None)
        await relay(house)
        await relay(house)
        async with open_post_office() as office:
            await send(house, office)
            invoice = await house.call("GET", "/v1/account/invoices", key=resident.key)
            number = invoice.body["invoices"][0]["number"]
            [mail] = [one for one in office.mails if one["Subject"] == f"Invoice {number}: $2.90"]
        assert (str(mail["From"]), str(mail["Reply-To"])) == (
            "Cloud Ltd <billing@lineserve.example>",
            "help@cloud.example",
        )
        [document] = mail.iter_attachments()
        assert document.get_filename() == f"{number}.pdf"
        content = document.get_content()
        assert number in PdfReader(BytesIO(content)).pages[0].extract_text()
        path = f"/v1/account/invoices/{await house.invoice_of(resident)}/pdf"
        assert content == (await house.download(path, key=resident.key)).content

    async def test_of_a_payment_tells_one_end(self, house: CountingHouse, jane: Resident) -> None:
        """P6: never "paid" and "failed" for one attempt, whoever says both."""
        payment_id = await house.pay(jane, "5.00")
        async with house.database.transaction() as tx:
            await outbox.publish(
                tx, account_id=jane.account_id, type="payment.failed", object_id=payment_id, payload={}
            )
        await relay(house)
        about = [one["template"] for one in await told(house, jane) if one["object_id"] == payment_id]
        assert about == ["payment.succeeded"]

    async def test_of_two_suspensions_tells_both(self, house: CountingHouse, jane: Resident) -> None:
        for verb in ("suspend", "restore", "suspend", "suspend"):
            await house.operate("POST", f"/accounts/{jane.id}/{verb}")
        await relay(house)
        templates = sorted(one["template"] for one in await told(house, jane))
        assert templates == ["account.restored", "account.suspended", "account.suspended", "api_key.created"]
        assert {one["object_id"] for one in await told(house, jane) if one["template"] != "api_key.created"} == {
            ids.encode("acc", jane.account_id)
        }
