"""The SQL of what alerts compare: a query over the rating statement for any number of accounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING
from uuid import UUID

from billing import rating
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Connection

# $7: the meters that are asked for. A quantity counts also where no price is in force.
_QUANTITIES = rating.over_charges(
    """
    SELECT account_id, item AS meter, sum(quantity) AS quantity,
        CASE WHEN is_gauge THEN extract(epoch FROM $3 - $2) ELSE 1 END AS denominator
    FROM quantities
    WHERE kind = 'meter' AND quantity > 0 AND item = ANY ($7::text[])
    GROUP BY account_id, item, is_gauge
    """
)
_PROJECTS = rating.over_charges(
    "SELECT account_id, project_id, sum(amount_minor) AS amount_minor FROM lines GROUP BY account_id, project_id"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account is rated in, and what its taxes are decided by."""

    currency: str
    country: str | None
    is_exempt: bool


async def plan_for_many(connection: Connection) -> None:
    """Let each statement of this transaction be planned for the accounts that it is about.

    The planner expects one row of each step of a rating: for many accounts its nested loops would cost the square of their number.
    """
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_nestloop = off")


async def list_quantities(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime, meters: Collection[str]
) -> dict[tuple[UUID, str], Fraction]:
    """What some accounts used of meters in a month up to an instant, which may lie ahead."""
    arguments = rating.charge_arguments(account_ids=account_ids, period=period, as_of=as_of)
    found: dict[tuple[UUID, str], Fraction] = defaultdict(Fraction)
    for row in await connection.fetch(_QUANTITIES, *arguments, list(meters)):
        found[row["account_id"], row["meter"]] += Fraction(row["quantity"]) / Fraction(row["denominator"])
    return found


async def list_project_costs(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime
) -> dict[tuple[UUID, UUID], int]:
    """The net cost of a month up to an instant in minor units by account and project, without minimum charges."""
    arguments = rating.charge_arguments(account_ids=account_ids, period=period, as_of=as_of)
    rows = await connection.fetch(_PROJECTS, *arguments)
    return {(row["account_id"], row["project_id"]): int(row["amount_minor"]) for row in rows}


async def list_terms(connection: Connection, *, account_ids: Sequence[UUID]) -> dict[UUID, Terms]:
    """The terms of some accounts."""
    rows = await connection.fetch(
        "SELECT account_id, currency, country, tax_exempt FROM accounts_v WHERE account_id = ANY ($1)",
        list(account_ids),
    )
    return {row["account_id"]: Terms(row["currency"], row["country"], row["tax_exempt"]) for row in rows}


async def list_running(connection: Connection, *, account_ids: Sequence[UUID], now: datetime) -> set[UUID]:
    """Those of some accounts that have resources now: what these cost grows by itself."""
    rows = await connection.fetch(
        """
        SELECT asked.account_id FROM unnest($1::uuid[]) AS asked (account_id)
        CROSS JOIN LATERAL (
            SELECT FROM resources_by_end_v AS resources
            WHERE resources.account_id = asked.account_id AND resources.ended_at > $2
            ORDER BY resources.ended_at DESC  -- by the index of ends
            LIMIT 1
        ) AS running
        """,
        list(account_ids),
        now,
    )
    return {row["account_id"] for row in rows}
