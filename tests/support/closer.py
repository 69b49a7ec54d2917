"""A worker process that carries runs of the close on: `python -m tests.support.closer DSN INSTANT`, a run's id per line of input.

For each it says the id of its database session first, then how it ended.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from uuid import UUID

import asyncpg

from billing import invoices
from billing.invoices.operations import closing
from billing.kit.db import Database, open_pool


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(dsn: str, instant: str) -> None:
    """Work until the input ends."""
    closing.DRAFTED_AT_ONCE = closing.ISSUED_AT_ONCE = 1
    now = datetime.fromisoformat(instant)
    pool = await open_pool(dsn, size=1)
    _say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        async with pool.acquire() as session:
            _say(session.get_server_pid())
        try:
            run = await invoices.advance(Database(pool, lambda: now), run_id=UUID(line.strip()))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            _say(type(error).__name__)
        else:
            _say(run.status)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
