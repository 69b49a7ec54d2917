"""A cloud whose platform reports and whose operator closes months: the slices below HTTP over a database of the test's own.

The clock stands at the first of February 2024, 10:00 UTC, so that January is the month to close.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from billing import accounts, catalog, invoices, ledger, metering, payments, projects, wallets
from billing.core.period import Period
from billing.kit.checks import Check, Scope
from billing.kit.db import Database, Tx, open_pool
from billing.ledger import rules as transfers
from tests.support.house import Clock

JANUARY = Period(2024, 1)
FEBRUARY = Period(2024, 2)
CURRENCIES = accounts.CURRENCIES_DEFAULT | {"JPY", "KWD"}


def at(text: str) -> datetime:
    """An instant of 2024 in UTC, such as `01-15` or `01-15 12:00`."""
    return datetime.fromisoformat(f"2024-{text}").replace(tzinfo=UTC)


def price(**members: object) -> catalog.PriceDefinition:
    """A price as an operator sends it; per_unit of the service messaging unless told."""
    return msgspec.convert({"service": "messaging", "model": "per_unit", **members}, catalog.PriceDefinition)


async def open_account(
    tx: Tx, *, currency: str = "USD", country: str | None = None, cash_minor: int = 0
) -> accounts.Account:
    """A new account with its books, a default project and cash."""
    account = await accounts.open_account(
        tx, email="a@example.org", name="A", currency=currency, country=country, currencies=CURRENCIES
    )
    await ledger.open_head(tx.connection, account_id=account.account_id)
    await projects.create_default(tx, account_id=account.account_id)
    if cash_minor:
        await pay_in(tx, account.account_id, cash_minor, currency)
    return account


async def pay_in(tx: Tx, account_id: UUID, amount_minor: int, currency: str = "USD") -> None:
    """Money from outside."""
    payment = transfers.payment_recorded(
        account_id=account_id, payment_id=tx.new_id(), currency=currency, amount_minor=amount_minor, at=tx.now
    )
    await ledger.post(tx.connection, payment, recorded_at=tx.now)


async def publish(tx: Tx, *prices: catalog.PriceDefinition, currency: str = "USD", **more: Any) -> None:
    """A rate card, from 2023 unless told."""
    start = more.pop("valid_from", datetime(2023, 1, 1, tzinfo=UTC))
    await catalog.publish_rate_card(
        tx, name="Card", currency=currency, valid_from=start, prices=prices, currencies=CURRENCIES, **more
    )


async def report(tx: Tx, account_id: UUID, resource_id: str = "r", **members: Any) -> metering.RecordedState:
    """A state of a resource, running without a plan since January 1 unless told."""
    project_id = members.pop("project_id", None) or await tx.connection.fetchval(
        "SELECT project_id FROM projects WHERE account_id = $1 AND is_default", account_id
    )
    state: dict[str, Any] = {
        "type": "vps",
        "service": "compute",
        "name": resource_id,
        "region": "eu",
        "status": "running",
        "effective_at": JANUARY.start,
        "plan": None,
        "units": Decimal(1),
        **members,
    }
    return await metering.record_state(
        tx,
        metering.StateReport(account_id=account_id, resource_id=resource_id, project_id=project_id, **state),
    )


def event(account_id: UUID, event_id: object, quantity: object = 1, **members: Any) -> metering.UsageEvent:
    """A usage event of the meter `m` on January 15 unless told."""
    return metering.UsageEvent(
        account_id=account_id,
        source=members.get("source", "test"),
        event_id=str(event_id),
        resource_id=members.get("resource_id", "r"),
        meter=members.get("meter", "m"),
        quantity=Decimal(str(quantity)),
        occurred_at=members.get("occurred_at", at("01-15 12:00")),
    )


async def find_broken(tx: Tx) -> list[Check]:
    """Every invariant of the books, usage, wallets, payments and invoices that does not hold."""
    slices = (ledger, metering, wallets, payments, invoices)
    found = [check for one in slices for check in await one.run_checks(tx.connection, Scope(tx.now))]
    return [check for check in found if check.violations]


@dataclass
class Cloud:
    """The operator's and the platform's side over one database."""

    database: Database
    clock: Clock
    events: int = field(default=0)

    async def open_account(self, **members: Any) -> UUID:
        """A new account with its books, a default project and cash."""
        async with self.database.transaction() as tx:
            return (await open_account(tx, **members)).account_id

    async def open_project(self, account_id: UUID, name: str) -> UUID:
        """Another project of the account."""
        async with self.database.transaction() as tx:
            return (await projects.create(tx, account_id=account_id, name=name)).project_id

    async def publish(self, *prices: catalog.PriceDefinition, **members: Any) -> None:
        """A rate card, from 2023 unless told."""
        async with self.database.transaction() as tx:
            await publish(tx, *prices, **members)

    async def set_taxes(self, **percents: str) -> None:
        """Taxes of Kenya by name."""
        async with self.database.transaction() as tx:
            start = datetime(2020, 1, 1, tzinfo=UTC).date()
            rates = [
                catalog.TaxRate(country="KE", name=name, percent=Decimal(percent), valid_from=start)
                for name, percent in percents.items()
            ]
            await catalog.set_tax_rates(tx, rates=rates)

    async def report(self, account_id: UUID, resource_id: str = "r", **members: Any) -> metering.RecordedState:
        """A state of a resource, running without a plan since January 1 unless told."""
        async with self.database.transaction() as tx:
            return await report(tx, account_id, resource_id, **members)

    async def use(self, account_id: UUID, quantity: object = 1, **members: Any) -> metering.IngestResult:
        """A usage event of the meter `m` on January 15 unless told."""
        self.events += 1
        async with self.database.transaction() as tx:
            sent = event(account_id, members.pop("event_id", self.events), quantity, **members)
            (result,) = await metering.ingest(tx, [sent], is_backfill=True)
            return result

    async def pay_in(self, account_id: UUID, amount_minor: int, currency: str = "USD") -> None:
        """Money from outside."""
        async with self.database.transaction() as tx:
            await pay_in(tx, account_id, amount_minor, currency)

    async def grant(self, account_id: UUID, amount_minor: int, *, granted_at: datetime, **members: Any) -> UUID:
        """The id of a promotional credit given at an instant."""
        terms: dict[str, Any] = {"currency": "USD", "priority": 0, "expires_at": None, **members}
        async with self.database.transaction() as tx:
            given = Tx(tx.connection, granted_at, tx.random_bits)
            credit = await wallets.grant_credit(
                given, account_id=account_id, amount_minor=amount_minor, reason="a gift", **terms
            )
            return credit.credit_id

    async def request(self, period: Period = JANUARY, **members: Any) -> UUID:
        """The id of a run that is queued or under way."""
        async with self.database.transaction() as tx:
            return (await invoices.request_run(tx, period=period, **members)).run_id

    async def close(self, period: Period = JANUARY, **members: Any) -> invoices.Progress:
        """Close a month and say how it went."""
        run_id = await self.request(period, **members)
        run = await invoices.advance(self.database, run_id=run_id)
        assert run.status == "completed"
        return await self.progress(run_id)

    async def progress(self, run_id: UUID) -> invoices.Progress:
        """How far a run is."""
        async with self.database.snapshot() as tx:
            return (await invoices.get_progress(tx.connection, run_ids=[run_id]))[run_id]

    async def parked(self, run_id: UUID) -> dict[UUID, str]:
        """The accounts whose billing stopped in a run, with the reason."""
        async with self.database.snapshot() as tx:
            return {one.account_id: one.reason for one in await invoices.list_parked(tx.connection, run_id=run_id)}

    async def balances(self, account_id: UUID) -> Mapping[tuple[str, str], int]:
        """An account's books."""
        async with self.database.snapshot() as tx:
            return await ledger.list_balances(tx.connection, account_id=account_id)

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows as they are."""
        async with self.database.snapshot() as tx:
            return await tx.connection.fetch(query, *arguments)

    async def broken(self) -> list[Check]:
        """Every invariant that does not hold."""
        async with self.database.snapshot() as tx:
            return await find_broken(tx)

    def advance_to(self, instant: datetime) -> None:
        """Let time go on."""
        assert instant >= self.clock.now
        self.clock.advance(instant - self.clock.now)

    def wait(self, **delta: float) -> None:
        """Let some time go by."""
        self.clock.advance(timedelta(**delta))


@asynccontextmanager
async def open_cloud(dsn: str, *, connections: int = 4) -> AsyncIterator[Cloud]:
    """A cloud over a database, with the application's rights."""
    clock = Clock()
    pool = await open_pool(dsn, size=connections)
    try:
        yield Cloud(Database(pool, clock), clock)
    finally:
        await pool.close()
