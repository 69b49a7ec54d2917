"""The SQL of payments and payment methods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core import ids
from billing.core.errors import NotFound
from billing.payments.model import ChargeRequest, Payment, PaymentMethod

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def list_methods(connection: Connection, *, account_id: UUID, offset: int, limit: int) -> list[PaymentMethod]:
    """The account's payment methods, newest first."""
    rows = await connection.fetch(
        """
        SELECT account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name, last4, exp_month,
            exp_year, is_default, created_at
        FROM payment_methods
        WHERE account_id = $1 AND deleted_at IS NULL
        ORDER BY created_at DESC, payment_method_id DESC
        OFFSET $2 LIMIT $3
        """,
        account_id,
        offset,
        limit,
    )
    return [PaymentMethod(**dict(row)) for row in rows]


async def count_methods(connection: Connection, *, account_id: UUID) -> int:
    """How many payment methods the account has."""
    return await connection.fetchval(
        "SELECT count(*) FROM payment_methods WHERE account_id = $1 AND deleted_at IS NULL", account_id
    )


async def get_method(connection: Connection, *, account_id: UUID, payment_method_id: UUID) -> PaymentMethod:
    """A payment method. Raises NotFound, for a deleted one too."""
    row = await connection.fetchrow(
        """
        SELECT account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name, last4, exp_month,
            exp_year, is_default, created_at
        FROM payment_methods
        WHERE account_id = $1 AND payment_method_id = $2 AND deleted_at IS NULL
        """,
        account_id,
        payment_method_id,
    )
    if row is None:
        raise NotFound
    return PaymentMethod(**dict(row))


async def is_method_stored(connection: Connection, *, account_id: UUID, payment_method_id: UUID) -> bool:
    """Whether the method was ever stored, deleted since or not."""
    return await connection.fetchval(
        "SELECT EXISTS (SELECT FROM payment_methods WHERE account_id = $1 AND payment_method_id = $2)",
        account_id,
        payment_method_id,
    )


async def insert_method(connection: Connection, method: PaymentMethod) -> None:
    """Store a payment method that the gateway attached."""
    await connection.execute(
        """
        INSERT INTO payment_methods (account_id, payment_method_id, type, gateway, gateway_reference, brand, bank_name,
            last4, exp_month, exp_year, is_default, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """,
        method.account_id,
        method.payment_method_id,
        method.type,
        method.gateway,
        method.gateway_reference,
        method.brand,
        method.bank_name,
        method.last4,
        method.exp_month,
        method.exp_year,
        method.is_default,
        method.created_at,
    )


async def update_default(connection: Connection, *, account_id: UUID, payment_method_id: UUID | None) -> None:
    """Make one method the default and no other; with None, none. The account's head must be locked."""
    await connection.execute(
        """
        UPDATE payment_methods SET is_default = false
        WHERE account_id = $1 AND is_default AND payment_method_id IS DISTINCT FROM $2
        """,
        account_id,
        payment_method_id,
    )
    await connection.execute(
        """
        UPDATE payment_methods SET is_default = true
        WHERE account_id = $1 AND payment_method_id = $2 AND deleted_at IS NULL AND NOT is_default
        """,
        account_id,
        payment_method_id,
    )


async def mark_method_deleted(
    connection: Connection, *, account_id: UUID, payment_method_id: UUID, now: datetime
) -> None:
    """Take a payment method away from its account; payments made with it keep naming it."""
    await connection.execute(
        """
        UPDATE payment_methods SET is_default = false, deleted_at = $3
        WHERE account_id = $1 AND payment_method_id = $2 AND deleted_at IS NULL
        """,
        account_id,
        payment_method_id,
        now,
    )


async def insert_payment(connection: Connection, payment: Payment, *, next_check_at: datetime | None) -> None:
    """Store a payment."""
    await connection.execute(
        """
        INSERT INTO payments (account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status,
            description, reference, created_at, received_at, completed_at, next_check_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
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
        payment.created_at,
        payment.received_at,
        payment.completed_at,
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
    request = ChargeRequest(
        key=str(payment_id),
        instrument_reference=members.pop("gateway_reference"),
        account_reference=ids.encode("acc", account_id),
        currency=members["currency"],
        amount_minor=members["amount_minor"],
    )
    return Payment(**members), request


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


async def mark_completed(
    connection: Connection, *, account_id: UUID, payment_id: UUID, now: datetime
) -> Payment | None:
    """End a pending payment well; None when it had ended before. Of any number at once, one gets the payment."""
    row = await connection.fetchrow(
        """
        UPDATE payments SET status = 'completed', completed_at = $3, next_check_at = NULL
        WHERE account_id = $1 AND payment_id = $2 AND status = 'pending'
        RETURNING account_id, payment_id, kind, payment_method_id, gateway, currency, amount_minor, status,
            failure_reason, description, reference, invoice_id, created_at, received_at, completed_at
        """,
        account_id,
        payment_id,
        now,
    )
    return Payment(**dict(row)) if row else None


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
    """Put off the next check of pending payments: (account, payment, when)."""
    await connection.execute(
        """
        UPDATE payments SET next_check_at = due.next_check_at, checks = checks + 1
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS due (account_id, payment_id, next_check_at)
        WHERE payments.account_id = due.account_id AND payments.payment_id = due.payment_id AND status = 'pending'
        """,
        [account_id for account_id, _, _ in due],
        [payment_id for _, payment_id, _ in due],
        [next_check_at for _, _, next_check_at in due],
    )
