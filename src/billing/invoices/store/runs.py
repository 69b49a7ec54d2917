"""The SQL of runs: their state, their progress, numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.page import Page, PageRequest
from billing.core.period import Period
from billing.invoices.model import Progress, Run, RunStatus

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_REQUESTS_LOCK = 7_302_646_011_934  # of the advisory lock


def _run(row: asyncpg.Record) -> Run:
    fields = {name: value for name, value in row.items() if name != "total"}
    period = fields.pop("period")
    only_accounts = fields.pop("only_accounts")
    errors = fields.pop("errors")
    return Run(
        **fields,
        period=Period(period.year, period.month),
        only_accounts=None if only_accounts is None else tuple(only_accounts),
        errors=list(errors),
    )


async def insert_run(
    connection: Connection,
    *,
    run_id: UUID,
    period: Period,
    dry_run: bool,
    only_accounts: Sequence[UUID] | None,
    now: datetime,
) -> None:
    """Store a run that is queued."""
    await connection.execute(
        """
        INSERT INTO runs (run_id, kind, period, dry_run, only_accounts, status, created_at)
        VALUES ($1, 'close', $2, $3, $4, 'queued', $5)
        """,
        run_id,
        period.start_date,
        dry_run,
        None if only_accounts is None else list(only_accounts),
        now,
    )


async def lock_requests(connection: Connection) -> None:
    """Of those who ask for runs at once each sees, until this transaction ends, what the one before made."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _REQUESTS_LOCK)


async def find_unfinished_run(
    connection: Connection, *, period: Period, dry_run: bool, only_accounts: Sequence[UUID] | None
) -> Run | None:
    """The run that does the same and has not ended, or None."""
    row = await connection.fetchrow(
        """
        SELECT run_id, period, dry_run, only_accounts, status, created_at, started_at, finished_at,
            ARRAY(SELECT jsonb_array_elements_text(errors)) AS errors
        FROM runs
        WHERE status IN ('queued', 'running') AND period = $1 AND dry_run = $2 AND only_accounts IS NOT DISTINCT FROM $3
        ORDER BY created_at, run_id
        LIMIT 1
        """,
        period.start_date,
        dry_run,
        None if only_accounts is None else list(only_accounts),
    )
    return None if row is None else _run(row)


async def find_run(connection: Connection, *, run_id: UUID) -> Run | None:
    """A run, or None."""
    row = await connection.fetchrow(
        """
        SELECT run_id, period, dry_run, only_accounts, status, created_at, started_at, finished_at,
            ARRAY(SELECT jsonb_array_elements_text(errors)) AS errors
        FROM runs
        WHERE run_id = $1
        """,
        run_id,
    )
    return None if row is None else _run(row)


