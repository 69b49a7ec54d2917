"""The worker's edge of payments: asking gateways what became of pending payments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.payments import operations

if TYPE_CHECKING:
    from billing.kit.db import Database
    from billing.payments.model import Gateway

CHUNK = 100


async def check_payments(database: Database, gateway: Gateway) -> int:
    """Ask for every payment that is due; to be called about once a second. Returns how many ended.

    What it asked for is due again only later, so that it comes to an end however many stay pending.
    """
    ended = 0
    while True:
        asked, newly_ended = await operations.check_due(database, gateway, limit=CHUNK)
        ended += newly_ended
        if asked < CHUNK:
            return ended
