"""Usage put together."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog, rating
from billing.analytics import rules
from billing.analytics.model import Usage
from billing.analytics.store import transactions as store
from billing.core.errors import InvalidParameter
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def get_usage(connection: Connection, *, account_id: UUID, service: str | None, now: datetime) -> Usage:
    """What an account has used in the running month, of one service or all. Raises InvalidParameter for an unknown service.

    The connection should see one state throughout.
    """
    period = Period.containing(now)
    shown = rules.services_shown(await catalog.list_services(connection))
    if service is not None:
        if service not in shown:
            raise InvalidParameter.one(
                "query", "service", "must be a known service such as compute, storage or messaging"
            )
        shown = [service]
    shares = await rating.list_shares(connection, account_ids=[account_id], period=period, as_of=now)
    services = rules.summarize(shares, services=shown)
    price_id = rules.price_id_of_messages(services)
    price = None if price_id is None else await store.find_plain_price(connection, price_id=price_id)
    return Usage(period, services, price)
