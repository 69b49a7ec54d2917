"""The SQL of meters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from billing.catalog.model import Meter
from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def insert_meters(connection: Connection, *, meters: Sequence[Meter]) -> None:
    """Store the meters that do not exist yet; the others stay as they are."""
    await connection.execute(
        """
        INSERT INTO meters (meter, service, name, unit, aggregation, shows_as)
        SELECT *
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
             AS given (meter, service, name, unit, aggregation, shows_as)
        ORDER BY given.meter
        ON CONFLICT ON CONSTRAINT pk_meters DO NOTHING
        """,
        [meter.meter for meter in meters],
        [meter.service for meter in meters],
        [meter.name for meter in meters],
        [meter.unit for meter in meters],
        [meter.aggregation for meter in meters],
        [meter.shows_as for meter in meters],
    )


async def update_meter(connection: Connection, *, meter: Meter) -> None:
    """Store what a meter is from now on."""
    await connection.execute(
        "UPDATE meters SET service = $2, name = $3, unit = $4, aggregation = $5, shows_as = $6 WHERE meter = $1",
        meter.meter,
        meter.service,
        meter.name,
        meter.unit,
        meter.aggregation,
        meter.shows_as,
    )


async def get_meter(connection: Connection, *, meter: str) -> Meter:
    """A meter. Raises NotFound."""
    record = await connection.fetchrow(
        "SELECT meter, service, name, unit, aggregation, shows_as FROM meters WHERE meter = $1", meter
    )
    if record is None:
        raise NotFound
    return _meter(record)


async def get_meter_for_update(connection: Connection, *, meter: str) -> Meter:
    """A meter, locked until the transaction ends. Raises NotFound."""
    await connection.execute("SELECT FROM meters WHERE meter = $1 FOR UPDATE", meter)
    return await get_meter(connection, meter=meter)


async def list_meters(connection: Connection, *, names: Collection[str] | None = None) -> list[Meter]:
    """Meters by name; all of them if no names are given. Names that do not exist are left out."""
    records = await connection.fetch(
        """
        SELECT meter, service, name, unit, aggregation, shows_as FROM meters
        WHERE $1::text[] IS NULL OR meter = ANY ($1)
        ORDER BY meter
        """,
        None if names is None else list(names),
    )
    return [_meter(record) for record in records]


async def list_meters_for_share(connection: Connection, *, names: Collection[str]) -> list[Meter]:
    """These meters, each kept as it is until the transaction ends."""
    records = await connection.fetch(
        """
        SELECT meter, service, name, unit, aggregation, shows_as FROM meters
        WHERE meter = ANY ($1)
        ORDER BY meter
        FOR SHARE
        """,
        list(names),
    )
    return [_meter(record) for record in records]


async def list_meters_page(connection: Connection, *, page: PageRequest) -> Page[Meter]:
    """One page of all meters by name."""
    records = await connection.fetch(
        """
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $1::boolean THEN (SELECT count(*) FROM meters) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM meters WHERE meter > coalesce($4::text, '') ORDER BY meter LIMIT $2 OFFSET $3
        ) AS page ON true
        ORDER BY page.meter
        """,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(str),
    )
    found = [_meter(record) for record in records if record["meter"] is not None]
    return page.cut(found, total=records[0]["total"], key=lambda meter: (meter.meter,))


async def is_metered(connection: Connection, *, meter: str) -> bool:
    """Whether the meter has counted anything. Without a price it cannot have: such events are quarantined."""
    return await connection.fetchval(
        """
        SELECT EXISTS (SELECT FROM prices WHERE kind = 'meter' AND item = $1)
           AND EXISTS (SELECT FROM day_rows_v WHERE meter = $1)
        """,
        meter,
    )


async def is_priced(connection: Connection, *, meter: str) -> bool:
    """Whether any price names the meter."""
    return await connection.fetchval("SELECT EXISTS (SELECT FROM prices WHERE kind = 'meter' AND item = $1)", meter)


def _meter(record: asyncpg.Record) -> Meter:
    return Meter(
        meter=record["meter"],
        service=record["service"],
        name=record["name"],
        unit=record["unit"],
        aggregation=record["aggregation"],
        shows_as=record["shows_as"],
    )
