"""The invariant of kept sums: they are what the statement says that they were made with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from billing.analytics.store import costs
from billing.kit.checks import EVERYTHING, Check, Scope
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from billing.kit.db import Connection

_SQL: Final = Path(__file__).parent.parent / "sql"
_STANDING: Final = load_statement(_SQL / "standing_months.sql")
_PLACES: Final = f"{costs.BILLED}\n{load_statement(_SQL / 'places_differing.sql')}"
_DAYS: Final = f"{costs.BILLED}\n{load_statement(_SQL / 'days_differing.sql')}"


async def run_checks(connection: Connection, scope: Scope = EVERYTHING) -> list[Check]:
    """Every invariant of analytics: the months in scope whose sums reads take are reckoned again."""
    await costs.plan_for_any(connection)
    rows = await connection.fetch(_STANDING, scope.since, scope.part)
    broken = sum([await _differs(connection, row["account_id"], row["period"], row["end_day"]) for row in rows])
    await connection.execute("SET LOCAL plan_cache_mode = auto")
    return [Check("kept sums are what their months cost", broken)]


async def _differs(connection: Connection, account_id: UUID, first_day: date, end_day: date) -> bool:
    days = [account_id], first_day, end_day
    return (
        await connection.fetchval(_PLACES, *days, False, None, None) > 0
        or await connection.fetchval(_DAYS, *days, True, None, None) > 0
    )
