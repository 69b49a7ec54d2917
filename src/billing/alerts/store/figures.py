"""The SQL of what alerts compare: a query over the rating statement for any number of accounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING
from uuid import UUID

from billing import rating
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Connection

# $7: the meters that are asked for. A quantity counts also where no price is in force.
_FIGURES = rating.over_charges(
    """
    SELECT account_id, project_id, NULL AS meter, sum(amount_minor) AS amount, 1 AS denominator
    FROM lines
    GROUP BY account_id, project_id
    UNION ALL
    SELECT account_id, NULL, item, sum(quantity), CASE WHEN is_gauge THEN extract(epoch FROM $3 - $2) ELSE 1 END
    FROM located
    WHERE kind = 'meter' AND item = ANY ($7::text[])
    GROUP BY account_id, item, is_gauge
    """
)


@dataclass(slots=True)
class MonthFigures:
    """What an account has used in a month so far: net cost by project in minor units, and quantities by meter."""

    net_minor: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    quantities: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account is rated in, and what its taxes are decided by."""

    currency: str
    country: str | None
    is_exempt: bool


async def list_figures(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, as_of: datetime, meters: Collection[str]
) -> dict[UUID, MonthFigures]:
    """What some accounts used in a month up to an instant, which may lie ahead; without minimum charges."""
    arguments = rating.charge_arguments(account_ids=account_ids, period=period, as_of=as_of)
    found: dict[UUID, MonthFigures] = defaultdict(MonthFigures)
    for row in await connection.fetch(_FIGURES, *arguments, list(meters)):
        figures = found[row["account_id"]]
        if row["meter"] is None:
            figures.net_minor[row["project_id"]] += int(row["amount"])
        else:
            figures.quantities[row["meter"]] += Fraction(row["amount"]) / Fraction(row["denominator"])
    return found


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
        SELECT DISTINCT account_id FROM resources_v
        WHERE account_id = ANY ($1) AND coalesce(deleted_at, 'infinity') > $2
        """,
        list(account_ids),
        now,
    )
    return {row["account_id"] for row in rows}
