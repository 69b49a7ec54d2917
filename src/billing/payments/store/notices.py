"""The SQL of what gateways said unasked."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from billing.kit.db import Connection
    from billing.payments.model import Notice


async def insert_notice(
    connection: Connection, *, gateway: str, notice: Notice, digest: bytes, received_at: datetime
) -> bytes | None:
    """Store a notice; the digest of the one that is there under its id, else None.

    Of two at once the second waits for the first one's end, and sees it.
    """
    is_new = await connection.fetchval(
        """
        INSERT INTO gateway_notices (gateway, notice_id, type, account_id, object_id, body_digest, received_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (gateway, notice_id) DO NOTHING
        RETURNING true
        """,
        gateway,
        notice.notice_id,
        notice.type,
        notice.account_id,
        notice.object_id,
        digest,
        received_at,
    )
    if is_new:
        return None
    return await connection.fetchval(
        "SELECT body_digest FROM gateway_notices WHERE gateway = $1 AND notice_id = $2", gateway, notice.notice_id
    )


async def make_payment_due(
    connection: Connection, *, account_id: UUID, object_id: UUID, gateway: str, now: datetime
) -> str | None:
    """Let a gateway be asked now about a payment of its own that is pending; the payment's status, or None without one.

    That it is asked now does not count: it is asked later as often as it would be anyway.
    """
    return await connection.fetchval(
        """
        WITH due AS (
            UPDATE payments SET next_check_at = least(next_check_at, $4), checks = greatest(checks - 1, 0)
            WHERE account_id = $1 AND payment_id = $2 AND gateway = $3 AND status = 'pending'
        )
        SELECT status FROM payments WHERE account_id = $1 AND payment_id = $2 AND gateway = $3
        """,
        account_id,
        object_id,
        gateway,
        now,
    )


async def make_refund_due(
    connection: Connection, *, account_id: UUID, object_id: UUID, gateway: str, now: datetime
) -> str | None:
    """The same of a refund."""
    return await connection.fetchval(
        """
        WITH due AS (
            UPDATE refunds SET next_check_at = least(next_check_at, $4), checks = greatest(checks - 1, 0)
            WHERE account_id = $1 AND refund_id = $2 AND gateway = $3 AND status = 'pending'
        )
        SELECT status FROM refunds WHERE account_id = $1 AND refund_id = $2 AND gateway = $3
        """,
        account_id,
        object_id,
        gateway,
        now,
    )


async def delete_notices(connection: Connection, *, before: datetime) -> None:
    """Forget what was received before an instant."""
    await connection.execute("DELETE FROM gateway_notices WHERE received_at < $1", before)
