"""The SQL of state points, and of what follows from one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.metering.model import Span, StateReport

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def list_spans(connection: Connection, *, account_id: UUID, resource_id: str) -> list[Span]:
    """What a resource was over time, oldest first."""
    rows = await connection.fetch(
        """
        SELECT plan, units, status, start_at, end_at FROM resource_spans_v
        WHERE account_id = $1 AND resource_id = $2
        ORDER BY start_at
        """,
        account_id,
        resource_id,
    )
    return [Span(**dict(row)) for row in rows]


async def upsert_state_point(connection: Connection, report: StateReport, *, now: datetime) -> bool:
    """Store a point; False when it was there with the same content. A point at the same instant is replaced."""
    changed = await connection.fetchval(
        """
        INSERT INTO state_points AS s (account_id, resource_id, effective_at, plan, units, status, recorded_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (account_id, resource_id, effective_at) DO UPDATE SET
            plan = excluded.plan, units = excluded.units, status = excluded.status, recorded_at = excluded.recorded_at
        WHERE (s.plan, s.units, s.status) IS DISTINCT FROM (excluded.plan, excluded.units, excluded.status)
        RETURNING true
        """,
        report.account_id,
        report.resource_id,
        report.effective_at,
        report.plan,
        report.units,
        report.status,
        now,
    )
    return changed is True


async def end_states(connection: Connection, *, account_id: UUID, resource_id: str, since: datetime) -> None:
    """Say of a resource's states until when each held, from the one before an instant on: one was put in there."""
    await connection.execute("SELECT end_states($1, $2, $3)", account_id, resource_id, since)


async def refold_after(connection: Connection, *, account_id: UUID, resource_id: str, since: datetime) -> None:
    """Fold a resource's gauges anew from the day of an instant on: its end has moved there."""
    await connection.execute(
        """
        SELECT refold_gauges(array_agg(account_id), array_agg(resource_id), array_agg(meter), array_agg(day))
        FROM (
            SELECT account_id, resource_id, meter, day FROM day_rows
            WHERE account_id = $1 AND resource_id = $2 AND is_gauge AND day >= ($3::timestamptz AT TIME ZONE 'UTC')::date
            ORDER BY account_id, day, resource_id, meter
            FOR UPDATE
        ) AS rows_after
        HAVING count(*) > 0
        """,
        account_id,
        resource_id,
        since,
    )


async def lock_days(connection: Connection, *, account_id: UUID, resource_id: str, since: datetime) -> None:
    """Hold a resource's day rows from an instant's day on until the transaction ends, in the order in which ingest holds them."""
    await connection.execute(
        """
        SELECT FROM day_rows
        WHERE account_id = $1 AND resource_id = $2 AND day >= ($3::timestamptz AT TIME ZONE 'UTC')::date
        ORDER BY account_id, day, resource_id, meter
        FOR UPDATE
        """,
        account_id,
        resource_id,
        since,
    )


async def has_state_after(connection: Connection, *, account_id: UUID, resource_id: str, at: datetime) -> bool:
    """Whether a later state of the resource is known already."""
    return await connection.fetchval(
        "SELECT EXISTS (SELECT FROM state_points WHERE account_id = $1 AND resource_id = $2 AND effective_at > $3)",
        account_id,
        resource_id,
        at,
    )


async def is_plan_priced(connection: Connection, *, account_id: UUID, plan: str, region: str, at: datetime) -> bool:
    """Whether the plan has a price in the account's currency in the month of an instant."""
    return await connection.fetchval(
        """
        SELECT coalesce((
            SELECT true FROM prices_v AS prices
            WHERE prices.kind = 'plan' AND prices.item = $2 AND prices.currency = accounts.currency
                AND prices.account_id IS NULL AND prices.region IS NULL
                AND prices.valid_from <= month_start AND coalesce(prices.valid_to, 'infinity') > month_start
            ORDER BY prices.account_id DESC, prices.region DESC, prices.valid_from DESC
            LIMIT 1
        ), (
            SELECT true FROM prices_v AS prices
            WHERE prices.kind = 'plan' AND prices.item = $2 AND prices.currency = accounts.currency
                AND prices.account_id IS NULL AND prices.region = $3
                AND prices.valid_from <= month_start AND coalesce(prices.valid_to, 'infinity') > month_start
            ORDER BY prices.account_id DESC, prices.region DESC, prices.valid_from DESC
            LIMIT 1
        ), (
            SELECT true FROM prices_v AS prices
            WHERE prices.kind = 'plan' AND prices.item = $2 AND prices.currency = accounts.currency
                AND prices.account_id = $1 AND prices.region IS NULL
                AND prices.valid_from <= month_start AND coalesce(prices.valid_to, 'infinity') > month_start
            ORDER BY prices.account_id DESC, prices.region DESC, prices.valid_from DESC
            LIMIT 1
        ), (
            SELECT true FROM prices_v AS prices
            WHERE prices.kind = 'plan' AND prices.item = $2 AND prices.currency = accounts.currency
                AND prices.account_id = $1 AND prices.region = $3
                AND prices.valid_from <= month_start AND coalesce(prices.valid_to, 'infinity') > month_start
            ORDER BY prices.account_id DESC, prices.region DESC, prices.valid_from DESC
            LIMIT 1
        )) IS NOT NULL
        FROM accounts_v AS accounts
        CROSS JOIN (SELECT date_trunc('month', $4::timestamptz, 'UTC') AS month_start) AS month
        WHERE accounts.account_id = $1
        """,
        account_id,
        plan,
        region,
        at,
    )
