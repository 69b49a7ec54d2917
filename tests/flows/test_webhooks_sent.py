"""Webhooks over the wire: real HTTPS to a receiver on this machine, verified by the receivers' library; and quality.md P5."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
import standardwebhooks

from billing import webhooks
from billing.kit import outbox
from billing.kit.db import Database, open_pool
from billing.webhooks import WebhookSettings
from billing.webhooks.model.endpoints import IssuedEndpoint
from billing.webhooks.operations import keeping, redelivering, sending
from billing.webhooks.rules import schedule
from tests.support.cloud import Cloud, open_cloud
from tests.support.documents import sections
from tests.support.sink import HOST, SECRET_KEY, Request, Sink, open_sink, response, sender_to
from tests.tidy.sources import ROOT

URL = f"https://{HOST}/hooks"


async def add(database: Database, account_id: UUID, *, url: str = URL) -> IssuedEndpoint:
    async with database.transaction() as tx:
        return await keeping.create(
            tx, account_id=account_id, url=url, description=None, events=["*"], secret_key=SECRET_KEY
        )


async def tell(database: Database, account_id: UUID, *object_ids: str) -> None:
    """Events that are relayed."""
    async with database.transaction() as tx:
        for object_id in object_ids:
            payload = {"amount": "1.50", "note": "naïve ☂"}
            await outbox.publish(tx, account_id=account_id, type="invoice.paid", object_id=object_id, payload=payload)
    await outbox.relay(database, readers=[webhooks.fan_out])


def settings_of(sink: Sink, **how: Any) -> WebhookSettings:
    return WebhookSettings(sender=sender_to(sink, **how), secret_key=SECRET_KEY)


class TestMessage:
    @pytest_asyncio.fixture
    async def account_id(self, database_dsn: str) -> AsyncIterator[UUID]:
        async with open_cloud(database_dsn) as cloud:
            yield await cloud.open_account()

    @pytest_asyncio.fixture
    async def database(self, database_dsn: str, account_id: UUID) -> AsyncIterator[Database]:
        """By the clock of the machine, for receivers look at theirs."""
        pool = await open_pool(database_dsn, size=4)
        yield Database(pool)
        await pool.close()

    async def test_is_verified_by_the_receivers_library_with_either_secret_after_a_rotation(
        self, database: Database, account_id: UUID
    ) -> None:
        first = await add(database, account_id)
        async with open_sink() as sink:
            await tell(database, account_id, "inv_1")
            assert await webhooks.send_due(database, settings=settings_of(sink)) == 1
            async with database.transaction() as tx:
                second = await keeping.rotate_secret(
                    tx, account_id=account_id, endpoint_id=first.endpoint.endpoint_id, secret_key=SECRET_KEY
                )
                await redelivering.test(tx, account_id=account_id, endpoint_id=first.endpoint.endpoint_id)
            assert await webhooks.send_due(database, settings=settings_of(sink)) == 1
        before, after = sink.requests
        read = standardwebhooks.Webhook(first.secret).verify(before.body, dict(before.headers))
        assert (read["type"], read["data"]["id"], read["data"]["note"]) == ("invoice.paid", "inv_1", "naïve ☂")
        assert before.headers["content-type"] == "application/json"
        for secret in (first.secret, second.secret):
            assert standardwebhooks.Webhook(secret).verify(after.body, dict(after.headers))["type"] == "webhook.test"
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(second.secret).verify(before.body, dict(before.headers))

    async def test_is_taken_by_the_receiver_of_the_documents(self, database: Database, account_id: UUID) -> None:
        receiver = _documented_receiver()
        issued = await add(database, account_id)
        async with open_sink() as sink:

            def respond(request: Request) -> bytes:
                receiver.verify(issued.secret, request.headers, request.body)
                receiver.take(request.headers["webhook-id"], msgspec.json.decode(request.body))
                return response(204)

            sink.respond = respond
            await tell(database, account_id, "inv_1", "inv_2")
            assert await webhooks.send_due(database, settings=settings_of(sink)) == 2
        assert set(receiver.versions) == {"inv_1", "inv_2"}
        request, message = sink.requests[0], msgspec.json.decode(sink.requests[0].body)
        assert not receiver.take(request.headers["webhook-id"], message)  # again
        assert not receiver.take("evt_other", message)  # an older version
        for headers in (
            {**request.headers, "webhook-timestamp": "1706781600"},
            {**request.headers, "webhook-id": "evt_other"},
            {**request.headers, "webhook-signature": "v1,AAAA"},
        ):
            with pytest.raises(ValueError, match=r"too old|no signature fits"):
                receiver.verify(issued.secret, headers, request.body)


def _documented_receiver() -> ModuleType:
    """The program of docs/webhooks.md."""
    page = (ROOT / "docs/webhooks.md").read_text(encoding="utf-8")
    [program] = [block for section in sections(page) for block in section.blocks("python")]
    module = ModuleType("receiver")
    exec(compile(program, "receiver", "exec"), module.__dict__)  # noqa: S102  what the page tells readers to run
    return module


@dataclass
class Receiver:
    """A receiver that fails at random, and drops what it has seen and what is older than what it has seen."""

    chance: random.Random
    failing: float
    taken: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    versions: dict[str, list[int]] = field(default_factory=lambda: defaultdict[str, list[int]](list))
    arrived: int = 0

    def __call__(self, request: Request) -> bytes:
        self.arrived += 1
        fate = self.chance.random()
        if fate < self.failing / 2:
            return response(self.chance.choice([404, 429, 500, 503]))
        data, message_id = msgspec.json.decode(request.body)["data"], request.headers["webhook-id"]
        if message_id not in self.taken:
            self.taken[message_id] += 1
            if data["version"] > max(self.versions[data["id"]], default=0):
                self.versions[data["id"]].append(data["version"])
        return b"" if fate < self.failing else response()  # taken, and the answer is lost


class TestManyMessages:
    """quality.md P5: 30 % of the attempts fail or lose their answer, senders and relays die; a receiver that drops what it has seen
    takes each event once, versions never go back, and what is given up is listed and can be sent again.
    """

    async def test_are_each_taken_once_however_many_attempts_and_processes_fail(
        self, database_dsn: str, seed: int, pytestconfig: pytest.Config
    ) -> None:
        is_nightly = pytestconfig.getoption("--nightly")
        count, accounts = (100_000, 32) if is_nightly else (200, 2)
        print(f"P5: {count} of 100000 events to {accounts} accounts, seed {seed}")  # noqa: T201  shown when it fails
        chance = random.Random(seed)
        async with open_cloud(database_dsn, connections=12) as cloud, open_sink() as sink:
            account_ids = [await cloud.open_account() for _ in range(accounts)]
            for account_id in account_ids:
                await add(cloud.database, account_id)
            sink.respond = receiver = Receiver(random.Random(seed + 1), 0.3)
            for first in range(0, count, 1_000):
                await self.publish(cloud, account_ids, range(first, min(count, first + 1_000)), chance)
            deaths = 0
            while await self.unfinished(cloud):
                deaths += await self.work_and_die(cloud, sink, chance)
                cloud.clock.advance(timedelta(hours=1))
                if receiver.arrived > count * 3:  # the rest is sent to a receiver that is well
                    receiver.failing = 0
            given_up = await self.send_given_up_again(cloud, sink, receiver)
            print(f"P5: {receiver.arrived} attempts, {deaths} deaths, {given_up} messages given up")  # noqa: T201  a figure
            newest = await cloud.fetch(
                "SELECT object_id, max(version) AS version FROM outbox_events GROUP BY object_id"
            )
        assert len(receiver.taken) == count, seed
        assert set(receiver.taken.values()) == {1}, seed
        assert receiver.arrived > count, seed
        for row in newest:
            versions = receiver.versions[row["object_id"]]
            assert (versions, versions[-1]) == (sorted(versions), row["version"]), seed

    async def send_given_up_again(self, cloud: Cloud, sink: Sink, receiver: Receiver) -> int:
        """Of so many messages some fail ten times in a row: they are listed, and sent again to a receiver that is well."""
        receiver.failing = 0
        failed = await cloud.fetch(
            """
            SELECT account_id, count(*) AS messages, min(tries) AS tries FROM webhook_messages
            WHERE status = 'failed' GROUP BY account_id
            """
        )
        for row in failed:
            assert row["tries"] >= schedule.TRIES_MAX  # more: the tenth was lost with its sender
            async with cloud.database.transaction() as tx:
                since = tx.now - timedelta(days=365)
                sent = await redelivering.replay(tx, account_id=row["account_id"], endpoint_id=None, since=since)
            assert sent == row["messages"]
        while await self.unfinished(cloud):
            await webhooks.send_due(cloud.database, settings=settings_of(sink))
            cloud.clock.advance(sending.LEASE)
        return sum(row["messages"] for row in failed)

    async def test_that_were_given_up_are_listed_and_sent_again(self, database_dsn: str) -> None:
        async with open_cloud(database_dsn) as cloud, open_sink() as sink:
            account_id = await cloud.open_account()
            await add(cloud.database, account_id)
            sink.respond = receiver = Receiver(random.Random(1), 2.0)
            await tell(cloud.database, account_id, "inv_1", "inv_2")
            for wait in (*schedule.WAITS, timedelta(0)):
                await webhooks.send_due(cloud.database, settings=settings_of(sink))
                cloud.clock.advance(wait)
            failed = await cloud.fetch("SELECT count(*) FROM webhook_messages WHERE status = 'failed' AND tries = 10")
            assert failed[0][0] == 2
            receiver.failing = 0
            async with cloud.database.transaction() as tx:
                since = tx.now - timedelta(days=30)
                assert await redelivering.replay(tx, account_id=account_id, endpoint_id=None, since=since) == 2
            assert await webhooks.send_due(cloud.database, settings=settings_of(sink)) == 2
        assert set(receiver.taken.values()) == {1}
        assert len(receiver.taken) == 2

    async def publish(self, cloud: Cloud, account_ids: list[UUID], numbers: range, chance: random.Random) -> None:
        """Several events of each of some objects of the accounts, in one transaction."""
        async with cloud.database.transaction() as tx:
            await outbox.publish_all(
                tx,
                type="invoice.paid",
                events=[
                    (account_ids[place], f"inv_{place}_{chance.randrange(50)}", {"number": number})
                    for number in numbers
                    for place in (chance.randrange(len(account_ids)),)
                ],
            )

    async def work_and_die(self, cloud: Cloud, sink: Sink, chance: random.Random) -> int:
        """Two relays and two senders: one of each is killed soon, and half the time the other sender while it is at work.

        What they held comes free by its lease. How many were killed.
        """
        working = [
            *(asyncio.create_task(outbox.relay(cloud.database, readers=[webhooks.fan_out])) for _ in range(2)),
            *(asyncio.create_task(webhooks.send_due(cloud.database, settings=settings_of(sink))) for _ in range(2)),
        ]
        await asyncio.sleep(chance.random() * 0.2)
        deaths = sum(task.cancel() for task in (working[0], working[2]))
        if chance.random() < 0.5:
            await asyncio.wait(working[3:], timeout=chance.random() * 20)
            deaths += working[3].cancel()
        for ended in await asyncio.gather(*working, return_exceptions=True):
            if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
                raise ended
        cloud.clock.advance(sending.LEASE)
        return deaths

    async def unfinished(self, cloud: Cloud) -> int:
        rows = await cloud.fetch(
            """
            SELECT (SELECT count(*) FROM outbox_events WHERE relayed_at IS NULL)
                + (SELECT count(*) FROM webhook_messages WHERE next_at IS NOT NULL)
            """
        )
        return rows[0][0]
