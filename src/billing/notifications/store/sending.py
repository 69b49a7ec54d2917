"""The SQL of sending: deliveries are claimed for an attempt, handed over, and end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from billing.kit.checks import Check, Scope
from billing.notifications.model import (
    ANSWER_LOST,
    CHANNEL_NOT_CONFIGURED,
    LEASE,
    WORKER_LOST,
    ClaimedDelivery,
    Contact,
    DeliveryStatus,
    Outcome,
    Sending,
)
from billing.notifications.store.settings import settings_of

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def suppress_due(connection: Connection, *, method: Sending, now: datetime, limit: int) -> int:
    """End deliveries that are due by a channel that is not configured; how many of at most `limit`."""
    rows = await connection.fetch(
        """
        UPDATE deliveries SET status = 'suppressed', reason = $4, next_at = NULL, finished_at = $2
        FROM (
            SELECT account_id, delivery_id FROM deliveries
            WHERE method = $1 AND next_at <= $2 AND NOT (status = 'sending' AND handed_at IS NOT NULL)
            ORDER BY next_at, account_id, delivery_id
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE deliveries.account_id = due.account_id AND deliveries.delivery_id = due.delivery_id
        RETURNING deliveries.delivery_id
        """,
        method,
        now,
        limit,
        CHANNEL_NOT_CONFIGURED,
    )
    return len(rows)


async def end_lost(connection: Connection, *, method: Sending, now: datetime) -> None:
    """Of deliveries that were handed over in time that has run out nobody knows what became: their worker died, or hangs."""
    await connection.execute(
        """
        WITH lost AS (
            SELECT account_id, delivery_id FROM deliveries
            WHERE method = $1 AND next_at <= $2 AND status = 'sending' AND handed_at IS NOT NULL
            ORDER BY next_at, account_id, delivery_id
            FOR UPDATE SKIP LOCKED
        ), ended AS (
            UPDATE deliveries SET status = 'unknown', reason = $3, next_at = NULL, finished_at = $2
            FROM lost
            WHERE deliveries.account_id = lost.account_id AND deliveries.delivery_id = lost.delivery_id
            RETURNING deliveries.account_id, deliveries.delivery_id, deliveries.attempts
        )
        UPDATE delivery_attempts SET ended_at = $2, outcome = 'unknown', reason = $3
        FROM ended
        WHERE delivery_attempts.account_id = ended.account_id AND delivery_attempts.delivery_id = ended.delivery_id
            AND delivery_attempts.number = ended.attempts AND delivery_attempts.ended_at IS NULL
        """,
        method,
        now,
        ANSWER_LOST,
    )


async def lock_due(connection: Connection, *, method: Sending, now: datetime, limit: int) -> list[ClaimedDelivery]:
    """Deliveries that are due, held until the transaction ends; what others hold is left to them.

    One whose worker died before it handed the message over is due again. They have `number` and `tries` of the attempt to come.
    """
    rows = await connection.fetch(
        """
        SELECT due.account_id, due.delivery_id, due.method, due.recipient, due.recipient_number, due.attempts, due.tries,
               notifications.template, notifications.object_id, notifications.payload, notifications.created_at AS told_at,
               accounts_v.name, accounts_v.email, accounts_v.phone, accounts_v.timezone,
               notification_settings.account_id IS NOT NULL AS is_set, email_off, sms_on, email_recipients, quiet_start, quiet_end
        FROM (
            SELECT * FROM deliveries
            WHERE method = $1 AND next_at <= $2 AND NOT (status = 'sending' AND handed_at IS NOT NULL)
            ORDER BY next_at, account_id, delivery_id
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        ) AS due
        JOIN notifications ON notifications.account_id = due.account_id
            AND notifications.notification_id = due.notification_id
        JOIN accounts_v ON accounts_v.account_id = due.account_id
        LEFT JOIN notification_settings ON notification_settings.account_id = due.account_id
        ORDER BY due.next_at, due.account_id, due.delivery_id
        """,
        method,
        now,
        limit,
    )
    return [_claimed(row) for row in rows]


async def put_off(
    connection: Connection, *, deliveries: Sequence[ClaimedDelivery], next_ats: Sequence[datetime]
) -> None:
    """Let locked deliveries wait."""
    await connection.execute(
        """
        UPDATE deliveries SET status = 'pending', next_at = given.next_at
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS given (account_id, delivery_id, next_at)
        WHERE deliveries.account_id = given.account_id AND deliveries.delivery_id = given.delivery_id
        """,
        [one.account_id for one in deliveries],
        [one.delivery_id for one in deliveries],
        list(next_ats),
    )


async def begin_attempts(
    connection: Connection, *, deliveries: Sequence[ClaimedDelivery], gateway: str, now: datetime
) -> None:
    """Begin an attempt of each locked delivery. One before it that has not ended was lost with its worker, and sent nothing."""
    await connection.execute(
        """
        WITH given AS (
            SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS given (account_id, delivery_id)
        ), lost AS (
            UPDATE delivery_attempts SET ended_at = $3, outcome = 'failed', reason = $6
            FROM given
            WHERE delivery_attempts.account_id = given.account_id AND delivery_attempts.delivery_id = given.delivery_id
                AND ended_at IS NULL
        ), begun AS (
            UPDATE deliveries
            SET status = 'sending', attempts = attempts + 1, tries = tries + 1, next_at = $3::timestamptz + $4::interval,
                handed_at = NULL
            FROM given
            WHERE deliveries.account_id = given.account_id AND deliveries.delivery_id = given.delivery_id
            RETURNING deliveries.account_id, deliveries.delivery_id, deliveries.attempts
        )
        INSERT INTO delivery_attempts (account_id, delivery_id, number, gateway, started_at)
        SELECT account_id, delivery_id, attempts, $5, $3 FROM begun
        """,
        [one.account_id for one in deliveries],
        [one.delivery_id for one in deliveries],
        now,
        LEASE,
        gateway,
        WORKER_LOST,
    )


async def mark_handed_over(connection: Connection, *, delivery: ClaimedDelivery, now: datetime) -> bool:
    """Note that from now on the gateway may have the message. False: the delivery is no longer this attempt's."""
    found = await connection.fetchval(
        """
        UPDATE deliveries SET handed_at = $4, next_at = $4::timestamptz + $5::interval
        WHERE account_id = $1 AND delivery_id = $2 AND attempts = $3 AND status = 'sending' AND handed_at IS NULL
        RETURNING true
        """,
        delivery.account_id,
        delivery.delivery_id,
        delivery.number,
        now,
        LEASE,
    )
    return bool(found)


async def end_attempt(
    connection: Connection,
    *,
    delivery: ClaimedDelivery,
    outcome: Outcome,
    status: DeliveryStatus,
    next_at: datetime | None,
    now: datetime,
) -> bool:
    """Store what became of an attempt. False: it is no longer the delivery's; an answer that comes late still counts."""
    await connection.execute(
        """
        UPDATE delivery_attempts SET ended_at = $4, outcome = $5, gateway_id = $6, reason = $7
        WHERE account_id = $1 AND delivery_id = $2 AND number = $3 AND (ended_at IS NULL OR outcome = 'unknown')
        """,
        delivery.account_id,
        delivery.delivery_id,
        delivery.number,
        now,
        outcome.kind,
        outcome.gateway_id,
        outcome.reason,
    )
    found = await connection.fetchval(
        """
        UPDATE deliveries
        SET status = $4, reason = $5, next_at = $6, handed_at = CASE WHEN $6::timestamptz IS NULL THEN handed_at END,
            finished_at = CASE WHEN $6 IS NULL THEN $7::timestamptz END
        WHERE account_id = $1 AND delivery_id = $2 AND attempts = $3 AND status IN ('sending', 'unknown')
        RETURNING true
        """,
        delivery.account_id,
        delivery.delivery_id,
        delivery.number,
        status,
        outcome.reason,
        next_at,
        now,
    )
    return bool(found)


async def run_checks(connection: Connection, scope: Scope) -> list[Check]:
    """Nothing that is due must lie there, and a message that has ended must say what became of its last attempt."""
    row = await connection.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM deliveries WHERE next_at < $1::timestamptz - interval '1 day') AS stuck,
            (SELECT count(*) FROM deliveries
             JOIN delivery_attempts ON delivery_attempts.account_id = deliveries.account_id
                AND delivery_attempts.delivery_id = deliveries.delivery_id AND delivery_attempts.number = deliveries.attempts
             WHERE status IN ('sent', 'failed', 'unknown') AND (status = 'sent') <> (outcome IS NOT DISTINCT FROM 'sent')
                AND ($2::timestamptz IS NULL OR finished_at >= $2)) AS torn
        """,
        scope.now,
        scope.since,
    )
    assert row is not None
    return [
        Check("deliveries are attempted within a day of when they are due", row["stuck"]),
        Check("a delivery is sent if and only if its last attempt was", row["torn"]),
    ]


def _claimed(row: asyncpg.Record) -> ClaimedDelivery:
    contact = Contact(
        account_id=row["account_id"],
        name=row["name"],
        email=row["email"],
        phone=row["phone"],
        timezone=row["timezone"],
        settings=settings_of(row),
    )
    return ClaimedDelivery(
        account_id=row["account_id"],
        delivery_id=row["delivery_id"],
        method=row["method"],
        recipient=row["recipient"],
        recipient_number=row["recipient_number"],
        number=row["attempts"] + 1,
        tries=row["tries"] + 1,
        template=row["template"],
        object_id=row["object_id"],
        payload=msgspec.json.decode(row["payload"]),
        told_at=row["told_at"],
        contact=contact,
    )
