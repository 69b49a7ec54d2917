"""More changes of the kernel's statements, of another kind than those of test_kernel_mutations: bounds, orders, ties, ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from billing import catalog, metering
from billing.invoices.operations import ending
from billing.kit.db import Tx
from tests.store.test_kernel_mutations import (
    COST,
    DECEMBER_1,
    IN_FORCE,
    ISSUE,
    METERING,
    PRICED,
    RED,
    SPANS,
    Check,
    in_order,
    meet,
    rated,
)
from tests.support.cloud import FEBRUARY, Cloud, at, event, price
from tests.support.mutants import Mutation, side_by_side, staged

if TYPE_CHECKING:
    from billing.kit.db import Connection

CHARGES = "rating/sql/charges.sql"
GAUGES = "rating/sql/gauge_quantities.sql"
DIFFERENCES = "invoices/sql/differences.sql"


async def lives(cloud: Cloud) -> None:
    """Usage outside a resource's life waits, whichever came first; what waits is billed once its life is known."""
    await cloud.publish(price(meter="m", unit_price="1"))
    account_id = await cloud.open_account()
    await cloud.use(account_id, 1, event_id="end", occurred_at=at("01-20"))  # before anything is known
    await cloud.report(account_id)
    for event_id, day in (("before", "01-19"), ("gone", "01-12"), ("back", "01-14"), ("after", "01-25")):
        await cloud.use(account_id, 1, event_id=event_id, occurred_at=at(day))
    await cloud.report(account_id, status="deleting", effective_at=at("01-12"))
    await cloud.report(account_id, effective_at=at("01-14"))
    await cloud.report(account_id, status="deleted", effective_at=at("01-20"))
    await cloud.use(account_id, 1, event_id="late", occurred_at=at("01-13"))
    await cloud.use(account_id, 1, event_id="now", occurred_at=at("02-01 09:00"))
    waiting = await cloud.fetch("SELECT event_id FROM quarantined_events WHERE resolved_at IS NULL ORDER BY event_id")
    assert [row["event_id"] for row in waiting] == ["after", "end", "gone", "late", "now"]
    assert [row[0] for row in await cloud.fetch("SELECT day::text FROM day_rows ORDER BY day")] == [
        "2024-01-14",
        "2024-01-19",
    ]
    assert [row[0] for row in await cloud.fetch("SELECT period::text FROM period_versions")] == ["2024-01-01"]
    await in_order(cloud)


async def looked_up(cloud: Cloud) -> None:
    """The newest price of the exact region counts, for at least its minimum time; ties go to the first project."""
    january = datetime(2024, 1, 1, tzinfo=UTC)
    vps: dict[str, object] = {"service": "compute", "model": "hourly", "plan": "vps"}
    await cloud.publish(
        price(meter="m", unit_price="5"),
        price(meter="odd", unit_price="0.01"),
        price(**vps, hourly_price="36", increment_s=1, minimum_s=60),
    )
    await cloud.publish(price(meter="m", unit_price="3"), valid_from=january)
    await cloud.publish(price(meter="m", unit_price="2", region="us"), valid_from=january)
    account_id = await cloud.open_account()
    ((first,),) = await cloud.fetch("SELECT project_id FROM projects")
    second = await cloud.open_project(account_id, "Second")
    await cloud.report(account_id, "eu", project_id=first)
    await cloud.report(account_id, "us", region="us", project_id=second)
    await cloud.report(account_id, "brief", plan="vps", effective_at=at("01-10"))
    await cloud.report(account_id, "brief", status="deleted", effective_at=at("01-10 00:00:30"))
    for resource_id in ("eu", "us"):
        await cloud.use(account_id, 1, resource_id=resource_id)
    for resource_id in ("eu", "us"):
        await cloud.use(account_id, "0.5", meter="odd", resource_id=resource_id)
    await cloud.close()
    rows = await cloud.fetch("SELECT item, project_id, amount_minor FROM invoice_lines")
    assert {(row["item"], row["project_id"]): row["amount_minor"] for row in rows} == {
        ("m", first): 300,
        ("m", second): 200,
        ("odd", min(first, second)): 1,
        ("odd", max(first, second)): 0,
        ("vps", first): 60,
    }
    await in_order(cloud)


