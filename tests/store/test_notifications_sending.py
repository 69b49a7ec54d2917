"""Deliveries are sent once, whoever dies when; and what cannot be sent is tried on, ended, or said to be unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from billing import accounts, notifications
from billing.kit.checks import Scope
from billing.kit.db import Database, open_pool
from billing.notifications.model import LEASE, Channel, NewNotification, Outcome, Outlet
from billing.notifications.operations import keeping, sending, writing
from billing.notifications.rules import timing
from tests.conftest import NOW
from tests.support.house import Clock
from tests.support.messages import MAILROOM, FakeChannel
from tests.support.post_office import PostOffice, open_post_office


@dataclass
class Sender:
    """An account that is told something, and workers that send it."""

    database: Database
    clock: Clock
    account_id: UUID
    told: int = 0

    async def tell(self, *methods: Any, template: str = "alert.fired") -> None:
        self.told += 1
        async with self.database.transaction() as tx:
            one = NewNotification(
                account_id=self.account_id,
                notification_id=tx.new_id(),
                template=template,
                object_id=f"o{self.told}",
                payload={},
                methods=methods or ("email",),
            )
            await notifications.announce(tx, [one])

    async def send(self, channel: Channel, *, method: Any = "email", at_once: int = 4) -> int:
        write = partial(writing.write, mailroom=MAILROOM)
        outlet = Outlet(channel=channel, at_once=at_once)
        return await sending.send_due(self.database, method=method, outlet=outlet, write=write)

    async def fetch(self, statement: str) -> list[asyncpg.Record]:
        async with self.database.reading() as tx:
            return await tx.connection.fetch(statement)

    async def status(self) -> tuple[str, int, str | None]:
        """(status, attempts, reason) of the only delivery."""
        [row] = await self.fetch("SELECT status, attempts, reason FROM deliveries")
        return row["status"], row["attempts"], row["reason"]

    async def outcomes(self) -> list[str | None]:
        return [row["outcome"] for row in await self.fetch("SELECT outcome FROM delivery_attempts ORDER BY number")]

    async def resend(self) -> None:
        [row] = await self.fetch("SELECT delivery_id FROM deliveries")
        async with self.database.transaction() as tx:
            await keeping.send_again(tx, account_id=self.account_id, delivery_id=row["delivery_id"])

    async def violations(self) -> int:
        async with self.database.reading() as tx:
            found = await notifications.run_checks(tx.connection, Scope(self.clock.now))
        return sum(one.violations for one in found)


@pytest_asyncio.fixture
async def sender(database_dsn: str) -> AsyncIterator[Sender]:
    pool, clock = await open_pool(database_dsn, size=8), Clock(NOW)
    database = Database(pool, clock=clock)
    async with database.transaction() as tx:
        account = await accounts.open_account(
            tx, email="a@example.com", name="A", currency="USD", phone="+254700000001", timezone="Africa/Nairobi"
        )
    yield Sender(database, clock, account.account_id)
    await pool.close()


@pytest_asyncio.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with open_post_office() as opened:
        yield opened


class Killed(BaseException):
    """The process ends here, like a kill: nothing catches it."""


async def dying(work: Awaitable[object]) -> None:
    """Do work whose process dies in it."""
    with suppress(Killed, asyncio.CancelledError):
        await work


class TestSendDue:
    async def test_sends_each_once(self, sender: Sender, office: PostOffice) -> None:
        for _ in range(3):
            await sender.tell()
        assert await sender.send(office.channel()) == 3
        assert await sender.send(office.channel()) == 0
        assert len({mail["Message-ID"] for mail in office.mails}) == 3
        rows = await sender.fetch("SELECT gateway, outcome, gateway_id FROM delivery_attempts")
        assert [tuple(row) for row in rows] == [("smtp", "sent", "2.0.0 OK queued as 4711")] * 3
        assert await sender.violations() == 0

    async def test_by_several_at_once_sends_each_once(self, sender: Sender, office: PostOffice) -> None:
        for _ in range(12):
            await sender.tell()
        assert sum(await asyncio.gather(*(sender.send(office.channel(), at_once=2) for _ in range(3)))) == 12
        assert len({mail["Message-ID"] for mail in office.mails}) == len(office.mails) == 12

    async def test_is_not_held_up_by_one_that_is_slow(self, sender: Sender) -> None:
        for _ in range(4):
            await sender.tell()
        channel, done = FakeChannel(), asyncio.Event()

        async def first_waits_for_the_others() -> None:
            if len(channel.carried) == 1:
                await asyncio.wait_for(done.wait(), 10)
            elif len(channel.carried) == 4:
                done.set()

        channel.after = first_waits_for_the_others
        assert await sender.send(channel, at_once=2) == 4

    async def test_tries_on_by_the_schedule_until_it_has_failed(self, sender: Sender) -> None:
        await sender.tell()
        channel = FakeChannel([Outcome(kind="failed", reason="busy")] * 8)
        for number, pause in enumerate(timing.PAUSES, start=1):
            assert await sender.send(channel) == 1
            assert await sender.status() == ("pending", number, "busy")
            sender.clock.now += pause - timedelta(seconds=1)
            assert await sender.send(channel) == 0
            sender.clock.now += timedelta(seconds=1)
        assert await sender.send(channel) == 1
        assert await sender.status() == ("failed", 8, "busy")
        assert await sender.send(channel) == 0
        assert await sender.violations() == 0

    async def test_fails_at_once_what_is_refused(self, sender: Sender, office: PostOffice) -> None:
        office.on_rcpt = lambda _: "550 5.1.1 nobody here"
        await sender.tell()
        await sender.send(office.channel())
        assert await sender.status() == ("failed", 1, "550 5.1.1 nobody here")

    async def test_leaves_the_rest_for_later_where_the_server_is_away(self, sender: Sender) -> None:
        for _ in range(6):
            await sender.tell()
        away = FakeChannel([Outcome(kind="failed", reason="away", is_gateway_down=True)] * 6)
        assert await sender.send(away, at_once=2) == 2

    async def test_does_not_send_again_what_was_not_answered(self, sender: Sender, office: PostOffice) -> None:
        async def drop(_: PostOffice) -> str:
            return "drop"

        office.on_data = drop
        await sender.tell()
        await sender.send(office.channel())
        status, attempts, reason = await sender.status()
        assert (status, attempts) == ("unknown", 1)
        assert reason is not None
        sender.clock.now += timedelta(days=3)
        assert await sender.send(office.channel()) == 0

    async def test_ends_what_no_channel_can_send(self, sender: Sender) -> None:
        await sender.tell("email", "sms", "webhook")
        assert await sending.suppress_due(sender.database, method="email") == 1
        rows = await sender.fetch("SELECT method, status, reason FROM deliveries ORDER BY method")
        assert [tuple(row) for row in rows] == [
            ("email", "suppressed", "channel_not_configured"),
            ("sms", "pending", None),
            ("webhook", "pending", None),
        ]

    async def test_bears_a_message_that_cannot_be_written(self, sender: Sender) -> None:
        await sender.tell(template="no.such.template")
        await sender.tell()
        channel = FakeChannel()
        assert await sender.send(channel) == 2
        assert len(channel.carried) == 1
        rows = await sender.fetch("SELECT status FROM deliveries ORDER BY status")
        assert [row["status"] for row in rows] == ["pending", "sent"]

    async def test_waits_for_a_database_that_is_away_with_the_outcome(
        self, sender: Sender, office: PostOffice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "_COMMIT_PAUSES_S", (0.0, 0.0))
        away = [asyncpg.CannotConnectNowError("starting"), ConnectionRefusedError()]
        ended = sending.store.end_attempt

        async def end_attempt(*given: Any, **members: Any) -> bool:
            if away:
                raise away.pop()
            return await ended(*given, **members)

        monkeypatch.setattr(sending.store, "end_attempt", end_attempt)
        await sender.tell()
        await sender.send(office.channel())
        assert (await sender.status())[0] == "sent"


class TestKilled:
    """A worker dies, or stands still, at each point of an attempt."""

    async def test_before_it_hands_over_loses_nothing(self, sender: Sender, office: PostOffice) -> None:
        async def die() -> None:
            raise Killed

        await sender.tell()
        await dying(sender.send(FakeChannel(before=die)))
        assert (await sender.status())[:2] == ("sending", 1)
        assert await sender.send(office.channel()) == 0, "somebody may be at it"
        sender.clock.now += LEASE
        assert await sender.send(office.channel()) == 1
        assert (await sender.status())[:2] == ("sent", 2)
        assert await sender.outcomes() == ["failed", "sent"]
        assert len(office.mails) == 1

    async def test_between_the_servers_answer_and_the_commit_sends_nothing_twice(
        self, sender: Sender, office: PostOffice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def die(*_: object, **__: object) -> None:
            raise Killed

        await sender.tell()
        with monkeypatch.context() as killing:
            killing.setattr(sending.store, "end_attempt", die)
            await dying(sender.send(office.channel()))
        assert len(office.mails) == 1
        assert (await sender.status())[:2] == ("sending", 1)
        sender.clock.now += LEASE
        assert await sender.send(office.channel()) == 0
        assert await sender.status() == ("unknown", 1, "answer_lost")
        assert await sender.outcomes() == ["unknown"]
        assert len(office.mails) == 1
        assert await sender.violations() == 0

    async def test_for_a_while_and_overtaken_hands_nothing_over(self, sender: Sender, office: PostOffice) -> None:
        """Like SIGSTOP before the message is handed over: another sends it meanwhile."""
        stopped, goes_on = asyncio.Event(), asyncio.Event()

        async def stand_still() -> None:
            stopped.set()
            await goes_on.wait()

        late = FakeChannel(before=stand_still)
        await sender.tell()
        running = asyncio.create_task(sender.send(late))
        await stopped.wait()
        sender.clock.now += LEASE
        assert await sender.send(office.channel()) == 1
        goes_on.set()
        await running
        assert (len(office.mails), late.carried) == (1, [])
        assert (await sender.status())[:2] == ("sent", 2)
        assert await sender.outcomes() == ["failed", "sent"]

    async def test_for_a_while_with_the_answer_in_hand_is_heard_late(self, sender: Sender) -> None:
        """Like SIGSTOP after the message was handed over: nobody sends it again, and the answer counts when it comes."""
        stopped, goes_on = asyncio.Event(), asyncio.Event()

        async def stand_still() -> None:
            stopped.set()
            await goes_on.wait()

        late, other = FakeChannel(after=stand_still), FakeChannel()
        await sender.tell()
        running = asyncio.create_task(sender.send(late))
        await stopped.wait()
        sender.clock.now += LEASE
        assert await sender.send(other) == 0
        assert (await sender.status())[0] == "unknown"
        goes_on.set()
        await running
        assert (await sender.status())[:2] == ("sent", 1)
        assert await sender.outcomes() == ["sent"]
        assert other.carried == []

    async def test_by_a_stop_lets_what_was_begun_end(self, sender: Sender) -> None:
        begun = asyncio.Event()
        channel = FakeChannel()

        async def take_a_moment() -> None:
            begun.set()
            await asyncio.sleep(0.05)

        channel.after = take_a_moment
        await sender.tell()
        running = asyncio.create_task(sender.send(channel))
        await begun.wait()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert (await sender.status())[0] == "sent"


class TestSendAgain:
    async def test_begins_anew_with_the_same_message_id(self, sender: Sender, office: PostOffice) -> None:
        await sender.tell()
        await sender.send(office.channel())
        async with sender.database.transaction() as tx:
            await accounts.change(tx, account_id=sender.account_id, changes={"email": "new@example.com"})
        await sender.resend()
        assert await sender.send(office.channel()) == 1
        assert (await sender.status())[:2] == ("sent", 2)
        first, second = office.mails
        assert first["Message-ID"] == second["Message-ID"]
        assert [envelope.rcpt_tos for envelope in office.envelopes] == [["a@example.com"], ["new@example.com"]]


class TestQuietHours:
    @pytest.fixture
    def night(self, sender: Sender) -> datetime:
        sender.clock.now = datetime(2024, 2, 1, 19, 30, 15, tzinfo=UTC)  # half past ten in the evening in Nairobi
        return sender.clock.now

    @pytest.mark.usefixtures("night")
    async def test_hold_text_messages_until_they_end(self, sender: Sender) -> None:
        channel = FakeChannel()
        await sender.tell("sms")
        assert await sender.send(channel, method="sms") == 0
        assert (await sender.status())[:2] == ("pending", 0)
        sender.clock.now = datetime(2024, 2, 2, 3, 59, 59, tzinfo=UTC)
        assert await sender.send(channel, method="sms") == 0
        sender.clock.now = datetime(2024, 2, 2, 4, 0, tzinfo=UTC)
        assert await sender.send(channel, method="sms") == 1
        assert len(channel.carried) == 1

    @pytest.mark.usefixtures("night")
    async def test_hold_neither_mail_nor_a_suspension(self, sender: Sender) -> None:
        await sender.tell("email")
        await sender.tell("sms", template="account.suspended")
        assert await sender.send(FakeChannel()) == 1
        assert await sender.send(FakeChannel(), method="sms") == 1

    @pytest.mark.usefixtures("night")
    async def test_that_many_are_held_in_hold_up_nobody_else(self, sender: Sender) -> None:
        for _ in range(9):
            await sender.tell("sms")
        await sender.tell("sms", template="account.suspended")
        assert await sender.send(FakeChannel(), method="sms", at_once=2) == 1
