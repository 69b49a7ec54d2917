"""The SQL of the last finalised month of each plan or meter, which the close tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from billing.catalog.model import BilledItem, ItemKind

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def list_billed_items(
    connection: Connection, *, items: Sequence[tuple[ItemKind, str]], currency: str, since: date
) -> list[BilledItem]:
    """Of these plans and meters, those that were billed to some account in or after the month `since`."""
    records = await connection.fetch(
        """
        SELECT billed_items.kind, billed_items.item, billed_items.last_period
        FROM unnest($1::text[], $2::text[]) AS wanted (kind, item)
        JOIN billed_items ON billed_items.kind = wanted.kind AND billed_items.item = wanted.item
        WHERE billed_items.currency = $3 AND billed_items.last_period >= $4
        ORDER BY billed_items.kind, billed_items.item
        """,
        [kind for kind, _ in items],
        [item for _, item in items],
        currency,
        since,
    )
    return [BilledItem(**dict(record)) for record in records]


async def list_items_billed_to(
    connection: Connection, *, account_id: UUID, items: Sequence[tuple[ItemKind, str]], currency: str, since: date
) -> list[BilledItem]:
    """The same of one account: what its finalised documents say."""
    records = await connection.fetch(
        """
        SELECT wanted.kind, wanted.item, max(finalized_items_v.period) AS last_period
        FROM unnest($2::text[], $3::text[]) AS wanted (kind, item)
        JOIN finalized_items_v ON finalized_items_v.item_kind = wanted.kind AND finalized_items_v.item = wanted.item
        WHERE finalized_items_v.account_id = $1 AND finalized_items_v.currency = $4 AND finalized_items_v.period >= $5
        GROUP BY wanted.kind, wanted.item
        ORDER BY wanted.kind, wanted.item
        """,
        account_id,
        [kind for kind, _ in items],
        [item for _, item in items],
        currency,
        since,
    )
    return [BilledItem(**dict(record)) for record in records]


async def mark_billed(
    connection: Connection,
    *,
    kinds: Sequence[ItemKind],
    items: Sequence[str],
    currencies: Sequence[str],
    period: date,
) -> None:
    """Note that a month is finalised with lines of these items, one per position; repeats do nothing, and wait for nobody."""
    await connection.execute(
        """
        INSERT INTO billed_items (kind, item, currency, last_period)
        SELECT DISTINCT given.kind, given.item, given.currency, $4::date
        FROM unnest($1::text[], $2::text[], $3::text[]) AS given (kind, item, currency)
        WHERE NOT EXISTS (  -- an upsert that changes nothing would hold the row all the same
            SELECT FROM billed_items AS b
            WHERE b.kind = given.kind AND b.item = given.item AND b.currency = given.currency AND b.last_period >= $4
        )
        ORDER BY given.kind, given.item, given.currency
        ON CONFLICT ON CONSTRAINT pk_billed_items DO UPDATE SET last_period = excluded.last_period
        WHERE billed_items.last_period < excluded.last_period
        """,
        kinds,
        items,
        currencies,
        period,
    )
