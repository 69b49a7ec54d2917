"""Idempotency-Key through a real server: one effect per key, the same answer again, no key stuck (quality.md D1-D6)."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from billing.core.errors import Refused, Unavailable
from billing.kit import idempotency
from billing.kit.db import Database, open_pool, system_clock
from billing.kit.idempotency import Attempt
from tests.support.sample_api import ONE, Gateway, make_app, served
from tests.support.watching import until_idle

pytestmark = pytest.mark.asyncio(loop_scope="module")

POOL_SIZE = 6
_keys = (f"key-{number}" for number in itertools.count())


class PaymentDeclined(Refused):
    """The gateway said no."""

    message = "The payment was declined"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(module_dsn: str) -> AsyncIterator[Database]:
    pool = await open_pool(module_dsn, size=POOL_SIZE)
    yield Database(pool)
    await pool.close()


@pytest.fixture(scope="module")
def gateway() -> Gateway:
    return Gateway()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(database: Database, gateway: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(make_app(database, gateway=gateway)) as opened:
        yield opened


@pytest.fixture
def key() -> str:
    return next(_keys)


async def send(
    client: httpx2.AsyncClient,
    key: str | None,
    body: bytes | None = None,
    *,
    path: str = "/v1/things",
    token: str = "ls_test_one",
    **members: Any,
) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if key is not None:
        headers["Idempotency-Key"] = key
    content = body if body is not None else json.dumps({"name": "A thing", "amount": 100, **members}).encode()
    return await client.post(path, content=content, headers=headers)


async def take_key(dsn: str, key: str) -> asyncpg.Connection[asyncpg.Record]:
    """A session, as of another process, that holds the lock of a thing's key."""
    holder = await asyncpg.connect(dsn)
    attempt = Attempt(account_id=ONE, route="POST /v1/things", key=key, fingerprint=b"")
    assert [is_mine for is_mine, _ in await idempotency.hold(holder, [(attempt, True)], given_back=[])] == [True]
    return holder


async def effects(database: Database, kind: str = "created") -> int:
    async with database.reading() as reading:
        return await reading.connection.fetchval("SELECT count(*) FROM outbox_events WHERE type = $1", kind)


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


