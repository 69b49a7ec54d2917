"""Messages to endpoints: queued once, sent until taken, never lost, and nobody waits for another's receiver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from billing import notifications, webhooks
from billing.core import ids
from billing.kit import outbox
from billing.kit.secret_key import SecretKey
from billing.notifications import NewNotification
from billing.webhooks import Outcome, WebhookSettings
from billing.webhooks.model.endpoints import Endpoint
from billing.webhooks.operations import keeping, redelivering, sending
from billing.webhooks.rules import schedule
from billing.webhooks.store import endpoints as endpoint_store
from billing.webhooks.store import queue
from tests.support.cloud import Cloud, open_cloud
from tests.support.sink import SECRET_KEY, StubSender

GOOD, BAD = "https://good.example.com/", "https://bad.example.com/"


@dataclass
class Post:
    """An account with endpoints, and a sender that notes what it is given."""

    cloud: Cloud
    account_id: UUID
    sender: StubSender = field(default_factory=StubSender)

    async def add(self, url: str = GOOD, *events: str) -> Endpoint:
        async with self.cloud.database.transaction() as tx:
            issued = await keeping.create(
                tx,
                account_id=self.account_id,
                url=url,
                description=None,
                events=events or ("*",),
                secret_key=SECRET_KEY,
            )
        return issued.endpoint

    async def happen(self, *object_ids: str, type: str = "invoice.paid", **payload: object) -> None:
        """Events that are relayed."""
        async with self.cloud.database.transaction() as tx:
            for object_id in object_ids or ("inv_1",):
                await outbox.publish(tx, account_id=self.account_id, type=type, object_id=object_id, payload=payload)
        await outbox.relay(self.cloud.database, readers=[webhooks.fan_out])

    async def send(self, settings: WebhookSettings | None = None) -> int | None:
        return await webhooks.send_due(self.cloud.database, settings=settings or self.sender.settings)

    def fail(self, outcome: Outcome, *, at: str = BAD) -> None:
        """Have a receiver answer so."""
        self.sender.answer = lambda url: outcome if url == at else Outcome(status_code=200)

    @property
    def urls(self) -> list[str]:
        return [url for url, _, _ in self.sender.sent]

    async def messages(self) -> list[dict[str, Any]]:
        rows = await self.cloud.fetch("SELECT * FROM webhook_messages ORDER BY version, endpoint_id")
        return [dict(row) for row in rows]

    async def attempts(self) -> list[tuple[Any, ...]]:
        rows = await self.cloud.fetch("SELECT number, status_code, reason FROM webhook_attempts ORDER BY number")
        return [tuple(row) for row in rows]

    async def endpoint(self, endpoint: Endpoint) -> Endpoint:
        async with self.cloud.database.reading() as tx:
            return await endpoint_store.get_endpoint(
                tx.connection, account_id=self.account_id, endpoint_id=endpoint.endpoint_id
            )


@pytest_asyncio.fixture
async def post(database_dsn: str) -> AsyncIterator[Post]:
    async with open_cloud(database_dsn) as cloud:
        yield Post(cloud, await cloud.open_account())


class TestFanOut:
    async def test_makes_a_message_for_each_endpoint_that_wants_the_type(self, post: Post) -> None:
        wanted = {
            "https://all.example.com/": ("*",),
            "https://group.example.com/": ("invoice.*", "refund.failed"),
            "https://type.example.com/": ("payment.failed", "invoice.paid"),
            "https://other.example.com/": ("payment.*", "invoice.issued"),
        }
        for url, events in wanted.items():
            await post.add(url, *events)
        await post.happen(amount="1.50")
        await post.happen(type="wallet.credited")  # nobody's
        assert await post.send() == 3
        assert sorted(post.urls) == [f"https://{name}.example.com/" for name in ("all", "group", "type")]
        headers, bodies = zip(*((headers, body) for _, headers, body in post.sender.sent), strict=True)
        assert len({one["webhook-id"] for one in headers}) == len(set(bodies)) == 1
        body = msgspec.json.decode(bodies[0])
        assert (body["type"], body["data"]["id"], body["data"]["amount"]) == ("invoice.paid", "inv_1", "1.50")

    async def test_makes_it_once_though_an_event_is_told_again(self, post: Post) -> None:
        await post.add()
        await post.happen()
        async with post.cloud.database.transaction() as tx:
            await tx.connection.execute("UPDATE outbox_events SET relayed_at = NULL")
        assert await outbox.relay(post.cloud.database, readers=[webhooks.fan_out]) == 1
        assert len(await post.messages()) == 1

    async def test_is_of_the_account_alone_and_of_enabled_endpoints(self, post: Post) -> None:
        other = replace(post, account_id=await post.cloud.open_account())
        await other.add()
        disabled = await post.add()
        async with post.cloud.database.transaction() as tx:
            changes = keeping.EndpointChanges(status="disabled")
            await keeping.change(tx, account_id=post.account_id, endpoint_id=disabled.endpoint_id, changes=changes)
        await post.happen()
        assert await post.messages() == []


class TestAttempt:
    async def test_is_made_ten_times_over_three_days_with_the_same_bytes(self, post: Post) -> None:
        endpoint = await post.add(BAD)
        post.fail(Outcome(status_code=500, reason="status"))
        began = post.cloud.clock.now
        await post.happen()
        for wait in (*schedule.WAITS, timedelta(days=30)):
            assert await post.send() == 1
            post.cloud.clock.advance(wait - timedelta(microseconds=1))
            assert await post.send() == 0
            post.cloud.clock.advance(timedelta(microseconds=1))
        assert await post.send() == 0
        assert await post.attempts() == [(number, 500, "status") for number in range(1, 11)]
        assert len({(headers["webhook-id"], body) for _, headers, body in post.sender.sent}) == 1
        [message] = await post.messages()
        assert (message["status"], message["reason"], message["next_at"]) == ("failed", "status", None)
        found = await post.endpoint(endpoint)
        assert (found.status, found.failing_since, found.failures) == ("enabled", began, 10)

    async def test_waits_as_long_as_the_receiver_asks(self, post: Post) -> None:
        await post.add(BAD)
        post.fail(Outcome(status_code=429, reason="status", retry_after="3600"))
        await post.happen()
        await post.send()
        [message] = await post.messages()
        assert message["next_at"] == post.cloud.clock.now + timedelta(hours=1)

    async def test_ends_with_any_success(self, post: Post) -> None:
        endpoint = await post.add(BAD)
        post.fail(Outcome(reason="timed_out"))
        await post.happen()
        await post.send()
        post.fail(Outcome(status_code=204, duration_ms=4_000))
        post.cloud.clock.advance(timedelta(hours=1))
        await post.send()
        [message] = await post.messages()
        assert (message["status"], message["attempts"], message["reason"]) == ("delivered", 2, None)
        found = await post.endpoint(endpoint)
        assert (found.failing_since, found.failures, found.is_slow) == (None, 0, True)

    async def test_that_was_lost_is_made_again_with_the_same_bytes(self, post: Post) -> None:
        await post.add()
        held = asyncio.Event()

        class Hanging(StubSender):
            async def send(self, *, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
                self.sent.append((url, headers, body))
                held.set()
                await asyncio.sleep(60)
                return Outcome()

        hanging = Hanging()
        await post.happen()
        dying = asyncio.create_task(post.send(hanging.settings))
        await held.wait()
        dying.cancel()
        await asyncio.wait([dying])
        assert await post.send() == 0  # its lease has not ended
        assert await post.attempts() == [(1, None, None)]
        post.cloud.clock.advance(sending.LEASE)
        assert await post.send() == 1
        assert await post.attempts() == [(1, None, "lost"), (2, 200, None)]
        [(_, first, body)], [(_, second, again)] = hanging.sent, post.sender.sent
        assert (first["webhook-id"], body) == (second["webhook-id"], again)

    async def test_is_made_once_by_any_number_of_senders(self, post: Post) -> None:
        for number in range(3):
            await post.add(f"https://h{number}.example.com/")
        await post.happen(*(f"inv_{number}" for number in range(40)))
        assert sum(filter(None, await asyncio.gather(*(post.send() for _ in range(3))))) == 120
        assert len({(url, headers["webhook-id"]) for url, headers, _ in post.sender.sent}) == 120
        assert {message["attempts"] for message in await post.messages()} == {1}

    async def test_costs_the_same_however_many_wait(self, post: Post) -> None:
        """What is under way is counted at each claim and each end: that reads none of what only waits."""
        endpoint = await post.add()
        key = (post.account_id, endpoint.endpoint_id)
        async with post.cloud.database.transaction() as tx:
            await tx.connection.execute(
                """
                INSERT INTO webhook_messages (account_id, endpoint_id, message_id, type, object_id, version, body, status,
                    attempts, tries, next_at, created_at)
                SELECT $1, $2, gen_random_uuid(), 'invoice.paid', 'inv_1', number, '{}', 'pending', 0, 0, $3, $3
                FROM generate_series(1, 3000) AS number
                """,
                *key,
                tx.now,
            )
        async with post.cloud.database.transaction() as tx:
            how: dict[str, Any] = {"now": tx.now, "lease": sending.LEASE, "limit": 8, "at_once": 8, "is_careful": False}
            claimed = await queue.claim_messages(tx.connection, keys=[key], **how)
            for _ in claimed:
                await queue.set_due(tx.connection, keys=[key], at_once=8)
            read = await tx.connection.fetchval(
                """
                SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'webhook_messages'
                """
            )
            assert await queue.claim_messages(tx.connection, keys=[key], **how) == []  # as many as may be are under way
        assert len(claimed) == 8
        assert read < 300

    async def test_leaves_places_to_others_when_a_receiver_is_slow(self, post: Post) -> None:
        """Of many messages to slow receivers few are under way, and a quick one gets its own meanwhile."""
        under_way: dict[str, int] = {}
        most: dict[str, int] = {}
        quick_is_done, all_slow_ones_wait = asyncio.Event(), asyncio.Event()

        class Slow(StubSender):
            async def send(self, *, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
                under_way[url] = under_way.get(url, 0) + 1
                most[url] = max(most.get(url, 0), under_way[url])
                if url == GOOD:
                    quick_is_done.set()
                else:
                    if len(under_way) == 9:
                        all_slow_ones_wait.set()
                    await asyncio.wait_for(quick_is_done.wait(), 10)
                under_way[url] -= 1
                return Outcome(status_code=200)

        slow = [await post.add(f"https://slow{number}.example.com/", "invoice.*") for number in range(9)]
        await post.add(GOOD, "payment.*")
        await post.happen(*(f"inv_{number}" for number in range(12)))
        async with post.cloud.database.transaction() as tx:  # all but one have been slow before
            await tx.connection.execute(
                "UPDATE webhook_endpoints SET is_slow = true WHERE account_id = $1 AND endpoint_id = ANY ($2)",
                post.account_id,
                [one.endpoint_id for one in slow[1:]],
            )
        running = asyncio.create_task(post.send(Slow().settings))
        await asyncio.wait_for(all_slow_ones_wait.wait(), 20)
        await post.happen("pay_1", type="payment.failed")
        assert await asyncio.wait_for(running, 20) == 9 * 12 + 1
        assert most[GOOD] == 1
        assert most["https://slow0.example.com/"] == sending.AT_ONCE_TO_ONE
        assert {most[f"https://slow{number}.example.com/"] for number in range(1, 9)} <= set(range(1, 9))
        assert {message["status"] for message in await post.messages()} == {"delivered"}


class TestDisablement:
    async def test_comes_at_once_with_gone(self, post: Post) -> None:
        gone = await post.add(BAD)
        await post.add(GOOD, "webhook.disabled")
        post.fail(Outcome(status_code=410, reason="gone"))
        await post.happen("inv_1")
        await post.happen("inv_2")
        await post.send()
        found = await post.endpoint(gone)
        assert (found.status, found.disabled_reason, found.disabled_at) == ("disabled", "gone", post.cloud.clock.now)
        assert {(m["status"], m["next_at"]) for m in await post.messages()} == {("failed", None)}
        await outbox.relay(post.cloud.database, readers=[webhooks.fan_out])
        assert await post.send() == 1
        told = msgspec.json.decode(post.sender.sent[-1][2])
        assert (told["type"], told["data"]["id"], told["data"]["reason"], told["data"]["url"]) == (
            "webhook.disabled",
            ids.encode("wh", gone.endpoint_id),
            "gone",
            BAD,
        )

    async def test_comes_after_five_days_of_failures_alone(self, post: Post) -> None:
        failing = await post.add(BAD)
        post.fail(Outcome(reason="unreachable"))
        for day in range(6):
            await post.happen(f"inv_{day}")
            while await post.send():
                pass
            assert (await post.endpoint(failing)).status == ("enabled" if day < 5 else "disabled"), day
            post.cloud.clock.advance(timedelta(days=1))
        reasons = {message["reason"] for message in await post.messages()}
        assert reasons == {"endpoint_disabled"}
        assert {reason for _, _, reason in await post.attempts()} == {"unreachable"}
        async with post.cloud.database.transaction() as tx:
            enabled = await keeping.change(
                tx,
                account_id=post.account_id,
                endpoint_id=failing.endpoint_id,
                changes=keeping.EndpointChanges(status="enabled"),
            )
        assert (enabled.failing_since, enabled.failures, enabled.disabled_reason) == (None, 0, None)

    async def test_of_a_deleted_endpoint_gives_up_what_waits_and_what_is_under_way(self, post: Post) -> None:
        endpoint = await post.add()
        await post.happen("inv_0")
        await post.send()
        await post.happen("inv_1", "inv_2")

        class Deleting(StubSender):
            async def send(self, *, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
                async with post.cloud.database.transaction() as tx:
                    if not self.sent:
                        self.sent.append((url, headers, body))
                        await keeping.delete(tx, account_id=post.account_id, endpoint_id=endpoint.endpoint_id)
                return Outcome(reason="timed_out")

        await post.send(Deleting().settings)
        taken, *given_up = [(m["status"], m["reason"]) for m in await post.messages()]
        assert (taken, given_up) == (("delivered", None), [("failed", "endpoint_deleted")] * 2)
        assert [reason for _, _, reason in await post.attempts()].count("timed_out") == 2
        assert await post.send() == 0


class TestAlertByWebhook:
    async def told(self, post: Post, methods: Sequence[str] = ("email", "webhook")) -> UUID:
        """An alert that fires, with its notification."""
        async with post.cloud.database.transaction() as tx:
            notification = NewNotification(
                account_id=post.account_id,
                notification_id=tx.new_id(),
                template="alert.fired",
                object_id=f"alert_1/{tx.new_id()}",
                payload={},
                methods=("webhook",),
            )
            await notifications.announce(tx, [notification])
        shown = ids.encode("ntf", notification.notification_id)
        await post.happen("alert_1", type="alert.fired", notification_id=shown, methods=list(methods))
        return notification.notification_id

    async def delivery(self, post: Post, notification_id: UUID) -> str:
        rows = await post.cloud.fetch(
            "SELECT status FROM deliveries_v WHERE account_id = $1 AND notification_id = $2 AND method = 'webhook'",
            post.account_id,
            notification_id,
        )
        return rows[0]["status"]

    async def test_is_sent_when_an_endpoint_took_it(self, post: Post) -> None:
        await post.add(BAD)
        await post.add(GOOD)
        post.fail(Outcome(status_code=410, reason="gone"))
        told = await self.told(post)
        assert await self.delivery(post, told) == "pending"
        await post.send()
        assert await self.delivery(post, told) == "sent"

    async def test_is_failed_when_none_is_left_that_can(self, post: Post) -> None:
        none = await self.told(post)
        assert await self.delivery(post, none) == "failed"  # no endpoint wants it
        for url in (BAD, GOOD):
            await post.add(url)
        post.sender.answer = lambda _: Outcome(reason="unreachable")
        told = await self.told(post)
        post.fail(Outcome(status_code=410, reason="gone"))
        post.sender.answer = lambda url: Outcome(status_code=410, reason="gone") if url == BAD else Outcome(reason="x")
        await post.send()
        assert await self.delivery(post, told) == "pending"  # one will be tried again
        post.sender.answer = lambda _: Outcome(status_code=410, reason="gone")
        post.cloud.clock.advance(timedelta(hours=1))
        await post.send()
        assert await self.delivery(post, told) == "failed"

    async def test_is_not_sent_unless_the_alert_asks_for_it(self, post: Post) -> None:
        await post.add()
        await self.told(post, ("email",))
        assert await post.messages() == []


class TestAgain:
    async def test_sends_a_message_that_was_given_up_with_ten_tries_more(self, post: Post) -> None:
        endpoint = await post.add(BAD)
        post.fail(Outcome(status_code=500, reason="status"))
        await post.happen()
        for _ in range(10):
            await post.send()
            post.cloud.clock.advance(timedelta(hours=25))
        async with post.cloud.database.transaction() as tx:
            replayed = await redelivering.replay(
                tx, account_id=post.account_id, endpoint_id=None, since=tx.now - timedelta(days=20)
            )
        assert replayed == 1
        assert await post.send() == 1
        [message] = await post.messages()
        assert (message["status"], message["attempts"], message["tries"]) == ("pending", 11, 1)
        assert len({(headers["webhook-id"], body) for _, headers, body in post.sender.sent}) == 1
        assert (await post.endpoint(endpoint)).failures == 11

    async def test_forgets_what_ended_long_ago(self, post: Post) -> None:
        await post.add()
        await post.happen("inv_1")
        await post.send()
        post.cloud.clock.advance(sending.KEPT)
        await post.happen("inv_2")
        assert await sending.prune(post.cloud.database) == 0
        post.cloud.clock.advance(timedelta(seconds=1))
        assert await sending.prune(post.cloud.database) == 1
        assert [message["object_id"] for message in await post.messages()] == ["inv_2"]
        assert await post.attempts() == []


class TestSecretKey:
    @pytest.mark.parametrize("key", [SecretKey(None), SecretKey(bytes(32))], ids=["none", "another"])
    async def test_sends_nothing_without_the_databases_own(self, post: Post, key: SecretKey) -> None:
        await post.add()
        await post.happen()
        assert await post.send(WebhookSettings(sender=post.sender, secret_key=key)) is None
        assert post.sender.sent == []
        assert await post.send() == 1
