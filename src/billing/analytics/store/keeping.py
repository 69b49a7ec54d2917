"""The SQL that keeps sums of finalised months: which are to be made, and making them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from billing.analytics.model import KeptRun
from billing.analytics.store import costs
from billing.core.period import Period
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    from datetime import datetime

    from billing.kit.db import Connection

_SQL: Final = Path(__file__).parent.parent / "sql"
_DUE: Final = load_statement(_SQL / "due_months.sql")
_KEEP_MONTH: Final = load_statement(_SQL / "keep_month.sql")
_KEEP_PLACES: Final = f"{costs.BILLED}\n{load_statement(_SQL / 'keep_places.sql')}"
_KEEP_DAYS: Final = f"{costs.BILLED}\n{load_statement(_SQL / 'keep_days.sql')}"
_FIRST: Final = UUID(int=0)


async def find_due_run(connection: Connection, *, finished_before: datetime) -> KeptRun | None:
    """The run that was completed first of those whose months are not looked through, with how far they are; or None."""
    row = await connection.fetchrow(
        """
        SELECT runs.run_id, runs.period, runs.finished_at,
            CASE WHEN kept_runs.finished_at = runs.finished_at THEN kept_runs.reached END AS reached
        FROM completed_runs_v AS runs
        LEFT JOIN kept_runs ON kept_runs.run_id = runs.run_id
        WHERE runs.finished_at <= $1 AND (kept_runs.finished_at = runs.finished_at AND kept_runs.is_done) IS NOT TRUE
        ORDER BY runs.finished_at, runs.run_id
        LIMIT 1
        """,
        finished_before,
    )
    if row is None:
        return None
    period = Period(row["period"].year, row["period"].month)
    return KeptRun(row["run_id"], period, row["finished_at"], row["reached"] or _FIRST)


async def list_next_accounts(connection: Connection, *, run: KeptRun, limit: int) -> list[UUID]:
    """The next accounts of a run, by id."""
    rows = await connection.fetch(
        """
        SELECT account_id FROM billed_accounts_v
        WHERE run_id = $1 AND account_id > $2
        ORDER BY account_id
        LIMIT $3
        """,
        run.run_id,
        run.last_account_id,
        limit,
    )
    return [row["account_id"] for row in rows]


async def list_due_months(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, at_least: int
) -> list[tuple[UUID, Period]]:
    """The months of some accounts whose sums are to be made: `period` of those that have much, and what is out of date."""
    rows = await connection.fetch(_DUE, list(account_ids), period.start_date, at_least)
    return [(row["account_id"], Period(row["period"].year, row["period"].month)) for row in rows]


async def mark_run(connection: Connection, *, run: KeptRun, last_account_id: UUID, is_done: bool) -> None:
    """Note how far the months of a run are looked through."""
    await connection.execute(
        """
        INSERT INTO kept_runs (run_id, finished_at, reached, is_done) VALUES ($1, $2, $3, $4)
        ON CONFLICT (run_id) DO UPDATE SET finished_at = excluded.finished_at, reached = excluded.reached,
            is_done = excluded.is_done
        """,
        run.run_id,
        run.finished_at,
        last_account_id,
        is_done,
    )


async def delete_month(connection: Connection, *, account_id: UUID, period: Period) -> None:
    """Take away what is kept of a month, unless the month is to be corrected yet."""
    await connection.execute(
        """
        DELETE FROM kept_months USING period_versions_v AS versions
        WHERE kept_months.account_id = $1 AND kept_months.period = $2
            AND versions.account_id = kept_months.account_id AND versions.period = kept_months.period
            AND versions.version = versions.rated_version
        """,
        account_id,
        period.start_date,
    )


async def insert_month(connection: Connection, *, account_id: UUID, period: Period, now: datetime) -> bool:
    """Reckon a finalised month and keep its sums; False if it is to be corrected yet, or somebody else has kept it.

    The version is read before anything else: whatever is written meanwhile makes another one, and the sums are never taken.
    """
    version = await connection.fetchval(_KEEP_MONTH, account_id, period.start_date, now)
    if version is None:
        return False
    await costs.plan_for_any(connection)
    days = [account_id], period.start_date, period.next().start_date
    await connection.execute(_KEEP_PLACES, *days, False, None, None)
    await connection.execute(_KEEP_DAYS, *days, True, None, None)
    return True
