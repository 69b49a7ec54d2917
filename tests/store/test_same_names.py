"""Accounts whose resources have the very same names, rated in one run, cost what each of them costs alone (X2).

Statements that rate many accounts join what they found by account: were one of these joins missing, accounts would pay for each
other as soon as their resources' names meet. The platform chooses those names, and nothing keeps them apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from billing import catalog, metering
from tests.support import databases, postgres
from tests.support.cloud import FEBRUARY, Cloud, at, open_cloud, price

DECEMBER_1 = at("01-01").replace(year=2023, month=12)
Lines = list[tuple[Any, ...]]


@asynccontextmanager
async def furnished(server: Path) -> AsyncIterator[tuple[Cloud, list[UUID]]]:
    """A cloud of its own with three accounts that use much the same, in other amounts; the first has prices of its own."""
    name = await databases.clone(server)
    async with open_cloud(postgres.dsn(server, name)) as cloud:
        async with cloud.database.transaction() as tx:
            for meter, aggregation in (("disk", "time_weighted"), ("seats", "last")):
                defined = catalog.Meter(
                    meter=meter, service="messaging", name=meter, unit="u", aggregation=_aggregation(aggregation)
                )
                await catalog.define_meter(tx, meter=defined)
        vps: dict[str, object] = {"service": "compute", "model": "hourly"}
        await cloud.set_taxes(VAT="16")
        for currency, times in (("USD", 1), ("KES", 130)):
            await cloud.publish(
                price(meter="m", unit_price=f"{Decimal('0.07') * times}", maximum=f"{9 * times}"),
                price(meter="m", unit_price=f"{Decimal('0.09') * times}", region="us"),
                price(meter="disk", unit_price=f"{31 * times}", maximum=f"{200 * times}"),
                price(meter="seats", unit_price=f"{2 * times}"),
                price(**vps, plan="small", hourly_price=f"{Decimal('0.01') * times}", monthly_price=f"{5 * times}"),
                currency=currency,
            )
        account_ids = [
            await cloud.open_account(),
            await cloud.open_account(country="KE", currency="KES"),
            await cloud.open_account(),
        ]
        own = [price(meter="m", unit_price="0.05"), price(**vps, plan="own", hourly_price="0.02")]
        own += [price(**vps, plan="own-here", region="eu", hourly_price="0.02")]
        await cloud.publish(*own, account_id=account_ids[0])
        for number, account_id in enumerate(account_ids):
            await _use(cloud, account_id, number)
        yield cloud, account_ids
    await databases.drop(server, name)


def _aggregation(name: str) -> Any:
    return name


async def _use(cloud: Cloud, account_id: UUID, number: int) -> None:
    """Resources with the same names at each; what they are and use differs."""
    second = await cloud.open_project(account_id, "Second")
    await cloud.report(account_id, "a", plan="small", units=Decimal(1 + number), effective_at=DECEMBER_1)
    await cloud.report(account_id, "b", region="us" if number else "eu", project_id=second, effective_at=DECEMBER_1)
    await cloud.report(account_id, "c", region="za", effective_at=at("01-02"))
    await cloud.report(account_id, "c", status="deleting", effective_at=at(f"01-{20 + 5 * number}"), region="za")
    for resource_id, quantity in (("a", 11), ("b", 30), ("c", 7)):
        await cloud.use(account_id, quantity * (1 + number), resource_id=resource_id, occurred_at=at("01-10"))
        await cloud.use(account_id, 3 + number, meter="seats", resource_id=resource_id, occurred_at=at("01-11"))
        for level, day in ((2 + number, 4), (1, 15 + number)):
            await cloud.use(account_id, level, meter="disk", resource_id=resource_id, occurred_at=at(f"01-{day:02d}"))


async def _lines(cloud: Cloud, account_ids: list[UUID]) -> list[Lines]:
    """What each account was billed."""
    found: list[Lines] = []
    for account_id in account_ids:
        rows = await cloud.fetch(
            """
            SELECT invoices.period::text, invoices.currency, invoices.total_minor, service_period::text, item, lines.region,
                project_name, resource_name, lines.kind, quantity, amount_minor, unrounded
            FROM invoice_lines AS lines JOIN invoices USING (account_id, invoice_id)
            WHERE account_id = $1
            ORDER BY 1, 4, 5, 6, 7, 8, 9, 10
            """,
            account_id,
        )
        found.append([tuple(row) for row in rows])
    return found


async def _close(cloud: Cloud, groups: list[list[UUID]]) -> None:
    """Two months, of some accounts at a time; between them more comes of the first, at each of something else."""
    for group in groups:
        async with cloud.database.transaction() as tx:
            await tx.connection.execute(
                "UPDATE period_versions SET rated_version = version WHERE period = '2023-12-01' AND account_id = ANY ($1)",
                group,
            )
        await cloud.close(only_accounts=group)
    for number, account_id in enumerate(account for group in groups for account in group):
        await cloud.use(account_id, 5 + 4 * number, resource_id="aba"[number], occurred_at=at("01-12"))
        if number:
            await cloud.use(account_id, 3, meter="disk", resource_id="a", occurred_at=at("01-25"))
    cloud.advance_to(datetime.fromisoformat("2024-03-01T10:00:00Z"))
    for group in groups:
        await cloud.close(FEBRUARY, only_accounts=group)


async def test_are_billed_together_as_alone(database_server: Path) -> None:
    async with furnished(database_server) as (cloud, every):
        await _close(cloud, [every])
        together = await _lines(cloud, every)
        asked = "SELECT DISTINCT unit_price FROM invoice_lines WHERE account_id = $1 AND item = 'm'"
        assert {row[0] for row in await cloud.fetch(asked, every[2])} & {Decimal("0.05")} == set(), "a contract's price"
    async with furnished(database_server) as (cloud, every):
        await _close(cloud, [[one] for one in every])
        alone = await _lines(cloud, every)
    assert all(len(lines) > 12 for lines in alone)
    assert alone[0] != alone[1]
    assert together == alone


async def test_plan_of_another_contract_has_no_price(database_server: Path) -> None:
    async with furnished(database_server) as (cloud, (first, _, second)):
        for resource_id, plan in (("d", "own"), ("e", "own-here")):
            terms: dict[str, Any] = {"plan": plan, "region": "eu", "effective_at": at("01-15")}
            assert (await cloud.report(first, resource_id, **terms)).is_created
            with pytest.raises(metering.PriceMissing):
                await cloud.report(second, resource_id, **terms)
