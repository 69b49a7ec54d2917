"""The worker's edge of metering."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.metering.operations import replay_quarantine

if TYPE_CHECKING:
    from billing.kit.db import Database


async def replay_waiting(database: Database) -> None:
    """Take in what waited for a price or a meter that is there by now."""
    async with database.transaction() as tx:
        await replay_quarantine(tx)
