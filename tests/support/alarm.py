"""A cloud whose alerts are evaluated when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from billing import alerts, catalog, metering, wallets
from billing.alerts.model import Alert, AlertChanges
from billing.alerts.operations import keeping
from billing.kit.db import Database, open_pool
from billing.projects import operations as projects
from billing.wallets import operations as holds
from tests.support.cloud import Cloud
from tests.support.house import Clock


@dataclass
class Alarm(Cloud):
    """The cloud, its accounts' alerts and the evaluation."""

    async def alert(self, account_id: UUID, threshold: object, **members: Any) -> Alert:
        """An alert on the account's budget above a threshold, told by e-mail, unless told."""
        terms: dict[str, Any] = {
            "type": "budget",
            "condition": "greater_than",
            "currency": "USD",
            "project_id": None,
            "metric": None,
            "methods": ["email"],
            **members,
        }
        async with self.database.transaction() as tx:
            return await keeping.create(tx, account_id=account_id, threshold=Decimal(str(threshold)), **terms)

    async def change(self, alert: Alert, **changes: Any) -> Alert:
        async with self.database.transaction() as tx:
            return await keeping.change(
                tx, account_id=alert.account_id, alert_id=alert.alert_id, changes=AlertChanges(**changes)
            )

    async def budget(self, account_id: UUID, budget_minor: int) -> UUID:
        """The id of a project with a budget."""
        async with self.database.transaction() as tx:
            made = await projects.create(tx, account_id=account_id, name="P", budget_minor=budget_minor)
            return made.project_id

    async def delete(self, alert: Alert) -> None:
        async with self.database.transaction() as tx:
            await keeping.delete(tx, account_id=alert.account_id, alert_id=alert.alert_id)

    async def void(self, account_id: UUID, event_id: str) -> None:
        """Take a usage event back."""
        async with self.database.transaction() as tx:
            await metering.void(tx, account_id=account_id, source="test", event_id=event_id)

    async def set_meter(self, meter: str, aggregation: catalog.Aggregation) -> None:
        async with self.database.transaction() as tx:
            defined = catalog.Meter(meter=meter, service="messaging", name=meter, unit="unit", aggregation=aggregation)
            await catalog.define_meter(tx, meter=defined)

    async def hold(self, account_id: UUID, amount_minor: int, *, expires_at: datetime | None = None) -> UUID:
        """The id of a hold, for a year unless told."""
        self.events += 1
        async with self.database.transaction() as tx:
            hold = await holds.place_hold(
                tx,
                account_id=account_id,
                own_currency="USD",
                currency="USD",
                amount_minor=amount_minor,
                reference=str(self.events),
                expires_at=expires_at or tx.now + timedelta(days=365),
                reserve=wallets.reserve_for_usage,
            )
            return hold.hold_id

    async def release(self, hold_id: UUID) -> None:
        """End a hold."""
        async with self.database.transaction() as tx:
            await holds.release_hold(tx, hold=await holds.lock_open_hold(tx, hold_id=hold_id))

    async def tick(self) -> list[str]:
        """One evaluation, and what it told: kind and figure, of budgets with the percent."""
        before = {row["firing_id"] for row in await self.fetch("SELECT firing_id FROM alert_firings")}
        told = await alerts.evaluate_due(self.database, reserve=wallets.reserve_for_usage)
        rows = await self.fetch("SELECT * FROM alert_firings ORDER BY created_at, percent, occasion, kind, firing_id")
        new = [row for row in rows if row["firing_id"] not in before]
        assert len(new) == told
        return [_told(row) for row in new]

    async def due_in(self, account_id: UUID) -> timedelta | None:
        """How long until an account is looked at though nobody writes to it."""
        [row] = await self.fetch("SELECT next_due_at FROM watched_accounts WHERE account_id = $1", account_id)
        return None if row["next_due_at"] is None else row["next_due_at"] - self.clock.now

    async def run_until_told(self, *, at_most: timedelta) -> list[str]:
        """Ticks every 10 s, of which only those are run at which anything is due, until something is told."""
        end = self.clock.now + at_most
        while self.clock.now < end:
            [row] = await self.fetch("SELECT min(next_due_at) AS due_at FROM watched_accounts")
            wait = timedelta(seconds=10) if row["due_at"] is None else row["due_at"] - self.clock.now
            ticks = max(-(-wait // timedelta(seconds=10)), 1)
            self.clock.advance(ticks * timedelta(seconds=10))
            told = await self.tick()
            if told:
                return told
        return []


def _told(row: asyncpg.Record) -> str:
    step = f" {row['percent']}%" if row["percent"] else ""
    return f"{row['kind']} {row['value']:f}{step}"


@asynccontextmanager
async def open_alarm(dsn: str, *, connections: int = 4) -> AsyncIterator[Alarm]:
    """Such a cloud over a database, with the application's rights."""
    clock = Clock()
    pool = await open_pool(dsn, size=connections)
    try:
        yield Alarm(Database(pool, clock), clock)
    finally:
        await pool.close()
