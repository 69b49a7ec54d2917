"""Top-ups of calls at once share transactions and the session of their keys; each is answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest_asyncio

from billing import payments
from billing.core import ids
from tests.support.cloud import find_broken
from tests.support.till import Till, open_till
from tests.support.watching import until_idle

if TYPE_CHECKING:
    from billing.payments import Charge, ChargeRequest
    from tests.support.house import Reply, Resident

CALLERS = 30


@dataclass
class Payer:
    """An account with a payment method."""

    resident: Resident
    method: str


@pytest_asyncio.fixture
async def till(database_dsn: str) -> AsyncIterator[Till]:
    async with open_till(database_dsn) as opened:
        yield opened


@pytest_asyncio.fixture
async def owner(database_dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def settle(till: Till, token: str = "tok_visa") -> Payer:
    resident = await till.open_account()
    return Payer(resident, await till.add_method(resident, token))


async def top_up(till: Till, payer: Payer, key: str, amount: object = "10.00") -> Reply:
    return await till.top_up(payer.resident, payer.method, amount, key=key)


async def is_sound(till: Till) -> bool:
    async with till.database.snapshot() as tx:
        return not await find_broken(tx)


async def keys_held(owner: asyncpg.Connection) -> list[int]:
    """The process of each session lock."""
    rows = await owner.fetch(
        """
        SELECT pid FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
    )
    return [row["pid"] for row in rows]


class Slow:
    """A gateway that waits before it is asked."""

    def __init__(self, till: Till) -> None:
        self.waiting, self.asked, self.may_answer = 0, asyncio.Event(), asyncio.Event()
        self._charge = till.gateway.gateway.charge
        till.gateway.charge = self.charge

    async def charge(self, request: ChargeRequest) -> Charge:
        self.waiting += 1
        self.asked.set()
        await self.may_answer.wait()
        return await self._charge(request)


