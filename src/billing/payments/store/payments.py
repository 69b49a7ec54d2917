"""The SQL of payments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.payments.model import ChargeRequest, Payment, Transaction

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def insert_payment(connection: Connection, payment: Payment, *, next_check_at: datetime | None) -> None:
    """Store a payment."""
    await connection.execute(
        """
        INSERT INTO payments (account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status,
            description, reference, invoice_id, created_at, received_at, completed_at, next_check_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        payment.account_id,
        payment.payment_id,
        payment.kind,
        payment.payment_method_id,
        payment.gateway,
        payment.currency,
        payment.amount_minor,
        payment.status,
        payment.description,
        payment.reference,
        payment.invoice_id,
        payment.created_at,
        payment.received_at,
        payment.completed_at,
        next_check_at,
    )


async def insert_topups(
    connection: Connection, topups: Sequence[Payment], *, gateway: str, created_at: datetime, next_check_at: datetime
) -> None:
    """Store pending top-ups of any accounts, all of one gateway and instant: what they share is sent once."""
    await connection.execute(
        """
        INSERT INTO payments (account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status,
            description, created_at, next_check_at)
        SELECT account_id, payment_id, 'topup', payment_method_id, $7, currency, amount_minor, 'pending',
            description, $8, $9
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::text[])
            AS given (account_id, payment_id, payment_method_id, currency, amount_minor, description)
        """,
        [topup.account_id for topup in topups],
        [topup.payment_id for topup in topups],
        [topup.payment_method_id for topup in topups],
        [topup.currency for topup in topups],
        [topup.amount_minor for topup in topups],
        [topup.description for topup in topups],
        gateway,
        created_at,
        next_check_at,
    )


async def get_payment(connection: Connection, *, account_id: UUID, payment_id: UUID) -> Payment:
    """A payment. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status, failure_reason,
            description, reference, invoice_id, created_at, received_at, completed_at
        FROM payments
        WHERE account_id = $1 AND payment_id = $2
        """,
        account_id,
        payment_id,
    )
    if row is None:
        raise NotFound
    return Payment(**dict(row))


