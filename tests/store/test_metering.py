"""Usage events and resource states on a real database: what is counted, what is refused, in whatever order (M1, M2, M7)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import catalog, metering
from billing.core.page import PageRequest
from billing.kit.db import Tx
from tests.conftest import NOW
from tests.support.cloud import at, event, find_broken, open_account, open_cloud, price, publish, report

if TYPE_CHECKING:
    from billing.kit.db import Connection
    from billing.metering.model import UsageEvent

MICROSECOND = timedelta(microseconds=1)
AGGREGATIONS: dict[str, catalog.Aggregation] = {
    "m": "sum",
    "peak": "max",
    "seats": "last",
    "disk": "time_weighted",
}
PRICES = [price(meter=meter, unit_price="0.5") for meter in AGGREGATIONS]
PLAN = price(service="compute", model="hourly", plan="vps-1", hourly_price="0.01")


async def define_meters(tx: Tx) -> None:
    for meter, aggregation in AGGREGATIONS.items():
        defined = catalog.Meter(meter=meter, service="messaging", name=meter, unit="units", aggregation=aggregation)
        await catalog.define_meter(tx, meter=defined)


async def prepared(tx: Tx, *, with_resource: bool = True) -> UUID:
    """An account whose meters are priced, with the resource `r` since January 1."""
    await define_meters(tx)
    await publish(tx, *PRICES, PLAN)
    account = await open_account(tx)
    if with_resource:
        await report(tx, account.account_id)
    return account.account_id


async def ingest(tx: Tx, *events: UsageEvent, is_backfill: bool = False) -> list[tuple[str, str | None]]:
    results = await metering.ingest(tx, events, is_backfill=is_backfill)
    return [(result.outcome, result.reason) for result in results]


async def day_rows(connection: Connection, account_id: UUID) -> dict[tuple[date, str, str], tuple[Any, ...]]:
    """(total, highest, latest, events) by day, resource and meter."""
    rows = await connection.fetch("SELECT * FROM day_rows WHERE account_id = $1", account_id)
    return {
        (row["day"], row["resource_id"], row["meter"]): (row["total"], row["highest"], row["latest"], row["events"])
        for row in rows
    }


async def open_quarantine(tx: Tx, account_id: UUID) -> dict[str, str]:
    held = await metering.list_quarantined(tx.connection, page=PageRequest(per_page=10_000), account_id=account_id)
    return {one.event.event_id: one.reason for one in held.items}


class TestIngest:
    async def test_counts_an_event_into_its_day(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        sent = [event(account_id, 1, "1.5"), event(account_id, 2, 4), event(account_id, 3, 2, occurred_at=at("01-16"))]
        assert await ingest(tx, *sent) == [("accepted", None)] * 3
        assert await day_rows(tx.connection, account_id) == {
            (date(2024, 1, 15), "r", "m"): (Decimal("5.5"), 4, 4, 2),
            (date(2024, 1, 16), "r", "m"): (2, 2, 2, 1),
        }
        assert await find_broken(tx) == []

    async def test_adds_later_batches(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        for number in range(4):
            await ingest(tx, event(account_id, number, 10 - number, occurred_at=at("01-15") + number * MICROSECOND))
        assert await day_rows(tx.connection, account_id) == {(date(2024, 1, 15), "r", "m"): (34, 10, 7, 4)}

    async def test_answers_in_the_order_sent(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        await ingest(tx, event(account_id, 5))
        sent = [
            event(account_id, 9),
            event(account_id, 5),
            event(account_id, 7, resource_id="unknown"),
            event(UUID(int=7), 8),
            event(account_id, 5, 2),
            event(account_id, 1),
        ]
        assert await ingest(tx, *sent) == [
            ("accepted", None),
            ("duplicate", None),
            ("quarantined", "resource_unknown"),
            ("rejected", "account_unknown"),
            ("rejected", "event_conflict"),
            ("accepted", None),
        ]

    async def test_takes_nothing(self, tx: Tx) -> None:
        assert await ingest(tx) == []

    async def test_takes_a_quantity_of_0_and_the_largest(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        most = Decimal("9" * 29 + "." + "9" * 12)
        assert await ingest(tx, event(account_id, 1, 0), event(account_id, 2, most)) == [("accepted", None)] * 2
        assert (await day_rows(tx.connection, account_id))[date(2024, 1, 15), "r", "m"] == (most, most, most, 2)


class TestDuplicates:
    @pytest.mark.parametrize("is_one_batch", [True, False])
    async def test_are_counted_once(self, tx: Tx, is_one_batch: bool) -> None:
        account_id = await prepared(tx)
        one = event(account_id, 1, 3)
        same = replace(
            one, quantity=Decimal("3.000"), occurred_at=one.occurred_at.astimezone(timezone(timedelta(hours=3)))
        )
        batches = [[one, same, one]] if is_one_batch else [[one], [same], [one]]
        answers = [answer for batch in batches for answer in await ingest(tx, *batch)]
        assert answers == [("accepted", None), ("duplicate", None), ("duplicate", None)]
        assert await day_rows(tx.connection, account_id) == {(date(2024, 1, 15), "r", "m"): (3, 3, 3, 1)}

    @pytest.mark.parametrize("is_one_batch", [True, False])
    @pytest.mark.parametrize(
        "other",
        [
            {"quantity": Decimal(4)},
            {"meter": "peak"},
            {"resource_id": "s"},
            {"occurred_at": at("01-15 12:00") + MICROSECOND},
            {"quantity": Decimal(-1)},
            {"resource_id": "unknown"},
        ],
    )
    async def test_with_other_content_are_refused(self, tx: Tx, other: dict[str, Any], is_one_batch: bool) -> None:
        account_id = await prepared(tx)
        await report(tx, account_id, "s")
        one = event(account_id, 1, 3)
        batches = [[one, replace(one, **other)]] if is_one_batch else [[one], [replace(one, **other)]]
        answers = [answer for batch in batches for answer in await ingest(tx, *batch)]
        assert answers == [("accepted", None), ("rejected", "event_conflict")]
        assert await day_rows(tx.connection, account_id) == {(date(2024, 1, 15), "r", "m"): (3, 3, 3, 1)}
        assert await open_quarantine(tx, account_id) == {}

    async def test_of_another_source_or_account_are_other_events(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        other_id = (await open_account(tx)).account_id
        await report(tx, other_id)
        one = event(account_id, 1)
        sent = [one, replace(one, source="other"), replace(one, account_id=other_id)]
        assert await ingest(tx, *sent) == [("accepted", None)] * 3

    async def test_of_an_event_in_quarantine_stay_there(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        one = event(account_id, 1)
        assert await ingest(tx, one, one, replace(one, quantity=Decimal(2))) == [
            ("quarantined", "resource_unknown"),
            ("quarantined", "resource_unknown"),
            ("rejected", "event_conflict"),
        ]
        assert await ingest(tx, one) == [("quarantined", "resource_unknown")]
        await report(tx, account_id, "s")
        assert await ingest(tx, replace(one, resource_id="s")) == [("rejected", "event_conflict")]
        assert await open_quarantine(tx, account_id) == {"1": "resource_unknown"}


class TestQuarantine:
    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({"resource_id": "unknown"}, "resource_unknown"),
            ({"occurred_at": at("01-03") - MICROSECOND}, "outside_resource_life"),
            ({"occurred_at": at("01-20")}, "outside_resource_life"),
            ({"meter": "unknown"}, "meter_unknown"),
            ({"meter": "unpriced"}, "price_missing"),
            ({"quantity": Decimal("-1e-12")}, "negative_quantity"),
            ({"quantity": Decimal(10) ** 29}, "quantity_too_large"),
            ({"occurred_at": NOW + timedelta(minutes=5) + MICROSECOND}, "too_early"),
            ({"occurred_at": NOW - timedelta(days=35) - MICROSECOND}, "too_late"),
        ],
    )
    async def test_holds_an_event_with_its_reason(self, tx: Tx, members: dict[str, Any], reason: str) -> None:
        account_id = await prepared(tx, with_resource=False)
        unpriced = catalog.Meter(meter="unpriced", service="x", name="x", unit="x", aggregation="sum")
        await catalog.define_meter(tx, meter=unpriced)
        await report(tx, account_id, effective_at=at("01-03"))
        await report(tx, account_id, status="deleted", effective_at=at("01-20"))
        assert await ingest(tx, replace(event(account_id, 1), **members)) == [("quarantined", reason)]
        assert await day_rows(tx.connection, account_id) == {}
        assert await open_quarantine(tx, account_id) == {"1": reason}
        assert await find_broken(tx) == []

    @pytest.mark.parametrize("occurred_at", [NOW + timedelta(minutes=5), NOW - timedelta(days=35)])
    async def test_lets_the_bounds_of_time_through(self, tx: Tx, occurred_at: datetime) -> None:
        account_id = await prepared(tx, with_resource=False)
        await report(tx, account_id, effective_at=datetime.fromisoformat("2023-11-01T00:00:00Z"))
        assert await ingest(tx, event(account_id, 1, occurred_at=occurred_at)) == [("accepted", None)]

    @pytest.mark.parametrize("occurred_at", [at("01-03"), at("01-20") - MICROSECOND])
    async def test_lets_the_bounds_of_a_life_through(self, tx: Tx, occurred_at: datetime) -> None:
        account_id = await prepared(tx, with_resource=False)
        await report(tx, account_id, effective_at=at("01-03"))
        await report(tx, account_id, status="deleted", effective_at=at("01-20"))
        assert await ingest(tx, event(account_id, 1, occurred_at=occurred_at)) == [("accepted", None)]

    async def test_lifts_the_late_window_for_a_backfill(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        start = datetime.fromisoformat("2023-01-01T00:00:00Z")
        await report(tx, account_id, effective_at=start)
        late = event(account_id, 1, occurred_at=start)
        assert await ingest(tx, late) == [("quarantined", "too_late")]
        assert await ingest(tx, late, is_backfill=True) == [("accepted", None)]
        assert await open_quarantine(tx, account_id) == {}
        assert await find_broken(tx) == []

    @pytest.mark.parametrize(
        ("more", "is_priced"),
        [
            ({}, True),
            ({"region": "eu"}, True),
            ({"region": "us"}, False),
            ({"currency": "KES"}, False),
            ({"valid_from": at("01-01")}, True),
            ({"valid_from": at("02-01")}, False),
        ],
    )
    async def test_knows_the_price_that_would_rate_the_event(
        self, tx: Tx, more: dict[str, Any], is_priced: bool
    ) -> None:
        account_id = await prepared(tx)
        members = dict(more)
        terms = {"region": members.pop("region")} if "region" in members else {}
        await publish(tx, price(meter="new", unit_price="1", **terms), **members)
        wanted = ("accepted", None) if is_priced else ("quarantined", "price_missing")
        assert await ingest(tx, event(account_id, 1, meter="new")) == [wanted]

    @pytest.mark.parametrize("terms", [{}, {"region": "eu"}])
    async def test_knows_the_contract_of_the_account_alone(self, tx: Tx, terms: dict[str, Any]) -> None:
        account_id = await prepared(tx)
        other_id = (await open_account(tx)).account_id
        await report(tx, other_id)
        await publish(tx, price(meter="new", unit_price="1", **terms), account_id=account_id)
        assert await ingest(tx, event(account_id, 1, meter="new"), event(other_id, 1, meter="new")) == [
            ("accepted", None),
            ("quarantined", "price_missing"),
        ]


class TestReplay:
    async def test_comes_by_itself_when_the_resource_appears(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        await ingest(tx, *(event(account_id, n) for n in range(1_001)))
        await report(tx, account_id, effective_at=at("01-16"))
        assert len(await open_quarantine(tx, account_id)) == 1_001  # still outside its life
        await report(tx, account_id, effective_at=at("01-15"))
        assert await open_quarantine(tx, account_id) == {}
        assert await day_rows(tx.connection, account_id) == {(date(2024, 1, 15), "r", "m"): (1001, 1, 1, 1001)}
        assert await find_broken(tx) == []

    async def test_bills_what_waited_for_a_price_and_leaves_the_rest(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        await ingest(
            tx, event(account_id, 1, meter="new"), event(account_id, 2, -1), event(account_id, 3, meter="newer")
        )
        await publish(tx, price(meter="new", unit_price="1"))
        assert await metering.replay_quarantine(tx, account_id=account_id) == 1
        assert set(await open_quarantine(tx, account_id)) == {"2", "3"}
        assert await metering.replay_quarantine(tx, account_id=account_id) == 0
        assert await ingest(tx, event(account_id, 1, meter="new")) == [("duplicate", None)]

    async def test_reaches_what_waits_behind_many_others(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        await ingest(tx, *(event(account_id, n, resource_id="never") for n in range(1_001)))
        await ingest(replace(tx, now=tx.now + MICROSECOND), event(account_id, "last", meter="new"))
        await publish(tx, price(meter="new", unit_price="1"))
        assert await metering.replay_quarantine(tx) == 1


class TestRecordState:
    async def test_again_with_the_same_content_changes_nothing(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        first = await report(tx, account_id, plan="vps-1")
        assert (first.is_created, first.is_changed) == (True, True)
        again = await report(tx, account_id, plan="vps-1", units=Decimal("1.0"))
        assert (again.is_created, again.is_changed) == (False, False)

    async def test_replaces_a_state_of_the_same_instant(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        assert (await report(tx, account_id, units=Decimal(2))).is_changed
        (span,) = await metering.list_spans(tx.connection, account_id=account_id, resource_id="r")
        assert span.units == 2

    async def test_keeps_the_region(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        with pytest.raises(metering.ResourceRegionFixed):
            await report(tx, account_id, region="us", effective_at=at("01-05"))

    async def test_refuses_states_after_the_end(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        await report(tx, account_id, status="deleted", effective_at=at("01-10"))
        for status in ("running", "stopped", "deleting"):
            with pytest.raises(metering.ResourceDeleted):
                await report(tx, account_id, status=status, effective_at=at("01-10") + MICROSECOND)
        assert (await report(tx, account_id, status="stopped", effective_at=at("01-09"))).is_changed

    async def test_keeps_the_first_end(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        await report(tx, account_id, status="deleted", effective_at=at("01-10"))
        await report(tx, account_id, status="deleted", effective_at=at("01-20"))
        spans = await metering.list_spans(tx.connection, account_id=account_id, resource_id="r")
        assert [span.end_at for span in spans] == [at("01-10")]
        await report(tx, account_id, status="deleted", effective_at=at("01-05"))
        spans = await metering.list_spans(tx.connection, account_id=account_id, resource_id="r")
        assert [span.end_at for span in spans] == [at("01-05")]

    async def test_needs_a_price_for_its_plan(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        with pytest.raises(metering.PriceMissing):
            await report(tx, account_id, plan="vps-9", effective_at=at("01-05"))

    async def test_takes_its_name_from_the_newest_state(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        await report(tx, account_id, name="new", effective_at=at("01-10"))
        await report(tx, account_id, name="old", effective_at=at("01-05"))
        resource = await metering.find_resource(tx.connection, account_id=account_id, resource_id="r", at=NOW)
        assert resource is not None
        assert resource.name == "new"


class TestSpans:
    POINTS: tuple[tuple[str, str, int], ...] = (
        ("01-03", "running", 1),
        ("01-10", "running", 2),
        ("01-12", "stopped", 2),
        ("01-20", "deleted", 2),
    )
    SPANS = (
        ("running", 1, at("01-03"), at("01-10")),
        ("running", 2, at("01-10"), at("01-12")),
        ("stopped", 2, at("01-12"), at("01-20")),
    )

    @pytest.mark.parametrize("seed", range(6))
    async def test_are_read_from_points_in_any_order(self, tx: Tx, seed: int) -> None:
        account_id = await prepared(tx, with_resource=False)
        for day, status, units in random.Random(seed).sample(self.POINTS, len(self.POINTS)):
            await report(tx, account_id, status=status, units=Decimal(units), effective_at=at(day), plan="vps-1")
        spans = await metering.list_spans(tx.connection, account_id=account_id, resource_id="r")
        assert tuple((span.status, span.units, span.start_at, span.end_at) for span in spans) == self.SPANS
        resource = await metering.find_resource(tx.connection, account_id=account_id, resource_id="r", at=NOW)
        assert resource is not None
        assert (resource.status, resource.created_at) == ("deleted", at("01-03"))

    async def test_are_cut_by_an_end_that_is_told_last(self, tx: Tx) -> None:
        account_id = await prepared(tx, with_resource=False)
        for day in ("01-03", "01-10", "01-15"):
            await report(tx, account_id, effective_at=at(day), units=Decimal(day[-2:]))
        await report(tx, account_id, status="deleted", effective_at=at("01-12"))
        spans = await metering.list_spans(tx.connection, account_id=account_id, resource_id="r")
        assert [(span.start_at, span.end_at) for span in spans] == [
            (at("01-03"), at("01-10")),
            (at("01-10"), at("01-12")),
        ]

    async def test_go_on_without_an_end(self, tx: Tx) -> None:
        account_id = await prepared(tx)
        (span,) = await metering.list_spans(tx.connection, account_id=account_id, resource_id="r")
        assert (span.start_at, span.end_at) == (at("01-01"), None)


# What the platform has to tell, in the order in which it happened; it may arrive in any other.
STATES: list[dict[str, Any]] = [
    {"effective_at": at("01-02")},
    {"effective_at": at("01-10"), "status": "stopped", "plan": "vps-1"},
    {"effective_at": at("01-25"), "status": "deleting"},
    {"effective_at": at("01-28"), "status": "deleted"},
]
USAGE: list[tuple[str, str, str]] = [
    ("m", "5", "01-15 08:00"),
    ("m", "2.5", "01-15 23:00"),
    ("peak", "7", "01-02 00:00"),
    ("peak", "3", "01-02 05:00"),
    ("seats", "9", "01-20 10:00"),
    ("seats", "4", "01-20 11:00"),
    ("seats", "6", "01-20 11:00"),
    ("disk", "10", "01-05 06:00"),
    ("disk", "20", "01-05 18:00"),
    ("disk", "30", "01-24 00:00"),
    ("disk", "40", "01-24 00:00"),
]
_DAY_S = 86_400
WANTED: dict[tuple[date, str, str], tuple[object, ...]] = {
    (date(2024, 1, 15), "r", "m"): (Decimal("7.5"), 5, Decimal("2.5"), 2),
    (date(2024, 1, 2), "r", "peak"): (10, 7, 3, 2),
    (date(2024, 1, 20), "r", "seats"): (19, 9, 6, 3),
    (date(2024, 1, 5), "r", "disk"): (10 * _DAY_S // 2 + 20 * _DAY_S // 4, 20, 20, 2),
    (date(2024, 1, 24), "r", "disk"): (40 * _DAY_S, 40, 40, 2),
}


class TestOrderOfArrival:
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(order=st.permutations(range(len(STATES) + len(USAGE))), size=st.integers(1, 4))
    async def test_makes_no_difference(self, connection: Connection, order: list[int], size: int) -> None:
        example = connection.transaction()
        await example.start()
        tx = Tx(connection, NOW)
        account_id = await prepared(tx, with_resource=False)
        batch: list[UsageEvent] = []
        for index in order:
            if index < len(STATES):
                await report(tx, account_id, **STATES[index])
                continue
            meter, quantity, when = USAGE[index - len(STATES)]
            batch.append(event(account_id, index, quantity, meter=meter, occurred_at=at(when)))
            if len(batch) >= size:
                await ingest(tx, *batch)
                batch = []
        await ingest(tx, *batch)
        assert await day_rows(connection, account_id) == WANTED
        assert await open_quarantine(tx, account_id) == {}
        spans = await metering.list_spans(connection, account_id=account_id, resource_id="r")
        assert [(span.start_at, span.status) for span in spans] == [
            (state["effective_at"], state.get("status", "running")) for state in STATES[:-1]
        ]
        assert await find_broken(tx) == []
        await example.rollback()


def fold(events: list[UsageEvent]) -> dict[tuple[date, str, str], tuple[object, ...]]:
    """The day rows of some events, by a plain model; of gauges without the total."""
    folded: dict[tuple[date, str, str], tuple[object, ...]] = {}
    ordered = sorted(events, key=lambda one: (one.occurred_at, one.quantity))
    for key in {(one.occurred_at.date(), one.resource_id, one.meter) for one in events}:
        own = [one.quantity for one in ordered if (one.occurred_at.date(), one.resource_id, one.meter) == key]
        total = None if key[2] == "disk" else sum(own)
        folded[key] = total, max(own), own[-1], len(own)
    return folded


class TestConcurrentBatches:
    async def test_into_the_same_days_equal_the_model(self, database_dsn: str) -> None:
        rng = random.Random(7)
        async with open_cloud(database_dsn, connections=8) as cloud:
            async with cloud.database.transaction() as tx:
                account_ids = [await prepared(tx)]
                account_ids += [(await open_account(tx)).account_id for _ in range(2)]
                for account_id in account_ids:
                    for resource_id in ("r", "s"):
                        await report(tx, account_id, resource_id)
            events = [
                event(
                    rng.choice(account_ids),
                    number,
                    rng.randint(0, 9),
                    meter=rng.choice(list(AGGREGATIONS)),
                    resource_id=rng.choice("rs"),
                    occurred_at=at("01-15") + timedelta(minutes=rng.randint(0, 3 * 1440)),
                )
                for number in range(1_500)
            ]
            outcomes: Counter[str] = Counter()

            async def sender(number: int) -> None:
                own = random.Random(number).sample(events, 600)
                for start in range(0, len(own), 75):
                    async with cloud.database.transaction() as tx:
                        results = await metering.ingest(tx, own[start : start + 75])
                    outcomes.update(result.outcome for result in results)

            await asyncio.gather(*map(sender, range(8)))
            sent = {one.event_id for n in range(8) for one in random.Random(n).sample(events, 600)}
            counted = [one for one in events if one.event_id in sent]
            assert outcomes == {"accepted": len(counted), "duplicate": 8 * 600 - len(counted)}
            async with cloud.database.transaction() as tx:
                for account_id in account_ids:
                    found = await day_rows(tx.connection, account_id)
                    own = fold([one for one in counted if one.account_id == account_id])
                    assert {key: (None if key[2] == "disk" else row[0], *row[1:]) for key, row in found.items()} == own
                gauges = (
                    "SELECT account_id, day, resource_id, meter, total FROM day_rows WHERE is_gauge ORDER BY 1, 2, 3, 4"
                )
                before = await tx.connection.fetch(gauges)
                await tx.connection.execute(
                    """
                    SELECT refold_gauges(array_agg(account_id), array_agg(resource_id), array_agg(meter), array_agg(day))
                    FROM day_rows WHERE is_gauge
                    """
                )
                assert await tx.connection.fetch(gauges) == before
            assert await cloud.broken() == []

    async def test_of_one_event_count_it_once(self, database_dsn: str) -> None:
        async with open_cloud(database_dsn, connections=16) as cloud:
            async with cloud.database.transaction() as tx:
                account_id = await prepared(tx)

            async def sender(quantity: int) -> str:
                async with cloud.database.transaction() as tx:
                    (result,) = await metering.ingest(tx, [event(account_id, 1, quantity)])
                return result.outcome

            outcomes = Counter(await asyncio.gather(*(sender(1 + n % 2) for n in range(32))))
            assert outcomes == {"accepted": 1, "duplicate": 15, "rejected": 16}
            assert await cloud.broken() == []

    async def test_do_not_cross_locks_with_a_report_of_the_past(self, database_dsn: str) -> None:
        first, second = datetime(2023, 12, 10, tzinfo=UTC), datetime(2023, 12, 20, tzinfo=UTC)
        async with open_cloud(database_dsn, connections=4) as cloud:
            async with cloud.database.transaction() as tx:
                account_id = await prepared(tx, with_resource=False)
                await report(tx, account_id, effective_at=first - timedelta(days=5))
                levels = [event(account_id, n, meter="disk", occurred_at=day) for n, day in enumerate((first, second))]
                await metering.ingest(tx, levels, is_backfill=True)
            async with cloud.database.transaction() as tx:
                await tx.connection.execute("SET LOCAL ROLE NONE")  # so that it sees who waits
                await tx.connection.execute("SELECT FROM day_rows WHERE day = $1 FOR UPDATE", first.date())
                reporting = asyncio.create_task(cloud.report(account_id, status="stopped", effective_at=first))
                await waiting_for_locks(tx.connection, 1)
                using = asyncio.create_task(
                    cloud.use(account_id, 2, meter="disk", occurred_at=second + MICROSECOND, source="late")
                )
                done, _ = await asyncio.wait([using], timeout=0.5)
            await asyncio.gather(reporting, using)
            assert done, "ingest waited for a version that the report held"
            assert await cloud.broken() == []


async def waiting_for_locks(connection: Connection, wanted: int) -> None:
    """Wait until so many other sessions wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    for _ in range(500):
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        if await connection.fetchval(query) >= wanted:
            return
        await asyncio.sleep(0.01)
    pytest.fail("nobody waits")
