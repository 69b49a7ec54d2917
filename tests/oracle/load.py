"""Puts a world into the tables in bulk, as ingest would have left it; day rows are folded here, by other code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Context, Decimal
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from billing import catalog
from tests.oracle.world import Event, Price, Resource, World

if TYPE_CHECKING:
    from billing.kit.db import Connection

_EXACT = Context(prec=200)
_SEQUENCE = count(1)


async def load_world(connection: Connection, world: World, *, recorded_at: datetime, with_usage: bool = True) -> None:
    """Insert everything that a world holds, as the schema's owner; without usage its events and day rows stay out."""
    await load_catalogue(connection, world, recorded_at=recorded_at)
    await _copy(
        connection,
        "accounts",
        "account_id email name status verified currency timezone tax_exempt terms_days created_at",
        (
            (account_id, "a@example.com", "A", "active", True, account.currency, "UTC", False, 14, recorded_at)
            for account_id, account in world.accounts.items()
        ),
    )
    projects = {(resource.account_id, resource.project_id) for resource in world.resources}
    await _copy(
        connection,
        "projects",
        "account_id project_id name is_default created_at",
        ((account_id, project_id, "P", False, recorded_at) for account_id, project_id in sorted(projects)),
    )
    await _copy(
        connection,
        "resources",
        "account_id resource_id project_id type service name region created_at deleted_at recorded_at",
        (_resource_row(resource, recorded_at) for resource in world.resources),
    )
    await _copy(
        connection,
        "state_points",
        "account_id resource_id effective_at plan units status recorded_at end_at",
        (row for resource in world.resources for row in _state_rows(resource, recorded_at)),
    )
    if with_usage:
        await _load_usage(connection, world, recorded_at)
    await connection.execute(
        "ANALYZE accounts, projects, resources, state_points, usage_events, day_rows, gauges, meters, prices, bands"
    )


async def load_catalogue(connection: Connection, world: World, *, recorded_at: datetime) -> None:
    """Insert a world's meters and its prices, each on a card of its own, compiled by the catalogue."""
    compiled = [(price, catalog.compile_price(definition_of(price))) for price in world.prices]
    await _copy(
        connection,
        "meters",
        "meter service name unit aggregation",
        ((meter, "messaging", meter, "units", aggregation) for meter, aggregation in world.meters.items()),
    )
    await _copy(
        connection,
        "rate_cards",
        "rate_card_id name currency account_id valid_from valid_to created_at",
        (
            (price.price_id, "card", price.currency, price.account_id, price.valid_from, price.valid_to, recorded_at)
            for price in world.prices
        ),
    )
    await _copy(
        connection,
        "prices",
        "price_id rate_card_id kind item service region currency account_id valid_from valid_to model scope definition "
        "billable step minimum_quantity per cap maximum minimum",
        (_price_row(price, terms) for price, terms in compiled),
    )
    await _copy(
        connection,
        "bands",
        "price_id ordinal low high base unit",
        (
            (price.price_id, ordinal, band.low, band.high, band.base, band.unit)
            for price, terms in compiled
            for ordinal, band in enumerate(terms.bands, start=1)
        ),
    )


def definition_of(price: Price) -> catalog.PriceDefinition:
    """The price as the catalogue takes it in."""
    return msgspec.convert(price.definition, catalog.PriceDefinition)