async def levels(cloud: Cloud) -> None:
    """A gauge holds the newest level until the next, over the month's edge; a last meter has its last day's reading."""
    async with cloud.database.transaction() as tx:
        for meter, aggregation in (("disk", "time_weighted"), ("seats", "last")):
            defined = catalog.Meter(
                meter=meter,
                service="messaging",
                name=meter,
                unit="u",
                aggregation="last" if aggregation == "last" else "time_weighted",
            )
            await catalog.define_meter(tx, meter=defined)
    await cloud.publish(price(meter="disk", unit_price="31"), price(meter="seats", unit_price="1"))
    account_id = await cloud.open_account()
    await cloud.report(account_id, effective_at=DECEMBER_1)
    for level, when in (
        (7, DECEMBER_1),
        (2, datetime(2023, 12, 20, tzinfo=UTC)),
        (3, at("01-11")),
        (1, at("01-21 12:00")),
    ):
        await cloud.use(account_id, level, meter="disk", occurred_at=when)
    for level, day in ((9, "01-05"), (4, "01-25")):
        await cloud.use(account_id, level, meter="seats", occurred_at=at(day))
    async with cloud.database.transaction() as tx:
        await tx.connection.execute("UPDATE period_versions SET rated_version = version WHERE period = '2023-12-01'")
    await cloud.close()
    rows = await cloud.fetch("SELECT item, amount_minor FROM invoice_lines ORDER BY item")
    # two for ten days, three for ten and a half, one for ten and a half
    assert [tuple(row) for row in rows] == [("disk", 2_000 + 3_150 + 1_050), ("seats", 400)]
    await in_order(cloud)


async def spent(cloud: Cloud) -> None:
    """The newest tax rate counts; a credit that ended before the month pays nothing of it."""
    await cloud.publish(price(meter="m", unit_price="1"))
    await cloud.set_taxes(VAT="10")
    async with cloud.database.transaction() as tx:
        newer = catalog.TaxRate(country="KE", name="VAT", percent=Decimal(20), valid_from=at("02-01").date())
        await catalog.set_tax_rates(tx, rates=[newer])
    account_id = await cloud.open_account(country="KE")
    await cloud.report(account_id)
    await cloud.use(account_id, 10)
    await cloud.grant(account_id, 500, granted_at=DECEMBER_1, expires_at=datetime(2024, 1, 1, tzinfo=UTC))
    await cloud.close()
    rows = await cloud.fetch("SELECT subtotal_minor, tax_minor, paid_at_issue_minor FROM invoices")
    assert [tuple(row) for row in rows] == [(1_000, 200, 0)]
    await in_order(cloud)


async def taken_back(cloud: Cloud) -> None:
    """What a voided invoice said is billed again by the next close, once."""
    await cloud.publish(price(meter="m", unit_price="1"))
    account_id = await cloud.open_account()
    await cloud.report(account_id)
    await cloud.use(account_id, 5)
    await cloud.close()
    ((invoice_id,),) = await cloud.fetch("SELECT invoice_id FROM invoices")
    async with cloud.database.transaction() as tx:
        await ending.void(tx, invoice_id=invoice_id)
    cloud.advance_to(FEBRUARY.end + timedelta(hours=10))
    await cloud.close(FEBRUARY)
    rows = await cloud.fetch("SELECT total_minor FROM invoices ORDER BY number")
    assert [row["total_minor"] for row in rows] == [500, 500]
    await in_order(cloud)


async def counting(cloud: Cloud) -> None:
    """An event that is voided while another of its day arrives leaves the other counted."""
    await cloud.publish(price(meter="m", unit_price="1"))
    account_id = await cloud.open_account()
    await cloud.report(account_id)
    await cloud.use(account_id, 1, event_id="first", occurred_at=at("02-01 08:00"))

    async def arrive(tx: Tx) -> None:
        await metering.ingest(tx, [event(account_id, "second", 2, occurred_at=at("02-01 09:00"))])

    async def void(tx: Tx) -> None:
        await metering.void(tx, account_id=account_id, source="test", event_id="first")

    await meet(cloud, arrive, void)
    assert [row[0] for row in await cloud.fetch("SELECT total FROM day_rows")] == [2]


async def shortening(cloud: Cloud) -> None:
    """A life that ends while usage of its last day arrives counts that day as it is in the end."""
    await cloud.publish(price(meter="m", unit_price="1"))
    account_id: UUID = await cloud.open_account()
    await cloud.report(account_id)
    await cloud.use(account_id, 1, event_id="first", occurred_at=at("02-01 09:00"))

    async def arrive(tx: Tx) -> None:
        await metering.ingest(tx, [event(account_id, "second", 2, occurred_at=at("02-01 07:00"))])

    async def end(tx: Tx) -> None:
        ((project_id,),) = await cloud.fetch("SELECT project_id FROM projects")
        report = metering.StateReport(
            account_id=account_id,
            resource_id="r",
            project_id=project_id,
            type="vps",
            service="compute",
            name="r",
            region="eu",
            status="deleted",
            effective_at=at("02-01 08:00"),
            plan=None,
            units=Decimal(1),
        )
        await metering.record_state(tx, report)

    await meet(cloud, arrive, end)
    assert [row[0] for row in await cloud.fetch("SELECT total FROM day_rows")] == [2]


