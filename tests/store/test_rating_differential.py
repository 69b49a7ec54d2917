"""The rating statement against the exact-fraction oracle, on random worlds: quality V3.

`--seed` replays a run.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from billing import metering, rating
from billing.core.period import Period
from billing.kit.db import APP_ROLE, Tx
from tests.oracle import rating as oracle
from tests.oracle.generate import Scenario, scenario
from tests.oracle.load import load_world
from tests.oracle.models import billed_hours
from tests.oracle.world import Account, Aggregation, Definition, Event, Price, Resource, StatePoint, Status, World

if TYPE_CHECKING:
    from billing.kit.db import Connection

ACCOUNTS = 1500
CHUNK = 60
CHARGES = 20_000
PARTS = 4  # so that the workers of a run share them
CHARGES_NIGHTLY = 1_000_000
SHOWN = 5
TRILLION = 10**12
METER: Definition = {"service": "messaging", "meter": "m", "model": "per_unit", "unit_price": Decimal("0.5")}
RECORDED_AT = datetime(2024, 12, 1, tzinfo=UTC)
UNPRICED = ("unpriced",)
Rows = dict[Hashable, tuple[object, ...]]


def oracle_key(charge: oracle.Charge) -> Hashable:
    """What a charge is known by."""
    resource_id = charge.resource_id or ""
    return charge.kind, charge.account.account_id, charge.price.price_id, resource_id, charge.units


def oracle_rows(charges: list[oracle.Charge]) -> Rows:
    """Charges, lines and shares: exact quantity, amount in minor units, cost with 12 decimals, billed seconds."""
    rows: Rows = {}
    for one in charges:
        definition = one.price.definition
        billed_s = billed_hours(definition, one.quantity) * 3600 if definition["model"] == "hourly" else None
        rows[oracle_key(one)] = one.quantity, one.amount_minor, Fraction(one.cost_trillionths, TRILLION), billed_s
    for line in oracle.lines(charges):
        place = line.project_id, line.region
        unrounded = Fraction(line.unrounded_trillionths, TRILLION)
        rows[oracle_key(line.charge), *place] = line.quantity, line.amount_minor, unrounded
        for resource_id, share in oracle.line_shares(line).items():
            charge = line.charge
            key = charge.kind, charge.account.account_id, charge.price.price_id, charge.units
            rows[(*key, *place, resource_id)] = share
    return rows


async def statement_rows(connection: Connection, made: Scenario, account_ids: Sequence[UUID]) -> Rows:
    """The statement's charges, lines, shares with a quantity above 0, by the same keys, and what has no price."""
    period, as_of = Period(made.year, made.month), made.as_of
    hourly = {price.price_id for price in made.world.prices if price.definition["model"] == "hourly"}
    charges = await rating.list_charges(
        connection, account_ids=account_ids, period=period, as_of=as_of, with_minimums=True
    )
    lines = await rating.list_lines(connection, account_ids=account_ids, period=period, as_of=as_of, with_minimums=True)
    shares = await rating.list_shares(
        connection, account_ids=account_ids, period=period, as_of=as_of, with_minimums=True
    )
    found: list[tuple[Hashable, tuple[object, ...]]] = []
    for row in charges:
        billed_s = Fraction(row.billed_quantity) if row.price_id in hourly else None
        found.append((statement_key(row), (quantity_of(row), row.amount_minor, Fraction(row.cost), billed_s)))
    for row in lines:
        key = statement_key(row), row.project_id, row.region
        found.append((key, (quantity_of(row), row.amount_minor, Fraction(row.unrounded))))
    for row in shares:
        key = row.kind, row.account_id, row.price_id, Fraction(row.units), row.project_id, row.region, row.resource_id
        found.append((key, (quantity_of(row), row.amount_minor)))
    rows = {key: row for key, row in found if row[0] != 0}
    assert len(rows) == sum(row[0] != 0 for _, row in found), "a key came twice"
    unpriced = await rating.list_unpriced(connection, account_ids=account_ids, period=period, as_of=as_of)
    rows |= {(*UNPRICED, row.account_id, row.kind, row.item, row.resource_id): UNPRICED for row in unpriced}
    return rows


def statement_key(row: rating.Charge | rating.Line) -> Hashable:
    """What a row's charge is known by."""
    return row.kind, row.account_id, row.price_id, row.charge_resource_id, Fraction(row.units)


def quantity_of(row: rating.Charge | rating.Line | rating.Share) -> Fraction:
    """A row's exact quantity."""
    return Fraction(row.quantity) / Fraction(row.denominator)


