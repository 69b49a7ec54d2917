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
    connection: Connection,
    *,
    items: Sequence[tuple[ItemKind, str]],
    currency: str,
    account_id: UUID | None,
    since: date,
) -> list[BilledItem]:
    """Of these plans and meters, those with a finalised line in or after the month `since`, of any account if None."""
    records = await connection.fetch(
        """
        SELECT wanted.kind, wanted.item, billed.last_period
        FROM unnest($1::text[], $2::text[]) AS wanted (kind, item)
        CROSS JOIN LATERAL (
            SELECT max(last_period) AS last_period
            FROM billed_items
            WHERE billed_items.kind = wanted.kind AND billed_items.item = wanted.item AND billed_items.currency = $3
              AND ($4::uuid IS NULL OR billed_items.account_id = $4)
        ) AS billed
        WHERE billed.last_period >= $5
        ORDER BY wanted.kind, wanted.item
        """,
        [kind for kind, _ in items],
        [item for _, item in items],
        currency,
        account_id,
        since,
    )
    return [BilledItem(**dict(record)) for record in records]


async def mark_billed(
    connection: Connection,
    *,
    account_ids: Sequence[UUID],
    kinds: Sequence[ItemKind],
    items: Sequence[str],
    currencies: Sequence[str],
    period: date,
) -> None:
    """Note that a month is finalised with lines of these items, one per position; repeats do nothing."""
    await connection.execute(
        """
        INSERT INTO billed_items (account_id, kind, item, currency, last_period)
        SELECT DISTINCT account_id, kind, item, currency, $5::date
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS given (account_id, kind, item, currency)
        ORDER BY account_id, kind, item, currency
        ON CONFLICT ON CONSTRAINT pk_billed_items DO UPDATE SET last_period = excluded.last_period
        WHERE billed_items.last_period < excluded.last_period
        """,
        account_ids,
        kinds,
        items,
        currencies,
        period,
    )
