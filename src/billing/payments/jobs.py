"""The worker's edge of payments: asking gateways what became of pending payments and refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.payments import operations
from billing.payments.model import RefundingGateway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from billing.kit.db import Database
    from billing.payments.model import Gateway

CHUNK = 100


async def check_payments(database: Database, gateway: Gateway) -> int:
    """Ask for every payment and refund that is due; to be called about once a second. Returns how many ended.

    What it asked for is due again only later, so that it comes to an end however many stay pending.
    """
    ended = await _exhaust(lambda: operations.check_due(database, gateway, limit=CHUNK))
    if isinstance(gateway, RefundingGateway):
        ended += await _exhaust(lambda: operations.check_refunds_due(database, gateway, limit=CHUNK))
    return ended


async def _exhaust(check_chunk: Callable[[], Awaitable[tuple[int, int]]]) -> int:
    ended = 0
    while True:
        asked, newly_ended = await check_chunk()
        ended += newly_ended
        if asked < CHUNK:
            return ended
