"""What a month comes to over all accounts, as it stands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from billing.analytics.model import CurrencyTotal, MonthTotals, ServiceTotal
from billing.analytics.store import totals as store
from billing.core.period import Period

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

    from billing.kit.db import Connection, Database

CHUNK = 2_000
_BEFORE_ALL = UUID(int=0)
READERS = 2
"""Connections that rate side by side. An account is read in one snapshot, all accounts in as many as there are chunks."""


@dataclass(slots=True)
class _Reading:
    """How far all readers together are, and what they have found."""

    period: Period
    as_of: datetime
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    last_account_id: UUID = _BEFORE_ALL
    by_currency: dict[str, CurrencyTotal] = field(default_factory=dict[str, CurrencyTotal])


async def total_month(database: Database, *, period: Period) -> MonthTotals:
    """What a month comes to so far, without taxes and minimum charges that no close has billed yet.

    Memory does not grow with the number of accounts.
    """
    counted_until = min(database.clock(), period.end)
    reading = _Reading(period, counted_until)
    readers = [asyncio.create_task(_read(database, reading)) for _ in range(READERS)]
    try:
        await asyncio.gather(*readers)
    finally:  # one that failed has failed all
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    return MonthTotals(period, counted_until, reading.by_currency)


async def _read(database: Database, reading: _Reading) -> None:
    while True:
        async with database.snapshot() as tx:
            async with reading.turn:
                found = await store.list_next_accounts(
                    tx.connection, after=reading.last_account_id, period=reading.period, limit=CHUNK
                )
                if not found:
                    return
                reading.last_account_id = found[-1][0]
            await _add_chunk(tx.connection, reading, found)


async def _add_chunk(connection: Connection, reading: _Reading, found: Sequence[tuple[UUID, bool]]) -> None:
    billed = [account_id for account_id, is_billed in found if is_billed]
    open_ones = [account_id for account_id, is_billed in found if not is_billed]
    if billed:
        _add(reading, await store.list_billed(connection, account_ids=billed, period=reading.period), is_billed=True)
    if open_ones:
        await store.plan_for_many(connection)
        rows = await store.list_rated(connection, account_ids=open_ones, period=reading.period, as_of=reading.as_of)
        _add(reading, rows, is_billed=False)


def _add(reading: _Reading, rows: Sequence[asyncpg.Record], *, is_billed: bool) -> None:
    for row in rows:
        total = reading.by_currency.setdefault(row["currency"], CurrencyTotal())
        accounts, amount_minor = row["accounts"], int(row["amount_minor"])
        if row["service"] is not None:
            service = total.services.setdefault(row["service"], ServiceTotal())
            service.accounts += accounts
            service.amount_minor += amount_minor
            continue
        total.accounts += accounts
        total.amount_minor += amount_minor
        if is_billed:
            total.accounts_billed += accounts
            total.billed_minor += amount_minor
