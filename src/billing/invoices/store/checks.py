"""The invariants of invoices as SQL."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from billing import rating
from billing.core.period import Period
from billing.invoices.store.closing import PINNED_BY_LINES
from billing.kit import checks
from billing.kit.checks import EVERYTHING, Check, Scope
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    from billing.kit.db import Connection

_SQL = Path(__file__).parent.parent / "sql"
_CHECKS = load_statement(_SQL / "checks.sql")
_RATED_AGAIN = rating.over_charges(load_statement(_SQL / "rated_again.sql"), pinned=PINNED_BY_LINES)
_CHUNK = 250


async def run_checks(connection: Connection, scope: Scope = EVERYTHING) -> list[Check]:
    """Every invariant of invoices over the accounts in scope; those of states over all."""
    return [
        *await checks.run_checks(connection, _CHECKS, scope),
        Check("lines are what their months cost", await _count_rated_otherwise(connection, scope)),
    ]


async def _count_rated_otherwise(connection: Connection, scope: Scope) -> int:
    """Rate finalised months again at the prices on their lines: how many parts of charges come out otherwise."""
    await connection.execute("SET LOCAL enable_nestloop = off")  # as the close does
    different = 0
    for period, account_ids in (await _list_settled(connection, scope)).items():
        for start in range(0, len(account_ids), _CHUNK):
            arguments = rating.charge_arguments(
                account_ids=account_ids[start : start + _CHUNK], period=period, as_of=period.end, with_minimums=True
            )
            different += await connection.fetchval(_RATED_AGAIN, *arguments)
    await connection.execute("SET LOCAL enable_nestloop = on")
    return different


async def _list_settled(connection: Connection, scope: Scope) -> dict[Period, list[UUID]]:
    """By finalised month, the accounts in scope for which nothing was written to it that a close has not seen."""
    rows = await connection.fetch(
        """
        SELECT closes.account_id, closes.period
        FROM closes
        JOIN period_versions_v AS versions USING (account_id, period)
        WHERE finalized_at IS NOT NULL AND versions.version = versions.rated_version AND (
            $1::timestamptz IS NULL OR finalized_at >= $1 OR (hashtextextended(account_id::text, 0) & 15) = $2::integer
        ) AND NOT EXISTS (
            -- a draft that is not issued yet has corrections of the month
            SELECT FROM close_corrections AS c
            JOIN closes AS drafts ON drafts.account_id = c.account_id AND drafts.period = c.period
            WHERE c.account_id = closes.account_id AND c.corrected_period = closes.period AND drafts.finalized_at IS NULL
        )
        ORDER BY closes.period, closes.account_id
        """,
        scope.since,
        scope.part,
    )
    found: dict[Period, list[UUID]] = defaultdict(list)
    for row in rows:
        found[Period(row["period"].year, row["period"].month)].append(row["account_id"])
    return found