class TestRun:
    async def test_replays_status_body_and_location(self, client: httpx2.AsyncClient, database: Database, key: str):
        before = await effects(database)
        first = await send(client, key, note="Ünïcode")
        again = await send(client, key, note="Ünïcode")
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.headers["Location"] == first.headers["Location"] == f"/v1/things/{first.json()['id']}"
        assert again.headers["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in first.headers
        assert (first.json()["key"], again.json()) == ("shown-once", {**first.json(), "key": None})
        assert await effects(database) == before + 1

    async def test_happens_once_for_fifty_at_once(self, client: httpx2.AsyncClient, database: Database):
        for key in itertools.islice(_keys, 5):
            before = await effects(database)
            answers = await asyncio.gather(*(send(client, key) for _ in range(50)))
            assert await effects(database) == before + 1
            assert {answer.status_code for answer in answers} <= {201, 409}
            made = [answer.json()["id"] for answer in answers if answer.status_code == 201]
            assert len(set(made)) == 1
            assert {code(answer) for answer in answers if answer.status_code != 201} <= {
                (409, "idempotency_in_progress")
            }

    async def test_knows_the_same_values_in_other_words(self, client: httpx2.AsyncClient, key: str):
        first = await send(client, key, b'{"name": "a", "amount": 100, "labels": {"x": "1", "y": "2"}}')
        again = await send(
            client, key, b' {"labels":{"y":"2","x":"\\u0031"},"amount":100.00,"name":"a","is_default":false}'
        )
        assert again.json()["id"] == first.json()["id"]

    @pytest.mark.parametrize(
        "members", [{"amount": 101}, {"name": "Another"}, {"note": ""}, {"lines": [{"quantity": 1}]}]
    )
    async def test_refuses_a_key_for_something_else(
        self, client: httpx2.AsyncClient, database: Database, key: str, members: dict[str, Any]
    ):
        assert (await send(client, key)).status_code == 201
        before = await effects(database)
        assert code(await send(client, key, **members)) == (422, "idempotency_key_reused")
        assert await effects(database) == before

    async def test_keeps_accounts_and_routes_apart(self, client: httpx2.AsyncClient, key: str):
        first = await send(client, key)
        other = await send(client, key, token="ls_test_other")
        assert (other.status_code, other.json()["id"] == first.json()["id"]) == (201, False)
        elsewhere = await send(client, key, path="/v1/payments")
        assert (elsewhere.status_code, "Idempotent-Replayed" in elsewhere.headers) == (201, False)

    async def test_is_not_burnt_by_what_was_not_committed(
        self, client: httpx2.AsyncClient, database: Database, key: str
    ):
        before = await effects(database)
        assert (await send(client, key, amount="x")).status_code == 400
        assert (await send(client, key, token="ls_test_reads")).status_code == 403
        assert code(await send(client, key, name="refused")) == (422, "not_today")
        assert (await send(client, key, name="broken")).status_code == 500
        assert await effects(database) == before
        assert (await send(client, key)).status_code == 201

    @pytest.mark.parametrize(
        "failure",
        [
            asyncpg.SerializationError("no"),
            asyncpg.DeadlockDetectedError("no"),
            asyncpg.InvalidCachedStatementError("no"),
        ],
    )
    @pytest.mark.parametrize(("failures", "status"), [(4, 201), (5, 503)])
    async def test_does_the_work_again_when_the_database_gives_up(
        self,
        client: httpx2.AsyncClient,
        database: Database,
        gateway: Gateway,
        key: str,
        failure: Exception,
        failures: int,
        status: int,
    ):
        before = await effects(database, "contended")
        gateway.asked, gateway.failures = [], [failure] * failures
        assert (await send(client, key, name="contended")).status_code == status
        assert gateway.asked == ["again"] * 5
        assert await effects(database, "contended") == before + (status == 201)

    async def test_does_without_a_key(self, client: httpx2.AsyncClient):
        one, other = await send(client, None), await send(client, None)
        assert one.json()["id"] != other.json()["id"]

    @pytest.mark.parametrize("bad", ["", "x" * 256, "a b", "a\tb"])
    async def test_refuses_what_is_no_key(self, client: httpx2.AsyncClient, bad: str):
        answer = await send(client, bad)
        assert code(answer) == (400, "invalid_parameter")
        assert answer.json()["error"]["details"]["faults"][0]["in"] == "header"

    async def test_is_required_where_the_operator_moves_money(self, client: httpx2.AsyncClient, key: str):
        answer = await send(client, None, path="/operator/v1/credits", token="ls_op_all")
        assert code(answer) == (400, "idempotency_key_required")
        assert (await send(client, key, path="/operator/v1/credits", token="ls_op_all")).status_code == 201

    async def test_takes_card_numbers_on_the_operators_plane(self, client: httpx2.AsyncClient, key: str):
        answer = await send(client, key, path="/operator/v1/credits", token="ls_op_all", note="4111111111111111")
        assert answer.status_code == 201

    async def test_waits_for_a_holder_and_not_for_a_dead_one(
        self, client: httpx2.AsyncClient, database: Database, module_dsn: str, key: str
    ):
        """The holder is another process that took the lock and was killed."""
        holder = await take_key(module_dsn, key)
        assert code(await send(client, key)) == (409, "idempotency_in_progress")
        owner = await asyncpg.connect(module_dsn)
        await owner.execute("SELECT pg_terminate_backend($1, 5000)", holder.get_server_pid())
        assert (await send(client, key)).status_code == 201
        await owner.close()
        holder.terminate()

    async def test_replays_what_is_kept_while_its_lock_is_held(
        self, client: httpx2.AsyncClient, module_dsn: str, key: str
    ):
        """The answer is kept before the lock is given back, and the caller does not wait for that."""
        first = await send(client, key)
        holder = await take_key(module_dsn, key)
        again = await send(client, key)
        assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
        assert again.headers["Idempotent-Replayed"] == "true"
        assert code(await send(client, key, name="another")) == (422, "idempotency_key_reused")
        await holder.close()

    async def test_leaves_no_lock_behind(self, client: httpx2.AsyncClient, database: Database, key: str):
        await asyncio.gather(*(send(client, key, name=name) for name in ("a", "refused", "broken") * 5))
        await until_idle(database.pool)
        async with database.reading() as reading:
            # The server is shared with other tests' databases.
            held = await reading.connection.fetchval(
                """
                SELECT count(*) FROM pg_locks
                WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                """
            )
        assert held == 0


class TestRunStaged:
    async def pay(self, client: httpx2.AsyncClient, key: str | None, **members: Any) -> httpx2.Response:
        return await send(client, key, path="/v1/payments", **members)

    async def test_replays_the_outcome(self, client: httpx2.AsyncClient, gateway: Gateway, key: str):
        first, again = await self.pay(client, key), await self.pay(client, key)
        assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
        assert again.headers["Location"] == f"/v1/payments/{first.json()['payment_id']}"
        assert gateway.asked.count(first.json()["payment_id"]) == 1

    async def test_replays_a_refusal_after_the_intent(self, client: httpx2.AsyncClient, gateway: Gateway, key: str):
        gateway.failures = [PaymentDeclined(details={"reason": "insufficient_funds"})]
        first, again = await self.pay(client, key), await self.pay(client, key)
        assert code(first) == (422, "payment_declined")
        assert (again.status_code, again.content) == (422, first.content)
        assert again.headers["Idempotent-Replayed"] == "true"

    @pytest.mark.parametrize(("failure", "status"), [(RuntimeError("lost"), 500), (Unavailable(), 503)])
    async def test_goes_on_from_the_intent_after_a_crash(
        self,
        client: httpx2.AsyncClient,
        database: Database,
        gateway: Gateway,
        key: str,
        failure: Exception,
        status: int,
    ):
        before = await effects(database, "started")
        gateway.failures = [failure]
        assert (await self.pay(client, key)).status_code == status
        answer = await self.pay(client, key)
        assert answer.status_code == 201
        assert gateway.asked[-2:] == [answer.json()["payment_id"]] * 2
        assert await effects(database, "started") == before + 1

    async def test_refuses_a_key_for_something_else_before_its_answer(
        self, client: httpx2.AsyncClient, gateway: Gateway, key: str
    ):
        gateway.failures = [Unavailable()]
        await self.pay(client, key)
        assert code(await self.pay(client, key, amount=7)) == (422, "idempotency_key_reused")

    async def test_happens_once_for_fifty_at_once(
        self, client: httpx2.AsyncClient, database: Database, gateway: Gateway, key: str
    ):
        before = await effects(database, "settled")
        gateway.delay_s = 0.05
        answers = await asyncio.gather(*(self.pay(client, key) for _ in range(50)))
        gateway.delay_s = 0
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert await effects(database, "settled") == before + 1

    async def test_does_not_starve_for_connections(self, client: httpx2.AsyncClient, gateway: Gateway):
        """Many more payments at once than the pool has connections, each holding one and needing another."""
        gateway.delay_s = 0.02
        keys = itertools.islice(_keys, 8 * POOL_SIZE)
        answers = await asyncio.gather(*(self.pay(client, key) for key in keys))
        gateway.delay_s = 0
        assert {answer.status_code for answer in answers} == {201}

    async def test_does_without_a_key(self, client: httpx2.AsyncClient):
        assert (await self.pay(client, None)).status_code == 201


class TestDeleteExpired:
    async def test_forgets_after_seven_days(self, client: httpx2.AsyncClient, database: Database, key: str):
        await send(client, key)
        async with database.transaction() as tx:
            await idempotency.delete_expired(tx.connection, now=system_clock() + timedelta(days=6, hours=23))
            assert await tx.connection.fetchval("SELECT count(*) FROM idempotency_keys WHERE key = $1", key) == 1
            await idempotency.delete_expired(tx.connection, now=system_clock() + timedelta(days=7, minutes=1))
            assert await tx.connection.fetchval("SELECT count(*) FROM idempotency_keys") == 0
