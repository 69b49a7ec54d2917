"""Sending what is due: many at once, few to one endpoint, so that nobody waits for another's slow receiver.

An attempt is committed before its call and its outcome after it. Killed anywhere, nothing is lost: an attempt that did not end
within its lease is given up for lost, and the message is sent again, with the same id and the same bytes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from billing.core import ids, standard_webhooks
from billing.core.errors import NotFound
from billing.webhooks.model import messages
from billing.webhooks.model.endpoints import Endpoint
from billing.webhooks.model.messages import MESSAGE_PREFIX, ClaimedMessage, Outcome
from billing.webhooks.model.settings import WebhookSettings
from billing.webhooks.operations import keeping
from billing.webhooks.operations.ending import end_failed, end_taken
from billing.webhooks.rules import schedule, signing
from billing.webhooks.store import endpoints, queue

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

SEND_JOB = "webhooks.send"
AT_ONCE = 64
CAREFUL_AT_ONCE = 32  # to endpoints that fail or are slow: half of the places are never theirs
AT_ONCE_TO_ONE = 8
LEASE = timedelta(seconds=60)
KEPT = timedelta(days=90)
_DELETED_AT_ONCE = 1_000
_FREE_MIN = 4  # so many places are filled at a time, not each by itself
_LOOK_EVERY_S = 0.5
_SENDER = "lineserve-billing-webhooks/1"

_log = structlog.get_logger("billing.webhooks")


@dataclass
class _UnderWay:
    """What this process is sending."""

    tasks: dict[asyncio.Task[None], bool] = field(default_factory=dict[asyncio.Task[None], bool])
    """Whether each is to a careful endpoint."""

    def free(self, *, is_careful: bool) -> int:
        careful = sum(self.tasks.values())
        return min(AT_ONCE - len(self.tasks), CAREFUL_AT_ONCE - careful if is_careful else AT_ONCE)


async def send_due(database: Database, *, settings: WebhookSettings) -> int | None:
    """Send what is due, until nothing is and nothing is under way; how many attempts there were. Any number may run at once.

    None: nothing can be signed, for the secret key is not the one that this database's secrets were made with.
    """
    async with database.transaction() as tx:
        master = await settings.secret_key.opens(tx.connection, now=tx.now)
    if master is None:
        return None
    attempts, under_way = 0, _UnderWay()
    try:
        while True:
            for message in await _claim(database, under_way):
                attempts += 1
                sending = asyncio.create_task(_send(database, settings, master, message))
                under_way.tasks[sending] = message.is_careful
            if not under_way.tasks:
                return attempts
            await _wait(under_way)
    finally:
        for task in under_way.tasks:
            task.cancel()
        await asyncio.gather(*under_way.tasks, return_exceptions=True)


async def _wait(under_way: _UnderWay) -> None:
    """Until a few places are free, or it is time to look for what has become due."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _LOOK_EVERY_S
    while under_way.tasks and loop.time() < until_s:
        done, _ = await asyncio.wait(
            under_way.tasks, timeout=max(0, until_s - loop.time()), return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            del under_way.tasks[task]
            if (error := task.exception()) is not None:
                _log.error("webhook_outcome_lost", reason=repr(error))  # its lease ends, and it is sent again
        if done and under_way.free(is_careful=False) >= _FREE_MIN:
            return


async def _claim(database: Database, under_way: _UnderWay) -> list[ClaimedMessage]:
    claimed: list[ClaimedMessage] = []
    for is_careful in (False, True):
        free = under_way.free(is_careful=is_careful) - len(claimed)
        if free <= 0:
            continue
        async with database.transaction() as tx:
            keys = await queue.claim_endpoints(tx.connection, now=tx.now, limit=free, is_careful=is_careful)
            if keys:
                claimed += await queue.claim_messages(
                    tx.connection,
                    keys=keys,
                    now=tx.now,
                    lease=LEASE,
                    limit=free,
                    at_once=1 if is_careful else AT_ONCE_TO_ONE,
                    is_careful=is_careful,
                )
    return claimed


async def _send(database: Database, settings: WebhookSettings, master: bytes, message: ClaimedMessage) -> None:
    now, body = database.clock(), message.body.encode()
    numbers = signing.secret_numbers(message.secret_number, rotated_at=message.secret_rotated_at, now=now)
    secrets = [signing.secret_bytes(master, endpoint_id=message.endpoint_id, number=number) for number in numbers]
    message_id, timestamp = ids.encode(MESSAGE_PREFIX, message.message_id), int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": _SENDER,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": standard_webhooks.sign(secrets, message_id=message_id, timestamp=timestamp, body=body),
    }
    outcome = await settings.sender.send(url=message.url, headers=headers, body=body)
    async with database.transaction() as tx:
        await _end(tx, message, outcome)


async def _end(tx: Tx, message: ClaimedMessage, outcome: Outcome) -> None:
    key = {"account_id": message.account_id, "endpoint_id": message.endpoint_id}
    try:
        endpoint = await endpoints.get_endpoint_for_update(tx.connection, **key)
    except NotFound:  # deleted meanwhile: what waited was given up then
        endpoint = None
    next_at = None
    if endpoint is not None and endpoint.status == "enabled" and outcome.reason not in {None, messages.GONE}:
        asked_s = schedule.read_retry_after(outcome.retry_after, now=tx.now)
        next_at = schedule.next_try_at(message.tries, now=tx.now, retry_after_s=asked_s)
    ended = await queue.end_attempt(tx.connection, message=message, outcome=outcome, next_at=next_at, now=tx.now)
    if endpoint is not None and endpoint.status == "enabled":
        await _note(tx, endpoint, outcome)
        await queue.set_due(
            tx.connection, keys=[(message.account_id, message.endpoint_id)], at_once=_at_once_to(endpoint)
        )
    if ended and message.notification_id is not None:
        if outcome.reason is None:
            await end_taken(tx, account_id=message.account_id, notification_id=message.notification_id)
        elif next_at is None:
            await end_failed(tx, account_id=message.account_id, notification_ids=[message.notification_id])


async def _note(tx: Tx, endpoint: Endpoint, outcome: Outcome) -> None:
    """What an attempt says of its endpoint: that it is well, fails, is slow, or is to be disabled."""
    is_slow = outcome.duration_ms >= schedule.SLOW_MS
    if outcome.reason is None:
        noted = replace(endpoint, failing_since=None, failures=0, is_slow=is_slow)
    else:
        failing_since = endpoint.failing_since or tx.now
        noted = replace(endpoint, failing_since=failing_since, failures=endpoint.failures + 1, is_slow=is_slow)
        if outcome.reason == messages.GONE:
            await keeping.disable(tx, noted, reason="gone")
            return
        if schedule.has_failed_too_long(failing_since=failing_since, failures=noted.failures, now=tx.now):
            await keeping.disable(tx, noted, reason="failing")
            return
    if noted != endpoint:
        await endpoints.update_endpoint(tx.connection, endpoint=noted)


def _at_once_to(endpoint: Endpoint) -> int:
    return 1 if endpoint.failing_since is not None or endpoint.is_slow else AT_ONCE_TO_ONE


async def prune(database: Database) -> int:
    """Forget messages that ended more than 90 days ago, with their attempts; how many."""
    forgotten = 0
    while True:
        async with database.transaction() as tx:
            deleted = await queue.delete_old(tx.connection, before=tx.now - KEPT, limit=_DELETED_AT_ONCE)
        forgotten += deleted
        if deleted < _DELETED_AT_ONCE:
            return forgotten
