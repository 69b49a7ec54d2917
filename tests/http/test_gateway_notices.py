"""The door for what gateways say unasked: who is let in, and that nothing comes in twice or ends what has ended."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from billing import payments, wallets
from billing.core import ids, standard_webhooks
from billing.kit.ratelimit import MemoryWindows
from billing.kit.web.rate_limits import RateLimits
from billing.payments import routes
from billing.payments.model import InvalidSignature
from tests.support.house import House, Reply, Resident, open_house
from tests.support.till import Till, open_till

SECRET, OLD_SECRET = b"n" * 32, b"o" * 32
ORDERS = tuple(permutations(("pending", "succeeded", "failed", "odd")))


@dataclass
class Door:
    """The till, with its sandbox's webhooks sent by hand."""

    till: Till
    resident: Resident
    method: str
    sent: int = field(default=0)

    @property
    def sandbox(self) -> payments.SandboxGateway:
        return self.till.gateway.gateway

    async def pending(self) -> str:
        """The wire id of a top-up that its gateway has not decided."""
        reply = await self.till.top_up(self.resident, self.method, "10.00")
        assert reply.body["transaction"]["status"] == "pending", reply.text
        return reply.body["transaction"]["id"]

    def notice(self, transaction_id: str, kind: str = "charge.succeeded", **data: object) -> bytes:
        """A body, such as the sandbox writes."""
        key = str(ids.decode("txn", transaction_id) or transaction_id)
        told = {"key": key, "account": self.resident.id, "status": kind.partition(".")[2], **data}
        return json.dumps({"type": kind, "timestamp": "2024-02-01T10:00:00Z", "data": told}).encode()

    def signed(
        self, body: bytes, *, secret: bytes = SECRET, message_id: str = "", off: timedelta = timedelta()
    ) -> dict[str, str]:
        """The headers of a body, signed by another library than ours."""
        self.sent += 1
        message_id = message_id or f"sbx_{self.sent}"
        at = self.till.clock.now + off
        signature = Webhook(base64.b64encode(secret).decode()).sign(message_id, at, body.decode("latin-1"))
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }

    async def send(self, body: bytes, headers: dict[str, str], *, gateway: str = "sandbox") -> Reply:
        return await self.till.call("POST", f"/webhooks/{gateway}", body=body, headers=headers)

    async def tell(self, body: bytes) -> int:
        return (await self.send(body, self.signed(body))).status

    async def check(self) -> None:
        """What the job does."""
        await payments.check_payments(self.till.database, self.till.gateway)

    async def status(self, transaction_id: str) -> str:
        reply = await self.till.call("GET", f"/v1/account/transactions/{transaction_id}", key=self.resident.key)
        return reply.body["transaction"]["status"]

    async def fetchval(self, query: str, *args: object) -> Any:
        async with self.till.database.reading() as tx:
            return await tx.connection.fetchval(query, *args)


@pytest_asyncio.fixture
async def door(database_dsn: str) -> AsyncIterator[Door]:
    async with open_till(database_dsn, webhook_secrets=(SECRET, OLD_SECRET)) as till:
        resident = await till.open_account()
        yield Door(till, resident, await till.add_method(resident, "tok_pending"))