CHECKS: list[Check] = [lives, looked_up, levels, spent, taken_back]
LOCK_CHECKS: list[Check] = [counting, shortening]
MUTATIONS = [
    Mutation(*members)
    for members in [
        (
            METERING,
            "AND occurred_at >= greatest(gaps.start_at, p_since) AND",
            "AND occurred_at > gaps.start_at AND",
            lives,
        ),
        (METERING, "= 'deleting'\n                    THEN", "= 'none'\n                    THEN", lives),
        (METERING, "least(lead(effective_at) OVER (ORDER BY effective_at), v_deleted_at)", "v_deleted_at", lives),
        (METERING, "SET reason = excluded.reason, resolved_at = NULL", "SET reason = excluded.reason", lives),
        (METERING, "SET resolved_at = p_now FROM stored", "SET reason = 'x' FROM stored", lives),
        (METERING, "WHERE period < v_running", "WHERE period <= v_running", lives),
        (
            METERING,
            "AND usage_events.meter = wanted.meter AND voided_at IS NULL\n            AND occurred_at >= greatest",
            "AND false AND occurred_at >= greatest",
            lives,
        ),
        (
            SPANS,
            "UNION ALL\nSELECT account_id, resource_id, deleted_at, 'infinity' FROM resources WHERE deleted_at IS NOT NULL",
            "",
            lives,
        ),
        (
            COST,
            "least(plain.numerator, prices_v.cap * plain.denominator) * totals.units",
            "least(plain.numerator * totals.units, prices_v.cap * plain.denominator)",
            rated,
        ),
        (COST, "totals.quantity > bands_v.low", "totals.quantity >= bands_v.low", rated),
        (COST, "prices_v.minimum_quantity * totals.denominator)", "0)", looked_up),
        (
            PRICED,
            "(charge ORDER BY rest_minor DESC, project_id, region))",
            "(charge ORDER BY rest_minor DESC, project_id DESC))",
            looked_up,
        ),
        (IN_FORCE, "prices_v.valid_from <= keys.month_start", "prices_v.valid_from < keys.month_start", looked_up),
        (IN_FORCE, "prices_v.valid_from DESC", "prices_v.valid_from", looked_up),
        (IN_FORCE, "prices_v.region = keys.region", "false", looked_up),
        (GAUGES, "least(coalesce(next_at, 'infinity'), until)", "until", levels),
        (GAUGES, "ORDER BY day_rows_v.day DESC LIMIT 1", "ORDER BY day_rows_v.day LIMIT 1", levels),
        (CHARGES, "max(day) AS last_day", "min(day) AS last_day", levels),
        (
            ISSUE,
            "ORDER BY tax_rates_v.name, tax_rates_v.valid_from DESC",
            "ORDER BY tax_rates_v.name, tax_rates_v.valid_from",
            spent,
        ),
        (
            ISSUE,
            "coalesce(credits.expires_at, 'infinity') > totals.period::timestamp AT TIME ZONE 'UTC'",
            "true",
            spent,
        ),
        (DIFFERENCES, "coalesce(s.status, '') <> 'void'", "true", taken_back),
    ]
]
LOCK_MUTATIONS = [
    Mutation(
        METERING,
        "AND meter = v_event.meter\n        FOR UPDATE;",
        "AND meter = v_event.meter;",
        counting,
    ),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_check_passes_on_the_statements_as_they_are(owner_connection: Connection, check: Check) -> None:
    async with staged(owner_connection, None) as cloud:
        await check(cloud)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
async def test_check_sees_the_mutation(owner_connection: Connection, mutation: Mutation) -> None:
    async with staged(owner_connection, mutation) as cloud:
        with pytest.raises(RED):
            await mutation.check(cloud)


class TestLocks:
    """The same with sessions that meet."""

    @pytest.mark.parametrize("check", LOCK_CHECKS, ids=lambda check: check.__name__)
    async def test_hold(self, database_dsn: str, check: Check) -> None:
        async with side_by_side(database_dsn, None) as cloud:
            await check(cloud)

    @pytest.mark.parametrize("mutation", LOCK_MUTATIONS, ids=str)
    async def test_are_missed(self, database_dsn: str, mutation: Mutation) -> None:
        async with side_by_side(database_dsn, mutation) as cloud:
            with pytest.raises(RED):
                await mutation.check(cloud)
