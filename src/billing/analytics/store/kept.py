"""The SQL of kept sums: what finalised months cost, reckoned once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from billing.analytics.model import BilledMonth, DayShares, PlaceShare
from billing.analytics.store import costs
from billing.core.period import Period
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from billing.analytics.model import AskedCosts, DaySpan
    from billing.kit.db import Connection

_SQL: Final = Path(__file__).parent.parent / "sql"
_BILLED_MONTHS: Final = load_statement(_SQL / "billed_months.sql")
_BY_PLACE: Final = load_statement(_SQL / "kept_by_place.sql")
_BY_DAY: Final = load_statement(_SQL / "kept_by_day.sql")


async def list_billed_months(connection: Connection, *, account_id: UUID, days: DaySpan) -> list[BilledMonth]:
    """The past months that some days touch and that were billed or written to, oldest first."""
    rows = await connection.fetch(_BILLED_MONTHS, account_id, days.first_day, days.end_day)
    return [BilledMonth(_period(row["period"]), row["is_kept"]) for row in rows]


async def list_place_shares(connection: Connection, *, asked: AskedCosts) -> list[PlaceShare]:
    """Shares by service, project, region or month, place and type, of months whose sums are kept."""
    whole = [period.start_date for period in asked.kept if _is_whole(period, asked.days)]
    parts = [period.start_date for period in asked.kept if not _is_whole(period, asked.days)]
    rows = await connection.fetch(
        _BY_PLACE, asked.account_id, asked.grouping, whole, parts, asked.days.first_day, asked.days.end_day
    )
    return [costs.place_share(row) for row in rows]


async def list_day_shares(connection: Connection, *, asked: AskedCosts) -> DayShares:
    """Shares by day and type, and the resources that were there, of months whose sums are kept."""
    rows = await connection.fetch(
        _BY_DAY,
        asked.account_id,
        [period.start_date for period in asked.kept],
        asked.days.first_day,
        asked.days.end_day,
    )
    return costs.day_shares(rows)


def _is_whole(period: Period, days: DaySpan) -> bool:
    return days.first_day <= period.start_date and period.next().start_date <= days.end_day


def _period(first_day: date) -> Period:
    return Period(first_day.year, first_day.month)
