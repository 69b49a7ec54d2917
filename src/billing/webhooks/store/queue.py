"""The SQL of sending: messages come in, are claimed for an attempt, and end.

An endpoint's `due_at` says when there is something to send to it; it is set anew whenever its messages change, under its lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from billing.kit.checks import Check, Scope
from billing.kit.statements import load_statement
from billing.webhooks.model.messages import LOST, ClaimedMessage, NewMessage, Outcome

if TYPE_CHECKING:
    from billing.kit.db import Connection

_CLAIM_MESSAGES = load_statement(Path(__file__).parent.parent / "sql/claim_messages.sql")


async def insert_messages(connection: Connection, *, messages: Sequence[NewMessage], now: datetime) -> set[UUID]:
    """Queue each message for every enabled endpoint of its account that wants its type; the ids of those that any wanted."""
    rows = await connection.fetch(
        """
        WITH given AS (
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::uuid[])
                AS given (account_id, message_id, type, object_id, version, body, notification_id)
        ), held AS (
            SELECT account_id, endpoint_id, events FROM webhook_endpoints
            WHERE account_id = ANY ($1) AND status = 'enabled' AND deleted_at IS NULL
            ORDER BY account_id, endpoint_id
            FOR NO KEY UPDATE
        ), queued AS (
            INSERT INTO webhook_messages (account_id, endpoint_id, message_id, type, object_id, version, body, notification_id,
                                          status, attempts, tries, next_at, created_at)
            SELECT given.account_id, held.endpoint_id, given.message_id, given.type, given.object_id, given.version, given.body,
                   given.notification_id, 'pending', 0, 0, $8, $8
            FROM given
            JOIN held ON held.account_id = given.account_id
                AND held.events && ARRAY['*', given.type, split_part(given.type, '.', 1) || '.*']
            ON CONFLICT ON CONSTRAINT pk_webhook_messages DO NOTHING
            RETURNING account_id, endpoint_id, message_id
        ), woken AS (
            UPDATE webhook_endpoints SET due_at = least(due_at, $8)
            FROM (SELECT DISTINCT account_id, endpoint_id FROM queued) AS queued
            WHERE webhook_endpoints.account_id = queued.account_id AND webhook_endpoints.endpoint_id = queued.endpoint_id
        )
        SELECT DISTINCT message_id FROM queued ORDER BY message_id
        """,
        [one.account_id for one in messages],
        [one.message_id for one in messages],
        [one.type for one in messages],
        [one.object_id for one in messages],
        [one.version for one in messages],
        [one.body for one in messages],
        [one.notification_id for one in messages],
        now,
    )
    return {row["message_id"] for row in rows}


async def insert_message(connection: Connection, *, endpoint_id: UUID, message: NewMessage, now: datetime) -> None:
    """Queue a message for one endpoint, whatever it wants. The endpoint must be locked."""
    await connection.execute(
        """
        INSERT INTO webhook_messages (account_id, endpoint_id, message_id, type, object_id, version, body, status, attempts,
                                      tries, next_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', 0, 0, $8, $8)
        """,
        message.account_id,
        endpoint_id,
        message.message_id,
        message.type,
        message.object_id,
        message.version,
        message.body,
        now,
    )


async def claim_endpoints(
    connection: Connection, *, now: datetime, limit: int, is_careful: bool
) -> list[tuple[UUID, UUID]]:
    """Up to so many endpoints with something to send, held until the transaction ends; what others hold is left to them.

    Careful are those that fail, or are slow.
    """
    rows = await connection.fetch(
        """
        SELECT account_id, endpoint_id FROM webhook_endpoints
        WHERE due_at <= $1 AND (failing_since IS NOT NULL OR is_slow) = $3
        ORDER BY due_at, account_id, endpoint_id
        LIMIT $2
        FOR NO KEY UPDATE SKIP LOCKED
        """,
        now,
        limit,
        is_careful,
    )
    return [(row["account_id"], row["endpoint_id"]) for row in rows]


async def claim_messages(
    connection: Connection,
    *,
    keys: Sequence[tuple[UUID, UUID]],
    now: datetime,
    lease: timedelta,
    limit: int,
    at_once: int,
    is_careful: bool,
) -> list[ClaimedMessage]:
    """Up to `limit` messages that are due to claimed endpoints, each begun as an attempt that is lost unless it ends in time.

    To an endpoint at most `at_once` are under way. What a process that died had begun is claimed again.
    """
    rows = await connection.fetch(
        _CLAIM_MESSAGES,
        [account_id for account_id, _ in keys],
        [endpoint_id for _, endpoint_id in keys],
        now,
        lease,
        limit,
        at_once,
        LOST,
        is_careful,
    )
    await set_due(connection, keys=keys, at_once=at_once)
    return [ClaimedMessage(**dict(row)) for row in rows]


async def end_attempt(
    connection: Connection, *, message: ClaimedMessage, outcome: Outcome, next_at: datetime | None, now: datetime
) -> bool:
    """Store what became of an attempt: the message is delivered, waits for `next_at`, or has failed.

    False: it is no longer this attempt's, for it was lost meanwhile and began anew, or its endpoint is gone. The endpoint must
    be locked.
    """
    await connection.execute(
        """
        UPDATE webhook_attempts SET status_code = $5, duration_ms = $6, reason = $7
        WHERE account_id = $1 AND endpoint_id = $2 AND message_id = $3 AND number = $4
        """,
        message.account_id,
        message.endpoint_id,
        message.message_id,
        message.number,
        outcome.status_code,
        outcome.duration_ms,
        outcome.reason,
    )
    status = "delivered" if outcome.reason is None else "failed" if next_at is None else "pending"
    ended = await connection.fetchval(
        """
        UPDATE webhook_messages
        SET status = $5, next_at = $6, reason = $7, finished_at = CASE WHEN $6::timestamptz IS NULL THEN $8::timestamptz END
        WHERE account_id = $1 AND endpoint_id = $2 AND message_id = $3 AND attempts = $4 AND status = 'sending'
        RETURNING true
        """,
        message.account_id,
        message.endpoint_id,
        message.message_id,
        message.number,
        status,
        next_at,
        outcome.reason,
        now,
    )
    return bool(ended)


async def fail_unfinished(
    connection: Connection, *, account_id: UUID, endpoint_id: UUID, reason: str, now: datetime
) -> list[UUID]:
    """Give up what is waiting for an endpoint; the notifications that it told. The endpoint must be locked."""
    rows = await connection.fetch(
        """
        UPDATE webhook_messages SET status = 'failed', next_at = NULL, reason = $3, finished_at = $4
        WHERE account_id = $1 AND endpoint_id = $2 AND next_at IS NOT NULL
        RETURNING notification_id
        """,
        account_id,
        endpoint_id,
        reason,
        now,
    )
    return [row["notification_id"] for row in rows if row["notification_id"] is not None]


async def send_again(
    connection: Connection, *, account_id: UUID, endpoint_id: UUID, message_ids: Sequence[UUID], now: datetime
) -> int:
    """Send finished messages once more from the first try on; how many there were. The endpoint must be locked."""
    rows = await connection.fetch(
        """
        UPDATE webhook_messages SET status = 'pending', tries = 0, next_at = $4, reason = NULL, finished_at = NULL
        WHERE account_id = $1 AND endpoint_id = $2 AND message_id = ANY ($3) AND next_at IS NULL
        RETURNING message_id
        """,
        account_id,
        endpoint_id,
        list(message_ids),
        now,
    )
    return len(rows)


async def set_due(connection: Connection, *, keys: Sequence[tuple[UUID, UUID]], at_once: int) -> None:
    """Note when there is something to send to some endpoints, which must be locked.

    Where as many are under way as may be, nothing is due before one of them has ended, or is lost.
    """
    await connection.execute(
        """
        UPDATE webhook_endpoints SET due_at = waiting.due_at
        FROM (SELECT DISTINCT account_id, endpoint_id FROM unnest($1::uuid[], $2::uuid[]) AS key (account_id, endpoint_id)) AS key
        CROSS JOIN LATERAL (
            SELECT CASE WHEN count(*) >= $3 THEN min(next_at) END AS full_until FROM webhook_messages
            WHERE webhook_messages.account_id = key.account_id AND webhook_messages.endpoint_id = key.endpoint_id
                AND next_at IS NOT NULL AND status = 'sending'
        ) AS busy
        CROSS JOIN LATERAL (
            SELECT coalesce(busy.full_until, min(next_at)) AS due_at FROM webhook_messages
            WHERE webhook_messages.account_id = key.account_id AND webhook_messages.endpoint_id = key.endpoint_id
                AND next_at IS NOT NULL
        ) AS waiting
        WHERE webhook_endpoints.account_id = key.account_id AND webhook_endpoints.endpoint_id = key.endpoint_id
        """,
        [account_id for account_id, _ in keys],
        [endpoint_id for _, endpoint_id in keys],
        at_once,
    )


async def count_open_for_notification(connection: Connection, *, account_id: UUID, notification_id: UUID) -> int:
    """How many messages of a notification may still be taken by an endpoint."""
    return await connection.fetchval(
        """
        SELECT count(*) FROM webhook_messages
        WHERE account_id = $1 AND notification_id = $2 AND next_at IS NOT NULL
        """,
        account_id,
        notification_id,
    )


async def delete_old(connection: Connection, *, before: datetime, limit: int) -> int:
    """Forget messages, with their attempts, that ended before an instant, over all accounts; how many of at most `limit`."""
    rows = await connection.fetch(
        """
        DELETE FROM webhook_messages
        USING (
            SELECT account_id, endpoint_id, message_id FROM webhook_messages
            WHERE finished_at < $1
            ORDER BY finished_at
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        ) AS old
        WHERE webhook_messages.account_id = old.account_id AND webhook_messages.endpoint_id = old.endpoint_id
            AND webhook_messages.message_id = old.message_id
        RETURNING webhook_messages.message_id
        """,
        before,
        limit,
    )
    return len(rows)


async def run_checks(connection: Connection, scope: Scope) -> list[Check]:
    """Messages that wait must be sent when they are due."""
    stuck = await connection.fetchval(
        "SELECT count(*) FROM webhook_messages WHERE next_at < $1::timestamptz - interval '1 day'", scope.now
    )
    return [Check("webhook messages are sent within a day of when they are due", stuck)]
