"""The evaluation of alerts: what fires, how often, and when accounts are looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import pytest_asyncio

from billing import alerts, ledger, wallets
from billing.kit import touches
from billing.kit.db import Tx
from billing.ledger import rules as transfers
from tests.support.alarm import Alarm, open_alarm
from tests.support.cloud import at, pay_in, price
from tests.support.twins import WatchedConnection

if TYPE_CHECKING:
    from billing.kit.db import Connection

FEBRUARY_1 = datetime(2024, 2, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def alarm(database_dsn: str) -> AsyncIterator[Alarm]:
    async with open_alarm(database_dsn, connections=10) as opened:
        await opened.publish(
            price(meter="m", unit_price="0.01"),
            price(meter="g", unit_price="1"),
            price(service="compute", plan="small", model="hourly", hourly_price="0.60"),
            price(service="compute", plan="exact", model="hourly", hourly_price="0.60", increment_s=1, minimum_s=1),
        )
        yield opened


async def use(alarm: Alarm, account_id: UUID, quantity: object) -> None:
    result = await alarm.use(account_id, quantity, occurred_at=alarm.clock.now)
    assert result.outcome == "accepted"


async def metered(alarm: Alarm, **members: object) -> UUID:
    """An account with a resource without a plan."""
    account_id = await alarm.open_account(**members)
    await alarm.report(account_id)
    return account_id


class TestBudgetAlert:
    async def test_fires_above_the_threshold_and_not_at_it(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, 500)
        await use(alarm, account_id, 500)
        assert await alarm.tick() == []
        await use(alarm, account_id, 1)
        assert await alarm.tick() == ["fired 501"]

    async def test_fires_once_per_month(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100)
        await use(alarm, account_id, 101)
        assert await alarm.tick() == ["fired 101"]
        await use(alarm, account_id, 1)
        alarm.wait(hours=1)
        assert await alarm.tick() == []
        alarm.advance_to(datetime(2024, 3, 1, 0, 0, 5, tzinfo=UTC))
        assert await alarm.tick() == []
        await use(alarm, account_id, 105)
        assert await alarm.tick() == ["fired 105"]
        assert [row["occasion"] for row in await alarm.fetch("SELECT occasion FROM alert_firings ORDER BY 1")] == [
            202402,
            202403,
        ]

    async def test_is_told_of_the_last_moments_of_a_month(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100)
        assert await alarm.tick() == []
        alarm.advance_to(datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC))
        await use(alarm, account_id, 101)
        alarm.wait(seconds=5)
        assert await alarm.tick() == ["fired 101"]
        assert [row["occasion"] for row in await alarm.fetch("SELECT occasion FROM alert_firings")] == [202402]
        assert await alarm.tick() == []

    async def test_made_in_a_new_month_tells_nothing_of_the_one_before(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, 1_000)
        assert await alarm.tick() == []
        alarm.advance_to(datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC))
        await use(alarm, account_id, 101)
        alarm.wait(seconds=5)
        await alarm.alert(account_id, 100)
        assert await alarm.tick() == []

    async def test_recovers_once_when_usage_is_taken_back_and_does_not_fire_again(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100)
        await alarm.use(account_id, 101, occurred_at=alarm.clock.now, event_id="wrong")
        assert await alarm.tick() == ["fired 101"]
        await alarm.void(account_id, "wrong")
        assert await alarm.tick() == ["recovered 0"]
        await use(alarm, account_id, 150)
        assert await alarm.tick() == []

    async def test_is_without_tax_and_of_a_project_if_one_is_named(self, alarm: Alarm):
        await alarm.set_taxes(VAT="16")
        account_id = await metered(alarm, country="KE")
        project_id = await alarm.budget(account_id, 10**9)
        await alarm.report(account_id, "other", project_id=project_id)
        await alarm.alert(account_id, 100, project_id=project_id)
        await alarm.use(account_id, 200, occurred_at=alarm.clock.now)
        assert await alarm.tick() == []
        await alarm.use(account_id, 101, occurred_at=alarm.clock.now, resource_id="other")
        assert await alarm.tick() == ["fired 101"]

    async def test_with_another_threshold_is_a_new_rule(self, alarm: Alarm):
        account_id = await metered(alarm)
        alert = await alarm.alert(account_id, 100)
        await use(alarm, account_id, 101)
        assert await alarm.tick() == ["fired 101"]
        await alarm.change(alert, methods=["email", "webhook"])
        assert await alarm.tick() == []
        await alarm.change(alert, threshold=Decimal(50))
        assert await alarm.tick() == ["fired 101"]
        assert await alarm.tick() == []

    async def test_that_holds_already_fires_at_once(self, alarm: Alarm):
        account_id = await metered(alarm)
        await use(alarm, account_id, 101)
        await alarm.alert(account_id, 100)
        assert await alarm.tick() == ["fired 101"]

    async def test_below_a_threshold_fires_at_the_beginning_of_each_month(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100, condition="less_than")
        assert await alarm.tick() == ["fired 0"]
        await use(alarm, account_id, 101)
        assert await alarm.tick() == ["recovered 101"]
        alarm.advance_to(datetime(2024, 3, 1, tzinfo=UTC))
        assert await alarm.tick() == ["fired 0"]


class TestUsageAlert:
    async def test_counts_the_taxes_that_an_invoice_would_have(self, alarm: Alarm):
        await alarm.set_taxes(VAT="16", Levy="1.5")
        account_id = await metered(alarm, country="KE")
        await alarm.alert(account_id, 117, type="usage")
        await use(alarm, account_id, 100)  # 16 and 2 (1.5, half up)
        assert await alarm.tick() == ["fired 118"]

    async def test_of_an_exempt_account_has_none(self, alarm: Alarm):
        await alarm.set_taxes(VAT="16")
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100, type="usage")
        await use(alarm, account_id, 100)
        assert await alarm.tick() == []

    async def test_with_a_metric_counts_its_quantity_alone(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, "10.5", type="usage", metric="m")
        await use(alarm, account_id, "10.5")
        await alarm.use(account_id, 99, occurred_at=alarm.clock.now, meter="g")
        assert await alarm.tick() == []
        await use(alarm, account_id, "0.000000000001")
        assert await alarm.tick() == ["fired 10.500000000001"]

    async def test_of_a_gauge_is_the_months_mean_exactly(self, alarm: Alarm):
        await alarm.set_meter("level", "time_weighted")
        await alarm.publish(price(meter="level", unit_price="0"))
        account_id = await metered(alarm)
        await alarm.alert(account_id, 1, type="usage", metric="level")
        start = FEBRUARY_1
        result = await alarm.use(account_id, 29, meter="level", occurred_at=start)
        assert result.outcome == "accepted"
        alarm.advance_to(datetime(2024, 2, 2, tzinfo=UTC))
        assert await alarm.tick() == []  # 29 for one of 29 days is 1 exactly
        alarm.wait(seconds=1)
        assert await alarm.tick() == []  # due again in a moment
        assert (await alarm.run_until_told(at_most=timedelta(minutes=1)))[0].startswith("fired 1.000")


class TestBalanceAlert:
    async def test_fires_at_each_crossing_and_is_armed_by_recovery(self, alarm: Alarm):
        account_id = await alarm.open_account(cash_minor=1000)
        await alarm.alert(account_id, 500, type="balance", condition="less_than")
        assert await alarm.tick() == []
        first = await alarm.hold(account_id, 500)
        assert await alarm.tick() == []
        second = await alarm.hold(account_id, 1)
        assert await alarm.tick() == ["fired 499"]
        await alarm.hold(account_id, 10)
        assert await alarm.tick() == []
        await alarm.release(first)
        assert await alarm.tick() == ["recovered 989"]
        await alarm.hold(account_id, 900)
        assert await alarm.tick() == ["fired 89"]
        await alarm.release(second)
        assert await alarm.tick() == []
        rows = await alarm.fetch("SELECT occasion, kind FROM alert_firings ORDER BY occasion, kind")
        assert [tuple(row) for row in rows] == [(1, "fired"), (1, "recovered"), (2, "fired")]

    async def test_does_not_begin_anew_with_a_month(self, alarm: Alarm):
        account_id = await alarm.open_account(cash_minor=100)
        await alarm.alert(account_id, 500, type="balance", condition="less_than")
        assert await alarm.tick() == ["fired 100"]
        alarm.advance_to(datetime(2024, 3, 2, tzinfo=UTC))
        assert await alarm.tick() == []

    async def test_sees_a_hold_expire(self, alarm: Alarm):
        account_id = await alarm.open_account(cash_minor=1000)
        await alarm.hold(account_id, 900, expires_at=alarm.clock.now + timedelta(hours=100))
        await alarm.alert(account_id, 500, type="balance", condition="less_than")
        assert await alarm.tick() == ["fired 100"]
        assert await alarm.run_until_told(at_most=timedelta(hours=101)) == ["recovered 1000"]
        assert alarm.clock.now - at("02-05 14:00") < timedelta(minutes=1)

    async def test_sees_the_reserve_of_running_servers_grow(self, alarm: Alarm):
        account_id = await alarm.open_account(cash_minor=10_000)
        await alarm.alert(account_id, 5_000, type="balance", condition="less_than")
        await alarm.report(account_id, plan="exact", effective_at=alarm.clock.now)
        assert await alarm.tick() == []  # a day ahead is 14.40
        told = await alarm.run_until_told(at_most=timedelta(hours=70))
        assert told == ["fired 4999"]
        # 50.00 - 14.40 at 0.01 a minute; half a cent more is shown as one
        assert timedelta(minutes=3559.5) <= alarm.clock.now - at("02-01 10:00") < timedelta(minutes=3561)

    async def test_of_another_currency_is_of_its_wallet(self, alarm: Alarm):
        account_id = await alarm.open_account(cash_minor=1000)
        await alarm.alert(account_id, 500, type="balance", condition="less_than", currency="JPY")
        assert await alarm.tick() == ["fired 0"]
        await alarm.pay_in(account_id, 501, "JPY")
        assert await alarm.tick() == ["recovered 501"]


class TestProjectBudget:
    async def test_is_told_at_50_80_and_100_percent_once_a_month(self, alarm: Alarm):
        account_id = await alarm.open_account()
        project_id = await alarm.budget(account_id, 1000)
        await alarm.report(account_id, project_id=project_id)
        await use(alarm, account_id, 500)
        assert await alarm.tick() == []
        await use(alarm, account_id, 1)
        assert await alarm.tick() == ["fired 501 50%"]
        await use(alarm, account_id, 500)
        assert await alarm.tick() == ["fired 1001 80%", "fired 1001 100%"]
        await use(alarm, account_id, 500)
        assert await alarm.tick() == []
        alarm.advance_to(datetime(2024, 3, 5, tzinfo=UTC))
        await use(alarm, account_id, 900)
        assert await alarm.tick() == ["fired 900 50%", "fired 900 80%"]
        rows = await alarm.fetch("SELECT DISTINCT template FROM notifications")
        assert [row["template"] for row in rows] == ["budget.fired"]
        assert await alarm.fetch("SELECT FROM deliveries WHERE method <> 'email' OR status <> 'pending'") == []


class TestFiring:
    async def test_is_one_with_its_message_deliveries_and_event(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100, methods=["email", "webhook"])
        await use(alarm, account_id, 101)
        await alarm.tick()
        [firing] = await alarm.fetch("SELECT * FROM alert_firings")
        [message] = await alarm.fetch("SELECT * FROM notifications")
        deliveries = await alarm.fetch("SELECT notification_id, method, status FROM deliveries ORDER BY method")
        [event] = await alarm.fetch("SELECT * FROM outbox_events")
        assert message["notification_id"] == firing["firing_id"]
        assert [tuple(row)[1:] for row in deliveries] == [("email", "pending"), ("webhook", "pending")]
        assert event["type"] == message["template"] == "alert.fired"
        assert event["object_id"] == message["object_id"].split("/")[0]
        assert event["payload"] == message["payload"]
        assert '"value": "1.01"' in event["payload"]
        assert '"threshold": "1.00"' in event["payload"]

    async def test_is_one_however_many_evaluate(self, alarm: Alarm):
        accounts = [await metered(alarm) for _ in range(6)]
        for account_id in accounts:
            await alarm.alert(account_id, 100)
            await alarm.alert(account_id, 500, type="balance", condition="less_than")
            await use(alarm, account_id, 101)
        told = await asyncio.gather(
            *(alerts.evaluate_due(alarm.database, reserve=wallets.reserve_for_usage) for _ in range(8))
        )
        assert sum(told) == 12
        assert len(await alarm.fetch("SELECT FROM alert_firings")) == 12
        assert len(await alarm.fetch("SELECT FROM deliveries")) == 12

    async def test_is_one_though_nobody_held_the_account(self, alarm: Alarm):
        """The unique key decides, not the claim: eight evaluators look at the same accounts at once."""
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100)
        await use(alarm, account_id, 101)

        async def look() -> int:
            async with alarm.database.transaction() as tx:
                watched = [touches.Watched(account_id, None)]
                return await alerts.evaluate(tx, watched=watched, reserve=wallets.reserve_for_usage)

        assert sorted(await asyncio.gather(*(look() for _ in range(8)))) == [0, 0, 0, 0, 0, 0, 0, 1]
        assert len(await alarm.fetch("SELECT FROM alert_firings")) == 1
        assert len(await alarm.fetch("SELECT FROM notifications")) == 1
        assert len(await alarm.fetch("SELECT FROM outbox_events")) == 1

    async def test_misses_no_crossing_while_writers_and_evaluators_race(self, alarm: Alarm):
        account_id = await alarm.open_account(cash_minor=1000)
        await alarm.alert(account_id, 500, type="balance", condition="less_than")

        async def evaluate() -> None:
            for _ in range(5):
                await alerts.evaluate_due(alarm.database, reserve=wallets.reserve_for_usage)

        async def spend() -> None:
            for _ in range(6):
                hold = await alarm.hold(account_id, 900)
                await alarm.release(hold)

        await asyncio.gather(spend(), evaluate(), evaluate())
        await alarm.tick()
        rows = await alarm.fetch("SELECT occasion, kind FROM alert_firings ORDER BY occasion, kind")
        kinds = [row["kind"] for row in rows]
        assert kinds == ["fired", "recovered"] * (len(kinds) // 2)


class TestRunningServers:
    async def test_cross_a_budget_without_any_event_within_a_minute(self, alarm: Alarm):
        account_id = await alarm.open_account()
        await alarm.report(account_id, plan="exact", effective_at=alarm.clock.now)
        await alarm.alert(account_id, 10_000)
        assert await alarm.tick() == []
        told = await alarm.run_until_told(at_most=timedelta(hours=200))
        assert told[0].startswith("fired 10001")
        crossed_at = at("02-01 10:00") + timedelta(seconds=600_030)  # 100.005 at a cent a minute is 100.01
        assert timedelta(0) <= alarm.clock.now - crossed_at < timedelta(minutes=1)

    async def test_cross_it_with_the_hour_that_begins(self, alarm: Alarm):
        account_id = await alarm.open_account()
        await alarm.report(account_id, plan="small", effective_at=alarm.clock.now)
        await alarm.alert(account_id, 300)
        told = await alarm.run_until_told(at_most=timedelta(hours=10))
        assert told == ["fired 360"]
        assert timedelta(0) <= alarm.clock.now - at("02-01 15:00") < timedelta(minutes=1)

    async def test_begin_anew_with_the_month(self, alarm: Alarm):
        account_id = await alarm.open_account()
        await alarm.report(account_id, plan="small", effective_at=at("02-29 23:00"))
        await alarm.alert(account_id, 300)
        assert await alarm.run_until_told(at_most=timedelta(days=40)) == ["fired 360"]
        assert timedelta(0) <= alarm.clock.now - at("03-01 05:00") < timedelta(minutes=1)


def payment(tx: Tx, account_id: UUID) -> ledger.Transfer:
    return transfers.payment_recorded(
        account_id=account_id, payment_id=tx.new_id(), currency="USD", amount_minor=1, at=tx.now
    )


def _noting(statements: list[str]) -> Callable[[str], str]:
    def note(statement: str) -> str:
        statements.append(statement)
        return statement

    return note


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


class TestCost:
    async def test_is_that_of_touched_accounts(self, alarm: Alarm):
        """Accounts that nobody wrote to and that have nothing running are not read: not claimed, and not due."""
        idle = [await alarm.open_account() for _ in range(5)]
        for account_id in idle:
            await alarm.alert(account_id, 100)
        await alarm.tick()
        alarm.wait(minutes=10)
        await alarm.tick()
        assert {await alarm.due_in(account_id) for account_id in idle} == {None}
        before = await alarm.fetch("SELECT account_id, evaluated_at FROM watched_accounts ORDER BY 1")
        touched = await metered(alarm)
        await alarm.alert(touched, 100)
        alarm.wait(days=3)
        await use(alarm, touched, 101)
        assert await alarm.tick() == ["fired 101"]
        after = await alarm.fetch(
            "SELECT account_id, evaluated_at FROM watched_accounts WHERE account_id <> $1 ORDER BY 1", touched
        )
        assert after == before

    async def test_is_not_that_of_alerts_at_rest(self, alarm: Alarm):
        """The plan of the claim with 20,000 watched accounts: two look-ups by index, and no scan of those that are at rest."""
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100)
        async with alarm.database.transaction() as tx:
            await tx.connection.execute("SET LOCAL ROLE NONE")
            await tx.connection.execute("SET LOCAL session_replication_role = replica")
            await tx.connection.execute(
                "INSERT INTO watched_accounts (account_id) SELECT gen_random_uuid() FROM generate_series(1, 20000)"
            )
            await tx.connection.execute("ANALYZE watched_accounts")
        statements: list[str] = []
        async with alarm.database.transaction() as tx:
            noting = cast("Connection", WatchedConnection(tx.connection, _noting(statements)))
            assert len(await touches.claim(Tx(noting, tx.now), limit=500)) == 1
        [statement] = statements
        await use(alarm, account_id, 1)
        async with alarm.database.transaction() as tx:
            [row] = await tx.connection.fetch(
                f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}", alarm.clock.now, 500
            )
        [explained] = json.loads(row[0])
        nodes = list(_nodes(explained["Plan"]))
        watched = [node for node in nodes if node.get("Relation Name") == "watched_accounts"]
        assert watched
        assert {node["Node Type"] for node in watched} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
        assert sum(node["Actual Rows"] * node["Actual Loops"] for node in watched) <= 4
        assert explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"] < 60

    async def test_of_a_write_to_an_account_that_nobody_watches_is_no_row(self, alarm: Alarm):
        account_id = await metered(alarm)
        await use(alarm, account_id, 1)
        await alarm.pay_in(account_id, 100)
        assert await alarm.fetch("SELECT FROM account_touches") == []

    async def test_is_not_spared_by_any_way_to_post(self, alarm: Alarm):
        """Transfers posted alone and in arrays leave a touch."""
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100)
        for count in (1, 2):
            await alarm.tick()
            async with alarm.database.transaction() as tx:
                await ledger.post_all(
                    tx.connection, [payment(tx, account_id) for _ in range(count)], recorded_at=tx.now
                )
            assert len(await alarm.fetch("SELECT FROM account_touches")) == 1

    async def test_leaves_one_touch_per_transaction(self, alarm: Alarm):
        account_id = await metered(alarm)
        await alarm.alert(account_id, 100)
        await alarm.tick()
        async with alarm.database.transaction() as tx:
            for _ in range(3):
                await pay_in(tx, account_id, 100)
        assert len(await alarm.fetch("SELECT FROM account_touches")) == 1
        await alarm.tick()
        assert await alarm.fetch("SELECT FROM account_touches") == []

    async def test_ends_with_the_last_alert(self, alarm: Alarm):
        account_id = await metered(alarm)
        alert = await alarm.alert(account_id, 100)
        await alarm.delete(alert)
        await use(alarm, account_id, 1)
        await alarm.tick()
        assert await alarm.fetch("SELECT FROM watched_accounts") == []
        assert await alarm.fetch("SELECT FROM account_touches") == []
