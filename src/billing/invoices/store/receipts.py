"""The SQL of receipts: what they say beside their payments, frozen when the money was collected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billing.invoices.model import Issuer, Receipt, ReceiptInvoice
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    from billing.kit.db import Connection

_FREEZE = load_statement(Path(__file__).parent.parent / "sql" / "freeze_receipt.sql")


async def insert_receipt(
    connection: Connection,
    *,
    account_id: UUID,
    payment_id: UUID,
    from_wallet_minor: Mapping[UUID, int],
    issuer: Issuer,
    template_version: int,
    now: datetime,
) -> None:
    """Freeze the receipt of a completed payment, with issuer and account as they are now; one that is there stays.

    `from_wallet_minor`: by invoice, what the wallet paid when the money went into it. A payment that was made for an invoice has
    what was set against that, and no matter what the wallet paid.
    """
    await connection.execute(
        _FREEZE,
        account_id,
        payment_id,
        list(from_wallet_minor),
        list(from_wallet_minor.values()),
        msgspec.json.encode(issuer).decode(),
        template_version,
        now,
    )


async def find_receipt(connection: Connection, *, account_id: UUID, payment_id: UUID) -> Receipt | None:
    """What a receipt says beside its payment, once that was collected."""
    row = await connection.fetchrow(
        "SELECT parties, is_by_wallet, invoices FROM receipts WHERE account_id = $1 AND payment_id = $2",
        account_id,
        payment_id,
    )
    if row is None:
        return None
    return Receipt(
        parties=msgspec.json.decode(row["parties"]),
        is_by_wallet=row["is_by_wallet"],
        invoices=msgspec.json.decode(row["invoices"], type=list[ReceiptInvoice]),
    )
