"""The SQL of explanations, over the rating statement: charges, their parts, resources and days, and prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billing import catalog, invoices, rating
from billing.analytics.model import ChargeKey, ChargePart, DayQuantity, ExplainedPrice, RatedCharge, ResourceShare
from billing.catalog import Band, ItemKind
from billing.core.period import Period
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

CHARGES_MAX = 50
RESOURCES_MAX = 50

_SQL = Path(__file__).parent.parent / "sql"
_definition = msgspec.json.Decoder(catalog.PriceDefinition)


class _Statement:
    """A query over the rating statement, for months that were billed and for open ones."""

    def __init__(self, name: str) -> None:
        query = load_statement(_SQL / f"{name}.sql")
        self._open = rating.over_charges(query)
        self._billed = rating.over_charges(query, pinned=invoices.PINNED_BY_LINES)

    async def fetch(self, connection: Connection, month: RatedMonth, *arguments: object) -> list[asyncpg.Record]:
        return await connection.fetch(
            self._billed if month.is_billed else self._open,
            *rating.charge_arguments(
                account_ids=[month.account_id], period=month.period, as_of=month.counted_until, with_minimums=True
            ),
            *arguments,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedMonth:
    """Whose month is rated, up to which instant; one that was billed keeps the prices and projects of its lines."""

    account_id: UUID
    period: Period
    counted_until: datetime
    is_billed: bool


_CHARGES = _Statement("explained_charges")
_PARTS = _Statement("explained_parts")
_SHARES = _Statement("explained_shares")
_DAYS = _Statement("day_quantities")


async def list_charges(
    connection: Connection,
    *,
    month: RatedMonth,
    kind: str,
    item: str,
    resource_id: str | None,
    price_id: UUID | None = None,
) -> tuple[list[RatedCharge], int]:
    """The charges of a plan or meter, of those a resource has a part in if given; and how many there are."""
    rows = await _CHARGES.fetch(connection, month, kind, item, resource_id, price_id, CHARGES_MAX)
    charges = [
        RatedCharge(
            key=_key(row),
            quantity=row["quantity"],
            denominator=row["denominator"],
            billed_above=row["billed_above"],
            usage_cost=row["usage_cost"],
            cost=row["cost"],
            amount_minor=int(row["amount_minor"]),
        )
        for row in rows
    ]
    return charges, rows[0]["total"] if rows else 0


async def list_parts(
    connection: Connection, *, month: RatedMonth, keys: Sequence[ChargeKey]
) -> dict[ChargeKey, list[ChargePart]]:
    """The parts of charges by project and region, in that order."""
    parts: dict[ChargeKey, list[ChargePart]] = defaultdict(list)
    for row in await _PARTS.fetch(connection, month, *_asked(keys)):
        parts[_key(row)].append(
            ChargePart(
                project_id=row["project_id"],
                project_name=row["project_name"],
                region=row["region"],
                quantity=row["quantity"],
                amount_minor=int(row["amount_minor"]),
                unrounded=row["unrounded"],
            )
        )
    return parts


async def list_resources(
    connection: Connection, *, month: RatedMonth, keys: Sequence[ChargeKey], resource_id: str | None
) -> dict[ChargeKey, tuple[list[ResourceShare], int]]:
    """The resources of charges, yet without days, and how many there are; a resource alone if one is given."""
    found: dict[ChargeKey, list[ResourceShare]] = defaultdict(list)
    totals: dict[ChargeKey, int] = {}
    for row in await _SHARES.fetch(connection, month, *_asked(keys), resource_id, RESOURCES_MAX):
        totals[_key(row)] = row["total"]
        found[_key(row)].append(
            ResourceShare(
                resource_id=row["shared_resource_id"],
                name=row["resource_name"],
                type=row["type"],
                project_id=row["project_id"],
                region=row["region"],
                quantity=row["quantity"],
                amount_minor=int(row["amount_minor"]),
                days=[],
            )
        )
    return {key: (resources, totals[key]) for key, resources in found.items()}


async def list_days(
    connection: Connection, *, month: RatedMonth, keys: Sequence[ChargeKey], resource_ids: Sequence[str]
) -> dict[tuple[ChargeKey, str | None], list[DayQuantity]]:
    """What each day adds to charges (None), and to their resources' parts. A minimum has the days of its charge."""
    days: dict[tuple[ChargeKey, str | None], list[DayQuantity]] = defaultdict(list)
    for row in await _DAYS.fetch(connection, month, *_asked(keys), list(resource_ids)):
        key = ChargeKey("usage", row["price_id"], row["resource_id"], row["units"])
        day = DayQuantity(row["day"], row["reading"], row["quantity"])
        days[key, row["shared_resource_id"]].append(day)
    return days


async def get_prices(connection: Connection, *, price_ids: Sequence[UUID]) -> dict[UUID, ExplainedPrice]:
    """Prices with their bands, by id."""
    rows = await connection.fetch(
        """
        SELECT p.price_id, p.rate_card_id, p.account_id IS NOT NULL AS is_contract, p.kind, p.item, p.service, p.region, p.model,
            p.scope, p.definition, p.valid_from, p.valid_to, p.step, p.minimum_quantity, p.per, p.cap, p.maximum, p.minimum,
            meters_v.unit, meters_v.aggregation, bands.*
        FROM prices_v AS p
        LEFT JOIN meters_v ON p.kind = 'meter' AND meters_v.meter = p.item
        CROSS JOIN LATERAL (
            SELECT array_agg(low ORDER BY ordinal) AS lows, array_agg(high ORDER BY ordinal) AS highs,
                array_agg(base ORDER BY ordinal) AS bases, array_agg(unit ORDER BY ordinal) AS unit_prices
            FROM bands_v
            WHERE bands_v.price_id = p.price_id
        ) AS bands
        WHERE p.price_id = ANY ($1)
        """,
        list(price_ids),
    )
    cards = {
        card_id: (await catalog.get_rate_card(connection, rate_card_id=card_id)).name
        for card_id in {row["rate_card_id"] for row in rows}
    }
    return {row["price_id"]: _price(row, cards[row["rate_card_id"]]) for row in rows}


async def is_known(connection: Connection, *, account_id: UUID, kind: ItemKind, item: str) -> bool:
    """Whether there is such a plan or meter for an account: a meter, or something with a price that is not another's."""
    return await connection.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM prices_v WHERE kind = $2 AND item = $3 AND (account_id IS NULL OR account_id = $1)
        ) OR $2 = 'meter' AND EXISTS (SELECT FROM meters_v WHERE meter = $3)
        """,
        account_id,
        kind,
        item,
    )


def _asked(keys: Sequence[ChargeKey]) -> tuple[object, ...]:
    return (
        [key.kind for key in keys],
        [key.price_id for key in keys],
        [key.resource_id for key in keys],
        [key.units for key in keys],
    )


def _key(row: asyncpg.Record) -> ChargeKey:
    return ChargeKey(row["kind"], row["price_id"], row["resource_id"], row["units"])


def _price(row: asyncpg.Record, rate_card: str) -> ExplainedPrice:
    bands = zip(row["lows"], row["highs"], row["bases"], row["unit_prices"], strict=True)
    same = (
        "price_id rate_card_id is_contract kind item service region model scope valid_from valid_to step minimum_quantity "
        "per cap maximum minimum unit aggregation"
    )
    return ExplainedPrice(
        **{name: row[name] for name in same.split()},
        rate_card=rate_card,
        definition=_definition.decode(row["definition"]),
        bands=[Band(*band) for band in bands],
    )
