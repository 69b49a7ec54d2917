"""The SQL of accounts. Other slices read `accounts_v`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from billing.accounts.model import Account, AccountStatus
from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def insert_account(connection: Connection, *, account: Account) -> None:
    """Store a new account."""
    await connection.execute(
        """
        INSERT INTO accounts (account_id, email, name, company, status, verified, currency, timezone, country, phone,
                              address, tax_id, tax_exempt, terms_days, billing_paused, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        """,
        account.account_id,
        account.email,
        account.name,
        account.company,
        account.status,
        account.verified,
        account.currency,
        account.timezone,
        account.country,
        account.phone,
        account.address,
        account.tax_id,
        account.tax_exempt,
        account.terms_days,
        account.billing_paused,
        account.created_at,
    )


async def get_account(connection: Connection, *, account_id: UUID) -> Account:
    """The account as it stands. Raises NotFound."""
    record = await connection.fetchrow("SELECT * FROM accounts WHERE account_id = $1", account_id)
    return _found(record)


async def get_account_for_update(connection: Connection, *, account_id: UUID) -> Account:
    """The account, locked until the transaction ends. Raises NotFound."""
    record = await connection.fetchrow("SELECT * FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE", account_id)
    return _found(record)


async def update_account(connection: Connection, *, account: Account) -> None:
    """Store what may change of an account: everything but its id, its currency and when it was opened."""
    await connection.execute(
        """
        UPDATE accounts
        SET email = $2, name = $3, company = $4, status = $5, verified = $6, timezone = $7, country = $8, phone = $9,
            address = $10, tax_id = $11, tax_exempt = $12, terms_days = $13, billing_paused = $14
        WHERE account_id = $1
        """,
        account.account_id,
        account.email,
        account.name,
        account.company,
        account.status,
        account.verified,
        account.timezone,
        account.country,
        account.phone,
        account.address,
        account.tax_id,
        account.tax_exempt,
        account.terms_days,
        account.billing_paused,
    )


async def list_billing_paused(connection: Connection, *, account_ids: Sequence[UUID]) -> list[UUID]:
    """Those of some accounts whose billing an operator has paused."""
    rows = await connection.fetch(
        "SELECT account_id FROM accounts WHERE account_id = ANY ($1::uuid[]) AND billing_paused ORDER BY account_id",
        account_ids,
    )
    return [row["account_id"] for row in rows]


async def list_unknown(connection: Connection, *, account_ids: Sequence[UUID]) -> set[UUID]:
    """Those of some ids that are no account's."""
    rows = await connection.fetch(
        """
        SELECT wanted.account_id
        FROM unnest($1::uuid[]) AS wanted (account_id)
        LEFT JOIN accounts ON accounts.account_id = wanted.account_id
        WHERE accounts.account_id IS NULL
        """,
        account_ids,
    )
    return {row["account_id"] for row in rows}


async def list_accounts(
    connection: Connection, *, page: PageRequest, status: AccountStatus | None = None, text: str | None = None
) -> Page[Account]:
    """A page of all accounts, newest first; `text` is sought in e-mail, name and company."""
    records = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT *
            FROM accounts
            WHERE ($1::text IS NULL OR status = $1)
              AND ($2::text IS NULL
                   OR strpos(lower(concat_ws(E'\n', email, name, company)), lower($2)) > 0)
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $3::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE account_id < coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            ORDER BY account_id DESC
            LIMIT $4 OFFSET $5
        ) AS page ON true
        ORDER BY page.account_id DESC
        """,
        status,
        text,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(UUID),
    )
    found = [_account(record) for record in records if record["account_id"] is not None]
    return page.cut(found, total=records[0]["total"], key=lambda account: (account.account_id,))


def _found(record: asyncpg.Record | None) -> Account:
    if record is None:
        raise NotFound
    return _account(record)


def _account(record: asyncpg.Record) -> Account:
    return Account(
        account_id=record["account_id"],
        email=record["email"],
        name=record["name"],
        company=record["company"],
        status=record["status"],
        verified=record["verified"],
        currency=record["currency"],
        timezone=record["timezone"],
        country=record["country"],
        phone=record["phone"],
        address=record["address"],
        tax_id=record["tax_id"],
        tax_exempt=record["tax_exempt"],
        terms_days=record["terms_days"],
        billing_paused=record["billing_paused"],
        created_at=record["created_at"],
    )
