"""Sending what is due: claim ‖ hand over ‖ outcome. Nothing is called in a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg
import structlog

from billing.notifications.model import (
    ANSWER_LOST,
    NOT_RENDERED,
    ClaimedDelivery,
    ClaimLost,
    DeliveryStatus,
    Message,
    Outcome,
    Outlet,
    Sending,
)
from billing.notifications.rules import timing
from billing.notifications.store import sending as store

if TYPE_CHECKING:
    from datetime import datetime

    from billing.kit.db import Database

Write = Callable[["Database", ClaimedDelivery], Awaitable[Message]]
"""Makes the message of a delivery."""

_SUPPRESSED_AT_ONCE = 1000
_ATTEMPTS_MAX = 500  # of a run, so that a worker that is to stop does so soon
_FINISH_S = 5.0
_COMMIT_PAUSES_S = (0.2, 1.0, 3.0, 10.0)
_DATABASE_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)

_log = structlog.get_logger("billing.notifications")


async def suppress_due(database: Database, *, method: Sending) -> int:
    """End what is due by a channel that is not configured, so that nothing piles up; returns how many."""
    ended = 0
    while True:
        async with database.transaction() as tx:
            found = await store.suppress_due(tx.connection, method=method, now=tx.now, limit=_SUPPRESSED_AT_ONCE)
        ended += found
        if found < _SUPPRESSED_AT_ONCE:
            return ended


async def send_due(database: Database, *, method: Sending, outlet: Outlet, write: Write) -> int:
    """Attempt what is due by a channel, several at once; returns how many attempts there were, which are at most 500.

    Any number may run at once and be killed anywhere. When the gateway itself is away, the rest waits for the next run.
    """
    async with database.transaction() as tx:
        await store.end_lost(tx.connection, method=method, now=tx.now)
    begun, is_up = 0, True
    under_way: set[asyncio.Task[Outcome]] = set()
    try:
        while True:
            free = min(outlet.at_once - len(under_way), _ATTEMPTS_MAX - begun) if is_up else 0
            claimed = await _claim(database, method=method, outlet=outlet, limit=free) if free else []
            under_way |= {asyncio.create_task(_attempt(database, one, outlet=outlet, write=write)) for one in claimed}
            begun += len(claimed)
            if not under_way:
                return begun
            ended, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            is_up = is_up and not any(one.result().is_gateway_down for one in ended)
    finally:
        if under_way:  # the process stops, or the database is away: what was begun may still end
            _, late = await asyncio.wait(under_way, timeout=_FINISH_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _claim(database: Database, *, method: Sending, outlet: Outlet, limit: int) -> list[ClaimedDelivery]:
    """Begin an attempt of up to `limit` deliveries; those to people for whom it is quiet wait."""
    async with database.transaction() as tx:
        due = await store.lock_due(tx.connection, method=method, now=tx.now, limit=limit)
        quiet_until = {one.delivery_id: until for one in due if (until := _quiet_until(one, now=tx.now)) is not None}
        put_off = [one for one in due if one.delivery_id in quiet_until]
        claimed = [one for one in due if one.delivery_id not in quiet_until]
        if put_off:
            await store.put_off(tx.connection, deliveries=put_off, next_ats=list(quiet_until.values()))
        if claimed:
            await store.begin_attempts(tx.connection, deliveries=claimed, gateway=outlet.channel.gateway, now=tx.now)
    if put_off and not claimed:
        return await _claim(database, method=method, outlet=outlet, limit=limit)
    return claimed


def _quiet_until(delivery: ClaimedDelivery, *, now: datetime) -> datetime | None:
    if delivery.method != "sms" or delivery.template in timing.NEVER_QUIET:
        return None
    contact = delivery.contact
    return timing.quiet_until(now, quiet=contact.settings.quiet_hours, timezone=contact.timezone)


async def _attempt(database: Database, delivery: ClaimedDelivery, *, outlet: Outlet, write: Write) -> Outcome:
    try:
        message = await write(database, delivery)
    except Exception as error:  # a message that cannot be written must not hold up the others
        _log.exception("message_not_written", delivery_id=str(delivery.delivery_id), template=delivery.template)
        outcome = Outcome(kind="failed", reason=f"{NOT_RENDERED}: {type(error).__name__}")
    else:
        outcome = await _hand_over(database, delivery, message, outlet=outlet)
    if outcome.kind != "sent":
        _log.warning(
            "delivery_not_sent", delivery_id=str(delivery.delivery_id), outcome=outcome.kind, reason=outcome.reason
        )
    await _end(database, delivery, outcome)
    return outcome


async def _hand_over(database: Database, delivery: ClaimedDelivery, message: Message, *, outlet: Outlet) -> Outcome:
    is_handed_over = False

    async def handing_over() -> None:
        nonlocal is_handed_over
        async with database.transaction() as tx:
            is_mine = await store.mark_handed_over(tx.connection, delivery=delivery, now=tx.now)
        if not is_mine:
            raise ClaimLost
        is_handed_over = True

    try:
        return await outlet.channel.send(message, handing_over=handing_over)
    except ClaimLost:
        return Outcome(kind="failed", reason="taken_over")
    except Exception as error:  # whatever a channel's library may raise, it is an outcome
        _log.exception("channel_failed", delivery_id=str(delivery.delivery_id), gateway=outlet.channel.gateway)
        if is_handed_over:
            return Outcome(kind="unknown", reason=ANSWER_LOST)
        return Outcome(kind="failed", reason=type(error).__name__)


async def _end(database: Database, delivery: ClaimedDelivery, outcome: Outcome) -> None:
    """Commit the outcome; a database that is away is waited for, because nobody else knows it."""
    for pause_s in (*_COMMIT_PAUSES_S, None):
        try:
            async with database.transaction() as tx:
                status, next_at = _status_after(outcome, tries=delivery.tries, now=tx.now)
                await store.end_attempt(
                    tx.connection, delivery=delivery, outcome=outcome, status=status, next_at=next_at, now=tx.now
                )
            return
        except _DATABASE_AWAY:
            if pause_s is None:
                raise
            await asyncio.sleep(pause_s)


def _status_after(outcome: Outcome, *, tries: int, now: datetime) -> tuple[DeliveryStatus, datetime | None]:
    match outcome.kind:
        case "sent":
            return "sent", None
        case "unknown":
            return "unknown", None
        case "refused":
            return "failed", None
        case "failed":
            next_at = timing.next_attempt_at(tries, now=now)
            return ("failed" if next_at is None else "pending"), next_at
