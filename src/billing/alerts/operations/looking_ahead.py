"""When an account is to be looked at again though nobody writes to it: before anything of it can have crossed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog, rating
from billing.alerts import rules
from billing.alerts.model import Subject, Value
from billing.alerts.operations.measuring import measure
from billing.alerts.store import figures as store
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.kit.touches import Watched
    from billing.wallets import Reserve


async def list_next_due(
    tx: Tx,
    reading: rating.Reading,
    *,
    watched: Sequence[Watched],
    subjects: Sequence[Subject],
    values: Sequence[Value],
    period: Period,
    reserve: Reserve,
) -> dict[UUID, datetime | None]:
    """When each account with subjects is due again (None: only when it is touched); those without are left out.

    An account that moves by itself is due at the end of the farthest horizon at which none of its figures has crossed yet.
    Each horizon is rated for all accounts at once that the one before was too far for.
    """
    own: dict[UUID, list[tuple[Subject, Value]]] = {one.account_id: [] for one in watched}
    for subject, value in zip(subjects, values, strict=True):
        own[subject.account_id].append((subject, value))
    moving = await _moving(tx, own)
    growing = await _growing(tx, {account_id: own[account_id] for account_id in moving})
    horizons = await _horizons(tx, reading, growing, period, reserve)
    found: dict[UUID, datetime | None] = {}
    for one in watched:
        account_id = one.account_id
        if not own[account_id]:
            continue
        begins_true = any(subject.is_monthly and subject.condition == "less_than" for subject, _ in own[account_id])
        found[account_id] = rules.earliest(
            tx.now + horizons[account_id] if account_id in moving else None,
            period.end if account_id in moving or begins_true else None,
            tx.now + rules.SETTLES if one.evaluated_at is None else None,
        )
    return found


Own = Mapping[UUID, Sequence[tuple[Subject, Value]]]


async def _moving(tx: Tx, own: Own) -> set[UUID]:
    """Accounts whose figures move by themselves: with resources, or with a wallet whose holds, credit and reserve run out."""
    running = await store.list_running(tx.connection, account_ids=list(own), now=tx.now)
    return {
        account_id
        for account_id, figures in own.items()
        if figures and (account_id in running or any(not subject.is_monthly for subject, _ in figures))
    }


async def _growing(tx: Tx, own: Own) -> Own:
    """Of each account the figures that time alone moves: of quantities those of gauges, as others wait for usage."""
    meters = {
        str(subject.figure.item)
        for figures in own.values()
        for subject, _ in figures
        if subject.figure.kind == "metric"
    }
    known = await catalog.list_meters(tx.connection, names=sorted(meters)) if meters else []
    still = {meter.meter for meter in known if meter.aggregation != "time_weighted"}
    return {
        account_id: [
            (subject, value)
            for subject, value in figures
            if subject.figure.kind != "metric" or subject.figure.item not in still
        ]
        for account_id, figures in own.items()
    }


async def _horizons(
    tx: Tx, reading: rating.Reading, own: Own, period: Period, reserve: Reserve
) -> dict[UUID, timedelta]:
    """How long nothing of each account crosses, of the horizons that are tried."""
    found: dict[UUID, timedelta] = {}
    left = dict(own)
    for horizon in rules.HORIZONS:
        if not left:
            break
        subjects = [subject for figures in left.values() for subject, _ in figures]
        ahead = await measure(reading, subjects=subjects, period=period, at=tx.now + horizon, reserve=reserve)
        later = iter(ahead)
        for account_id, figures in list(left.items()):
            after = [next(later) for _ in figures]
            if not rules.crosses([subject for subject, _ in figures], [value for _, value in figures], after):
                found[account_id] = horizon
                del left[account_id]
    return found | dict.fromkeys(left, rules.AGAIN)
