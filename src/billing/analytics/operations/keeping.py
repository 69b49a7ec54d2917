"""Sums of finalised months: reckoned once, after the close, so that reads need not.

    a run is completed  ‖  a month of an account  ‖  …  ‖  250 accounts are done  ‖  …  ‖  the run is done

Each ‖ is a commit. Killed anywhere, the next run of the job goes on; a month that is kept twice is the same twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import structlog

from billing.analytics.store import keeping as store

if TYPE_CHECKING:
    from uuid import UUID

    from billing.analytics.model import KeptRun
    from billing.core.period import Period
    from billing.kit.db import Database

_log = structlog.get_logger("billing.analytics")

ACCOUNTS_AT_ONCE = 250
KEPT_FROM = 300
"""Resources and day rows of a month, from which on its sums are kept: a year of less is read anew within milliseconds."""
SETTLED_AFTER = timedelta(minutes=5)
"""After a run: whatever was under way at its close, such as a move of a resource that it did not see, has ended by then."""


async def keep_closed(
    database: Database,
    *,
    at_least: int = KEPT_FROM,
    at_once: int = ACCOUNTS_AT_ONCE,
    settled_after: timedelta = SETTLED_AFTER,
) -> int:
    """Keep the sums of what runs have closed since, and anew what closes have corrected; returns how many months.

    Any number may run at once, be killed and run again.
    """
    kept = 0
    while True:
        async with database.reading() as tx:
            run = await store.find_due_run(tx.connection, finished_before=tx.now - settled_after)
        if run is None:
            return kept
        kept += await keep_some(database, run=run, at_least=at_least, at_once=at_once)


async def keep_some(database: Database, *, run: KeptRun, at_least: int, at_once: int) -> int:
    """Keep the months of the next accounts of a run that are due; returns how many."""
    async with database.reading() as tx:
        account_ids = await store.list_next_accounts(tx.connection, run=run, limit=at_once)
        due = await store.list_due_months(tx.connection, account_ids=account_ids, period=run.period, at_least=at_least)
    kept = [await _try_keeping(database, account_id, period) for account_id, period in due]
    async with database.transaction() as tx:
        await store.mark_run(
            tx.connection,
            run=run,
            last_account_id=account_ids[-1] if account_ids else run.last_account_id,
            is_done=len(account_ids) < at_once,
        )
    return sum(kept)


async def _try_keeping(database: Database, account_id: UUID, period: Period) -> bool:
    """Keep a month; one that takes too long is left to those who read it, and holds up nobody else's."""
    try:
        return await keep_month(database, account_id=account_id, period=period)
    except (asyncpg.QueryCanceledError, TimeoutError):
        _log.warning("month_not_kept", account_id=str(account_id), period=str(period))
        return False


async def keep_month(database: Database, *, account_id: UUID, period: Period) -> bool:
    """Keep the sums of one finalised month, instead of what was kept of it; False if it is to be corrected yet."""
    async with database.transaction() as tx:
        await store.delete_month(tx.connection, account_id=account_id, period=period)
        return await store.insert_month(tx.connection, account_id=account_id, period=period, now=tx.now)
