"""The SQL of tax rates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING

from billing.catalog.model import TaxRate
from billing.core.page import Page, PageRequest

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


async def list_tax_rates_page(connection: Connection, *, page: PageRequest) -> Page[TaxRate]:
    """One page of every rate, past and future ones too, by country, name and start."""
    records = await connection.fetch(
        """
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $1::boolean THEN (SELECT count(*) FROM tax_rates) END AS total) AS counted
        LEFT JOIN (
            SELECT country, name, percent, valid_from
            FROM tax_rates
            WHERE (country, name, valid_from) > (coalesce($4::text, ''), coalesce($5::text, ''), coalesce($6::date, '-infinity'))
            ORDER BY country, name, valid_from
            LIMIT $2 OFFSET $3
        ) AS page ON true
        ORDER BY page.country, page.name, page.valid_from
        """,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(str, str, date),
    )
    found = [
        TaxRate(**{name: value for name, value in record.items() if name != "total"})
        for record in records
        if record["country"] is not None
    ]
    return page.cut(found, total=records[0]["total"], key=lambda rate: (rate.country, rate.name, rate.valid_from))


async def list_all_tax_rates(connection: Connection) -> list[TaxRate]:
    """Every rate, past and future ones too, by country, name and start."""
    records = await connection.fetch(
        "SELECT country, name, percent, valid_from FROM tax_rates ORDER BY country, name, valid_from"
    )
    return [TaxRate(**dict(record)) for record in records]