class TestSignature:
    async def test_that_is_good_lets_the_gateway_be_asked(self, door: Door):
        transaction_id = await door.pending()
        await door.sandbox.settle(str(ids.decode("txn", transaction_id)))
        await door.check()
        assert await door.status(transaction_id) == "pending"  # it is not due yet
        body = door.notice(transaction_id)
        reply = await door.send(body, door.signed(body))
        assert (reply.status, reply.text) == (204, "")
        assert await door.fetchval("SELECT count(*) FROM queue.pgqueuer WHERE entrypoint = 'payments.check'") == 1
        await door.check()
        assert await door.status(transaction_id) == "completed"

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"webhook-id": None}, "webhook-id is missing"),
            ({"webhook-timestamp": None}, "webhook-timestamp is missing"),
            ({"webhook-signature": None}, "webhook-signature is missing"),
            ({"webhook-id": "sbx_other"}, "webhook-signature holds none of a valid secret"),
            ({"webhook-id": "a.b"}, "webhook-id is not 1 to 100 letters, digits, - and _"),
            ({"webhook-id": "x" * 101}, "webhook-id is not 1 to 100 letters, digits, - and _"),
            ({"webhook-timestamp": "soon"}, "webhook-timestamp is not a number of seconds"),
            ({"webhook-timestamp": "-1"}, "webhook-timestamp is not a number of seconds"),
            ({"webhook-signature": ""}, "webhook-signature holds none of a valid secret"),
            ({"webhook-signature": "v1,"}, "webhook-signature holds none of a valid secret"),
            ({"webhook-signature": "v2,abc v1a,abc"}, "webhook-signature holds none of a valid secret"),
            ({"webhook-signature": "v1,\xff\xfe"}, "webhook-signature holds none of a valid secret"),
        ],
    )
    async def test_that_is_not_whole_is_refused(self, door: Door, change: dict[str, str | None], reason: str):
        body = door.notice(await door.pending())
        headers = {name: value for name, value in {**door.signed(body), **change}.items() if value is not None}
        sent: Any = {name: value.encode("latin-1") for name, value in headers.items()}
        reply = await door.send(body, sent)
        assert (reply.status, reply.code, reply.body["error"]["details"]) == (
            403,
            "invalid_signature",
            {"reason": reason},
        )
        assert await door.fetchval("SELECT count(*) FROM gateway_notices") == 0

    async def test_covers_every_byte(self, door: Door):
        body = door.notice(await door.pending())
        headers = door.signed(body)
        for place in range(0, len(body), 3):
            altered = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            assert (await door.send(altered, headers)).code == "invalid_signature", place
        assert (await door.send(body + b" ", headers)).code == "invalid_signature"
        assert (await door.send(b"", headers)).code == "invalid_signature"
        assert (await door.send(body, headers)).status == 204

    @pytest.mark.parametrize(("off_s", "status"), [(-301, 403), (-299, 204), (0, 204), (299, 204), (301, 403)])
    async def test_is_good_for_five_minutes(self, door: Door, off_s: int, status: int):
        body = door.notice(await door.pending())
        reply = await door.send(body, door.signed(body, off=timedelta(seconds=off_s)))
        assert reply.status == status
        if status == 403:
            assert reply.body["error"]["details"] == {"reason": "webhook-timestamp is more than five minutes off"}

    async def test_of_another_secret_is_refused(self, door: Door):
        body = door.notice(await door.pending())
        assert (await door.send(body, door.signed(body, secret=b"x" * 32))).code == "invalid_signature"

    async def test_may_stand_among_others(self, door: Door):
        body = door.notice(await door.pending())
        headers = door.signed(body)
        headers["webhook-signature"] = f"v1,AAAA v1a,xyz {headers['webhook-signature']}"
        assert (await door.send(body, headers)).status == 204

    async def test_goes_from_one_secret_to_the_next_without_a_loss(self, door: Door):
        """The gateway changes at its own time; we accept both from before it until after it."""
        phases = [((OLD_SECRET,), OLD_SECRET), ((SECRET, OLD_SECRET), OLD_SECRET), ((SECRET, OLD_SECRET), SECRET)]
        taken = 0
        for accepted, signs in [*phases, ((SECRET,), SECRET)]:
            door.till.gateway.gateway = replace(door.sandbox, webhook_secrets=accepted)
            for _ in range(10):
                body = door.notice("txn_" + "0" * 26)
                taken += (await door.send(body, door.signed(body, secret=signs))).status == 204
        assert taken == await door.fetchval("SELECT count(*) FROM gateway_notices") == 40
        body = door.notice("txn_" + "0" * 26)
        assert (await door.send(body, door.signed(body, secret=OLD_SECRET))).code == "invalid_signature"


class TestRepeats:
    async def test_are_answered_alike_and_do_nothing(self, door: Door):
        transaction_id = await door.pending()
        body = door.notice(transaction_id)
        headers = door.signed(body)
        replies = await asyncio.gather(*(door.send(body, headers) for _ in range(50)))
        assert {reply.status for reply in replies} == {204}
        assert await door.fetchval("SELECT count(*) FROM gateway_notices") == 1
        assert await door.fetchval("SELECT count(*) FROM queue.pgqueuer WHERE entrypoint = 'payments.check'") == 1

    async def test_of_an_id_with_another_body_are_refused(self, door: Door):
        body, changed = door.notice("a"), door.notice("b")
        assert (await door.send(body, door.signed(body, message_id="sbx_same"))).status == 204
        reply = await door.send(changed, door.signed(changed, message_id="sbx_same"))
        assert (reply.status, reply.code, reply.body["error"]["details"]) == (
            409,
            "notice_id_reused",
            {"id": "sbx_same"},
        )

    async def test_are_known_for_longer_than_their_signature_is_good(self, door: Door):
        body = door.notice("a")
        await door.send(body, door.signed(body))
        await payments.prune_notices(door.till.database)
        assert await door.fetchval("SELECT count(*) FROM gateway_notices") == 1
        door.till.clock.advance(timedelta(days=31))
        await payments.prune_notices(door.till.database)
        assert await door.fetchval("SELECT count(*) FROM gateway_notices") == 0


