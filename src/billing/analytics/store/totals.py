"""The SQL of a month's totals over all accounts, some thousand accounts at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from billing import rating
from billing.core.period import Period
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_SQL: Final = Path(__file__).parent.parent / "sql"
_RATED: Final = rating.over_charges(load_statement(_SQL / "rated_totals.sql"))
_BILLED: Final = load_statement(_SQL / "billed_totals.sql")


async def list_next_accounts(
    connection: Connection, *, after: UUID, period: Period, limit: int
) -> list[tuple[UUID, bool]]:
    """The accounts that follow an id, each with whether a close has finalised the month."""
    rows = await connection.fetch(
        """
        SELECT account_id, EXISTS (
            SELECT FROM period_versions_v AS versions
            WHERE versions.account_id = accounts_v.account_id AND versions.period >= $2 AND versions.rated_version IS NOT NULL
        ) AS is_billed
        FROM accounts_v
        WHERE account_id > $1
        ORDER BY account_id
        LIMIT $3
        """,
        after,
        period.start_date,
        limit,
    )
    return [(row["account_id"], row["is_billed"]) for row in rows]


async def plan_for_many(connection: Connection) -> None:
    """Rate with hash joins in memory: of many accounts, nested loops would cost the square."""
    await connection.execute(
        "SET LOCAL enable_nestloop = off; SET LOCAL work_mem = '64MB'; SET LOCAL plan_cache_mode = force_generic_plan"
    )


async def list_rated(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime
) -> list[asyncpg.Record]:
    """(currency, service or None for all, accounts, amount in minor units) of an open month, as it is rated up to an instant."""
    arguments = rating.charge_arguments(account_ids=account_ids, period=period, as_of=as_of)
    return await connection.fetch(_RATED, *arguments)


async def list_billed(connection: Connection, *, account_ids: Sequence[UUID], period: Period) -> list[asyncpg.Record]:
    """The same of a finalised month: what its lines say."""
    return await connection.fetch(_BILLED, list(account_ids), period.start_date)