class TestCallsAtOnce:
    async def test_share_transactions_and_are_answered_each_for_itself(self, till: Till, owner: asyncpg.Connection):
        payers = [await settle(till) for _ in range(5)]
        poor, unheard = await settle(till, "tok_declined"), await settle(till, "tok_pending")
        stranger = Payer(payers[0].resident, payers[1].method)
        *good, declined, pending, foreign = await asyncio.gather(
            *(top_up(till, payers[number % 5], f"k{number}", 1 + number) for number in range(CALLERS)),
            top_up(till, poor, "poor"),
            top_up(till, unheard, "unheard"),
            top_up(till, stranger, "stranger"),
        )
        assert [reply.body["transaction"]["amount"] for reply in good] == [1 + number for number in range(CALLERS)]
        assert {reply.body["transaction"]["status"] for reply in good} == {"completed"}
        assert (declined.status, declined.code, pending.status, foreign.status) == (422, "payment_declined", 201, 404)
        assert pending.body["wallet"]["pending_balance"] == 10
        for payer in payers:
            wanted = sum(1 + number for number in range(CALLERS) if payers[number % 5] is payer)
            assert (await till.wallets(payer.resident))[0]["available_balance"] == wanted
        assert await owner.fetchval("SELECT count(DISTINCT xmin::text) FROM payments") < CALLERS / 3
        assert await is_sound(till)

    async def test_do_not_wait_for_an_account_whose_books_are_held(self, till: Till, owner: asyncpg.Connection):
        held, free = await settle(till), await settle(till)
        async with owner.transaction():
            await owner.execute("SELECT FROM heads WHERE account_id = $1 FOR UPDATE", held.resident.account_id)
            # the first has a transaction of its own, and the others wait for the next one together
            first = asyncio.create_task(top_up(till, free, "first"))
            waiting = asyncio.create_task(top_up(till, held, "held"))
            replies = await asyncio.wait_for(asyncio.gather(first, *(top_up(till, free, f"k{n}") for n in range(9))), 5)
            assert {reply.status for reply in replies} == {201}
            assert not waiting.done()
        assert (await waiting).body["wallet"]["available_balance"] == 10

    async def test_share_when_their_books_were_held_for_a_moment(self, till: Till, owner: asyncpg.Connection):
        """None took a session to wait with, and so none kept the others from sharing."""
        payer = await settle(till)
        async with owner.transaction():
            await owner.execute("SELECT FROM heads WHERE account_id = $1 FOR UPDATE", payer.resident.account_id)
            waiting = [asyncio.create_task(top_up(till, payer, f"k{number}")) for number in range(20)]
            while len(await keys_held(owner)) < len(waiting):  # noqa: ASYNC110  the server tells nobody
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
        assert {reply.status for reply in await asyncio.gather(*waiting)} == {201}
        started = "SELECT count(DISTINCT xmin::text) FROM transfers WHERE template = 'topup.started'"
        assert 0 < await owner.fetchval(started) < 7
        assert (await till.wallets(payer.resident))[0]["available_balance"] == 200

    async def test_are_tried_alone_when_the_shared_transaction_fails(self, till: Till, owner: asyncpg.Connection):
        bad, *others = [await settle(till) for _ in range(4)]
        await owner.execute(f"ALTER TABLE payments ADD CHECK (account_id <> '{bad.resident.account_id}')")
        failed, *replies = await asyncio.gather(*(top_up(till, payer, "one") for payer in (bad, *others)))
        assert (failed.status, {reply.status for reply in replies}) == (500, {201})
        assert {(await till.wallets(payer.resident))[0]["available_balance"] for payer in others} == {10}
        assert await owner.fetchval("SELECT count(*) FROM payments") == len(others)

    async def test_pay_what_is_owed_once(self, till: Till):
        payer = await settle(till)
        first = await top_up(till, payer, "first", "25.00")
        hold = {"amount": 20, "currency": "USD", "reference": "r", "expires_at": "2024-03-01T00:00:00Z"}
        held = await till.command(f"/accounts/{payer.resident.id}/holds", key="hold", body=hold)
        await till.command(f"/holds/{held.body['hold']['id']}/capture", key="capture", body={})
        payment = first.body["transaction"]["payment_id"]
        taken = await till.command(f"/payments/{payment}/chargebacks", key="back", body={"reason": "fraud"})
        assert taken.status == 201, taken.text
        replies = await asyncio.gather(*(top_up(till, payer, f"k{n}") for n in range(10)))
        assert {reply.status for reply in replies} == {201}
        assert (await till.wallets(payer.resident))[0]["available_balance"] == 80
        assert await is_sound(till)

    async def test_are_refused_when_they_had_failed_before_the_money_came(self, till: Till, owner: asyncpg.Connection):
        payer, slow = await settle(till), Slow(till)
        call = asyncio.create_task(top_up(till, payer, "late"))
        await slow.asked.wait()
        payment_id: UUID = await owner.fetchval("SELECT payment_id FROM payments")
        async with till.database.transaction() as tx:
            await payments.fail(tx, account_id=payer.resident.account_id, payment_id=payment_id, reason="cancelled")
        slow.may_answer.set()
        assert (await call).code == "payment_declined"
        assert (await top_up(till, payer, "late")).code == "payment_declined"
        assert (await till.wallets(payer.resident))[0]["total_balance"] == 0

    async def test_are_answered_with_what_is_kept(self, till: Till, owner: asyncpg.Connection):
        """Each by its own key, in the transaction that settles it."""
        payer = await settle(till)
        keys = [f"k{number}" for number in range(CALLERS)]
        said = await asyncio.gather(*(top_up(till, payer, key) for key in keys))
        assert await owner.fetchval("SELECT count(*) FROM idempotency_keys WHERE status IS NULL") == 0
        again = [await top_up(till, payer, key) for key in keys]
        assert [reply.text for reply in again] == [reply.text for reply in said]
        assert {reply.headers["Idempotent-Replayed"] for reply in again} == {"true"}

    async def test_with_one_key_are_one(self, till: Till, owner: asyncpg.Connection):
        payer = await settle(till)
        replies = await asyncio.gather(*(top_up(till, payer, "same") for _ in range(CALLERS)))
        assert {reply.status for reply in replies} <= {201, 409}
        assert {reply.code for reply in replies if reply.status == 409} <= {"idempotency_in_progress"}
        assert len({reply.text for reply in replies if reply.status == 201}) == 1
        assert await owner.fetchval("SELECT count(*) FROM payments") == 1
        assert (await top_up(till, payer, "same")).headers["Idempotent-Replayed"] == "true"