class TestNotice:
    async def test_that_is_not_understood_is_refused(self, door: Door):
        told = b'"timestamp":"2024-02-01T10:00:00Z","data":{"key":"a","account":"b","status":"c"}}'
        for number, body in enumerate(
            (
                b"",
                b"{}",
                b"nonsense",
                b"[]",
                b'{"type":"charge.x","timestamp":1,"data":{}}',
                b'{"type":"\xff",' + told,
                b'{"type":"charge.\\u0000",' + told,
                b'{"type":"charge.\\ud800",' + told,
                b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + b',"type":"charge.x",' + told,
            )
        ):
            at, message_id = int(door.till.clock.now.timestamp()), f"sbx_odd_{number}"
            signature = standard_webhooks.sign([SECRET], message_id=message_id, timestamp=at, body=body)
            headers = {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": signature}
            reply = await door.send(body, headers)
            assert (reply.status, reply.code) == (422, "notice_not_understood"), body[:40]

    async def test_of_nothing_of_ours_is_kept_and_changes_nothing(self, door: Door):
        transaction_id = await door.pending()
        other = await door.till.open_account()
        for body in (
            door.notice("txn_" + "0" * 26),
            door.notice("no id"),
            door.notice(transaction_id, "dispute.created"),
            door.notice(transaction_id, account=other.id),
            door.notice(transaction_id, account="acc_nobody"),
            door.notice(transaction_id, "refund.succeeded"),
        ):
            assert await door.tell(body) == 204
        assert await door.fetchval("SELECT count(*) FROM gateway_notices") == 6
        assert await door.fetchval("SELECT count(*) FROM queue.pgqueuer WHERE entrypoint = 'payments.check'") == 0

    async def test_of_a_refund_lets_the_gateway_be_asked_about_it(self, door: Door):
        database, resident = door.till.database, door.resident
        visa = await door.till.add_method(resident)
        topup = (await door.till.top_up(resident, visa, "10.00")).body["transaction"]
        async with database.transaction() as tx:
            payment_id = ids.expect("txn", topup["id"])
            payment = await payments.get_payment(tx.connection, account_id=resident.account_id, payment_id=payment_id)
            refund = await payments.start_refund(
                tx,
                gateway=door.sandbox,
                payment=payment,
                own_currency="USD",
                amount_minor=None,
                reason="unused",
                reserve=wallets.reserve_for_usage,
            )
        key = str(refund.refund_id)
        await door.sandbox.refund(payments.RefundRequest(key, str(payment_id), "USD", 1000))  # the answer is not heard
        for body in (door.notice(key, "refund.failed"), door.notice(key, "refund.succeeded")):
            assert await door.tell(body) == 204
        await payments.check_payments(database, door.sandbox)
        async with database.reading() as tx:
            ended = await payments.get_refund(tx.connection, account_id=resident.account_id, refund_id=refund.refund_id)
        assert ended.status == "completed"

    async def test_puts_nothing_off(self, door: Door):
        """Many that tell too early leave a payment's own times of asking as they were, and make it due no later than it was."""
        transaction_id = await door.pending()
        for _ in range(4):
            await door.tell(door.notice(transaction_id))
            await door.check()
        checks = "SELECT extract(epoch FROM next_check_at - $1)::integer || ' s after ' || checks FROM payments"
        assert await door.fetchval(checks, door.till.clock.now) == "3600 s after 1"
        door.till.clock.advance(timedelta(hours=2))
        await door.tell(door.notice(transaction_id))
        assert await door.fetchval(checks, door.till.clock.now) == "-3600 s after 0"

    async def test_of_an_unknown_gateway_finds_nothing(self, door: Door):
        body = door.notice("a")
        for gateway in ("stripe", "SANDBOX", "sandbox%2F", "x" * 600):
            assert (await door.send(body, door.signed(body), gateway=gateway)).code == "not_found"

    async def test_is_posted(self, door: Door):
        reply = await door.till.call("GET", "/webhooks/sandbox")
        assert (reply.status, reply.headers["Allow"]) == (405, "OPTIONS, POST")

    async def test_has_a_bounded_body(self, door: Door):
        body = b"x" * 1_000_001
        assert (await door.send(body, door.signed(body))).code == "payload_too_large"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_in_any_order_and_ten_times_each_ends_as_the_gateway_says(module_door: Door, order: tuple[str, ...]):
    """P4: what is told may be wrong, late or doubled; what counts is what the gateway answers, and that counts once."""
    door = module_door
    truth = ("succeeded", "failed")[ORDERS.index(order) // 4 % 2]
    before = await door.till.wallets(door.resident)
    transaction_id = await door.pending()
    key = str(ids.decode("txn", transaction_id))
    decided_after = ORDERS.index(order) % 4
    for number, word in enumerate(order):
        if number == decided_after:
            await (door.sandbox.settle if truth == "succeeded" else door.sandbox.fail)(key)
        body = door.notice(transaction_id, f"charge.{word}")
        headers = door.signed(body)
        assert {(await door.send(body, headers)).status for _ in range(10)} == {204}
        assert (await door.send(body, door.signed(body, secret=b"x" * 32))).status == 403
        assert (await door.send(body, door.signed(body, off=-timedelta(hours=1)))).status == 403
        await door.check()
    ended = {"succeeded": "completed", "failed": "failed"}[truth]
    assert await door.status(transaction_id) == ended
    await turn_round(door, key)
    for word in order:
        assert await door.tell(door.notice(transaction_id, f"charge.{word}")) == 204
        await door.check()
    assert await door.status(transaction_id) == ended
    after = await door.till.wallets(door.resident)
    gained = after[0]["total_balance"] - (before[0]["total_balance"] if before else 0)
    assert gained == (10 if truth == "succeeded" else 0)


async def turn_round(door: Door, key: str) -> None:
    """The gateway says the contrary of what it said: we have taken down how it ended, and stay with that."""
    async with door.sandbox.pool.acquire() as connection:
        await connection.execute(
            """
            UPDATE sandbox.charges SET status = CASE status WHEN 'failed' THEN 'succeeded' ELSE 'failed' END WHERE key = $1
            """,
            key,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_door(module_dsn: str) -> AsyncIterator[Door]:
    async with open_till(module_dsn, webhook_secrets=(SECRET,)) as till:
        resident = await till.open_account()
        yield Door(till, resident, await till.add_method(resident, "tok_pending"))


class TestLimits:
    async def test_shut_out_an_address_that_fails_too_often(self, database_dsn: str):
        def limited(clock: Any) -> RateLimits:
            return RateLimits(MemoryWindows(clock), clock=clock, failures=3)

        pool = await asyncpg.create_pool(database_dsn, min_size=1, max_size=1)
        sandbox = payments.SandboxGateway(pool)
        values = {"payment_settings": payments.PaymentSettings(sandbox, {})}
        async with open_house(database_dsn, plain=routes.GATEWAY_HANDLERS, values=values, limited=limited) as house:
            codes = [await self.knock(house) for _ in range(4)]
            assert codes == ["invalid_signature"] * 3 + ["rate_limited"]
            too_large = await house.call("POST", "/webhooks/sandbox", body=b"x" * 1_000_001)
            assert too_large.code == "rate_limited"  # its body was not read
        await pool.close()

    async def knock(self, house: House) -> str:
        return (await house.call("POST", "/webhooks/sandbox", body=b"{}")).code


class TestSecrets:
    def test_are_read_as_they_are_shown(self):
        assert standard_webhooks.read_secret(standard_webhooks.show_secret(SECRET)) == SECRET

    @pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "x" * 40, "whsec_" + "=" * 40, "whsec_%%%"])
    def test_that_are_none_are_refused(self, text: str):
        with pytest.raises(ValueError, match="must be whsec_"):
            standard_webhooks.read_secret(text)

    def test_of_one_installation_do_not_open_another(self):
        one, other = payments.SandboxGateway(Any), payments.SandboxGateway(Any)  # pyright: ignore[reportArgumentType]  # no pool is asked
        charge = payments.Charge(str(UUID(int=1)), "acc_1", "USD", 100, "succeeded", None)
        headers, body = one.write_notice(charge)
        assert one.read_notice(headers, body, now=one.clock()).object_id == UUID(int=1)
        with pytest.raises(InvalidSignature):
            other.read_notice(headers, body, now=other.clock())
