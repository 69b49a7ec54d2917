"""Watched accounts, and which of them were written to: who watches pays for what was touched, not for what is there.

A writer's transaction leaves a touch (SQL function `touch_accounts`); the watcher takes it away and then looks. A touch is
seen only once its writer has committed, so what was written is seen with it. Nobody waits for anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from billing.kit.db import Tx


@dataclass(frozen=True, slots=True)
class Watched:
    """A watched account that was touched or is due, and up to when it was looked at before."""

    account_id: UUID
    evaluated_at: datetime | None


async def watch(tx: Tx, *, account_id: UUID) -> None:
    """Watch an account from now on, and have it looked at soon. Holds its row, so that two who begin to watch take turns."""
    await tx.connection.execute(
        """
        INSERT INTO watched_accounts AS w (account_id, next_due_at) VALUES ($1, $2)
        ON CONFLICT (account_id) DO UPDATE SET next_due_at = least(coalesce(w.next_due_at, 'infinity'), excluded.next_due_at)
        """,
        account_id,
        tx.now,
    )


async def touch(tx: Tx, *, account_ids: Sequence[UUID]) -> None:
    """Leave a touch on those of some accounts that are watched, for a write that no function of the database makes."""
    await tx.connection.execute("SELECT touch_accounts($1)", list(account_ids))


async def claim(tx: Tx, *, limit: int) -> list[Watched]:
    """Up to so many accounts that were touched or are due, held until the transaction ends; their touches are taken away.

    Those that another transaction holds are left to it. The transaction should see one state throughout.
    """
    rows = await tx.connection.fetch(
        """
        WITH asked AS (
            (SELECT DISTINCT account_id FROM account_touches ORDER BY account_id LIMIT $2)
            UNION
            (SELECT account_id FROM watched_accounts WHERE next_due_at <= $1 ORDER BY next_due_at, account_id LIMIT $2)
        ), held AS (
            SELECT watched.account_id, watched.evaluated_at
            FROM (SELECT account_id FROM asked ORDER BY account_id) AS asked
            CROSS JOIN LATERAL (  -- one look-up each, however many are watched
                SELECT account_id, evaluated_at FROM watched_accounts
                WHERE watched_accounts.account_id = asked.account_id
                FOR NO KEY UPDATE SKIP LOCKED
            ) AS watched
            LIMIT $2
        ), taken AS (
            DELETE FROM account_touches USING held WHERE account_touches.account_id = held.account_id
        )
        SELECT account_id, evaluated_at FROM held ORDER BY account_id
        """,
        tx.now,
        limit,
    )
    return [Watched(row["account_id"], row["evaluated_at"]) for row in rows]


async def put_off(tx: Tx, *, next_due_ats: Mapping[UUID, datetime | None]) -> None:
    """Note that claimed accounts were looked at now, and when they are due again (None: only when they are touched)."""
    await tx.connection.execute(
        """
        UPDATE watched_accounts SET evaluated_at = $3, next_due_at = looked.next_due_at
        FROM unnest($1::uuid[], $2::timestamptz[]) AS looked (account_id, next_due_at)
        WHERE watched_accounts.account_id = looked.account_id
        """,
        list(next_due_ats.keys()),
        list(next_due_ats.values()),
        tx.now,
    )


async def unwatch(tx: Tx, *, account_ids: Sequence[UUID]) -> None:
    """Watch claimed accounts no longer: nothing of theirs is asked for any more."""
    await tx.connection.execute("DELETE FROM watched_accounts WHERE account_id = ANY ($1)", list(account_ids))


async def drop_stale(tx: Tx) -> None:
    """Take away the touches of accounts that are watched no longer: their writers saw them when they still were."""
    await tx.connection.execute(
        """
        DELETE FROM account_touches
        WHERE NOT EXISTS (SELECT FROM watched_accounts WHERE watched_accounts.account_id = account_touches.account_id)
        """
    )
