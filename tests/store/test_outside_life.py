"""Usage outside a resource's life: whatever comes first, the state or the event, it is not counted and waits in quarantine (M7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import metering, rating
from billing.core.errors import NotFound
from billing.kit.db import Tx
from billing.metering import operations
from tests.conftest import NOW
from tests.store.test_metering import day_rows, define_meters, ingest, open_quarantine, prepared
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, event, find_broken, open_cloud, price, report

if TYPE_CHECKING:
    from billing.kit.db import Connection

OUTSIDE = "outside_resource_life"
MICROSECOND = timedelta(microseconds=1)


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    """A cloud with the meters m (sum) and disk (gauge), at 1.00 and 0.50."""
    async with open_cloud(database_dsn, connections=4) as opened:
        async with opened.database.transaction() as tx:
            await define_meters(tx)
        await opened.publish(price(meter="m", unit_price="1"), price(meter="disk", unit_price="0.5"))
        yield opened


class TestAnEndThatComesLater:
    @pytest.mark.parametrize("meter", ["m", "peak", "seats", "disk"])
    async def test_takes_usage_after_it_out_of_the_count(self, tx: Tx, meter: str) -> None:
        account_id = await prepared(tx)
        inside = [event(account_id, n, 9 - n, meter=meter, occurred_at=at(f"01-15 0{n}:00")) for n in range(3)]
        await ingest(tx, *inside)
        before = await day_rows(tx.connection, account_id)
        outside = [
            event(account_id, "at the end", 50, meter=meter, occurred_at=at("01-15 03:00")),
            event(account_id, "that day", 60, meter=meter, occurred_at=at("01-15 23:00")),
            event(account_id, "later", 70, meter=meter, occurred_at=at("01-20")),
        ]
        assert await ingest(tx, *outside) == [("accepted", None)] * 3
        await report(tx, account_id, status="deleted", effective_at=at("01-15 03:00"))
        assert await open_quarantine(tx, account_id) == {one.event_id: OUTSIDE for one in outside}
        after = await day_rows(tx.connection, account_id)
        if meter == "disk":  # the level holds to the end of the day row; the count is cut at the resource's end
            before = {key: (row[0], *after[key][1:]) for key, row in before.items()}
            after = {key: (before[key][0], *row[1:]) for key, row in after.items()}
        assert after == before
        assert await find_broken(tx) == []

    async def test_cuts_the_level_of_its_own_day(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        levels = [event(account_id, day, 8, meter="disk", occurred_at=at(f"01-{day}")) for day in ("14", "15")]
        await ingest(tx, *levels)
        whole = await day_rows(tx.connection, account_id)
        await report(tx, account_id, status="deleting", effective_at=at("01-15 12:00"))
        cut = await day_rows(tx.connection, account_id)
        assert [cut[key][0] / whole[key][0] for key in sorted(whole)] == [1, Decimal("0.5")]
        assert await find_broken(tx) == []

    async def test_answers_for_such_an_event_as_if_it_had_come_first(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        sent = event(account_id, 1, occurred_at=at("01-20"))
        await ingest(tx, sent)
        await report(tx, account_id, status="deleted", effective_at=at("01-10"))
        assert await ingest(tx, sent) == [("quarantined", OUTSIDE)]
        assert await ingest(tx, event(account_id, 1, 2, occurred_at=at("01-20"))) == [("rejected", "event_conflict")]

    async def test_leaves_voided_events_voided(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        sent = event(account_id, 1, occurred_at=at("01-20"))
        await ingest(tx, sent)
        await metering.void(tx, account_id=account_id, source="test", event_id="1")
        await report(tx, account_id, status="deleted", effective_at=at("01-10"))
        assert await open_quarantine(tx, account_id) == {}
        assert await ingest(tx, sent) == [("duplicate", None)]

    @pytest.mark.parametrize("meter", ["m", "disk"])
    async def test_takes_no_other_usage_of_its_day_along(self, tx: Tx, meter: str) -> None:
        """A day row goes with the last of its events: that resource's and meter's alone."""
        account_id = await prepared(tx)
        await report(tx, account_id, "other")
        kept = [
            event(account_id, "m", resource_id="other", occurred_at=at("01-15")),
            event(account_id, "disk", meter="disk", resource_id="other", occurred_at=at("01-15")),
            event(account_id, "peak", meter="peak", occurred_at=at("01-15")),
        ]
        await ingest(tx, *kept)
        before = await day_rows(tx.connection, account_id)
        await ingest(tx, event(account_id, "wrong", meter=meter, occurred_at=at("01-15")))
        await metering.void(tx, account_id=account_id, source="test", event_id="wrong")
        assert await day_rows(tx.connection, account_id) == before

    async def test_gives_back_what_a_closed_month_had_billed_for_it(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.use(account_id, 5, occurred_at=at("01-10"))
        await cloud.use(account_id, 7, occurred_at=at("01-20"))
        await cloud.close(JANUARY)
        await cloud.report(account_id, status="deleted", effective_at=at("01-15"))
        cloud.advance_to(FEBRUARY.end + timedelta(hours=10))
        await metering.settle_shortened(cloud.database)
        await cloud.close(FEBRUARY)
        rows = await cloud.fetch("SELECT kind, total_minor FROM invoices ORDER BY period")
        assert [tuple(row) for row in rows] == [("invoice", 1200), ("credit_note", -700)]
        assert await cloud.broken() == []


class TestDeleting:
    async def test_stops_the_count_until_the_resource_runs_again(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        await report(tx, account_id, status="deleting", effective_at=at("01-10"))
        sent = [event(account_id, day, occurred_at=at(f"01-{day}")) for day in ("09", "10", "12", "14")]
        assert await ingest(tx, *sent) == [("accepted", None), *[("quarantined", OUTSIDE)] * 3]
        await report(tx, account_id, status="running", effective_at=at("01-12"))
        assert await open_quarantine(tx, account_id) == {"10": OUTSIDE}
        await report(tx, account_id, status="deleting", effective_at=at("01-13"))
        assert await open_quarantine(tx, account_id) == {"10": OUTSIDE, "14": OUTSIDE}
        await report(tx, account_id, status="stopped", effective_at=at("01-10"))
        assert await open_quarantine(tx, account_id) == {"14": OUTSIDE}
        assert await find_broken(tx) == []


class TestMuchUsage:
    async def test_is_left_to_a_job_that_takes_whole_day_rows(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        most = operations.SETTLED_AT_ONCE
        for day, count in (("01-10", most), ("01-11", most + 1), ("01-12", 3)):
            for start in range(0, count, 1_000):
                ends = range(start, min(start + 1_000, count))
                async with cloud.database.transaction() as tx:
                    await metering.ingest(tx, [event(account_id, f"{day} {n}", occurred_at=at(day)) for n in ends])
        await cloud.report(account_id, status="deleted", effective_at=at("01-10"))
        counted = "SELECT coalesce(sum(events), 0) FROM day_rows"
        assert (await cloud.fetch(counted))[0][0] == most + 4
        ((version,),) = await cloud.fetch("SELECT version FROM period_versions")
        async with cloud.database.transaction() as tx:
            assert await operations.settle_shortened(tx)
        assert (await cloud.fetch(counted))[0][0] == 3
        ((later,),) = await cloud.fetch("SELECT version FROM period_versions")
        assert later > version
        await metering.settle_shortened(cloud.database)
        assert (await cloud.fetch(counted))[0][0] == 0
        assert await cloud.broken() == []

    async def test_that_arrives_while_the_report_is_under_way_is_found_afterwards(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        async with cloud.database.transaction() as tx:
            (result,) = await metering.ingest(tx, [event(account_id, 1, occurred_at=at("02-01 09:00"))])
            assert result.outcome == "accepted"
            await cloud.report(account_id, status="deleted", effective_at=at("02-01 08:00"))
        assert len(await cloud.fetch("SELECT FROM day_rows")) == 1  # neither could see the other
        await metering.settle_shortened(cloud.database)
        cloud.wait(seconds=operations.SETTLING.total_seconds())
        await metering.settle_shortened(cloud.database)
        assert await cloud.fetch("SELECT FROM day_rows") == []
        assert await cloud.fetch("SELECT FROM shortened_resources") == []
        assert await cloud.broken() == []

    async def test_reports_events_and_voids_at_once_cross_no_locks(self, cloud: Cloud) -> None:
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        meters = ("disk", "m")

        async def send(n: int) -> None:
            for k in range(6):
                batch = [
                    event(account_id, f"{n} {k} {d}", meter=meters[d % 2], occurred_at=at(f"01-{10 + d}"))
                    for d in range(12)
                ]
                async with cloud.database.transaction() as tx:
                    await metering.ingest(tx, batch)

        async def end(n: int) -> None:
            for day in (21, 18, 15, 12):
                await cloud.report(account_id, status="deleted", effective_at=at(f"01-{day}") + n * MICROSECOND)

        async def void(n: int) -> None:
            for d in range(12):
                await asyncio.sleep(0.01)
                async with cloud.database.transaction() as tx:
                    try:
                        await metering.void(tx, account_id=account_id, source="test", event_id=f"{n} 0 {d}")
                    except NotFound:
                        continue

        await asyncio.gather(*(work(n) for n in range(4) for work in (send, end, void)))
        cloud.wait(minutes=3)
        await metering.settle_shortened(cloud.database)
        last = await cloud.fetch("SELECT max(occurred_at) FROM usage_events WHERE voided_at IS NULL")
        assert last[0][0] < at("01-12") + 4 * MICROSECOND
        assert (
            len(await cloud.fetch("SELECT event_id FROM usage_events UNION SELECT event_id FROM quarantined_events"))
            == 288
        )
        assert await cloud.broken() == []


STATES: list[dict[str, Any]] = [
    {"effective_at": at("01-03")},
    {"effective_at": at("01-08"), "status": "deleting", "plan": "vps-1"},
    {"effective_at": at("01-10"), "status": "stopped", "plan": "vps-1"},
    {"effective_at": at("01-20"), "status": "deleted"},
    {"effective_at": at("01-24"), "status": "deleting"},
    {"effective_at": at("01-28"), "status": "deleted"},
]
ALIVE = ((at("01-03"), at("01-08")), (at("01-10"), at("01-20")))
USAGE = [
    (meter, quantity, at(f"01-{day}") + offset)
    for meter, day in (("m", "05"), ("peak", "19"), ("seats", "12"), ("disk", "06"))
    for quantity, offset in ((4, timedelta(0)), (3, timedelta(hours=5)))
] + [
    (meter, 10 + index, instant + offset)
    for index, (meter, instant) in enumerate(
        (("m", at("01-03")), ("disk", at("01-08")), ("peak", at("01-10")), ("seats", at("01-20")), ("m", at("01-25")))
    )
    for offset in (-MICROSECOND, timedelta(0))
]
VOIDED = (0, 8, 13)


class TestOrderOfArrival:
    """Of the same states, events and voids, in any order: the same day rows, the same quarantine, the same bill."""

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(order=st.permutations(range(len(STATES) + len(USAGE))))
    async def test_makes_no_difference(self, connection: Connection, order: list[int]) -> None:
        example = connection.transaction()
        await example.start()
        tx = Tx(connection, NOW)
        account_id = await prepared(tx, with_resource=False)
        for index in order:
            await self.arrive(tx, account_id, index)
        alive = {n for n, (_, _, when) in enumerate(USAGE) if any(start <= when < end for start, end in ALIVE)}
        rows = await connection.fetch("SELECT event_id FROM usage_events WHERE voided_at IS NULL")
        assert {int(row["event_id"]) for row in rows} == alive - set(VOIDED)
        waiting = await open_quarantine(tx, account_id)
        assert waiting == {str(n): OUTSIDE for n in range(len(USAGE)) if n not in alive and n not in VOIDED}
        charges = await rating.list_charges(connection, account_ids=[account_id], period=JANUARY, as_of=JANUARY.end)
        # disk, peak, ten days of the plan; seats and m
        assert sorted(row.amount_minor for row in charges if row.quantity) == [187, 200, 240, 650, 650]
        assert await find_broken(tx) == []
        await example.rollback()

    async def arrive(self, tx: Tx, account_id: UUID, index: int) -> None:
        if index < len(STATES):
            try:
                await report(tx, account_id, **STATES[index])
            except metering.ResourceDeleted:
                assert STATES[index]["effective_at"] > at("01-20")
            return
        number = index - len(STATES)
        meter, quantity, when = USAGE[number]
        await ingest(tx, event(account_id, number, quantity, meter=meter, occurred_at=when))
        if number in VOIDED:
            await metering.void(tx, account_id=account_id, source="test", event_id=str(number))


class TestReadingsAhead:
    """What was sent counts at once: a reading up to 5 minutes ahead shows that the level before it held until then."""

    @pytest.mark.parametrize("now", [at("01-15 12:00")], indirect=True)
    async def test_count_in_the_open_month_what_is_exact_when_their_time_has_come(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        ahead = [("10", "01-15 11:00"), ("20", "01-15 12:02"), ("30", "01-15 12:05")]
        sent = [event(account_id, n, level, meter="disk", occurred_at=at(day)) for n, (level, day) in enumerate(ahead)]
        assert (
            await ingest(tx, *sent, event(account_id, 9, 4, occurred_at=at("01-15 12:05"))) == [("accepted", None)] * 4
        )

        async def unit_minutes(instant: str) -> Decimal:
            charges = await rating.list_charges(
                tx.connection, account_ids=[account_id], period=JANUARY, as_of=at(instant)
            )
            assert {charge.quantity for charge in charges if charge.denominator == 1} == {4}  # sums count at once too
            return sum((charge.quantity for charge in charges if charge.denominator != 1), Decimal(0)) / 60

        assert await unit_minutes("01-15 12:00") == 10 * 62 + 20 * 3
        assert await unit_minutes("01-15 12:05") == 10 * 62 + 20 * 3
        assert await unit_minutes("01-15 12:06") == 10 * 62 + 20 * 3 + 30

    @pytest.mark.parametrize("now", [at("01-31 23:59")], indirect=True)
    async def test_of_the_next_month_add_nothing_to_this_one(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        levels = [("10", "01-31 23:00"), ("20", "02-01 00:03")]
        sent = [event(account_id, n, level, meter="disk", occurred_at=at(day)) for n, (level, day) in enumerate(levels)]
        await ingest(tx, *sent)
        charges = await rating.list_charges(tx.connection, account_ids=[account_id], period=JANUARY, as_of=tx.now)
        assert [charge.quantity for charge in charges] == [10 * 59 * 60]