async def list_runs(connection: Connection, *, page: PageRequest) -> Page[Run]:
    """One page of the runs, newest first."""
    rows = await connection.fetch(
        """
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $1::boolean THEN (SELECT count(*) FROM runs) END AS total) AS counted
        LEFT JOIN (
            SELECT run_id, period, dry_run, only_accounts, status, created_at, started_at, finished_at,
                ARRAY(SELECT jsonb_array_elements_text(errors)) AS errors
            FROM runs
            WHERE (created_at, run_id) < (
                coalesce($4::timestamptz, 'infinity'), coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY created_at DESC, run_id DESC
            LIMIT $2 OFFSET $3
        ) AS page ON true
        ORDER BY page.created_at DESC, page.run_id DESC
        """,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [_run(row) for row in rows if row["run_id"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda run: (run.created_at, run.run_id))


async def list_startable_runs(connection: Connection, *, ended_before: datetime) -> list[UUID]:
    """Unfinished runs whose month ended before an instant (now less the grace), but for those that wait for an earlier month's."""
    rows = await connection.fetch(
        """
        SELECT run_id FROM runs
        WHERE status IN ('queued', 'running') AND (period + interval '1 month') AT TIME ZONE 'UTC' <= $1
            AND NOT EXISTS (
                SELECT FROM runs AS earlier
                WHERE earlier.status IN ('queued', 'running') AND NOT earlier.dry_run AND earlier.period < runs.period
            )
        ORDER BY period, created_at, run_id
        """,
        ended_before,
    )
    return [row["run_id"] for row in rows]


async def lock_run(connection: Connection, *, run_id: UUID) -> RunStatus:
    """Hold a run's row until the transaction ends; its status."""
    return await connection.fetchval("SELECT status FROM runs WHERE run_id = $1 FOR UPDATE", run_id)


async def mark_run(connection: Connection, *, run_id: UUID, status: RunStatus, now: datetime) -> None:
    """Note that a run started or ended."""
    await connection.execute(
        """
        UPDATE runs SET status = $2, started_at = coalesce(started_at, $3),
            finished_at = CASE WHEN $2 IN ('completed', 'failed') THEN $3 END
        WHERE run_id = $1
        """,
        run_id,
        status,
        now,
    )


async def insert_numbers(connection: Connection, *, run_id: UUID, series: str, is_credit: bool, now: datetime) -> int:
    """Allot a block of numbers to all invoices (or credit notes) that a run has drafted, without holes; returns how many.

    The series' row is held first, in a statement of its own: two runs never see the same last number.
    """
    await connection.execute(
        "INSERT INTO number_series (series, last_number) VALUES ($1, 0) ON CONFLICT (series) DO NOTHING", series
    )
    await connection.execute("SELECT FROM number_series WHERE series = $1 FOR UPDATE", series)
    return await connection.fetchval(
        """
        WITH waiting AS (
            -- looked up for each: a join may read all numbers that ever were
            SELECT run_accounts.account_id, run_accounts.invoice_id,
                (SELECT n.number FROM invoice_numbers AS n WHERE n.invoice_id = run_accounts.invoice_id) IS NULL AS is_unnumbered
            FROM run_accounts
            WHERE run_accounts.run_id = $1 AND run_accounts.state = 'rated' AND (run_accounts.total_minor < 0) = $4::boolean
        ), allotted AS (
            INSERT INTO invoice_numbers (series, number, account_id, invoice_id, issued_at)
            SELECT $2, number_series.last_number + row_number() OVER (ORDER BY waiting.account_id), waiting.account_id,
                waiting.invoice_id,
                -- not before the number before it: whoever waited for the series has read its clock earlier
                greatest($3, (SELECT issued_at FROM invoice_numbers WHERE series = $2 ORDER BY number DESC LIMIT 1))
            FROM waiting
            JOIN number_series ON number_series.series = $2
            WHERE waiting.is_unnumbered
            RETURNING number
        ), advanced AS (
            UPDATE number_series SET last_number = last_number + (SELECT count(*) FROM allotted) WHERE series = $2
        )
        SELECT count(*) FROM waiting
        """,
        run_id,
        series,
        now,
        is_credit,
    )


async def get_progress(connection: Connection, *, run_ids: Sequence[UUID]) -> Mapping[UUID, Progress]:
    """How far some runs are."""
    rows = await connection.fetch(
        """
        SELECT run_id, currency, count(*) AS accounts, count(*) FILTER (WHERE state <> 'queued') AS rated,
            count(*) FILTER (WHERE state = 'done') AS done,
            count(*) FILTER (WHERE state = 'parked') AS parked,
            count(*) FILTER (WHERE state = 'done' AND invoice_id IS NOT NULL) AS invoices,
            coalesce(sum(total_minor) FILTER (WHERE state = 'done' AND invoice_id IS NOT NULL), 0)::bigint AS total_minor
        FROM run_accounts
        WHERE run_id = ANY ($1)
        GROUP BY run_id, currency
        ORDER BY run_id, currency
        """,
        list(run_ids),
    )
    found: dict[UUID, Progress] = {}
    for run_id in run_ids:
        own = [row for row in rows if row["run_id"] == run_id]
        found[run_id] = Progress(
            sum(row["accounts"] for row in own),
            sum(row["rated"] for row in own),
            sum(row["done"] for row in own),
            sum(row["parked"] for row in own),
            sum(row["invoices"] for row in own),
            {row["currency"]: row["total_minor"] for row in own if row["currency"] is not None and row["invoices"]},
        )
    return found


async def number_one(
    connection: Connection, *, series: str, account_id: UUID, document_id: UUID, now: datetime
) -> tuple[str, datetime]:
    """Allot the next number of a series to one document; the series' row is held until the transaction ends.

    With it comes the instant of issue: now, or that of the number before it where that is later.
    """
    # In a statement of its own: what follows then sees what whoever held the row before has committed.
    await connection.execute(
        """
        INSERT INTO number_series AS s (series, last_number) VALUES ($1, 0)
        ON CONFLICT (series) DO UPDATE SET last_number = s.last_number
        """,
        series,
    )
    row = await connection.fetchrow(
        """
        WITH next AS (
            UPDATE number_series SET last_number = last_number + 1 WHERE series = $1 RETURNING last_number
        )
        INSERT INTO invoice_numbers (series, number, account_id, invoice_id, issued_at)
        SELECT $1, last_number, $2, $3,
            greatest($4, (SELECT issued_at FROM invoice_numbers WHERE series = $1 ORDER BY number DESC LIMIT 1))
        FROM next
        RETURNING number, issued_at
        """,
        series,
        account_id,
        document_id,
        now,
    )
    assert row is not None
    return f"{series}-{row['number']:03d}", row["issued_at"]
