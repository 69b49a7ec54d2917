"""The evaluation: which alerts crossed their thresholds since the last look, and when to look again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from billing import notifications, rating
from billing.alerts import rules
from billing.alerts.model import ALERT_PREFIX, NOTIFICATION_PREFIX, Firing, Subject, Value
from billing.alerts.operations.looking_ahead import list_next_due
from billing.alerts.operations.measuring import measure
from billing.alerts.store import alerts as store
from billing.alerts.store import figures as figure_store
from billing.alerts.store import firings as firing_store
from billing.core import ids, money
from billing.core.period import Period
from billing.kit import outbox, touches
from billing.notifications import NewNotification

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx
    from billing.kit.touches import Watched
    from billing.wallets import Reserve

ACCOUNTS_AT_ONCE = 1000
_TRIES = 10
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


async def evaluate_due(database: Database, *, reserve: Reserve) -> int:
    """Look at every watched account that was touched or is due; returns how many crossings were told.

    Any number may run at once, be killed and run again.
    """
    told = 0
    while True:
        looked_at, firings = await _evaluate_some(database, reserve=reserve)
        told += firings
        if looked_at < ACCOUNTS_AT_ONCE:
            break
    async with database.transaction() as tx:
        await touches.drop_stale(tx)
    return told


async def _evaluate_some(database: Database, *, reserve: Reserve) -> tuple[int, int]:
    for tries_left in reversed(range(_TRIES)):
        try:
            async with database.transaction() as tx:
                # Touches, figures and earlier firings are of one state; who lost a race to another evaluator looks again.
                await tx.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                await figure_store.plan_for_many(tx.connection)
                watched = await touches.claim(tx, limit=ACCOUNTS_AT_ONCE)
                return len(watched), await evaluate(tx, watched=watched, reserve=reserve)
        except _AGAIN:
            if tries_left == 0:
                raise
    raise AssertionError("unreachable")


async def evaluate(tx: Tx, *, watched: Sequence[Watched], reserve: Reserve) -> int:
    """Look at claimed accounts; returns how many crossings were told. The transaction should see one state throughout."""
    if not watched:
        return 0
    account_ids = [one.account_id for one in watched]
    period = Period.containing(tx.now)
    subjects = await store.list_subjects(tx.connection, account_ids=account_ids)
    reading = rating.Reading(tx.connection)
    values = await measure(reading, subjects=subjects, period=period, at=tx.now, reserve=reserve)
    firings = [
        *await _of_ended_month(tx, reading, _not_seen_to_its_end(watched, subjects, period), period, reserve),
        *await _list_firings(tx, subjects, values, period),
    ]
    told = await _tell(tx, firings)
    due_ats = await list_next_due(
        tx, reading, watched=watched, subjects=subjects, values=values, period=period, reserve=reserve
    )
    await touches.put_off(tx, next_due_ats=due_ats)
    await touches.unwatch(tx, account_ids=[account_id for account_id in account_ids if account_id not in due_ats])
    return told


async def _list_firings(tx: Tx, subjects: Sequence[Subject], values: Sequence[Value], period: Period) -> list[Firing]:
    """What figures call for, after what fired before."""
    are_crossed = [rules.holds(subject, value) for subject, value in zip(subjects, values, strict=True)]
    latest = await firing_store.list_latest(tx.connection, subjects=subjects, are_crossed=are_crossed)
    found: list[Firing] = []
    for subject, value, is_crossed in zip(subjects, values, are_crossed, strict=True):
        newest = latest.get((subject.account_id, subject.key))
        if not is_crossed and newest is None:
            continue
        called_for = rules.next_firing(subject, value, latest=newest, period=period)
        if called_for is not None:
            occasion, kind = called_for
            found.append(Firing(firing_id=tx.new_id(), subject=subject, occasion=occasion, kind=kind, value=value))
    return found


def _not_seen_to_its_end(watched: Sequence[Watched], subjects: Sequence[Subject], period: Period) -> list[Subject]:
    """Subjects of a month's figures that were looked at in an earlier month for the last time, and not since."""
    earlier = {one.account_id for one in watched if one.evaluated_at is not None and one.evaluated_at < period.start}
    return [
        subject
        for subject in subjects
        if subject.is_monthly and subject.account_id in earlier and subject.created_at < period.start
    ]


async def _of_ended_month(
    tx: Tx, reading: rating.Reading, subjects: Sequence[Subject], period: Period, reserve: Reserve
) -> list[Firing]:
    """What crossed in the last moments of the month before."""
    if not subjects:
        return []
    ended = period.previous()
    values = await measure(reading, subjects=subjects, period=ended, at=ended.end, reserve=reserve)
    return [firing for firing in await _list_firings(tx, subjects, values, ended) if firing.kind == "fired"]


async def _tell(tx: Tx, firings: Sequence[Firing]) -> int:
    """Store firings that nobody stored before, with their notifications and events; returns how many."""
    if not firings:
        return 0
    new_ids = await firing_store.insert_firings(tx.connection, firings=firings, now=tx.now)
    new = [firing for firing in firings if firing.firing_id in new_ids]
    await notifications.announce(tx, [_message(firing) for firing in new])
    for template in sorted({template_of(firing) for firing in new}):
        events: list[outbox.NewEvent] = [
            (firing.subject.account_id, object_id_of(firing), payload_of(firing))
            for firing in new
            if template_of(firing) == template
        ]
        await outbox.publish_all(tx, type=template, events=events)
    return len(new)


def _message(firing: Firing) -> NewNotification:
    key = firing.subject.key
    return NewNotification(
        account_id=firing.subject.account_id,
        notification_id=firing.firing_id,
        template=template_of(firing),
        object_id=f"{object_id_of(firing)}/{key.percent}/{key.revision}/{firing.occasion}",
        payload=payload_of(firing),
        methods=None if key.percent else firing.subject.methods,
    )


def template_of(firing: Firing) -> str:
    """The template of its message and the type of its event: alert.fired, alert.recovered, budget.fired, budget.recovered."""
    return f"{'budget' if firing.subject.key.percent else 'alert'}.{firing.kind}"


def object_id_of(firing: Firing) -> str:
    """The alert, or the project whose budget it is, as the wire names it."""
    key = firing.subject.key
    return ids.encode("proj" if key.percent else ALERT_PREFIX, key.subject_id)


def payload_of(firing: Firing) -> dict[str, object]:
    """What the message and the event say. Amounts and quantities are texts with all their digits."""
    subject = firing.subject
    is_quantity = subject.figure.kind == "metric"
    value = rules.shown(rules.rounded(firing.value), currency=subject.currency, is_quantity=is_quantity)
    threshold = rules.shown(subject.threshold, currency=subject.currency, is_quantity=is_quantity)
    budget_minor = subject.budget_minor
    return {
        "notification_id": ids.encode(NOTIFICATION_PREFIX, firing.firing_id),
        "figure": subject.figure.kind,
        "condition": subject.condition,
        "value": f"{value:f}",
        "threshold": f"{threshold:f}",
        "currency": None if is_quantity else subject.currency,
        "metric": subject.figure.item if is_quantity else None,
        "percent": subject.key.percent or None,
        "budget": None if budget_minor is None else money.to_text(budget_minor, subject.currency),
        "project_name": subject.project_name,
        "occasion": firing.occasion,
        "methods": list(subject.methods),
    }
