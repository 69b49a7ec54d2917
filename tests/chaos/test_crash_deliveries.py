"""K3 for what tells the world: the process dies at every point between an event and its mail and webhook.

At each point an account of its own has an event; the jobs that relay, mail and send webhooks die there, start again, and go on
as leases end. Then its mail was handed over under one id, its webhook came under one id, and both are told as sent. A mail that
was handed over by a process that died then may be told as unknown.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import structlog

from billing.app.check import run_all
from billing.app.worker import jobs_of
from tests.support import databases, postgres
from tests.support.crashing import Died, Outside, Yard, open_yard
from tests.support.every_route import WEBHOOK
from tests.support.house import Resident

TELLING = ("outbox.relay", "notifications.send_email", "webhooks.send")
DYING_WORDS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


@pytest_asyncio.fixture
async def yard(database_server: Path, tmp_path: Path) -> AsyncIterator[tuple[Yard, Outside]]:
    name, outside = await databases.clone(database_server), Outside()
    with structlog.testing.capture_logs():  # a traceback with all its values takes a second to print
        async with open_yard(postgres.dsn(database_server, name), tmp_path, outside=outside, connections=100) as opened:
            yield opened, outside
    await databases.drop(database_server, name)


async def tell(yard: Yard) -> None:
    """The jobs that tell the world, once each in their order."""
    for job in jobs_of(yard.installed):
        if job.name in TELLING:
            await job.run(yard.database)


async def go_on(yard: Yard) -> None:
    """What the next starts do, as leases and pauses end."""
    for _ in range(3):
        yard.clock.advance(timedelta(minutes=6))
        await tell(yard)


async def happen(yard: Yard) -> Resident:
    """Money arrives at an account that wants to hear of it; all that was told before has ended."""
    resident = await yard.open_account()
    made = await yard.call("POST", "/v1/account/webhooks", key=resident.key, body=WEBHOOK)
    assert made.status == 201, made.text
    await go_on(yard)
    body = {
        "amount": "5.00",
        "currency": "USD",
        "reference": f"cheque {resident.id}",
        "received_at": "2024-01-30T00:00:00Z",
    }
    reply = await yard.command(f"/accounts/{resident.id}/payments", body, key=resident.id)
    assert reply.status == 201, reply.text
    await yard.flush_notes()
    return resident


async def die(yard: Yard, *, at: int, is_after: bool) -> bool:
    """Tell until the process dies; whether it did."""
    yard.fuse.watch(burns_at=at, is_after=is_after)
    with suppress(Died, *DYING_WORDS):
        async with asyncio.timeout(20):
            await tell(yard)
    has_died = yard.fuse.is_burnt
    await yard.mend()
    return has_died


async def deliveries(yard: Yard, resident: Resident) -> list[dict[str, Any]]:
    rows = await yard.owner.fetch(
        "SELECT delivery_id, status FROM deliveries WHERE account_id = $1 AND method = 'email'", resident.account_id
    )
    return [dict(row) for row in rows]


class TestDelivery:
    async def test_at_every_point_is_told_once(self, yard: tuple[Yard, Outside], pytestconfig: pytest.Config) -> None:
        opened, outside = yard
        await happen(opened)
        opened.fuse.watch()
        await tell(opened)
        calls, opened.fuse.is_watched = opened.fuse.calls, False
        assert [call.text for call in calls].count("outside: send") == 2, "a mail and a webhook"
        is_nightly = bool(pytestconfig.getoption("--nightly"))
        points = [(at, True) for at, call in enumerate(calls, 1) if is_nightly or not call.is_read]
        points += [(at, False) for at in range(2, len(calls) + 1)] if is_nightly else []
        unknown = 0
        for at, is_after in points:
            resident = await happen(opened)
            earlier, hooks = (
                {one["delivery_id"] for one in await deliveries(opened, resident)},
                len(outside.receiver.sent),
            )
            assert await die(opened, at=at, is_after=is_after), str(calls[at - 1])
            await go_on(opened)
            ids = {headers["webhook-id"] for _, headers, _ in outside.receiver.sent[hooks:]}
            assert len(ids) == 1, (str(calls[at - 1]), ids)
            (mail,) = [one for one in await deliveries(opened, resident) if one["delivery_id"] not in earlier]
            assert mail["status"] in {"sent", "unknown"}, (str(calls[at - 1]), mail)
            unknown += mail["status"] == "unknown"
            assert mail["delivery_id"] in outside.postman.taken or mail["status"] == "unknown", str(calls[at - 1])
            assert outside.postman.taken.count(mail["delivery_id"]) <= 2, "again under its id, if at all"
        await opened.work()  # what else waits for the jobs, for days by now
        assert [check for check in await run_all(opened.database) if check.violations] == []
        sys.stdout.write(f"died at {len(points)} points beside {len(calls)} calls; {unknown} mails of unknown end\n")
