"""Telling that invoices are overdue: once each, when the due date has passed with something still open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.invoices.operations import telling
from billing.invoices.store import overdue as store

if TYPE_CHECKING:
    from billing.kit.db import Database

AT_ONCE = 500


async def tell_overdue(database: Database) -> int:
    """Tell of each invoice that became overdue, whichever account's; returns how many.

    Any number may run at once, late, and be killed: that somebody has looked is noted in the transaction that tells.
    """
    told = 0
    while True:
        async with database.transaction() as tx:
            looked_at = await store.claim_due(tx.connection, now=tx.now, limit=AT_ONCE)
            overdue = [invoice for invoice in looked_at if invoice.status_at(tx.now) == "overdue"]
            await telling.tell_all(tx, overdue, "invoice.overdue")
        told += len(overdue)
        if len(looked_at) < AT_ONCE:
            return told