async def list_payments_page(
    connection: Connection, *, account_id: UUID, kind: str | None, status: str | None, page: PageRequest
) -> Page[Payment]:
    """One page of an account's payments, newest first."""
    rows = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status, failure_reason,
                description, reference, invoice_id, created_at, received_at, completed_at
            FROM payments
            WHERE account_id = $1 AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR status = $3)
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $4::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE (created_at, payment_id) < (
                coalesce($7::timestamptz, 'infinity'), coalesce($8::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY created_at DESC, payment_id DESC
            LIMIT $5 OFFSET $6
        ) AS page ON true
        ORDER BY page.created_at DESC, page.payment_id DESC
        """,
        account_id,
        kind,
        status,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [
        Payment(**{name: value for name, value in row.items() if name != "total"})
        for row in rows
        if row["payment_id"] is not None
    ]
    return page.cut(found, total=rows[0]["total"], key=lambda payment: (payment.created_at, payment.payment_id))


async def get_transaction(connection: Connection, *, account_id: UUID, transaction_id: UUID) -> Transaction:
    """A payment, refund or chargeback as the history shows it. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT payment_id AS transaction_id, type, amount_minor, currency, description, status, created_at,
            of_payment_id AS payment_id, payment_method_id, invoice_id, failure_reason
        FROM payment_transactions_v
        WHERE account_id = $1 AND payment_id = $2
        """,
        account_id,
        transaction_id,
    )
    if row is None:
        raise NotFound
    return Transaction(**dict(row))


async def find_payment_account(connection: Connection, *, payment_id: UUID) -> UUID | None:
    """Whose payment this is: the operator names a payment alone."""
    return await connection.fetchval("SELECT account_id FROM payments WHERE payment_id = $1", payment_id)


async def get_charge_request(
    connection: Connection, *, account_id: UUID, payment_id: UUID
) -> tuple[Payment, ChargeRequest]:
    """A payment by a payment method, and what its gateway is asked for. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT account_id, payment_id, kind, payment_method_id, payments.gateway, currency, amount_minor, status,
            failure_reason, description, reference, invoice_id, payments.created_at, received_at, completed_at,
            gateway_reference
        FROM payments
        JOIN payment_methods USING (account_id, payment_method_id)
        WHERE account_id = $1 AND payment_id = $2
        """,
        account_id,
        payment_id,
    )
    if row is None:
        raise NotFound
    members = dict(row)
    reference = members.pop("gateway_reference")
    payment = Payment(**members)
    return payment, ChargeRequest.of(payment, instrument_reference=reference)


async def find_recorded(connection: Connection, *, account_id: UUID, reference: str) -> Payment | None:
    """The account's recorded payment of a reference."""
    row = await connection.fetchrow(
        """
        SELECT account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status, failure_reason,
            description, reference, invoice_id, created_at, received_at, completed_at
        FROM payments
        WHERE account_id = $1 AND reference = $2
        """,
        account_id,
        reference,
    )
    return Payment(**dict(row)) if row else None


async def find_under_way(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> Payment | None:
    """The payment that is under way for an invoice: there is at most one."""
    row = await connection.fetchrow(
        """
        SELECT account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status, failure_reason,
            description, reference, invoice_id, created_at, received_at, completed_at
        FROM payments
        WHERE account_id = $1 AND invoice_id = $2 AND status = 'pending'
        """,
        account_id,
        invoice_id,
    )
    return Payment(**dict(row)) if row else None


async def mark_completed(
    connection: Connection, *, wanted: Sequence[tuple[UUID, UUID]], now: datetime
) -> dict[UUID, Payment]:
    """End pending payments, given as (account, payment), well; one that had ended before is left out. Of any number at once, one
    gets a payment.
    """
    rows = await connection.fetch(
        """
        UPDATE payments SET status = 'completed', completed_at = $3, next_check_at = NULL
        FROM unnest(ARRAY(SELECT unnest($1::uuid[])), ARRAY(SELECT unnest($2::uuid[]))) AS wanted (account_id, payment_id)
        -- still pending, in words for which the index of all that is pending is no use: each is looked up by its key
        WHERE payments.account_id = wanted.account_id AND payments.payment_id = wanted.payment_id
            AND completed_at IS NULL AND failure_reason IS NULL
        RETURNING payments.account_id, payments.payment_id, kind, payment_method_id, gateway, currency, amount_minor, status,
            failure_reason, description, reference, invoice_id, created_at, received_at, completed_at
        """,
        [account_id for account_id, _ in wanted],
        [payment_id for _, payment_id in wanted],
        now,
    )
    return {row["payment_id"]: Payment(**dict(row)) for row in rows}


async def mark_failed(connection: Connection, *, account_id: UUID, payment_id: UUID, reason: str) -> Payment | None:
    """End a pending payment badly; None when it had ended before. Of any number at once, one gets the payment."""
    row = await connection.fetchrow(
        """
        UPDATE payments SET status = 'failed', failure_reason = $3, next_check_at = NULL
        WHERE account_id = $1 AND payment_id = $2 AND status = 'pending'
        RETURNING account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status,
            failure_reason, description, reference, invoice_id, created_at, received_at, completed_at
        """,
        account_id,
        payment_id,
        reason,
    )
    return Payment(**dict(row)) if row else None


async def list_due(connection: Connection, *, now: datetime, limit: int) -> list[tuple[UUID, UUID, int]]:
    """Locked pending payments of any account, longest due first: (account, payment, how often asked for)."""
    rows = await connection.fetch(
        """
        SELECT account_id, payment_id, checks FROM payments
        WHERE status = 'pending' AND next_check_at <= $1
        ORDER BY next_check_at, account_id, payment_id
        LIMIT $2
        FOR UPDATE SKIP LOCKED
        """,
        now,
        limit,
    )
    return [(row["account_id"], row["payment_id"], row["checks"]) for row in rows]


async def update_next_checks(connection: Connection, due: Sequence[tuple[UUID, UUID, datetime]]) -> None:
    """Put off the next check of pending payments that are locked: (account, payment, when)."""
    await connection.execute(
        """
        UPDATE payments SET next_check_at = due.next_check_at, checks = checks + 1
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS due (account_id, payment_id, next_check_at)
        WHERE payments.account_id = due.account_id AND payments.payment_id = due.payment_id
        """,
        [account_id for account_id, _, _ in due],
        [payment_id for _, payment_id, _ in due],
        [next_check_at for _, _, next_check_at in due],
    )