class TestKeys:
    async def test_of_calls_that_wait_for_a_gateway_are_held_by_one_session(
        self, till: Till, owner: asyncpg.Connection
    ):
        """More calls than the pool has sessions, and reads go on."""
        payers, slow = [await settle(till) for _ in range(12)], Slow(till)
        calls = [asyncio.create_task(top_up(till, payer, "one")) for payer in payers]
        while slow.waiting < len(payers):
            await slow.asked.wait()
            slow.asked.clear()
        held = await keys_held(owner)
        assert (len(held), len(set(held))) == (len(payers), 1)
        assert (await till.wallets(payers[0].resident))[0]["pending_balance"] == 10
        slow.may_answer.set()
        assert {reply.status for reply in await asyncio.gather(*calls)} == {201}
        await until_idle(till.database.pool)
        assert await keys_held(owner) == []

    async def test_of_a_session_that_ended_let_a_retry_go_on_beside_the_call(
        self, till: Till, owner: asyncpg.Connection
    ):
        payer, slow = await settle(till), Slow(till)
        call = asyncio.create_task(top_up(till, payer, "one"))
        await slow.asked.wait()
        assert (await top_up(till, payer, "one")).code == "idempotency_in_progress"
        for process in await keys_held(owner):
            await owner.execute("SELECT pg_terminate_backend($1, 5000)", process)
        retry = asyncio.create_task(top_up(till, payer, "one"))
        await asyncio.sleep(0.05)
        slow.may_answer.set()
        first, second = await asyncio.gather(call, retry)
        assert (first.status, second.status) == (201, 201)
        assert first.body["transaction"]["id"] == second.body["transaction"]["id"]
        assert (await till.wallets(payer.resident))[0]["available_balance"] == 10
        assert await owner.fetchval("SELECT count(*) FROM sandbox.charges") == 1

    async def test_is_given_back_by_a_call_that_was_cancelled(self, till: Till, owner: asyncpg.Connection):
        payer, slow = await settle(till), Slow(till)
        call = asyncio.create_task(top_up(till, payer, "one"))
        await slow.asked.wait()
        call.cancel()
        await asyncio.wait([call])
        slow.may_answer.set()
        reply = await top_up(till, payer, "one")
        assert (reply.status, reply.body["wallet"]["available_balance"]) == (201, Decimal(10))
        assert await owner.fetchval("SELECT count(*) FROM payments") == 1
        payment_id = ids.decode("pay", reply.body["transaction"]["payment_id"])
        assert isinstance(payment_id, UUID)


class TestPlaces:
    async def test_for_calls_that_wait_for_a_gateway_leave_the_others_to_reads(self, database_dsn: str):
        async with open_till(database_dsn, calls_max=6) as till:
            payers, slow = [await settle(till) for _ in range(4)], Slow(till)
            calls = [asyncio.create_task(top_up(till, payer, "one")) for payer in payers]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            turned_away = [call.result() for call in calls if call.done()]
            assert [(reply.status, reply.headers["Retry-After"]) for reply in turned_away] == [(503, "2")]
            assert (await till.wallets(payers[0].resident))[0]["pending_balance"] == 10
            slow.may_answer.set()
            assert sorted([(await call).status for call in calls]) == [201, 201, 201, 503]
