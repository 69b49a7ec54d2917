"""What accounts are told: once per (template, object, attempt), by the channels of their settings, to their recipients."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest_asyncio

from billing import accounts, notifications
from billing.kit.outbox import OutboxEvent
from billing.notifications.model import NewNotification, QuietHours, Settings
from billing.notifications.store import settings as settings_store
from tests.conftest import NOW

if TYPE_CHECKING:
    from billing.kit.db import Tx


@pytest_asyncio.fixture
async def account_id(tx: Tx) -> UUID:
    account = await accounts.open_account(tx, email="a@example.com", name="A", currency="USD", phone="+254700000001")
    return account.account_id


def event(account_id: UUID, type: str, *, number: int = 1, object_id: str = "o", **payload: object) -> OutboxEvent:
    return OutboxEvent(account_id, UUID(int=number), type, object_id, number, NOW, payload)


async def deliveries(tx: Tx) -> list[tuple[Any, ...]]:
    rows = await tx.connection.fetch(
        """
        SELECT template, method, recipient, status FROM notifications JOIN deliveries USING (account_id, notification_id)
        ORDER BY template, attempt, method, recipient_number
        """
    )
    return [tuple(row) for row in rows]


async def set_to(tx: Tx, account_id: UUID, **members: Any) -> None:
    await settings_store.upsert_settings(tx.connection, account_id=account_id, settings=Settings(**members), now=tx.now)


class TestTell:
    async def test_tells_each_object_and_attempt_once(self, tx: Tx, account_id: UUID) -> None:
        await notifications.tell(
            tx,
            [
                event(account_id, "card.expiring", number=1, attempt=1),
                event(account_id, "card.expiring", number=2, attempt=1),
                event(account_id, "card.expiring", number=3, attempt=2),
            ],
        )
        await notifications.tell(tx, [event(account_id, "card.expiring", number=4, attempt=2)])
        assert await deliveries(tx) == [("card.expiring", "email", "a@example.com", "pending")] * 2

    async def test_tells_the_first_end_of_a_payment_alone(self, tx: Tx, account_id: UUID) -> None:
        for ends in (("payment.succeeded", "payment.failed"), ("refund.failed", "refund.succeeded")):
            events = [event(account_id, type, number=len(type) - n, object_id=ends[0]) for n, type in enumerate(ends)]
            await notifications.tell(tx, events)
        assert [template for template, *_ in await deliveries(tx)] == ["payment.succeeded", "refund.failed"]

    async def test_is_harmless_again(self, tx: Tx, account_id: UUID) -> None:
        for _ in range(2):
            await notifications.tell(tx, [event(account_id, "invoice.issued")])
        assert len(await deliveries(tx)) == 1

    async def test_leaves_alone_what_is_no_message_or_is_told_by_its_finder(self, tx: Tx, account_id: UUID) -> None:
        types = ("invoice.paid", "payment_method.added", "alert.fired", "budget.recovered")
        await notifications.tell(tx, [event(account_id, type) for type in types])
        assert await deliveries(tx) == []

    async def test_bears_an_attempt_that_is_none(self, tx: Tx, account_id: UUID) -> None:
        wrong = (None, "2", 0, -1)
        for number, attempt in enumerate(wrong, start=1):
            await notifications.tell(tx, [event(account_id, "card.expiring", number=number, attempt=attempt)])
        assert len(await deliveries(tx)) == 1

    async def test_goes_by_the_accounts_settings(self, tx: Tx, account_id: UUID) -> None:
        await set_to(tx, account_id, email_off=frozenset({"payments"}), sms_on=frozenset({"account"}))
        types = ("account.suspended", "invoice.issued", "payment.failed")
        await notifications.tell(tx, [event(account_id, type, number=n) for n, type in enumerate(types, start=1)])
        assert await deliveries(tx) == [
            ("account.suspended", "email", "a@example.com", "pending"),
            ("account.suspended", "sms", "+254700000001", "pending"),
            ("invoice.issued", "email", "a@example.com", "pending"),
        ]

    async def test_tells_further_recipients_but_of_what_guards_the_account(self, tx: Tx, account_id: UUID) -> None:
        await set_to(tx, account_id, email_recipients=("b@example.com", "a@example.com", "c@example.com"))
        await notifications.tell(
            tx, [event(account_id, "invoice.issued"), event(account_id, "api_key.created", number=2)]
        )
        assert await deliveries(tx) == [
            ("api_key.created", "email", "a@example.com", "pending"),
            ("invoice.issued", "email", "a@example.com", "pending"),
            ("invoice.issued", "email", "b@example.com", "pending"),
            ("invoice.issued", "email", "c@example.com", "pending"),
        ]


class TestAnnounce:
    async def test_suppresses_text_messages_to_nobody(self, tx: Tx, account_id: UUID) -> None:
        await accounts.change(tx, account_id=account_id, changes={"phone": None})
        alert = NewNotification(
            account_id=account_id,
            notification_id=tx.new_id(),
            template="alert.fired",
            object_id="o",
            payload={},
            methods=("sms", "webhook"),
        )
        await notifications.announce(tx, [alert])
        assert await deliveries(tx) == [
            ("alert.fired", "sms", None, "suppressed"),
            ("alert.fired", "webhook", None, "pending"),
        ]

    async def test_ends_by_webhook_once(self, tx: Tx, account_id: UUID) -> None:
        first, second = UUID(int=1), UUID(int=2)
        for number, identifier in enumerate((first, second)):
            told = NewNotification(
                account_id=account_id,
                notification_id=identifier,
                template="alert.fired",
                object_id=str(number),
                payload={},
                methods=("webhook",),
            )
            await notifications.announce(tx, [told])
        for is_sent in (True, False):
            await notifications.end_webhook(tx, account_id=account_id, notification_id=first, is_sent=is_sent)
            await notifications.end_webhook(tx, account_id=account_id, notification_id=second, is_sent=not is_sent)
        assert {status for _, _, _, status in await deliveries(tx)} == {"sent", "failed"}


class TestSettings:
    async def test_are_the_defaults_until_they_are_set(self, tx: Tx, account_id: UUID) -> None:
        assert await settings_store.get_settings(tx.connection, account_id=account_id) == Settings()
        for quiet in (None, QuietHours(start=time(22, 30), end=time(6, 0))):
            await set_to(tx, account_id, quiet_hours=quiet, email_recipients=("b@example.com",))
            assert await settings_store.get_settings(tx.connection, account_id=account_id) == Settings(
                quiet_hours=quiet, email_recipients=("b@example.com",)
            )