def explained(charges: list[oracle.Charge], wanted: Rows, found: Rows) -> str:
    """The first differences, with what the charge is made of."""
    by_key = {oracle_key(charge): charge for charge in charges}
    different = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
    shown = [f"{len(different)} of {len(wanted)} rows differ"]
    for key in different[:SHOWN]:
        shown.append(f"{key}\n  oracle    {wanted.get(key)}\n  statement {found.get(key)}")
        charge = by_key.get(key)
        if charge is not None:
            meter = charge.price.definition.get("meter")
            shown.append(f"  {charge.price}")
            for piece in charge.pieces:
                resource = piece.resource
                shown.append(f"  {resource.resource_id} {resource.region} {resource.project_id}")
                shown.extend(f"    {point}" for point in sorted(resource.points, key=lambda one: one.effective_at))
                shown.extend(f"    {event}" for event in resource.events if event.meter == meter)
    return "\n".join(shown)


async def compare(connection: Connection, made: Scenario) -> tuple[int, str]:
    """Rate a loaded scenario both ways, as the application's role: charges compared, and the first differences."""
    charges = oracle.rate(made.world, year=made.year, month=made.month, as_of=made.as_of, with_minimums=True)
    wanted = oracle_rows(charges)
    for key in oracle.unpriced(made.world, year=made.year, month=made.month, as_of=made.as_of):
        wanted[(*UNPRICED, *key)] = UNPRICED
    account_ids = list(made.world.accounts)
    found: Rows = {}
    await connection.execute(f"SET LOCAL ROLE {APP_ROLE}")
    for start in range(0, len(account_ids), CHUNK):
        found |= await statement_rows(connection, made, account_ids[start : start + CHUNK])
    return len(charges), explained(charges, wanted, found) if wanted != found else ""


async def agrees(connection: Connection, made: Scenario) -> int:
    """Compare a loaded scenario, fail on a difference; the number of charges compared."""
    compared, difference = await compare(connection, made)
    if difference:
        pytest.fail(difference)
    return compared


async def compare_many(connection: Connection, charges: int, *, seed: int, part: int = 0) -> None:
    """Compare worlds made from a seed until so many charges were compared; each is rolled back."""
    compared, number = 0, part * 1000
    while compared < charges:
        made = scenario(Random(f"{seed} {number}"), prefix=f"{number}-", accounts=ACCOUNTS)
        inner = connection.transaction()
        await inner.start()
        try:
            await load_world(connection, made.world, recorded_at=RECORDED_AT)
            compared += await agrees(connection, made)
        finally:
            await inner.rollback()
        number += 1
        sys.stdout.write(f"{made.year}-{made.month:02d} as of {made.as_of}: {compared} charges compared, 0 differ\n")


def usage_of(rng: Random, made: Scenario) -> list[tuple[Resource, Event, metering.UsageEvent]]:
    """The events of a world as ingest takes them, in no order."""
    usage = [
        (
            resource,
            event,
            metering.UsageEvent(
                account_id=resource.account_id,
                source="oracle",
                event_id=f"{resource.resource_id} {ordinal}",
                resource_id=resource.resource_id,
                meter=event.meter,
                quantity=event.quantity,
                occurred_at=event.occurred_at,
            ),
        )
        for resource in made.world.resources
        for ordinal, event in enumerate(resource.events)
        if not event.is_voided
    ]
    rng.shuffle(usage)
    return usage


async def ingested(tx: Tx, rng: Random, made: Scenario) -> Scenario:
    """Send a world's events in batches, some twice; the world of what was accepted; the rest has no price."""
    kept: dict[tuple[UUID, str], list[Event]] = {}
    books: dict[tuple[int, int], oracle.PriceBook] = {}
    usage = usage_of(rng, made)
    while usage:
        size = rng.randint(1, 1000)
        batch, usage = usage[:size], usage[size:]
        results = await metering.ingest(tx, [sent for _, _, sent in batch], is_backfill=True)
        for (resource, event, _), result in zip(batch, results, strict=True):
            month = event.occurred_at.year, event.occurred_at.month
            if month not in books:
                books[month] = oracle.PriceBook(made.world.prices, Period(*month).start)
            book = books[month]
            price = book.find(made.world.accounts[resource.account_id], resource.region, "meter", event.meter)
            assert (result.outcome, result.reason) == (
                ("accepted", None) if price is not None else ("quarantined", "price_missing")
            ), event
            if price is not None:
                kept.setdefault((resource.account_id, resource.resource_id), []).append(event)
        again = await metering.ingest(tx, [batch[0][2]], is_backfill=True)
        assert again[0].outcome in {"duplicate", "quarantined"}
    resources = [
        replace(resource, events=tuple(kept.get((resource.account_id, resource.resource_id), ())))
        for resource in made.world.resources
    ]
    return replace(made, world=replace(made.world, resources=resources))


def january(
    aggregation: Aggregation,
    definition: Definition,
    points: Sequence[tuple[str, Status]],
    events: Sequence[tuple[str, str]],
    as_of: str = "02-01",
) -> Scenario:
    """January 2024 of an account with one resource; instants are days of 2024, with a time or without."""
    account = Account(UUID(int=1), "USD")
    resource = Resource(
        account_id=account.account_id,
        resource_id="r",
        project_id=UUID(int=2),
        region="eu",
        type="vps",
        service="compute",
        points=tuple(StatePoint(at(day), status) for day, status in points),
        events=tuple(Event("m", Decimal(quantity), at(day)) for day, quantity in events),
    )
    price = Price(UUID(int=3), definition, "USD", at("01-01"))
    world = World({account.account_id: account}, [resource], {"m": aggregation}, [price])
    return Scenario(world, 2024, 1, at(as_of))