async def _load_usage(connection: Connection, world: World, recorded_at: datetime) -> None:
    await _copy(
        connection,
        "usage_events",
        "account_id source event_id resource_id meter quantity occurred_at recorded_at voided_at",
        (
            _event_row(resource, event, f"event-{next(_SEQUENCE)}", recorded_at)
            for resource in world.resources
            for event in resource.events
        ),
    )
    await _copy(
        connection,
        "day_rows",
        "account_id day resource_id meter total highest latest latest_at first_at is_gauge events",
        (
            (resource.account_id, day, resource.resource_id, meter, *_fold(events, is_gauge=is_gauge), len(events))
            for resource in world.resources
            for (meter, day), events in _by_day(resource.events).items()
            for is_gauge in [world.meters[meter] == "time_weighted"]
        ),
    )
    gauges = {
        (resource.account_id, resource.resource_id, event.meter)
        for resource in world.resources
        for event in resource.events
        if world.meters[event.meter] == "time_weighted"
    }
    await _copy(connection, "gauges", "account_id resource_id meter", sorted(gauges))
    await connection.execute(
        """
        UPDATE gauges SET ended_at = deleted_at FROM resources
        WHERE gauges.account_id = resources.account_id AND gauges.resource_id = resources.resource_id AND gauges.ended_at IS NULL
        """
    )
    # Else the planner may go by the empty tables that worlds before this one left behind: nested scans of thousands of rows.
    await connection.execute("ANALYZE resources, state_points, usage_events, day_rows, gauges")
    await connection.execute(
        """
        SELECT refold_gauges(array_agg(account_id), array_agg(resource_id), array_agg(meter), array_agg(day)) FROM day_rows
        WHERE is_gauge AND account_id = ANY ($1)
        HAVING count(*) > 0
        """,
        sorted({account_id for account_id, _, _ in gauges}),
    )


def _by_day(events: Iterable[Event]) -> dict[tuple[str, date], list[Event]]:
    days: dict[tuple[str, date], list[Event]] = defaultdict(list)
    for event in events:
        if not event.is_voided:
            days[event.meter, event.occurred_at.date()].append(event)
    return days


def _fold(events: list[Event], *, is_gauge: bool) -> tuple[Decimal, Decimal, Decimal, datetime, datetime, bool]:
    """total, highest, latest, latest_at, first_at, is_gauge of one day; a gauge's total is folded by the database after that."""
    ordered = sorted(events, key=lambda event: (event.occurred_at, event.quantity))
    first_at, latest_at = ordered[0].occurred_at, ordered[-1].occurred_at
    total = Decimal(0)
    for event in ordered:
        total = _EXACT.add(total, event.quantity)
    return total, max(event.quantity for event in ordered), ordered[-1].quantity, latest_at, first_at, is_gauge


def _state_rows(resource: Resource, recorded_at: datetime) -> Iterable[tuple[object, ...]]:
    """Each state with the instant until which it held."""
    deleted_at = _deleted_at(resource)
    for at in resource.points:
        later = [point.effective_at for point in resource.points if point.effective_at > at.effective_at]
        ends = [*later, *([] if deleted_at is None else [max(deleted_at, at.effective_at)])]
        yield (
            resource.account_id,
            resource.resource_id,
            at.effective_at,
            at.plan,
            at.units,
            at.status,
            recorded_at,
            min(ends, default=None),
        )


def _deleted_at(resource: Resource) -> datetime | None:
    return min((point.effective_at for point in resource.points if point.status == "deleted"), default=None)


def _resource_row(resource: Resource, recorded_at: datetime) -> tuple[object, ...]:
    return (
        resource.account_id,
        resource.resource_id,
        resource.project_id,
        resource.type,
        resource.service,
        resource.resource_id,
        resource.region,
        min(point.effective_at for point in resource.points),
        _deleted_at(resource),
        recorded_at,
    )


def _event_row(resource: Resource, event: Event, event_id: str, recorded_at: datetime) -> tuple[object, ...]:
    voided_at = recorded_at if event.is_voided else None
    key = resource.account_id, "oracle", event_id, resource.resource_id
    return *key, event.meter, event.quantity, event.occurred_at, recorded_at, voided_at


def _price_row(price: Price, terms: catalog.CompiledPrice) -> tuple[object, ...]:
    definition = definition_of(price)
    return (
        price.price_id,
        price.price_id,
        definition.kind,
        definition.item,
        definition.service,
        definition.region,
        price.currency,
        price.account_id,
        price.valid_from,
        price.valid_to,
        definition.model,
        terms.scope,
        msgspec.json.encode(definition).decode(),
        list(terms.billable),
        terms.step,
        terms.minimum_quantity,
        terms.per,
        terms.cap,
        terms.maximum,
        terms.minimum,
    )


async def _copy(connection: Connection, table: str, columns: str, rows: Iterable[Sequence[object]]) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns.split())
