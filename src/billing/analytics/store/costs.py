"""The SQL of costs and trends: lines of finalised months and the rating statement of open ones, shared out alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from billing import rating
from billing.analytics.model import (
    AskedCosts,
    DayQuantityRun,
    DayShares,
    PlaceShare,
    Presence,
    RunShare,
    UsedShare,
)
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    from datetime import date

    import asyncpg

    from billing.analytics.model import DaySpan
    from billing.kit.db import Connection

_SQL: Final = Path(__file__).parent.parent / "sql"
BILLED: Final = load_statement(_SQL / "billed_lines.sql")
_RATED: Final = load_statement(_SQL / "rated_lines.sql")
_METERED_DAYS: Final = load_statement(_SQL / "metered_days.sql")


class _Statement:
    """A query over shares of lines: one text for all finalised months together, one for each open month."""

    def __init__(self, name: str) -> None:
        query = load_statement(_SQL / f"{name}.sql")
        self._billed = f"{BILLED}\n{query}"
        self._rated = rating.over_charges(f"{_RATED}\n{query}")

    async def fetch(self, connection: Connection, asked: AskedCosts, *, by_day: bool) -> list[asyncpg.Record]:
        what = by_day, asked.grouping, asked.project_id
        rows: list[asyncpg.Record] = []
        await plan_for_any(connection)
        for days in asked.billed:
            rows += await connection.fetch(self._billed, [asked.account_id], days.first_day, days.end_day, *what)
        for period in asked.open_periods:
            arguments = rating.charge_arguments(
                account_ids=[asked.account_id], period=period, as_of=min(asked.now, period.end)
            )
            rows += await connection.fetch(self._rated, *arguments, asked.days.first_day, asked.days.end_day, *what)
        return rows


async def plan_for_any(connection: Connection) -> None:
    """Among many accounts, a plan made for the values asked for nests loops: seconds, where the plan for any takes milliseconds."""
    await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")


_BY_PLACE = _Statement("costs_by_place")
_BY_DAY = _Statement("costs_by_day")
_BY_RESOURCE = _Statement("costs_by_resource")


async def list_place_shares(connection: Connection, *, asked: AskedCosts) -> list[PlaceShare]:
    """Shares by service, project, region or month, and type."""
    return [place_share(row) for row in await _BY_PLACE.fetch(connection, asked, by_day=False)]


async def list_day_shares(connection: Connection, *, asked: AskedCosts) -> DayShares:
    """Shares by day and type, and the resources that were there."""
    return day_shares(await _BY_DAY.fetch(connection, asked, by_day=True))


async def list_used_shares(connection: Connection, *, asked: AskedCosts) -> tuple[list[UsedShare], list[RunShare]]:
    """Shares by line and resource with what was used; and the same shares by day."""
    rows = await _BY_RESOURCE.fetch(connection, asked, by_day=True)
    return (
        [_used(row) for row in rows if row["first_day"] is None],
        [_run(row) for row in rows if row["first_day"] is not None],
    )


async def list_metered_days(
    connection: Connection, *, account_id: UUID, days: DaySpan, shows_as: str, now: datetime
) -> list[DayQuantityRun]:
    """What each day added to the meters that are shown as storage or bandwidth."""
    rows = await connection.fetch(_METERED_DAYS, [account_id], days.first_day, days.end_day, now, shows_as)
    return [DayQuantityRun(row["first_day"], row["last_day"], int(row["quantity"])) for row in rows]


async def count_resources_at(connection: Connection, *, account_id: UUID, instants: Sequence[datetime]) -> list[int]:
    """How many resources there were just before each instant, in the order of the instants."""
    rows = await connection.fetch(
        """
        SELECT asked.position, count(resources.resource_id) AS resources
        FROM unnest($2::timestamptz[]) WITH ORDINALITY AS asked (instant, position)
        LEFT JOIN resources_by_end_v AS resources ON resources.account_id = $1 AND resources.created_at < asked.instant
            AND resources.ended_at >= asked.instant
        GROUP BY asked.position
        ORDER BY asked.position
        """,
        account_id,
        list(instants),
    )
    return [row["resources"] for row in rows]


def place_share(row: Any) -> PlaceShare:
    """A row of shares by place."""
    return PlaceShare(row["key"], row["name"], row["type"] or None, int(row["share"]), frozenset(row["resource_ids"]))


def day_shares(rows: Sequence[Any]) -> DayShares:
    """Rows of shares by day, and of who was there."""
    return DayShares(
        runs=[_run(row) for row in rows if row["share"] is not None],
        presences=[
            Presence(row["first_day"], row["type"] or None, row["resource_id"], row["days"])
            for row in rows
            if row["share"] is None and row["resource_id"] is not None
        ],
    )


def _run(row: Any) -> RunShare:
    first_day: date = row["first_day"]
    return RunShare(first_day, row["last_day"], row["type"] or None, int(row["share"]))


def _used(row: Any) -> UsedShare:
    return UsedShare(
        share=int(row["share"]),
        service=row["service"],
        resource_id=row["resource_id"],
        resource_name=row["resource_name"],
        type=row["type"] or None,
        price_id=row["price_id"],
        item_kind=row["kind"],
        model=row["model"],
        step=row["step"],
        minimum_quantity=row["minimum_quantity"],
        shows_as=row["shows_as"],
        denominator=row["denominator"],
        quantity=row["quantity"],
    )
