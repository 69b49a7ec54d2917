"""The SQL of the versions of past periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def touch_periods_from(connection: Connection, *, account_id: UUID, since: datetime, now: datetime) -> None:
    """Add one to the version of each past month from an instant on."""
    await connection.execute(
        """
        SELECT touch_periods(array_agg($1::uuid), array_agg(month::date), $3)
        FROM generate_series(
            date_trunc('month', $2::timestamptz, 'UTC') AT TIME ZONE 'UTC', $3 AT TIME ZONE 'UTC', '1 month'
        ) AS month
        HAVING count(*) > 0
        """,
        account_id,
        since,
        now,
    )


async def touch(connection: Connection, *, account_id: UUID, periods: Sequence[Period], now: datetime) -> None:
    """Add one to the version of some past months: what was billed for them no longer holds."""
    await connection.execute(
        "SELECT touch_periods(array_agg($1::uuid), array_agg(period), $3) FROM unnest($2::date[]) AS period HAVING count(*) > 0",
        account_id,
        [period.start_date for period in periods],
        now,
    )


async def list_open_periods(connection: Connection, *, account_id: UUID, now: datetime) -> list[Period]:
    """The account's months that no close has rated, oldest first, the running one last; none before its first resource."""
    return (await list_open_periods_of(connection, account_ids=[account_id], now=now))[account_id]


async def list_open_periods_of(
    connection: Connection, *, account_ids: Sequence[UUID], now: datetime
) -> dict[UUID, list[Period]]:
    """The same of several accounts."""
    rows = await connection.fetch(
        """
        SELECT asked.account_id, month::date AS period
        -- an array whose length no plan is made for: one is kept, instead of one made for each call
        FROM unnest(ARRAY(SELECT unnest($1::uuid[]))) AS asked (account_id)
        CROSS JOIN LATERAL generate_series(
            coalesce(
                (SELECT max(period) + interval '1 month' FROM period_versions
                 WHERE period_versions.account_id = asked.account_id AND rated_version IS NOT NULL),
                (SELECT date_trunc('month', min(created_at) AT TIME ZONE 'UTC') FROM resources
                 WHERE resources.account_id = asked.account_id)
            ),
            date_trunc('month', $2::timestamptz AT TIME ZONE 'UTC'),
            '1 month'
        ) AS month
        ORDER BY asked.account_id, month
        """,
        list(account_ids),
        now,
    )
    found: dict[UUID, list[Period]] = {account_id: [] for account_id in account_ids}
    for row in rows:
        found[row["account_id"]].append(Period(row["period"].year, row["period"].month))
    return found


async def list_versions(connection: Connection, *, account_ids: Sequence[UUID], period: Period) -> dict[UUID, int]:
    """The version of a past month for each account; those that no late write touched have none."""
    rows = await connection.fetch(
        "SELECT account_id, version FROM period_versions WHERE account_id = ANY ($1) AND period = $2",
        list(account_ids),
        period.start_date,
    )
    return {row["account_id"]: row["version"] for row in rows}


async def mark_rated(connection: Connection, *, versions: Mapping[UUID, int], period: Period) -> None:
    """Note the version of the month that a close saw for each account; a write since then leaves the month dirty."""
    await connection.execute(
        """
        INSERT INTO period_versions AS p (account_id, period, version, rated_version)
        SELECT account_id, $3, version, version FROM unnest($1::uuid[], $2::bigint[]) AS seen (account_id, version)
        ORDER BY account_id
        ON CONFLICT (account_id, period) DO UPDATE SET rated_version = greatest(p.rated_version, excluded.rated_version)
        """,
        list(versions.keys()),
        list(versions.values()),
        period.start_date,
    )


async def list_active_accounts(connection: Connection, *, period: Period) -> list[UUID]:
    """Accounts with a resource, usage or an earlier dirty month, whose month no close has rated, in the order of their ids."""
    rows = await connection.fetch(
        """
        SELECT account_id FROM accounts_v
        WHERE (
            EXISTS (
                SELECT FROM resources_by_end_v AS resources
                WHERE resources.account_id = accounts_v.account_id AND created_at < $2 AND ended_at > $1
            ) OR EXISTS (
                SELECT FROM day_rows WHERE day_rows.account_id = accounts_v.account_id AND day >= $3 AND day < $4
            ) OR EXISTS (
                SELECT FROM period_versions
                WHERE period_versions.account_id = accounts_v.account_id AND period < $3 AND version > rated_version
            )
        ) AND (  -- looked up for each: a join would be planned for the none that statistics know of a month
            SELECT count(*) FROM period_versions
            WHERE period_versions.account_id = accounts_v.account_id AND period >= $3 AND rated_version IS NOT NULL
        ) = 0
        ORDER BY account_id
        """,
        period.start,
        period.end,
        period.start_date,
        period.next().start_date,
    )
    return [row["account_id"] for row in rows]


async def list_unrated_before(connection: Connection, *, account_ids: Sequence[UUID], period: Period) -> list[UUID]:
    """Those of some accounts with a month before this one that has resources or usage and that no close has rated."""
    rows = await connection.fetch(
        """
        SELECT asked.account_id
        FROM unnest($1::uuid[]) AS asked (account_id)
        CROSS JOIN LATERAL (
            SELECT coalesce(max(period) + interval '1 month', '-infinity') AT TIME ZONE 'UTC' AS rated_until
            FROM period_versions
            WHERE period_versions.account_id = asked.account_id AND period < $2 AND rated_version IS NOT NULL
        ) AS known
        WHERE rated_until < $3 AND (
            EXISTS (
                SELECT FROM resources_by_end_v AS resources
                WHERE resources.account_id = asked.account_id AND created_at < $3 AND ended_at > rated_until
            ) OR EXISTS (
                SELECT FROM day_rows
                WHERE day_rows.account_id = asked.account_id AND day < $2 AND day >= (rated_until AT TIME ZONE 'UTC')::date
            )
        )
        """,
        list(account_ids),
        period.start_date,
        period.start,
    )
    return [row["account_id"] for row in rows]


async def list_dirty(
    connection: Connection, *, account_ids: Sequence[UUID], before: Period
) -> dict[Period, dict[UUID, int]]:
    """By month, oldest first, the accounts for which a write came after its close, with the version to be seen.

    A month that turned up before the account's last closed one counts as closed with nothing on it.
    """
    rows = await connection.fetch(
        """
        SELECT account_id, period, version FROM period_versions AS p
        WHERE account_id = ANY ($1) AND period < $2 AND version > coalesce(rated_version, 0) AND period <= (
            SELECT max(period) FROM period_versions AS closed
            WHERE closed.account_id = p.account_id AND closed.rated_version IS NOT NULL
        )
        ORDER BY period, account_id
        """,
        list(account_ids),
        before.start_date,
    )
    dirty: dict[Period, dict[UUID, int]] = {}
    for row in rows:
        dirty.setdefault(Period(row["period"].year, row["period"].month), {})[row["account_id"]] = row["version"]
    return dirty
