"""The SQL of rate cards, their prices and bands.

Definitions are kept as JSON whose numbers PostgreSQL keeps digit by digit; they come back as exact decimals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billing.catalog.model import CompiledPrice, Price, PriceDefinition, RateCard
from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(PriceDefinition)


async def insert_rate_card(connection: Connection, *, card: RateCard) -> None:
    """Store a rate card, yet without prices."""
    await connection.execute(
        """
        INSERT INTO rate_cards (rate_card_id, name, currency, account_id, valid_from, valid_to, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        card.rate_card_id,
        card.name,
        card.currency,
        card.account_id,
        card.valid_from,
        card.valid_to,
        card.created_at,
    )


async def insert_prices(
    connection: Connection, *, card: RateCard, prices: Sequence[Price], compiled: Mapping[UUID, CompiledPrice]
) -> set[UUID]:
    """Store a card's prices and what they compile to; returns those stored. One whose key and start exist is left out.

    In the order of the keys, so that two cards with the same keys wait for each other instead of locking up.
    """
    records = await connection.fetch(
        """
        INSERT INTO prices (rate_card_id, currency, account_id, valid_from, valid_to,
                            price_id, kind, item, service, region, model, scope, definition, billable,
                            step, minimum_quantity, per, cap, maximum, minimum)
        SELECT $1, $2, $3, $4, $5,
               given.price_id, given.kind, given.item, given.service, given.region, given.model, given.scope,
               given.definition, string_to_array(given.billable, ','),
               given.step, given.minimum_quantity, given.per, given.cap, given.maximum, given.minimum
        FROM unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                    $13::jsonb[], $14::text[],
                    $15::numeric[], $16::numeric[], $17::numeric[], $18::numeric[], $19::numeric[], $20::numeric[])
             AS given (price_id, kind, item, service, region, model, scope,
                       definition, billable,
                       step, minimum_quantity, per, cap, maximum, minimum)
        ORDER BY given.kind, given.item, given.region
        ON CONFLICT ON CONSTRAINT uq_prices_start DO NOTHING
        RETURNING price_id
        """,
        card.rate_card_id,
        card.currency,
        card.account_id,
        card.valid_from,
        card.valid_to,
        [price.price_id for price in prices],
        [price.definition.kind for price in prices],
        [price.definition.item for price in prices],
        [price.definition.service for price in prices],
        [price.definition.region for price in prices],
        [price.definition.model for price in prices],
        [compiled[price.price_id].scope for price in prices],
        [_encoder.encode(price.definition).decode() for price in prices],
        [",".join(compiled[price.price_id].billable) for price in prices],
        [compiled[price.price_id].step for price in prices],
        [compiled[price.price_id].minimum_quantity for price in prices],
        [compiled[price.price_id].per for price in prices],
        [compiled[price.price_id].cap for price in prices],
        [compiled[price.price_id].maximum for price in prices],
        [compiled[price.price_id].minimum for price in prices],
    )
    return {record["price_id"] for record in records}


async def insert_bands(connection: Connection, *, compiled: Mapping[UUID, CompiledPrice]) -> None:
    """Store the bands of new prices."""
    rows = [
        (price_id, ordinal, band)
        for price_id, price in compiled.items()
        for ordinal, band in enumerate(price.bands, start=1)
    ]
    await connection.execute(
        """
        INSERT INTO bands (price_id, ordinal, low, high, base, unit)
        SELECT * FROM unnest($1::uuid[], $2::integer[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[])
        """,
        [price_id for price_id, _, _ in rows],
        [ordinal for _, ordinal, _ in rows],
        [band.low for _, _, band in rows],
        [band.high for _, _, band in rows],
        [band.base for _, _, band in rows],
        [band.unit for _, _, band in rows],
    )


async def update_rate_card_end(connection: Connection, *, rate_card_id: UUID, valid_to: datetime | None) -> None:
    """Set until when a card and its prices are in force (exclusive; None: without end)."""
    await connection.execute(
        """
        WITH card AS (UPDATE rate_cards SET valid_to = $2 WHERE rate_card_id = $1)
        UPDATE prices SET valid_to = $2 WHERE rate_card_id = $1
        """,
        rate_card_id,
        valid_to,
    )


async def get_rate_card(connection: Connection, *, rate_card_id: UUID) -> RateCard:
    """A rate card without its prices. Raises NotFound."""
    record = await connection.fetchrow(
        """
        SELECT cards.*, (SELECT count(*) FROM prices WHERE prices.rate_card_id = cards.rate_card_id) AS prices_total
        FROM rate_cards AS cards
        WHERE cards.rate_card_id = $1
        """,
        rate_card_id,
    )
    if record is None:
        raise NotFound
    return _rate_card(record)


async def get_rate_card_for_update(connection: Connection, *, rate_card_id: UUID) -> RateCard:
    """A rate card, locked until the transaction ends. Raises NotFound."""
    await connection.execute("SELECT FROM rate_cards WHERE rate_card_id = $1 FOR NO KEY UPDATE", rate_card_id)
    return await get_rate_card(connection, rate_card_id=rate_card_id)


async def list_prices(connection: Connection, *, rate_card_id: UUID) -> list[Price]:
    """The prices of a rate card, in the order they were given."""
    records = await connection.fetch(
        "SELECT price_id, definition FROM prices WHERE rate_card_id = $1 ORDER BY price_id", rate_card_id
    )
    return [Price(price_id=record["price_id"], definition=_decoder.decode(record["definition"])) for record in records]


async def list_rate_cards(
    connection: Connection, *, page: PageRequest, account_id: UUID | None = None, currency: str | None = None
) -> Page[RateCard]:
    """One page of the rate cards, newest first; with `account_id`, of its contracts alone."""
    records = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT *
            FROM rate_cards
            WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::text IS NULL OR currency = $2)
        )
        SELECT page.*, counted.total,
               (SELECT count(*) FROM prices WHERE prices.rate_card_id = page.rate_card_id) AS prices_total
        FROM (SELECT CASE WHEN $3::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE rate_card_id < coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            ORDER BY rate_card_id DESC
            LIMIT $4 OFFSET $5
        ) AS page ON true
        ORDER BY page.rate_card_id DESC
        """,
        account_id,
        currency,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(UUID),
    )
    found = [_rate_card(record) for record in records if record["rate_card_id"] is not None]
    return page.cut(found, total=records[0]["total"], key=lambda card: (card.rate_card_id,))


async def list_services(connection: Connection) -> list[str]:
    """The services that have a price or a meter. One index look-up per service, however many contracts there are."""
    records = await connection.fetch(
        """
        WITH RECURSIVE priced (service) AS (
            SELECT min(service) FROM prices
            UNION ALL
            SELECT (SELECT min(prices.service) FROM prices WHERE prices.service > priced.service)
            FROM priced
            WHERE priced.service IS NOT NULL
        )
        SELECT service FROM priced WHERE service IS NOT NULL
        UNION
        SELECT service FROM meters
        ORDER BY service
        """
    )
    return [record["service"] for record in records]


def _rate_card(record: asyncpg.Record) -> RateCard:
    return RateCard(
        rate_card_id=record["rate_card_id"],
        name=record["name"],
        currency=record["currency"],
        account_id=record["account_id"],
        valid_from=record["valid_from"],
        valid_to=record["valid_to"],
        created_at=record["created_at"],
        prices_total=record["prices_total"],
    )
