"""Posting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from billing.ledger import store
from billing.ledger.model import InsufficientBalance, Transfer, TransferConflict

if TYPE_CHECKING:
    from billing.kit.db import Connection

_CONFLICT = "LS001"
_GUARD = "ck_balances_guarded"


async def open_head(connection: Connection, *, account_id: UUID) -> None:
    """Open an account's books. Again is harmless."""
    await store.insert_head(connection, account_id=account_id)


async def post(connection: Connection, transfer: Transfer, *, recorded_at: datetime) -> bool:
    """Post one transfer; False if it was there already with the same content."""
    return await post_all(connection, [transfer], recorded_at=recorded_at) == 1


async def post_all(connection: Connection, transfers: Sequence[Transfer], *, recorded_at: datetime) -> int:
    """Post transfers of any accounts, all or none, in one round trip; returns how many were new.

    Replays are counted out by content. Raises InsufficientBalance when a guarded ledger account would fall below zero
    (the transaction is then lost: check under `lock_head` where the caller wants to go on), TransferConflict when a reference
    was posted before with other content.
    """
    if not transfers:
        return 0
    try:
        if len(transfers) == 1:
            return await store.insert_transfer(connection, transfers[0], recorded_at=recorded_at)
        return await store.insert_transfers(connection, transfers, recorded_at=recorded_at)
    except asyncpg.CheckViolationError as error:
        if error.constraint_name != _GUARD:
            raise
        raise InsufficientBalance from error
    except asyncpg.PostgresError as error:
        if error.sqlstate != _CONFLICT:
            raise
        raise TransferConflict(str(error)) from error
