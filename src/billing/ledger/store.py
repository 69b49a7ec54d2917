"""The ledger's SQL; what writes money are the functions in sql/functions/ledger.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from billing.kit import checks
from billing.kit.checks import EVERYTHING, Check, Scope
from billing.kit.statements import load_statement
from billing.ledger.model import PostedTransfer, Transfer

if TYPE_CHECKING:
    from billing.kit.db import Connection

_CHECKS = load_statement(Path(__file__).parent / "sql" / "checks.sql")


async def insert_head(connection: Connection, *, account_id: UUID) -> None:
    """Open an account's head; again is harmless."""
    await connection.execute(
        """
        INSERT INTO heads (account_id, last_number, chain_hash) VALUES ($1, 0, chain_start($1))
        ON CONFLICT (account_id) DO NOTHING
        """,
        account_id,
    )


async def lock_head(connection: Connection, *, account_id: UUID) -> None:
    """Hold the account's books until the transaction ends: what is decided on its balances then stays true."""
    await connection.execute("SELECT FROM heads WHERE account_id = $1 FOR UPDATE", account_id)


async def lock_heads(connection: Connection, *, account_ids: Sequence[UUID]) -> None:
    """Hold the books of several accounts, in the order in which posting locks them."""
    await connection.execute(
        "SELECT FROM heads WHERE account_id = ANY ($1) ORDER BY account_id FOR UPDATE", list(account_ids)
    )


async def lock_free_heads(connection: Connection, *, account_ids: Sequence[UUID]) -> set[UUID]:
    """Hold the books of those accounts whose books nobody holds now, and say whose; waits for none."""
    rows = await connection.fetch(
        """
        SELECT account_id FROM heads
        WHERE account_id = ANY (ARRAY(SELECT unnest($1::uuid[]))) ORDER BY account_id
        FOR UPDATE SKIP LOCKED
        """,
        list(account_ids),
    )
    return {row["account_id"] for row in rows}


async def insert_transfer(connection: Connection, transfer: Transfer, *, recorded_at: datetime) -> int:
    """Post one; returns 1, or 0 if it was there."""
    return await connection.fetchval(
        "SELECT post_transfer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        transfer.account_id,
        transfer.currency,
        transfer.source,
        transfer.destination,
        transfer.amount_minor,
        transfer.template,
        transfer.reference,
        transfer.ordinal,
        transfer.effective_at,
        recorded_at,
    )


async def insert_transfers(connection: Connection, transfers: Sequence[Transfer], *, recorded_at: datetime) -> int:
    """Post; returns how many were new."""
    return await connection.fetchval(
        "SELECT post_transfers($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        [t.account_id for t in transfers],
        [t.currency for t in transfers],
        [t.source for t in transfers],
        [t.destination for t in transfers],
        [t.amount_minor for t in transfers],
        [t.template for t in transfers],
        [t.reference for t in transfers],
        [t.ordinal for t in transfers],
        [t.effective_at for t in transfers],
        recorded_at,
    )


async def list_balances(connection: Connection, *, account_id: UUID) -> dict[tuple[str, str], int]:
    """Every balance in minor units by (currency, ledger account), in that order: as many as there were ever credits granted."""
    rows = await connection.fetch(
        """
        SELECT currency, ledger_account, balance_minor FROM balances
        WHERE account_id = $1
        ORDER BY currency, ledger_account
        """,
        account_id,
    )
    return {(row["currency"], row["ledger_account"]): row["balance_minor"] for row in rows}


async def list_live_balances(connection: Connection, *, account_id: UUID) -> dict[tuple[str, str], int]:
    """The same without credits of which nothing is left."""
    return (await list_live_balances_of(connection, account_ids=[account_id]))[account_id]


async def list_live_balances_of(
    connection: Connection, *, account_ids: Sequence[UUID]
) -> dict[UUID, dict[tuple[str, str], int]]:
    """The same of several accounts; one without books has none."""
    rows = await connection.fetch(
        """
        SELECT asked.account_id, currency, ledger_account, balance_minor
        -- an array whose length no plan is made for: one is kept, instead of one made for each call
        FROM unnest(ARRAY(SELECT unnest($1::uuid[]))) AS asked (account_id)
        CROSS JOIN LATERAL (  -- a look-up each, however small the table was when the plan was made
            SELECT currency, ledger_account, balance_minor FROM balances
            WHERE balances.account_id = asked.account_id AND NOT is_spent
            OFFSET 0
        ) AS found
        ORDER BY asked.account_id, currency, ledger_account
        """,
        list(account_ids),
    )
    found: dict[UUID, dict[tuple[str, str], int]] = {account_id: {} for account_id in account_ids}
    for row in rows:
        found[row["account_id"]][row["currency"], row["ledger_account"]] = row["balance_minor"]
    return found


async def list_transfers(
    connection: Connection, *, account_id: UUID, limit: int, before_number: int | None = None
) -> list[PostedTransfer]:
    """Transfers, newest first, those numbered below `before_number` if given."""
    rows = await connection.fetch(
        """
        SELECT number, currency, source, destination, amount_minor, template, reference, effective_at, recorded_at
        FROM transfers
        WHERE account_id = $1 AND number < coalesce($2, 9223372036854775807)
        ORDER BY number DESC
        LIMIT $3
        """,
        account_id,
        before_number,
        limit,
    )
    return [PostedTransfer(**dict(row)) for row in rows]


async def list_transfers_of(
    connection: Connection, *, account_id: UUID, reference: str, templates: Sequence[str]
) -> list[PostedTransfer]:
    """The transfers of some templates that refer to one thing, such as an invoice, in their order."""
    rows = await connection.fetch(
        """
        SELECT number, currency, source, destination, amount_minor, template, reference, effective_at, recorded_at
        FROM transfers
        WHERE account_id = $1 AND template = ANY ($3) AND reference = $2
        ORDER BY number
        """,
        account_id,
        reference,
        list(templates),
    )
    return [PostedTransfer(**dict(row)) for row in rows]


async def run_checks(connection: Connection, scope: Scope = EVERYTHING) -> list[Check]:
    """Every invariant of the books over the accounts in scope."""
    return await checks.run_checks(connection, _CHECKS, scope)
