"""The quarantine: its reasons stay true, and its job reaches every event however many wait beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from billing import metering
from billing.core.errors import NotFound
from billing.kit.db import Database, Tx
from billing.metering import operations
from tests.conftest import NOW
from tests.store.test_metering import day_rows, define_meters, ingest, open_quarantine, prepared
from tests.support.cloud import Cloud, at, event, open_cloud, price, publish, report


class TestReasons:
    async def test_are_those_of_the_last_try(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        await ingest(tx, event(account_id, 1, meter="new", occurred_at=at("01-03")))
        assert await open_quarantine(tx, account_id) == {"1": "resource_unknown"}
        await report(tx, account_id, effective_at=at("01-10"))
        assert await open_quarantine(tx, account_id) == {"1": "outside_resource_life"}
        await report(tx, account_id, effective_at=at("01-02"))
        assert await open_quarantine(tx, account_id) == {"1": "meter_unknown"}
        await publish(tx, price(meter="new", unit_price="1"), currency="KES")
        later = replace(tx, now=NOW + timedelta(seconds=10))
        assert await metering.replay_quarantine(later) == 0
        assert await open_quarantine(tx, account_id) == {"1": "price_missing"}
        await publish(tx, price(meter="new", unit_price="1"))
        assert await metering.replay_quarantine(replace(later, now=NOW + timedelta(seconds=20))) == 1

    async def test_of_an_event_that_came_in_time_stay_when_it_is_sent_again_too_late(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        sent = event(account_id, 1)
        await ingest(tx, sent)
        late = replace(tx, now=NOW + timedelta(days=40))
        assert await ingest(late, sent) == [("quarantined", "resource_unknown")]
        await report(late, account_id)
        assert await open_quarantine(tx, account_id) == {}

    async def test_of_one_that_came_too_late_are_refreshed_by_a_backfill(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        old = event(account_id, 1, occurred_at=datetime.fromisoformat("2023-11-05T00:00:00Z"))
        assert await ingest(tx, old) == [("quarantined", "too_late")]
        assert await ingest(tx, old, is_backfill=True) == [("quarantined", "resource_unknown")]
        await report(tx, account_id, effective_at=datetime.fromisoformat("2023-11-01T00:00:00Z"))
        assert await open_quarantine(tx, account_id) == {}


class TestVoid:
    async def test_takes_an_event_out_of_quarantine_for_good(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        sent = event(account_id, 1)
        await ingest(tx, sent)
        for _ in range(2):
            await metering.void(tx, account_id=account_id, source="test", event_id="1")
        assert await open_quarantine(tx, account_id) == {}
        await report(tx, account_id)
        assert await ingest(tx, sent) == [("duplicate", None)]
        assert await ingest(tx, replace(sent, meter="peak")) == [("rejected", "event_conflict")]
        assert await day_rows(tx.connection, account_id) == {}

    async def test_does_not_find_another_accounts(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        await ingest(tx, event(account_id, 1))
        with pytest.raises(NotFound):
            await metering.void(tx, account_id=UUID(int=1), source="test", event_id="1")


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    """A cloud with the meter m."""
    async with open_cloud(database_dsn) as opened:
        async with opened.database.transaction() as tx:
            await define_meters(tx)
        await opened.publish(price(meter="m", unit_price="1"))
        yield opened


async def fill(cloud: Cloud, account_id: UUID, count: int, prefix: str, **members: str) -> None:
    """Events of an account that wait."""
    for start in range(0, count, 1_000):
        ends = range(start, min(start + 1_000, count))
        async with cloud.database.transaction() as tx:
            results = await metering.ingest(tx, [event(account_id, f"{prefix}{n}", **members) for n in ends])
        assert {result.outcome for result in results} == {"quarantined"}


class TestJob:
    async def test_takes_a_chunk_in_a_transaction_of_its_own(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await fill(cloud, account_id, 2_500, "", meter="new")
        await cloud.report(account_id)
        await cloud.publish(price(meter="new", unit_price="1"))
        cloud.wait(seconds=10)
        await metering.replay_waiting(cloud.database, turns_max=1)
        assert [row[0] for row in await cloud.fetch("SELECT events FROM day_rows")] == [operations.REPLAY_CHUNK]
        await metering.replay_waiting(cloud.database)
        assert [row[0] for row in await cloud.fetch("SELECT events FROM day_rows")] == [2_500]
        assert await cloud.broken() == []

    async def test_reaches_what_waits_behind_others_that_never_can_be_billed(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await fill(cloud, account_id, 3_000, "a", resource_id="never")
        await fill(cloud, account_id, 1, "z", meter="new")
        await cloud.publish(price(meter="new", unit_price="1"))
        for _ in range(4):  # each run bears one chunk alone
            cloud.wait(seconds=10)
            await metering.replay_waiting(cloud.database, turns_max=1)
        assert [row[0] for row in await cloud.fetch("SELECT events FROM day_rows")] == [1]

    async def test_lets_accounts_take_turns(self, cloud: Cloud) -> None:
        account_ids = [await cloud.open_account() for _ in range(6)]
        for account_id in account_ids:
            await cloud.report(account_id)
        await fill(cloud, account_ids[0], 3_000, "", resource_id="never")
        for account_id in account_ids[1:]:
            await fill(cloud, account_id, 1, "", meter="new")
        await cloud.publish(price(meter="new", unit_price="1"))
        cloud.wait(seconds=10)
        await metering.replay_waiting(cloud.database, turns_max=6)
        assert len(await cloud.fetch("SELECT FROM day_rows")) == 5

    async def test_begins_where_chance_says_and_goes_around(self, cloud: Cloud) -> None:
        account_ids = sorted([await cloud.open_account() for _ in range(3)])
        for account_id in account_ids:
            await fill(cloud, account_id, 1, "", resource_id="never")
        for before, first in zip((account_ids[2], *account_ids), (*account_ids, account_ids[0]), strict=True):
            cloud.wait(seconds=10)
            drawn = Database(cloud.database.pool, cloud.clock, lambda _, start=before: start.int)
            await metering.replay_waiting(drawn, turns_max=1)
            rows = await cloud.fetch("SELECT account_id FROM quarantined_events WHERE tried_at = $1", cloud.clock.now)
            assert [row["account_id"] for row in rows] == [first]

    async def test_leaves_an_account_to_whoever_is_at_it(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await fill(cloud, account_id, 1, "", resource_id="never")
        cloud.wait(seconds=10)
        async with cloud.database.transaction() as tx:
            assert await operations.replay_turn(tx, account_id=account_id, tried_before=tx.now) == 1
            async with cloud.database.transaction() as other:
                assert await operations.replay_turn(other, account_id=account_id, tried_before=tx.now) == 0
            await metering.replay_waiting(cloud.database)
        assert len(await cloud.fetch("SELECT FROM quarantined_events WHERE tried_at = $1", cloud.clock.now)) == 1


class TestOperator:
    async def test_replays_as_much_as_one_transaction_bears(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await fill(cloud, account_id, operations.SETTLED_AT_ONCE + 1, "", meter="new")
        await cloud.publish(price(meter="new", unit_price="1"))
        cloud.wait(seconds=1)
        async with cloud.database.transaction() as tx:
            assert await metering.replay_quarantine(tx) == operations.SETTLED_AT_ONCE
        async with cloud.database.transaction() as tx:
            assert await metering.replay_quarantine(tx, account_id=account_id) == 1
