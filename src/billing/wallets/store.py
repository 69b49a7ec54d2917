"""The SQL of holds and promotional credits; balances are read through the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.kit import checks
from billing.kit.checks import EVERYTHING, Check, Scope
from billing.kit.statements import load_statement
from billing.wallets.model import Credit, CreditStanding, Hold

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_CHECKS = load_statement(Path(__file__).parent / "sql" / "checks.sql")


async def list_expired(
    connection: Connection, *, account_ids: Sequence[UUID], now: datetime
) -> dict[UUID, dict[str, int]]:
    """What expired holds of some accounts still stand for, in minor units by account and currency."""
    rows = await connection.fetch(
        """
        SELECT account_id, currency, sum(amount_minor)::bigint AS amount_minor FROM holds
        WHERE account_id = ANY ($1) AND status = 'open' AND expires_at <= $2
        GROUP BY account_id, currency
        """,
        list(account_ids),
        now,
    )
    found: dict[UUID, dict[str, int]] = {account_id: {} for account_id in account_ids}
    for row in rows:
        found[row["account_id"]][row["currency"]] = row["amount_minor"]
    return found


async def find_hold_account(connection: Connection, *, hold_id: UUID) -> UUID | None:
    """Whose hold this is: the operator names a hold alone."""
    return await connection.fetchval("SELECT account_id FROM holds WHERE hold_id = $1", hold_id)


async def find_hold_by_reference(connection: Connection, *, account_id: UUID, reference: str) -> Hold | None:
    """The account's hold of a reference."""
    row = await connection.fetchrow(
        """
        SELECT account_id, hold_id, reference, currency, amount_minor, captured_minor, status,
            created_at, expires_at, ended_at
        FROM holds
        WHERE account_id = $1 AND reference = $2
        """,
        account_id,
        reference,
    )
    return Hold(**dict(row)) if row else None


async def get_hold(connection: Connection, *, account_id: UUID, hold_id: UUID) -> Hold:
    """A hold. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT account_id, hold_id, reference, currency, amount_minor, captured_minor, status,
            created_at, expires_at, ended_at
        FROM holds
        WHERE account_id = $1 AND hold_id = $2
        """,
        account_id,
        hold_id,
    )
    if row is None:
        raise NotFound
    return Hold(**dict(row))


async def list_holds_page(
    connection: Connection, *, account_id: UUID, status: str | None, now: datetime, page: PageRequest
) -> Page[Hold]:
    """One page of an account's holds, newest first; `status` as a reader sees it at an instant, `expired` too."""
    rows = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT account_id, hold_id, reference, currency, amount_minor, captured_minor, status,
                created_at, expires_at, ended_at
            FROM holds
            WHERE account_id = $1 AND ($2::text IS NULL
                OR $2 = CASE WHEN status = 'open' AND expires_at <= $3 THEN 'expired' ELSE status END)
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $4::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE (created_at, hold_id) < (
                coalesce($7::timestamptz, 'infinity'), coalesce($8::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY created_at DESC, hold_id DESC
            LIMIT $5 OFFSET $6
        ) AS page ON true
        ORDER BY page.created_at DESC, page.hold_id DESC
        """,
        account_id,
        status,
        now,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [Hold(**_without_total(row)) for row in rows if row["hold_id"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda hold: (hold.created_at, hold.hold_id))


async def insert_hold(connection: Connection, hold: Hold) -> None:
    """Store a hold just placed."""
    await connection.execute(
        """
        INSERT INTO holds (account_id, hold_id, reference, currency, amount_minor, status, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, 'open', $6, $7)
        """,
        hold.account_id,
        hold.hold_id,
        hold.reference,
        hold.currency,
        hold.amount_minor,
        hold.created_at,
        hold.expires_at,
    )


async def mark_captured(
    connection: Connection, *, account_id: UUID, hold_id: UUID, captured_minor: int, now: datetime
) -> None:
    """End a hold whose money, or part of it, was taken."""
    await connection.execute(
        """
        UPDATE holds SET status = 'captured', captured_minor = $3, ended_at = $4
        WHERE account_id = $1 AND hold_id = $2 AND status = 'open'
        """,
        account_id,
        hold_id,
        captured_minor,
        now,
    )


async def mark_released(connection: Connection, *, account_id: UUID, hold_id: UUID, now: datetime) -> None:
    """End a hold whose money was given back."""
    await connection.execute(
        """
        UPDATE holds SET status = 'released', ended_at = $3
        WHERE account_id = $1 AND hold_id = $2 AND status = 'open'
        """,
        account_id,
        hold_id,
        now,
    )


async def mark_expired_released(connection: Connection, *, account_id: UUID, now: datetime) -> list[Hold]:
    """End every expired hold of an account, whose money the caller now gives back in the books."""
    rows = await connection.fetch(
        """
        UPDATE holds SET status = 'released', ended_at = $2
        WHERE account_id = $1 AND status = 'open' AND expires_at <= $2
        RETURNING account_id, hold_id, reference, currency, amount_minor, captured_minor, status,
            created_at, expires_at, ended_at
        """,
        account_id,
        now,
    )
    return [Hold(**dict(row)) for row in rows]


async def insert_credit(connection: Connection, credit: Credit) -> None:
    """Store a promotional credit."""
    await connection.execute(
        """
        INSERT INTO promotional_credits
            (account_id, credit_id, currency, amount_minor, reason, priority, granted_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        credit.account_id,
        credit.credit_id,
        credit.currency,
        credit.amount_minor,
        credit.reason,
        credit.priority,
        credit.granted_at,
        credit.expires_at,
    )


async def get_credit(connection: Connection, *, account_id: UUID, credit_id: UUID) -> CreditStanding:
    """A promotional credit and how it stands. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT credits.account_id, credits.credit_id, credits.currency, amount_minor, reason, credits.priority,
            credits.granted_at, credits.expires_at, promotional_credits_v.balance_minor AS remaining_minor,
            (SELECT undone_at FROM undone_credits
             WHERE undone_credits.account_id = $1 AND undone_credits.credit_id = $2) AS undone_at,
            EXISTS (SELECT FROM expired_credits_v
                    WHERE expired_credits_v.account_id = $1 AND expired_credits_v.credit_reference = $2::text) AS is_expiry_booked
        FROM promotional_credits AS credits
        JOIN promotional_credits_v USING (account_id, credit_id)
        WHERE credits.account_id = $1 AND credits.credit_id = $2
        """,
        account_id,
        credit_id,
    )
    if row is None:
        raise NotFound
    return _standing(row)


