"""How much of an invoice a promotional credit may pay when it is valid for part of the month only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger, rating
from billing.core.period import Period
from billing.invoices.store import closing

if TYPE_CHECKING:
    from billing.kit.db import Tx


async def limit_credits(tx: Tx, *, account_ids: Sequence[UUID], period: Period) -> dict[tuple[UUID, UUID], int]:
    """By (invoice, credit): gross × net of the whole UTC days of the credit's validity / net, rounded down.

    Only credits that do not cover the whole month are in it; the others may pay all of an invoice.
    """
    partial = await closing.list_partial_credits(tx.connection, account_ids=account_ids, period=period)
    if not partial:
        return {}
    gross_minor = await closing.list_issue_totals(
        tx.connection, invoice_ids=sorted({invoice_id for _, invoice_id, *_ in partial})
    )
    days = {
        (invoice_id, credit_id): rating.DaysOfMonth(account_id, period, since, until)
        for account_id, invoice_id, credit_id, since, until in partial
    }
    nets = await rating.list_net_within(tx.connection, asked=set(days.values()), now=period.end, with_minimums=True)
    limits: dict[tuple[UUID, UUID], int] = {}
    for (invoice_id, credit_id), covered in days.items():
        net_inside, net = nets[covered]
        limits[invoice_id, credit_id] = int(gross_minor[invoice_id] * net_inside / net) if net else 0
    return limits


async def expire_credits(tx: Tx, *, account_ids: Sequence[UUID], period: Period) -> None:
    """Book what is left of credits whose validity ended by the end of a month. The caller holds the accounts' heads."""
    expired = await closing.list_expired_credits(tx.connection, account_ids=account_ids, until=period.end)
    transfers = [
        ledger.credit_expired(
            account_id=account_id,
            credit_id=credit_id,
            ordinal=booked,
            currency=currency,
            amount_minor=amount_minor,
            at=tx.now,
        )
        for account_id, credit_id, currency, amount_minor, booked in expired
    ]
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)
