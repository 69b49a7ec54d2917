"""The SQL of refunds and chargebacks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.payments.model import Captured, Chargeback, Refund

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def get_captured(connection: Connection, *, account_id: UUID, payment_id: UUID) -> Captured:
    """How a payment stands; it stays so while the account's head is locked. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT currency, CASE WHEN status = 'completed' THEN amount_minor ELSE 0 END AS captured_minor,
            (SELECT coalesce(sum(refunds.amount_minor), 0)::bigint FROM refunds
             WHERE refunds.account_id = $1 AND refunds.payment_id = $2 AND refunds.status <> 'failed') AS refunded_minor,
            (SELECT coalesce(sum(chargebacks.amount_minor), 0)::bigint FROM chargebacks
             WHERE chargebacks.account_id = $1 AND chargebacks.payment_id = $2) AS disputed_minor
        FROM payments
        WHERE account_id = $1 AND payment_id = $2
        """,
        account_id,
        payment_id,
    )
    if row is None:
        raise NotFound
    return Captured(**dict(row))


async def insert_refund(connection: Connection, refund: Refund, *, next_check_at: datetime) -> None:
    """Store the intent of a refund."""
    await connection.execute(
        """
        INSERT INTO refunds (account_id, refund_id, payment_id, gateway, currency, amount_minor, reason, status, created_at,
            next_check_at, credit_note_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        refund.account_id,
        refund.refund_id,
        refund.payment_id,
        refund.gateway,
        refund.currency,
        refund.amount_minor,
        refund.reason,
        refund.status,
        refund.created_at,
        next_check_at,
        refund.credit_note_id,
    )


async def find_refund(connection: Connection, *, account_id: UUID, refund_id: UUID) -> Refund | None:
    """A refund of the account."""
    row = await connection.fetchrow(
        """
        SELECT account_id, refund_id, payment_id, gateway, currency, amount_minor, reason, status, failure_reason,
            created_at, ended_at, credit_note_id
        FROM refunds
        WHERE account_id = $1 AND refund_id = $2
        """,
        account_id,
        refund_id,
    )
    return Refund(**dict(row)) if row else None


async def get_refund(connection: Connection, *, account_id: UUID, refund_id: UUID) -> Refund:
    """A refund. Raises NotFound."""
    refund = await find_refund(connection, account_id=account_id, refund_id=refund_id)
    if refund is None:
        raise NotFound
    return refund


