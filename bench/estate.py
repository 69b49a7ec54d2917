"""Many accounts with resources and usage, put straight into the tables: what a close, totals and costs are measured over.

Each account has a server sold by the hour, with two meters that are summed, and a volume sold by the month, with a gauge:
five lines a month. Every other one has money in its wallet; those that have pay taxes too.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from billing import catalog, ledger

if TYPE_CHECKING:
    from uuid import UUID

    from bench.world import World
    from billing.core.period import Period
    from billing.kit.db import Connection

PRICES: tuple[dict[str, object], ...] = (
    {"service": "compute", "plan": "vps", "model": "hourly", "hourly_price": "0.02", "monthly_price": "10"},
    {"service": "storage", "plan": "disk", "model": "flat", "amount": "4"},
    {"service": "bandwidth", "meter": "egress", "model": "per_unit", "unit_price": "0.05"},
    {"service": "api", "meter": "requests", "model": "per_unit", "unit_price": "0.001"},
    {"service": "storage", "meter": "level", "model": "per_unit", "unit_price": "0.1"},
)
METERS = (
    ("egress", "bandwidth", "GB", "sum", "bandwidth_gb"),
    ("requests", "api", "request", "sum", None),
    ("level", "storage", "GB", "time_weighted", "storage_gb"),
)
_BATCH = 5_000
_SQL = Path(__file__).parent / "sql"


async def publish_prices(world: World) -> None:
    """The meters, the rate card and the tax of the estate."""
    async with world.database.transaction() as tx:
        for meter, service, unit, aggregation, shows_as in METERS:
            described = {"meter": meter, "service": service, "name": meter, "unit": unit, "aggregation": aggregation}
            await catalog.define_meter(tx, meter=msgspec.convert({**described, "shows_as": shows_as}, catalog.Meter))
        await catalog.publish_rate_card(
            tx,
            name="Bench",
            currency="USD",
            valid_from=datetime(2020, 1, 1, tzinfo=UTC),
            prices=msgspec.convert(PRICES, list[catalog.PriceDefinition]),
            currencies=frozenset({"USD"}),
        )
        taxed = catalog.TaxRate(
            country="KE", name="VAT", percent=Decimal(16), valid_from=datetime(2020, 1, 1, tzinfo=UTC).date()
        )
        await catalog.set_tax_rates(tx, rates=[taxed])


async def settle(connection: Connection, *, first: int, last: int) -> None:
    """Accounts numbered so, each with its books, a project and two resources since 2024."""
    await connection.execute((_SQL / "settle.sql").read_text("utf-8").format(first=first, last=last))
    for start in range(first, last + 1, _BATCH):
        await connection.execute(
            """
            SELECT post_transfers(array_agg(account_id), array_agg('USD'::text), array_agg('gateway:bench'::text),
                array_agg('wallet:cash'::text), array_agg(1000000000::bigint), array_agg('payment.recorded'::text),
                array_agg('bench'::text), array_agg(0), array_agg($3::timestamptz), $3)
            FROM bench_accounts WHERE number BETWEEN $1 AND $2 AND number % 2 = 0
            """,
            start,
            min(last, start + _BATCH - 1),
            datetime(2020, 1, 1, tzinfo=UTC),
        )


async def use(connection: Connection, *, period: Period, days: int) -> None:
    """Usage of a month: the two meters on each of its first `days` days, the gauge once."""
    await connection.execute(
        """
        INSERT INTO day_rows
        SELECT account_id, day, 'server', meter, number % 50 + 1, 9, 5, day + interval '12 hours', day + interval '1 hour', false, 3
        FROM bench_accounts
        CROSS JOIN generate_series($1::date, $1::date + $2::integer - 1, interval '1 day') AS day
        CROSS JOIN (VALUES ('egress'), ('requests')) AS meters (meter)
        """,
        period.start_date,
        days,
    )
    await connection.execute(
        """
        WITH read AS (
            INSERT INTO day_rows
            SELECT account_id, $1::date, 'disk', 'level', 40.0 * 43200, 40, 40, $1::date + interval '12 hours',
                $1::date + interval '12 hours', true, 1
            FROM bench_accounts
        )
        INSERT INTO period_versions (account_id, period, version) SELECT account_id, $1, 1 FROM bench_accounts
        """,
        period.start_date,
    )
    await connection.execute("VACUUM ANALYZE")


async def settle_large(connection: Connection, *, account_id: UUID, resources: int) -> None:
    """An account with many resources, one half servers and one half volumes, and cash."""
    await connection.execute(
        (_SQL / "settle_large.sql").read_text("utf-8").format(account_id=account_id, resources=resources)
    )
    paid = ledger.payment_recorded(
        account_id=account_id,
        payment_id=account_id,
        currency="USD",
        amount_minor=10**12,
        at=datetime(2024, 1, 1, tzinfo=UTC),
    )
    await ledger.post(connection, paid, recorded_at=paid.effective_at)


async def use_large(connection: Connection, *, account_id: UUID, first: date, last: date) -> None:
    """Its usage, day by day: both meters of each server, a reading of each volume."""
    await connection.execute(
        """
        INSERT INTO day_rows
        SELECT account_id, day, resource_id, meter, CASE WHEN is_gauge THEN 40.0 * 86400 ELSE 7.25 END, 40, 40,
            CASE WHEN is_gauge THEN day ELSE day + interval '12 hours' END,
            CASE WHEN is_gauge THEN day ELSE day + interval '1 hour' END, is_gauge, 3
        FROM resources
        CROSS JOIN generate_series($2::date, $3::date, interval '1 day') AS day
        JOIN (VALUES ('compute', 'egress', false), ('compute', 'requests', false), ('storage', 'level', true))
            AS counted (service, meter, is_gauge) USING (service)
        WHERE account_id = $1
        """,
        account_id,
        first,
        last,
    )