def at(text: str) -> datetime:
    """An instant of 2024 in UTC, such as `01-15` or `01-15 12:00`."""
    return datetime.fromisoformat(f"2024-{text}").replace(tzinfo=UTC)


class TestStatement:
    """The statement's charges, lines and shares are the oracle's, to the last decimal."""

    @pytest.mark.parametrize("part", range(PARTS))
    async def test_agrees_with_the_oracle_on_random_worlds(
        self, owner_connection: Connection, seed: int, part: int
    ) -> None:
        await compare_many(owner_connection, CHARGES // PARTS, seed=seed, part=part)

    @pytest.mark.nightly
    @pytest.mark.parametrize("part", range(PARTS))
    async def test_agrees_with_the_oracle_on_a_million_charges(
        self, owner_connection: Connection, seed: int, part: int
    ) -> None:
        await compare_many(owner_connection, CHARGES_NIGHTLY // PARTS, seed=seed, part=part)

    async def test_agrees_with_the_oracle_on_what_ingest_counted(self, owner_connection: Connection, seed: int) -> None:
        rng = Random(f"{seed} ingest")
        made = scenario(rng, prefix="ingest-", accounts=ACCOUNTS)
        await load_world(owner_connection, made.world, recorded_at=RECORDED_AT, with_usage=False)
        await owner_connection.execute(f"SET LOCAL ROLE {APP_ROLE}")
        accepted = await ingested(Tx(owner_connection, made.as_of, rng.getrandbits), rng, made)
        compared = await agrees(owner_connection, accepted)
        sys.stdout.write(f"{compared} charges compared, 0 differ\n")

    @pytest.mark.parametrize(
        "spoilt",
        [
            "UPDATE day_rows SET total = total + 1e-12, highest = highest + 1e-12, latest = latest + 1e-12",
            "UPDATE bands SET unit = unit * 1.000001 + 0.01",
            "UPDATE state_points SET units = units + 1e-12",
            "UPDATE resources SET region = 'elsewhere'",
            "UPDATE prices SET valid_to = '2000-01-01'",
        ],
    )
    async def test_a_difference_is_seen(self, owner_connection: Connection, spoilt: str) -> None:
        made = scenario(Random(4), prefix="spoilt-", accounts=40)
        await load_world(owner_connection, made.world, recorded_at=RECORDED_AT)
        inner = owner_connection.transaction()
        await inner.start()
        await agrees(owner_connection, made)
        await inner.rollback()
        await owner_connection.execute(spoilt)
        _, difference = await compare(owner_connection, made)
        assert "rows differ" in difference

    async def test_minimums_are_made_only_when_asked_for(self, owner_connection: Connection) -> None:
        made = scenario(Random(5), prefix="usage-", accounts=40)
        await load_world(owner_connection, made.world, recorded_at=RECORDED_AT)
        charges = await rating.list_charges(
            owner_connection,
            account_ids=list(made.world.accounts),
            period=Period(made.year, made.month),
            as_of=made.as_of,
        )
        wanted = oracle.rate(made.world, year=made.year, month=made.month, as_of=made.as_of)
        assert {statement_key(row) for row in charges if row.quantity > 0} == {oracle_key(one) for one in wanted}


class TestEdges:
    """Small worlds, each about one sentence of the specification."""

    async def test_a_gauge_stands_still_while_its_resource_is_being_deleted(self, owner_connection: Connection) -> None:
        points: list[tuple[str, Status]] = [
            ("01-01", "running"),
            ("01-11", "deleting"),
            ("01-21", "running"),
            ("01-26", "deleted"),
        ]
        made = january("time_weighted", METER, points, [("01-02", "31")])
        await load_world(owner_connection, made.world, recorded_at=RECORDED_AT)
        await agrees(owner_connection, made)

    async def test_a_minimum_is_rounded_to_12_decimals_like_any_charge(self, owner_connection: Connection) -> None:
        minimum: Definition = {**METER, "minimum": Decimal("7.0000000000005")}
        made = january("sum", minimum, [("01-01", "running")], [("01-02", "1")])
        await load_world(owner_connection, made.world, recorded_at=RECORDED_AT)
        await agrees(owner_connection, made)

    async def test_time_that_no_price_bills_does_not_miss_a_price(self, owner_connection: Connection) -> None:
        made = january("sum", METER, [("01-01", "deleting")], [])
        points = tuple(replace(point, plan="small") for point in made.world.resources[0].points)
        made.world.resources[0] = replace(made.world.resources[0], points=points)
        await load_world(owner_connection, made.world, recorded_at=RECORDED_AT)
        await agrees(owner_connection, made)
