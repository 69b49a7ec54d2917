"""The rating statement and the queries over it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from billing.core.period import Period
from billing.kit.statements import load_statement
from billing.rating.model import Charge, DayWeight, Line, QuantityKey, Share, Unpriced

if TYPE_CHECKING:
    from billing.kit.db import Connection

_SQL = Path(__file__).parent.parent / "sql"
_SCOPE: Final = load_statement(_SQL / "scope.sql")
_NOTHING_PINNED: Final = load_statement(_SQL / "nothing_pinned.sql")
_CHARGES_OF: Final = load_statement(_SQL / "charges.sql")
_PLAN_CHARGES_OF: Final = load_statement(_SQL / "plan_charges.sql")
_MONTHLY_COSTS = load_statement(_SQL / "monthly_costs.sql")


def over_charges(query: str, *, pinned: str = _NOTHING_PINNED, charges: str = _CHARGES_OF) -> str:
    """The rating statement, or that part of it, with a query over its `charges`, `lines`, `shares` and `unpriced`.

    `pinned` is the text of `pins` and `homes`, for a month that was billed: its prices and its resources' projects stay.
    The whole takes $1 account ids, $2 and $3 the month's bounds, $4 the instant up to which it counts, $5 with minimum charges,
    $6 how far plans run on past the month's end (see `charge_arguments`).
    """
    return f"WITH\n{_SCOPE}\n{pinned}\n{charges}\n{query}"


_CHARGES = over_charges(
    """
    SELECT kind, account_id, price_id, charge_resource_id, units, quantity, denominator, billed_quantity, cost, amount_minor,
        cap_applied
    FROM charges
    ORDER BY account_id, price_id, charge_resource_id, units, kind DESC
    """
)
_LINES = over_charges(
    """
    SELECT kind, account_id, price_id, charge_resource_id, units, project_id, region, type, resource_name, quantity, denominator,
        amount_minor, unrounded
    FROM lines
    ORDER BY account_id, price_id, charge_resource_id, units, kind DESC, project_id, region
    """
)
_SHARES = over_charges(
    """
    SELECT shares.kind, shares.account_id, shares.price_id, shares.units, shares.project_id, shares.region, shares.resource_id,
        shares.resource_name, shares.type, prices_v.service, prices_v.kind AS item_kind, prices_v.item, meters_v.shows_as,
        shares.quantity, shares.denominator, shares.billed_quantity, shares.amount_minor
    FROM shares
    JOIN prices_v ON prices_v.price_id = shares.price_id
    LEFT JOIN meters_v ON prices_v.kind = 'meter' AND meters_v.meter = prices_v.item
    ORDER BY shares.account_id, prices_v.service, shares.resource_id, shares.price_id, shares.units, shares.kind DESC
    """
)
_TOTALS = over_charges(
    """
    SELECT charges.account_id, sum(charges.amount_minor) AS total_minor,
        coalesce(sum(charges.amount_minor) FILTER (WHERE prices_v.kind = 'plan'), 0) AS plans_minor
    FROM charges
    JOIN prices_v ON prices_v.price_id = charges.price_id
    GROUP BY charges.account_id
    """
)
_PLANS = over_charges(
    "SELECT account_id, sum(amount_minor) AS plans_minor FROM charges GROUP BY account_id", charges=_PLAN_CHARGES_OF
)
_QUANTITIES = over_charges("SELECT account_id, price_id, units, resource_id, quantity FROM parts")
_UNPRICED = over_charges(
    "SELECT account_id, kind, item, resource_id FROM unpriced ORDER BY account_id, kind, item, resource_id"
)


def charge_arguments(
    *,
    account_ids: Sequence[UUID],
    period: Period,
    as_of: datetime,
    with_minimums: bool = False,
    runs_on: timedelta = timedelta(0),
) -> tuple[object, ...]:
    """The first six arguments of a statement made by `over_charges`."""
    return list(account_ids), period.start, period.end, as_of, with_minimums, runs_on


async def _fetch(connection: Connection, statement: str, arguments: tuple[object, ...]) -> list[dict[str, Any]]:
    return [
        {**row, "amount_minor": int(row["amount_minor"])} if "amount_minor" in row else row
        for row in map(dict, await connection.fetch(statement, *arguments))
    ]


async def list_charges(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime, with_minimums: bool = False
) -> list[Charge]:
    """The charges of some accounts in a period, counted up to an instant."""
    arguments = charge_arguments(account_ids=account_ids, period=period, as_of=as_of, with_minimums=with_minimums)
    return [Charge(**row) for row in await _fetch(connection, _CHARGES, arguments)]


async def list_lines(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime, with_minimums: bool = False
) -> list[Line]:
    """Those charges split by project and region: what an invoice would say."""
    arguments = charge_arguments(account_ids=account_ids, period=period, as_of=as_of, with_minimums=with_minimums)
    return [Line(**row) for row in await _fetch(connection, _LINES, arguments)]


async def list_shares(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime, with_minimums: bool = False
) -> list[Share]:
    """Those lines split by resource, by service and resource."""
    arguments = charge_arguments(account_ids=account_ids, period=period, as_of=as_of, with_minimums=with_minimums)
    return [Share(**row) for row in await _fetch(connection, _SHARES, arguments)]


async def list_unpriced(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime
) -> list[Unpriced]:
    """Quantities above 0 for which no price is in force."""
    arguments = charge_arguments(account_ids=account_ids, period=period, as_of=as_of)
    return [Unpriced(**row) for row in await _fetch(connection, _UNPRICED, arguments)]


async def list_totals(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime
) -> dict[UUID, tuple[int, int]]:
    """(all charges, those of plans alone) of some accounts' month up to an instant, without tax, in minor units.

    An account without charges is left out.
    """
    arguments = charge_arguments(account_ids=account_ids, period=period, as_of=as_of)
    rows = await connection.fetch(_TOTALS, *arguments)
    return {row["account_id"]: (int(row["total_minor"]), int(row["plans_minor"])) for row in rows}


async def list_plans(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime, runs_on: timedelta
) -> dict[UUID, int]:
    """What plans alone cost in that, by the same prices; an account without any is left out."""
    arguments = charge_arguments(account_ids=account_ids, period=period, as_of=as_of, runs_on=runs_on)
    rows = await connection.fetch(_PLANS, *arguments)
    return {row["account_id"]: int(row["plans_minor"]) for row in rows}


async def list_gauged(connection: Connection, *, account_ids: Sequence[UUID], period: Period) -> set[UUID]:
    """Those of some accounts with a gauge that had not ended before a month: what it counts grows as time goes on."""
    rows = await connection.fetch(
        """
        SELECT asked.account_id FROM unnest($1::uuid[]) AS asked (account_id)
        CROSS JOIN LATERAL (
            SELECT FROM gauges_by_end_v AS gauges
            WHERE gauges.account_id = asked.account_id AND gauges.ended_at > $2
            ORDER BY gauges.ended_at DESC  -- by the index of ends
            LIMIT 1
        ) AS gauge
        """,
        list(account_ids),
        period.start,
    )
    return {row["account_id"] for row in rows}


async def list_tax_percents(
    connection: Connection, *, account_ids: Sequence[UUID], at: date
) -> dict[UUID, list[Decimal]]:
    """The taxes of invoices issued to some accounts on a date; an account without any is left out."""
    rows = await connection.fetch(
        """
        SELECT accounts_v.account_id, array_agg(rates.percent ORDER BY rates.name) AS percents
        FROM accounts_v
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (name) name, percent FROM tax_rates_v
            WHERE country = accounts_v.country AND valid_from <= $2
            ORDER BY name, valid_from DESC
        ) AS rates
        WHERE accounts_v.account_id = ANY ($1) AND NOT accounts_v.tax_exempt
        GROUP BY accounts_v.account_id
        """,
        list(account_ids),
        at,
    )
    return {row["account_id"]: row["percents"] for row in rows}


async def list_quantities(
    connection: Connection, *, account_ids: Sequence[UUID], since: datetime, until: datetime, as_of: datetime
) -> dict[UUID, dict[QuantityKey, Decimal]]:
    """What each resource used of each price within some whole UTC days of one month, counted up to an instant, by account."""
    rows = await connection.fetch(_QUANTITIES, list(account_ids), since, until, as_of, False, timedelta(0))
    found: dict[UUID, dict[QuantityKey, Decimal]] = {account_id: {} for account_id in account_ids}
    for row in rows:
        found[row["account_id"]][row["price_id"], row["units"], row["resource_id"]] = row["quantity"]
    return found


async def list_day_weights(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, since: datetime, until: datetime
) -> dict[UUID, dict[tuple[str, str], DayWeight]]:
    """By account, then resource and meter (`max` and `last` alone), the sum of its daily aggregates on some days of a month, and
    on all.
    """
    rows = await connection.fetch(
        """
        SELECT account_id, resource_id, meter,
            coalesce(sum(reading) FILTER (WHERE day >= $4 AND day < $5), 0) AS inside, sum(reading) AS whole
        FROM (
            SELECT day_rows_v.account_id, day_rows_v.resource_id, day_rows_v.meter, day_rows_v.day,
                CASE meters_v.aggregation WHEN 'max' THEN day_rows_v.highest ELSE day_rows_v.latest END AS reading
            FROM day_rows_v
            JOIN meters_v ON meters_v.meter = day_rows_v.meter AND meters_v.aggregation IN ('max', 'last')
            WHERE day_rows_v.account_id = ANY ($1) AND NOT day_rows_v.is_gauge AND day_rows_v.day >= $2 AND day_rows_v.day < $3
        ) AS readings
        GROUP BY account_id, resource_id, meter
        HAVING sum(reading) > 0
        """,
        list(account_ids),
        period.start_date,
        period.end.date(),
        since.date(),
        until.date(),
    )
    found: dict[UUID, dict[tuple[str, str], DayWeight]] = {account_id: {} for account_id in account_ids}
    for row in rows:
        found[row["account_id"]][row["resource_id"], row["meter"]] = DayWeight(row["inside"], row["whole"])
    return found


async def list_monthly_costs(connection: Connection, *, account_id: UUID, now: datetime) -> dict[str, int]:
    """What each live resource costs in a full month at today's prices, in minor units of the account's currency."""
    period = Period.containing(now)
    rows = await connection.fetch(_MONTHLY_COSTS, [account_id], period.start, period.end, now, False)
    return {row["resource_id"]: row["amount_minor"] for row in rows}
