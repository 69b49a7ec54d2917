"""The SQL of tax rates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING

from billing.catalog.model import TaxRate

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def upsert_tax_rates(connection: Connection, *, tax_rates: Sequence[TaxRate]) -> None:
    """Store tax rates; one of the same country, name and start gets the new percent."""
    await connection.execute(
        """
        INSERT INTO tax_rates (country, name, percent, valid_from)
        SELECT *
        FROM unnest($1::text[], $2::text[], $3::numeric[], $4::date[]) AS given (country, name, percent, valid_from)
        ORDER BY given.country, given.name, given.valid_from
        ON CONFLICT ON CONSTRAINT pk_tax_rates DO UPDATE SET percent = excluded.percent
        """,
        [rate.country for rate in tax_rates],
        [rate.name for rate in tax_rates],
        [rate.percent for rate in tax_rates],
        [rate.valid_from for rate in tax_rates],
    )


async def list_tax_rates(
    connection: Connection, *, at: date, countries: Collection[str] | None = None
) -> list[TaxRate]:
    """The rates due at a UTC date, by country and name: of each the newest that has started, unless it is 0 percent."""
    records = await connection.fetch(
        """
        SELECT country, name, percent, valid_from
        FROM (
            SELECT DISTINCT ON (country, name) country, name, percent, valid_from
            FROM tax_rates
            WHERE valid_from <= $1 AND ($2::text[] IS NULL OR country = ANY ($2))
            ORDER BY country, name, valid_from DESC
        ) AS newest
        WHERE percent > 0
        ORDER BY country, name
        """,
        at,
        None if countries is None else list(countries),
    )
    return [TaxRate(**dict(record)) for record in records]


async def list_all_tax_rates(connection: Connection) -> list[TaxRate]:
    """Every rate, past and future ones too, by country, name and start."""
    records = await connection.fetch(
        "SELECT country, name, percent, valid_from FROM tax_rates ORDER BY country, name, valid_from"
    )
    return [TaxRate(**dict(record)) for record in records]