async def list_refunds(
    connection: Connection, *, account_id: UUID, payment_id: UUID, page: PageRequest
) -> Page[Refund]:
    """One page of a payment's refunds, newest first."""
    rows = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT account_id, refund_id, payment_id, gateway, currency, amount_minor, reason, status, failure_reason,
                created_at, ended_at, credit_note_id
            FROM refunds
            WHERE account_id = $1 AND payment_id = $2
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $3::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE (created_at, refund_id) < (
                coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY created_at DESC, refund_id DESC
            LIMIT $4 OFFSET $5
        ) AS page ON true
        ORDER BY page.created_at DESC, page.refund_id DESC
        """,
        account_id,
        payment_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [
        Refund(**{name: value for name, value in row.items() if name != "total"})
        for row in rows
        if row["refund_id"] is not None
    ]
    return page.cut(found, total=rows[0]["total"], key=lambda refund: (refund.created_at, refund.refund_id))


async def list_refunds_of_credit_note(
    connection: Connection, *, account_id: UUID, credit_note_id: UUID
) -> list[Refund]:
    """The refunds that a credit note started, in their order."""
    rows = await connection.fetch(
        """
        SELECT account_id, refund_id, payment_id, gateway, currency, amount_minor, reason, status, failure_reason,
            created_at, ended_at, credit_note_id
        FROM refunds
        WHERE account_id = $1 AND credit_note_id = $2
        ORDER BY created_at, refund_id
        """,
        account_id,
        credit_note_id,
    )
    return [Refund(**dict(row)) for row in rows]


async def list_refundable(
    connection: Connection, *, account_id: UUID, currency: str, gateway: str, invoice_id: UUID, limit: int
) -> list[tuple[UUID, int]]:
    """(payment, minor units) of what a gateway may still give back: the payments of an invoice first, then the newest.

    It stays so while the account's head is locked.
    """
    rows = await connection.fetch(
        """
        SELECT payment_id, rest_minor
        FROM (
            SELECT payment_id, created_at, invoice_id, amount_minor
                - (SELECT coalesce(sum(refunds.amount_minor), 0)::bigint FROM refunds
                   WHERE refunds.account_id = $1 AND refunds.payment_id = payments.payment_id AND refunds.status <> 'failed')
                - (SELECT coalesce(sum(chargebacks.amount_minor), 0)::bigint FROM chargebacks
                   WHERE chargebacks.account_id = $1 AND chargebacks.payment_id = payments.payment_id) AS rest_minor
            FROM payments
            WHERE account_id = $1 AND currency = $2 AND gateway = $3 AND status = 'completed' AND kind <> 'recorded'
        ) AS captured
        WHERE rest_minor > 0
        ORDER BY invoice_id IS NOT DISTINCT FROM $4 DESC, created_at DESC, payment_id DESC
        LIMIT $5
        """,
        account_id,
        currency,
        gateway,
        invoice_id,
        limit,
    )
    return [(row["payment_id"], row["rest_minor"]) for row in rows]


async def mark_refund_ended(
    connection: Connection, *, account_id: UUID, refund_id: UUID, failure_reason: str | None, now: datetime
) -> Refund | None:
    """End a pending refund, badly with a reason; None when it had ended before. Of any number at once, one gets it."""
    row = await connection.fetchrow(
        """
        UPDATE refunds SET status = CASE WHEN $3::text IS NULL THEN 'completed' ELSE 'failed' END, failure_reason = $3,
            ended_at = $4, next_check_at = NULL
        WHERE account_id = $1 AND refund_id = $2 AND status = 'pending'
        RETURNING account_id, refund_id, payment_id, gateway, currency, amount_minor, reason, status, failure_reason,
            created_at, ended_at, credit_note_id
        """,
        account_id,
        refund_id,
        failure_reason,
        now,
    )
    return Refund(**dict(row)) if row else None


async def list_refunds_due(connection: Connection, *, now: datetime, limit: int) -> list[tuple[UUID, UUID, int]]:
    """Locked pending refunds of any account, longest due first: (account, refund, how often asked for)."""
    rows = await connection.fetch(
        """
        SELECT account_id, refund_id, checks FROM refunds
        WHERE status = 'pending' AND next_check_at <= $1
        ORDER BY next_check_at, account_id, refund_id
        LIMIT $2
        FOR UPDATE SKIP LOCKED
        """,
        now,
        limit,
    )
    return [(row["account_id"], row["refund_id"], row["checks"]) for row in rows]


async def update_next_refund_checks(connection: Connection, due: Sequence[tuple[UUID, UUID, datetime]]) -> None:
    """Put off the next check of pending refunds that are locked: (account, refund, when)."""
    await connection.execute(
        """
        UPDATE refunds SET next_check_at = due.next_check_at, checks = checks + 1
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS due (account_id, refund_id, next_check_at)
        WHERE refunds.account_id = due.account_id AND refunds.refund_id = due.refund_id
        """,
        [account_id for account_id, _, _ in due],
        [refund_id for _, refund_id, _ in due],
        [next_check_at for _, _, next_check_at in due],
    )


async def insert_chargeback(connection: Connection, chargeback: Chargeback) -> None:
    """Store a chargeback."""
    await connection.execute(
        """
        INSERT INTO chargebacks (account_id, chargeback_id, payment_id, currency, amount_minor, cash_minor, reason, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        chargeback.account_id,
        chargeback.chargeback_id,
        chargeback.payment_id,
        chargeback.currency,
        chargeback.amount_minor,
        chargeback.cash_minor,
        chargeback.reason,
        chargeback.created_at,
    )


async def get_chargeback(connection: Connection, *, account_id: UUID, chargeback_id: UUID) -> Chargeback:
    """A chargeback. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT account_id, chargeback_id, payment_id, currency, amount_minor, cash_minor, reason, created_at
        FROM chargebacks
        WHERE account_id = $1 AND chargeback_id = $2
        """,
        account_id,
        chargeback_id,
    )
    if row is None:
        raise NotFound
    return Chargeback(**dict(row))
