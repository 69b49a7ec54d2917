"""Late usage: what a close makes of months that were written to after theirs (quality M5).

The sum over all documents is the cost of all usage, for any order of arrival and any closes in between.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest_asyncio

from billing import catalog, ledger, metering, rating
from billing.catalog import Meter
from billing.core.period import Period
from billing.invoices.operations import collecting, ending
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, find_broken, open_cloud, price

MARCH = Period(2024, 3)
GRADUATED = price(
    meter="m", model="graduated", tiers=[{"up_to": 10, "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
)
HOURLY = price(plan="vps", service="compute", model="hourly", hourly_price="0.05", monthly_price="25")
LEVEL = price(meter="level", service="storage", unit_price="0.1")


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        yield opened


async def lines(cloud: Cloud, account_id: UUID) -> list[tuple[str, str, Period, str, int]]:
    """(number, kind, service month, plan or meter, minor units) of all lines, by document and place."""
    rows = await cloud.fetch(
        """
        SELECT i.number, l.kind, l.service_period, l.item, l.amount_minor
        FROM invoices AS i
        JOIN invoice_lines AS l ON l.account_id = i.account_id AND l.invoice_id = i.invoice_id
        WHERE i.account_id = $1
        ORDER BY i.period, l.ordinal
        """,
        account_id,
    )
    return [(row[0], row[1], Period(row[2].year, row[2].month), row[3], row[4]) for row in rows]


class TestLateUsage:
    async def test_is_a_correction_line_of_the_next_document(self, cloud: Cloud) -> None:
        await cloud.publish(GRADUATED)
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.use(account_id, 8)
        await cloud.close(JANUARY)
        issued = await cloud.fetch("SELECT * FROM invoices")
        cloud.clock.now = at("03-01 10:00")
        await cloud.use(account_id, 4)  # 10 × 1 + 2 × 0.5 = 11, of which 8 are billed
        await cloud.use(account_id, 3, occurred_at=at("02-10"))
        await cloud.close(FEBRUARY)
        assert await lines(cloud, account_id) == [
            ("INV-2024-001", "usage", JANUARY, "m", 800),
            ("INV-2024-002", "usage", FEBRUARY, "m", 300),
            ("INV-2024-002", "correction", JANUARY, "m", 300),
        ]
        assert (await cloud.fetch("SELECT * FROM invoices ORDER BY period LIMIT 1")) == issued

    async def test_of_a_gauge_corrects_each_month_over_which_its_level_holds(self, cloud: Cloud) -> None:
        async with cloud.database.transaction() as tx:
            meter = Meter(meter="level", service="storage", name="Level", unit="GB", aggregation="time_weighted")
            await catalog.define_meter(tx, meter=meter)
        await cloud.publish(LEVEL)
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.use(account_id, 10, meter="level", occurred_at=at("01-05"))
        await cloud.close(JANUARY)
        cloud.clock.now = at("03-02 10:00")
        await cloud.close(FEBRUARY)
        await cloud.use(account_id, 30, meter="level", occurred_at=at("03-01"))
        await cloud.use(account_id, 20, meter="level", occurred_at=at("01-20"))
        late = str(cloud.events)
        cloud.clock.now = at("04-02 10:00")
        await cloud.close(MARCH)
        assert await cloud.broken() == []
        async with cloud.database.transaction() as tx:
            await metering.void(tx, account_id=account_id, source="test", event_id=late)
        cloud.clock.now = at("05-02 10:00")
        await cloud.close(MARCH.next())
        corrections = [line[2:] for line in await lines(cloud, account_id) if line[1] == "correction"]
        assert corrections == [
            (JANUARY, "level", 39),  # 10 more for 12 of 31 days
            (FEBRUARY, "level", 100),
            (JANUARY, "level", -39),
            (FEBRUARY, "level", -100),
        ]
        assert await cloud.broken() == []

    async def test_keeps_the_price_that_is_pinned(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.use(account_id, 5)
        await cloud.close(JANUARY)
        # A price that begins earlier than it may, as a race with the close could leave it.
        async with cloud.database.transaction() as tx:
            await tx.connection.execute("UPDATE billed_items SET last_period = '2020-01-01'")
        await cloud.publish(price(meter="m", unit_price="9"), valid_from=datetime(2024, 1, 1, tzinfo=UTC))
        cloud.clock.now = at("03-01 10:00")
        await cloud.use(account_id, 2)
        await cloud.close(FEBRUARY)
        assert (await lines(cloud, account_id))[-1] == ("INV-2024-002", "correction", JANUARY, "m", 200)

    async def test_of_a_moved_resource_stays_in_the_project_of_the_close(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.use(account_id, 5)
        await cloud.close(JANUARY)
        ((home,),) = await cloud.fetch("SELECT project_id FROM projects")
        cloud.clock.now = at("02-10 10:00")
        other = await cloud.open_project(account_id, "Other")
        await cloud.report(account_id, project_id=other, effective_at=at("02-10"))
        await cloud.use(account_id, 2)
        cloud.clock.now = at("03-01 10:00")
        await cloud.use(account_id, 1, occurred_at=at("02-20"))
        await cloud.close(FEBRUARY)
        rows = await cloud.fetch(
            "SELECT kind, project_id, amount_minor FROM invoice_lines ORDER BY invoice_id, ordinal"
        )
        assert [tuple(row) for row in rows] == [("usage", home, 500), ("usage", other, 100), ("correction", home, 200)]

    async def test_comes_to_an_account_without_usage_of_its_own_month(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.report(account_id, status="deleted", effective_at=at("01-20"))
        await cloud.use(account_id, 5)
        await cloud.close(JANUARY)
        cloud.clock.now = at("03-01 10:00")
        await cloud.use(account_id, 1)
        assert (await cloud.close(FEBRUARY)).invoices == 1
        cloud.clock.now = at("04-01 10:00")
        assert (await cloud.close(MARCH)).invoices == 0

    async def test_of_the_same_cost_makes_no_line_and_no_document(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="0.0001"))
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        await cloud.report(account_id, status="deleted", effective_at=at("01-20"))
        await cloud.use(account_id, 1)
        await cloud.close(JANUARY)
        cloud.clock.now = at("03-01 10:00")
        await cloud.use(account_id, 1)
        assert (await cloud.close(FEBRUARY)).invoices == 0
        assert not await cloud.fetch("SELECT FROM period_versions WHERE version > rated_version")


class TestCreditNote:
    async def test_takes_the_place_of_an_invoice_below_0_and_credits_the_wallet(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        await cloud.set_taxes(VAT="16")
        account_id = await cloud.open_account(country="KE", cash_minor=10_000)
        await cloud.report(account_id)
        await cloud.use(account_id, 50, event_id="wrong")
        await cloud.close(JANUARY)
        cloud.clock.now = at("03-01 10:00")
        async with cloud.database.transaction() as tx:
            await metering.void(tx, account_id=account_id, source="test", event_id="wrong")
        await cloud.use(account_id, 1, occurred_at=at("02-10"))
        await cloud.close(FEBRUARY)
        ((number, kind, total_minor, status),) = await cloud.fetch(
            "SELECT number, kind, total_minor, status FROM invoices JOIN invoice_states USING (account_id, invoice_id) "
            "WHERE period = '2024-02-01'"
        )
        assert (number, kind, total_minor, status) == ("CN-2024-001", "credit_note", -5684, "paid")
        assert (await cloud.balances(account_id))["USD", "wallet:cash"] == 10_000 - 5_800 + 5_684

    async def test_pays_what_is_open_elsewhere(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account(cash_minor=1_000)
        await cloud.report(account_id)
        await cloud.use(account_id, 50, event_id="wrong")
        await cloud.close(JANUARY)  # 50.00, of which 10.00 are paid
        cloud.clock.now = at("03-01 10:00")
        async with cloud.database.transaction() as tx:
            await metering.void(tx, account_id=account_id, source="test", event_id="wrong")
        await cloud.close(FEBRUARY)
        await collecting.collect_arrived(cloud.database)
        balances = await cloud.balances(account_id)
        assert balances["USD", "receivable"] == 0
        assert balances["USD", "wallet:cash"] == 1_000


class TestVoid:
    async def test_gives_back_what_was_paid_and_bills_the_month_again(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account(cash_minor=1_000)
        credit_id = await cloud.grant(account_id, 300, granted_at=at("01-01"))
        await cloud.report(account_id)
        await cloud.use(account_id, 5)
        await cloud.close(JANUARY)
        ((invoice_id,),) = await cloud.fetch("SELECT invoice_id FROM invoices")
        async with cloud.database.transaction() as tx:
            voided = await ending.void(tx, invoice_id=invoice_id)
        assert voided.status == "void"
        balances = await cloud.balances(account_id)
        assert balances["USD", f"promo:{credit_id}"] == 300
        assert (balances["USD", "wallet:cash"], balances["USD", "receivable"], balances["USD", "revenue"]) == (
            1000,
            0,
            0,
        )
        cloud.clock.now = at("03-01 10:00")
        await cloud.close(FEBRUARY)
        assert (await lines(cloud, account_id))[-1] == ("INV-2024-002", "correction", JANUARY, "m", 500)

    async def test_writes_off_only_what_is_open(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account(cash_minor=100)
        await cloud.report(account_id)
        await cloud.use(account_id, 5)
        await cloud.close(JANUARY)
        ((invoice_id,),) = await cloud.fetch("SELECT invoice_id FROM invoices")
        async with cloud.database.transaction() as tx:
            assert (await ending.write_off(tx, invoice_id=invoice_id)).status == "uncollectible"
        balances = await cloud.balances(account_id)
        assert (balances["USD", "write_offs"], balances["USD", "receivable"]) == (-400, 0)


class TestExpiredCredit:
    async def test_is_booked_by_the_close_of_its_month(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account()
        credit_id = await cloud.grant(account_id, 900, granted_at=at("01-01"), expires_at=at("02-01"))
        await cloud.report(account_id)
        await cloud.use(account_id, 5)
        await cloud.close(JANUARY)
        balances = await cloud.balances(account_id)
        assert balances["USD", f"promo:{credit_id}"] == 0
        assert balances["USD", "promotions"] == -500


class TestSumOverDocuments:
    """Random histories; `--seed` replays one."""

    async def test_is_the_cost_of_all_usage(self, cloud: Cloud, seed: int) -> None:
        dice = random.Random(seed)
        await cloud.publish(GRADUATED, HOURLY, LEVEL)
        async with cloud.database.transaction() as tx:
            await tx.connection.execute("UPDATE meters SET aggregation = 'max' WHERE meter = 'level'")
        accounts = [await cloud.open_account() for _ in range(12)]
        for account_id in accounts:
            await cloud.report(account_id, effective_at=datetime(2023, 12, 31, tzinfo=UTC))
        month = Period(2024, 1)
        sent: list[tuple[UUID, str]] = []
        for _ in range(6):
            for _ in range(40):
                await self._happen(cloud, dice, dice.choice(accounts), sent)
            cloud.clock.now = month.end + timedelta(hours=3)
            if dice.random() < 0.8:
                for closing in self._open_until(month):
                    await cloud.close(closing)
            month = month.next()
        cloud.clock.now = month.end + timedelta(hours=3)
        for closing in self._open_until(month):
            await cloud.close(closing)
        cloud.clock.now = month.next().end + timedelta(hours=3)
        await cloud.close(month.next())  # takes in what the last one could not see
        await self._compare(cloud, accounts, Period(2023, 12), month.next())
        async with cloud.database.snapshot() as tx:
            assert not await find_broken(tx)

    def _open_until(self, last: Period) -> list[Period]:
        months = [Period(2023, 12)]
        while months[-1] < last:
            months.append(months[-1].next())
        return months

    async def _happen(self, cloud: Cloud, dice: random.Random, account_id: UUID, sent: list[tuple[UUID, str]]) -> None:
        """One event, state or voiding, at a random instant from December on until now."""
        first = datetime(2023, 12, 31, tzinfo=UTC)
        instant = first + (cloud.clock.now - first) * dice.random()
        match dice.choice(["use", "use", "use", "level", "state", "void"]):
            case "use":
                event_id = f"e{len(sent)}"
                await cloud.use(account_id, f"{dice.random() * 9:.3f}", event_id=event_id, occurred_at=instant)
                sent.append((account_id, event_id))
            case "level":
                await cloud.use(account_id, dice.randrange(100), meter="level", occurred_at=instant)
            case "state":
                plan = dice.choice([None, "vps"])
                await cloud.report(
                    account_id, plan=plan, status=dice.choice(["running", "stopped"]), effective_at=instant
                )
            case _ if sent:
                whose, event_id = dice.choice(sent)
                async with cloud.database.transaction() as tx:
                    await metering.void(tx, account_id=whose, source="test", event_id=event_id)
            case _:
                pass

    async def _compare(self, cloud: Cloud, accounts: list[UUID], first: Period, last: Period) -> None:
        rows = await cloud.fetch(
            """
            SELECT account_id, service_period, sum(amount_minor)::bigint AS amount_minor FROM invoice_lines
            GROUP BY account_id, service_period
            """
        )
        billed = {(row["account_id"], Period(row[1].year, row[1].month)): row["amount_minor"] for row in rows}
        month, compared = first, 0
        while month <= last:
            async with cloud.database.snapshot() as tx:
                charges = await rating.list_charges(
                    tx.connection, account_ids=accounts, period=month, as_of=month.end, with_minimums=True
                )
            for account_id in accounts:
                cost_minor = sum(charge.amount_minor for charge in charges if charge.account_id == account_id)
                assert billed.get((account_id, month), 0) == cost_minor, (account_id, month)
                compared += cost_minor > 0
            month = month.next()
        assert compared > len(accounts)


class TestOwed:
    async def test_is_paid_before_invoices_by_money_that_a_credit_note_returns(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1"))
        account_id = await cloud.open_account(cash_minor=5_000)
        await cloud.report(account_id)
        await cloud.use(account_id, 50, event_id="wrong")
        await cloud.close(JANUARY)  # takes all the cash
        async with cloud.database.transaction() as tx:
            taken = ledger.chargeback_taken(
                account_id=account_id,
                chargeback_id=tx.new_id(),
                gateway_name="external",
                currency="USD",
                cash_minor=0,
                owed_minor=2_000,
                at=tx.now,
            )
            await ledger.post_all(tx.connection, taken, recorded_at=tx.now)
        cloud.clock.now = at("03-01 10:00")
        async with cloud.database.transaction() as tx:
            await metering.void(tx, account_id=account_id, source="test", event_id="wrong")
        await cloud.close(FEBRUARY)
        await collecting.collect_arrived(cloud.database)
        balances = await cloud.balances(account_id)
        assert (balances["USD", "owed"], balances["USD", "wallet:cash"]) == (0, 3_000)
