"""Small calls with events that come at once share transactions; each is answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from billing import catalog
from billing.catalog import Meter, PriceDefinition
from billing.metering import operations
from billing.metering import operator_routes as metering_operator
from billing.projects import operator_routes as projects_operator
from tests.support.house import House, Reply, Resident, open_house

EVENTS = "application/cloudevents-batch+json"
OPERATOR = [*projects_operator.HANDLERS, *metering_operator.HANDLERS]
CALLS = 60
POISON = """
CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'for this test' USING ERRCODE = 'deadlock_detected';
END $$;
CREATE TRIGGER refuse_poison AFTER INSERT ON usage_events FOR EACH ROW WHEN (new.event_id = 'poison')
EXECUTE FUNCTION refuse_poison();
"""


@pytest_asyncio.fixture
async def house(database_dsn: str) -> AsyncIterator[House]:
    async with open_house(database_dsn, operator=OPERATOR, values={"wallet_settings": None}) as opened:
        opened.clock.now = datetime(2024, 1, 10, tzinfo=UTC)
        async with opened.database.transaction() as tx:
            sms = Meter(meter="sms", service="messaging", name="SMS", unit="messages", aggregation="sum")
            await catalog.define_meter(tx, meter=sms)
            price = PriceDefinition(service="messaging", meter="sms", model="per_unit", unit_price=Decimal("0.05"))
            start = datetime(2024, 1, 1, tzinfo=UTC)
            await catalog.publish_rate_card(tx, name="Prices", currency="USD", valid_from=start, prices=[price])
        yield opened


async def settle(house: House) -> Resident:
    """An account with a resource."""
    resident = await house.open_account()
    body = {"type": "vps", "service": "compute", "name": "r", "region": "x", "status": "running"}
    body["effective_at"] = "2024-01-01T00:00:00Z"
    reply = await house.operate("PUT", f"/accounts/{resident.id}/resources/r", body=body)
    assert reply.status < 300, reply.text
    return resident


def event(resident: Resident, name: str, quantity: object = 1, **members: object) -> dict[str, Any]:
    data = {"account_id": resident.id, "meter": "sms", "quantity": quantity}
    told = {"specversion": "1.0", "id": name, "source": "t", "type": "usage", "subject": "r", "data": data}
    return {**told, "time": "2024-01-09T00:00:00Z", **members}


async def send(house: House, *events: dict[str, Any], **headers: str) -> Reply:
    given = {"Content-Type": EVENTS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await house.operate("POST", "/events", body=list(events), headers=given)


async def counted(house: House, resident: Resident) -> Decimal:
    async with house.database.reading() as tx:
        return await tx.connection.fetchval(
            "SELECT coalesce(sum(total), 0) FROM day_rows WHERE account_id = $1", resident.account_id
        )


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each ingest took in."""
    sizes: list[int] = []
    ingest = operations.ingest

    async def noted(tx: Any, events: Any, **options: Any) -> Any:
        sizes.append(len(events))
        return await ingest(tx, events, **options)

    monkeypatch.setattr(operations, "ingest", noted)
    return sizes


class TestCallsAtOnce:
    async def test_share_transactions_and_lose_and_double_nothing(self, house: House, transactions: list[int]):
        residents = [await settle(house) for _ in range(3)]
        sent = [event(residents[number % 3], f"e{number // 2}", 1 + number % 3) for number in range(CALLS)]
        replies = await asyncio.gather(*(send(house, one) for one in sent))
        assert {reply.status for reply in replies} == {200}
        assert [reply.body["results"][0]["id"] for reply in replies] == [one["id"] for one in sent]
        assert sum(transactions) == CALLS
        assert len(transactions) < CALLS / 3
        async with house.database.reading() as tx:
            stored = await tx.connection.fetchval("SELECT count(*) FROM usage_events")
        assert stored == sum(reply.body["accepted"] for reply in replies) == CALLS

    async def test_have_results_of_their_own(self, house: House):
        jane, other = await settle(house), await settle(house)
        wanted = {
            "accepted": event(jane, "good", 3),
            "quarantined": event(jane, "nowhere", subject="unknown"),
            "rejected": event(jane, "wordy", "many"),
        }
        replies = await asyncio.gather(
            *(send(house, one) for one in wanted.values()),
            send(house, event(other, "good", 2), event(other, "more", 5)),
        )
        assert [reply.body["results"][0]["status"] for reply in replies[:3]] == list(wanted)
        assert [result["status"] for result in replies[3].body["results"]] == ["accepted", "accepted"]
        assert (await counted(house, jane), await counted(house, other)) == (3, 7)

    async def test_that_say_the_same_count_once(self, house: House):
        jane = await settle(house)
        replies = await asyncio.gather(*(send(house, event(jane, "same", 4)) for _ in range(20)))
        found = sorted(reply.body["results"][0]["status"] for reply in replies)
        assert found == ["accepted", *["duplicate"] * 19]
        assert await counted(house, jane) == 4

    async def test_do_not_wait_for_one_that_waits_for_a_lock(self, house: House, database_dsn: str):
        held, free = await settle(house), await settle(house)
        await send(house, event(held, "first"))
        owner = await asyncpg.connect(database_dsn)
        async with owner.transaction():
            await owner.execute("SELECT FROM day_rows WHERE account_id = $1 FOR UPDATE", held.account_id)
            waiting = asyncio.create_task(send(house, event(held, "second")))
            await asyncio.sleep(0.05)
            replies = await asyncio.wait_for(asyncio.gather(*(send(house, event(free, f"e{n}")) for n in range(9))), 5)
            assert {reply.body["accepted"] for reply in replies} == {1}
            assert not waiting.done()
        await owner.close()
        assert (await waiting).body["accepted"] == 1

    async def test_are_tried_alone_when_the_shared_transaction_fails(self, house: House, database_dsn: str):
        jane, other = await settle(house), await settle(house)
        owner = await asyncpg.connect(database_dsn)
        await owner.execute(POISON)
        await owner.close()
        replies = await asyncio.gather(
            *(send(house, event(jane, f"e{number}")) for number in range(5)), send(house, event(other, "poison"))
        )
        assert [reply.status for reply in replies] == [200] * 5 + [503]
        assert [reply.body["accepted"] for reply in replies[:5]] == [1] * 5
        assert (await counted(house, jane), await counted(house, other)) == (5, 0)

    async def test_with_a_key_or_of_a_backfill_stand_alone(self, house: House, transactions: list[int]):
        jane = await settle(house)
        replies = await asyncio.gather(
            *(send(house, event(jane, f"k{number}"), Idempotency_Key=f"key-{number:08}") for number in range(5))
        )
        assert {reply.body["accepted"] for reply in replies} == {1}
        assert transactions == [1] * 5
        again = await send(house, event(jane, "k1"), Idempotency_Key="key-00000001")
        assert again.headers["Idempotent-Replayed"] == "true"