async def insert_undoing(
    connection: Connection, *, account_id: UUID, credit_id: UUID, reason: str, now: datetime
) -> None:
    """Note that a promotional credit was taken back."""
    await connection.execute(
        "INSERT INTO undone_credits (account_id, credit_id, reason, undone_at) VALUES ($1, $2, $3, $4)",
        account_id,
        credit_id,
        reason,
        now,
    )


async def list_unspent_credits(
    connection: Connection, *, account_ids: Sequence[UUID]
) -> dict[UUID, list[tuple[Credit, int]]]:
    """Promotional credits of some accounts with what is left of each in minor units, in the order in which they are spent.

    Accounts that have nothing left are left out.
    """
    rows = await connection.fetch(
        """
        SELECT account_id, credit_id, currency, amount_minor, reason, priority, granted_at, expires_at, balance_minor
        FROM unspent_credits_v
        WHERE account_id = ANY ($1)
        ORDER BY account_id, priority, expires_at NULLS LAST, granted_at, credit_id
        """,
        list(account_ids),
    )
    found: dict[UUID, list[tuple[Credit, int]]] = {}
    for row in rows:
        members = dict(row)
        left_minor: int = members.pop("balance_minor")
        found.setdefault(row["account_id"], []).append((Credit(**members), left_minor))
    return found


async def list_credits_page(connection: Connection, *, account_id: UUID, page: PageRequest) -> Page[CreditStanding]:
    """One page of an account's promotional credits, newest first, and how each stands."""
    rows = await connection.fetch(
        """
        WITH whole AS NOT MATERIALIZED (
            SELECT account_id, credit_id, currency, amount_minor, reason, priority, granted_at, expires_at
            FROM promotional_credits
            WHERE account_id = $1
        ), listed AS (
            SELECT * FROM whole
            WHERE (granted_at, credit_id) < (
                coalesce($5::timestamptz, 'infinity'), coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY granted_at DESC, credit_id DESC
            LIMIT $3 OFFSET $4
        )
        SELECT listed.*, counted.total, credits.balance_minor AS remaining_minor, undone_at,
            EXISTS (SELECT FROM expired_credits_v WHERE expired_credits_v.account_id = $1
                    AND expired_credits_v.credit_reference = listed.credit_id::text) AS is_expiry_booked
        FROM (SELECT CASE WHEN $2::boolean THEN (SELECT count(*) FROM whole) END AS total) AS counted
        LEFT JOIN listed ON true
        LEFT JOIN LATERAL (  -- a look-up for each that is shown, not all credits and their balances
            SELECT balance_minor FROM promotional_credits_v
            WHERE promotional_credits_v.account_id = $1 AND promotional_credits_v.credit_id = listed.credit_id
            OFFSET 0
        ) AS credits ON true
        LEFT JOIN undone_credits ON undone_credits.account_id = $1 AND undone_credits.credit_id = listed.credit_id
        ORDER BY listed.granted_at DESC, listed.credit_id DESC
        """,
        account_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [_standing(row) for row in rows if row["credit_id"] is not None]
    return page.cut(
        found, total=rows[0]["total"], key=lambda standing: (standing.credit.granted_at, standing.credit.credit_id)
    )


def _standing(row: asyncpg.Record) -> CreditStanding:
    members = {name: row[name] for name in Credit.__slots__}
    return CreditStanding(Credit(**members), row["remaining_minor"], row["is_expiry_booked"], row["undone_at"])


def _without_total(row: asyncpg.Record) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "total"}


async def run_checks(connection: Connection, scope: Scope = EVERYTHING) -> list[Check]:
    """Every invariant of promotional credits."""
    return await checks.run_checks(connection, _CHECKS, scope)
