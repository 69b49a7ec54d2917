"""The worker's edge of metering."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.metering import operations
from billing.metering.store import events as event_store

if TYPE_CHECKING:
    from billing.kit.db import Database

TURNS_MAX = 200
SETTLED_MAX = 1_000


async def replay_waiting(database: Database, *, turns_max: int = TURNS_MAX) -> None:
    """Take in what waited for a resource, a price or a meter that is there by now, a chunk of an account at a time.

    Each chunk is a transaction of its own. Accounts take turns from one drawn by chance on, and of an account's events those judged
    longest ago come first: what can never be billed keeps nobody waiting, however much of it there is and wherever a run ends.
    """
    async with database.reading() as tx:
        started_at, first = tx.now, UUID(int=tx.random_bits(128))
    left = turns_max
    while left > 0:
        wanted = (await _waiting(database, first))[:left]
        tried = [await _turn(database, account_id, started_at) for account_id in wanted]
        if not any(tried):
            return
        left -= len(wanted)


async def _turn(database: Database, account_id: UUID, tried_before: datetime) -> int:
    async with database.transaction() as tx:
        return await operations.replay_turn(tx, account_id=account_id, tried_before=tried_before)


async def _waiting(database: Database, first: UUID) -> list[UUID]:
    async with database.reading() as tx:
        behind = await event_store.list_waiting_accounts(tx.connection, after=first, limit=operations.ACCOUNTS)
        before = await event_store.list_waiting_accounts(tx.connection, after=None, limit=operations.ACCOUNTS)
    return list(dict.fromkeys(behind + before))


async def settle_shortened(database: Database) -> None:
    """Take usage outside of resources' lives out of the count, as far as the reports that ended them left it."""
    for _ in range(SETTLED_MAX):
        async with database.transaction() as tx:
            if not await operations.settle_shortened(tx):
                return
