"""The SQL of a close: drafting the lines of a month, issuing its invoices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from billing import rating
from billing.catalog import ItemKind
from billing.core.period import Period
from billing.invoices.model import IssuedInvoice, Issuer, RatedAccount
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection

_SQL = Path(__file__).parent.parent / "sql"
_RATE_CHUNK = rating.over_charges(load_statement(_SQL / "rate_chunk.sql"))
PINNED_BY_LINES: Final = load_statement(_SQL / "pinned_by_lines.sql")
_CORRECT_MONTH = rating.over_charges(load_statement(_SQL / "correct_month.sql"), pinned=PINNED_BY_LINES)
_ISSUE = load_statement(_SQL / "issue.sql")


async def _fetch_planned(connection: Connection, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """Run a statement that is planned for the accounts it is about, not once for any number of them.

    It is prepared anew each time, for a setting would have the look-ups of foreign keys planned for each row as well.
    """
    return await (await connection.prepare(statement)).fetch(*arguments)


async def draft_month(
    connection: Connection,
    *,
    invoice_ids: Mapping[UUID, UUID],
    versions: Mapping[UUID, int],
    period: Period,
    most_minor: int,
    accepted: Collection[UUID],
    dry_run: bool,
    now: datetime,
) -> list[RatedAccount]:
    """Rate a month of accounts and store their lines under the invoice ids given; with `dry_run` only say what would come."""
    account_ids = list(invoice_ids)
    arguments = rating.charge_arguments(account_ids=account_ids, period=period, as_of=period.end, with_minimums=True)
    # The planner expects one row of each step; for many accounts its nested loops would cost the square of their number.
    await connection.execute("SET LOCAL enable_nestloop = off")
    rows = await _fetch_planned(
        connection,
        _RATE_CHUNK,
        *arguments,
        [invoice_ids[account_id] for account_id in account_ids],
        most_minor,
        [versions.get(account_id, 0) for account_id in account_ids],
        now,
        dry_run,
        list(accepted),
    )
    await connection.execute("SET LOCAL enable_nestloop = on")
    return [RatedAccount(**dict(row)) for row in rows]


async def correct_month(
    connection: Connection, *, invoice_ids: Mapping[UUID, UUID], period: Period, dry_run: bool
) -> dict[UUID, int]:
    """Write what a billed month costs now, less what its lines have said, as corrections; their sum in minor units by account."""
    account_ids = list(invoice_ids)
    arguments = rating.charge_arguments(account_ids=account_ids, period=period, as_of=period.end, with_minimums=True)
    documents = [invoice_ids[account_id] for account_id in account_ids]
    rows = await _fetch_planned(connection, _CORRECT_MONTH, *arguments, documents, dry_run)
    return {row["account_id"]: row["amount_minor"] for row in rows}


async def insert_corrections(
    connection: Connection, *, versions: Mapping[UUID, int], period: Period, corrected: Period
) -> None:
    """Note the version of an earlier month that the drafts of a month have seen, by account."""
    await connection.execute(
        """
        INSERT INTO close_corrections (account_id, period, corrected_period, version)
        SELECT account_id, $3, $4, version FROM unnest($1::uuid[], $2::bigint[]) AS seen (account_id, version)
        ORDER BY account_id
        """,
        list(versions.keys()),
        list(versions.values()),
        period.start_date,
        corrected.start_date,
    )


async def list_corrections(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period
) -> dict[Period, dict[UUID, int]]:
    """By earlier month, the version that each account's draft of a month saw."""
    rows = await connection.fetch(
        "SELECT account_id, corrected_period, version FROM close_corrections WHERE account_id = ANY ($1) AND period = $2",
        list(account_ids),
        period.start_date,
    )
    found: dict[Period, dict[UUID, int]] = {}
    for row in rows:
        corrected = row["corrected_period"]
        found.setdefault(Period(corrected.year, corrected.month), {})[row["account_id"]] = row["version"]
    return found


async def settle_drafts(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period, now: datetime
) -> dict[UUID, int | None]:
    """Sum up the drafts of a month: subtotal by account, None for one that came to no line and is done with."""
    rows = await connection.fetch(
        """
        WITH sums AS (
            SELECT closes.account_id, count(l.ordinal) AS line_count, coalesce(sum(l.amount_minor), 0) AS subtotal_minor
            FROM closes
            LEFT JOIN invoice_lines AS l ON l.account_id = closes.account_id AND l.invoice_id = closes.invoice_id
            WHERE closes.account_id = ANY ($1) AND closes.period = $2 AND closes.finalized_at IS NULL
            GROUP BY closes.account_id
        )
        UPDATE closes SET subtotal_minor = sums.subtotal_minor,
            invoice_id = CASE WHEN line_count > 0 THEN invoice_id END,
            finalized_at = CASE WHEN line_count = 0 THEN $3::timestamptz END
        FROM sums
        WHERE closes.account_id = sums.account_id AND closes.period = $2
        RETURNING closes.account_id, closes.invoice_id, closes.subtotal_minor
        """,
        list(account_ids),
        period.start_date,
        now,
    )
    return {row["account_id"]: None if row["invoice_id"] is None else row["subtotal_minor"] for row in rows}


async def list_partial_credits(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period
) -> list[tuple[UUID, UUID, UUID, datetime, datetime]]:
    """(account, invoice, credit, since, until) of credits whose validity covers only some whole UTC days of an invoice's month."""
    rows = await connection.fetch(
        """
        SELECT closes.account_id, closes.invoice_id, credits.credit_id, covered.since, covered.until
        FROM closes
        JOIN unspent_credits_v AS credits ON credits.account_id = closes.account_id AND credits.currency = closes.currency
        CROSS JOIN LATERAL (
            SELECT closes.period::timestamp AT TIME ZONE 'UTC' AS month_start,
                (closes.period + interval '1 month') AT TIME ZONE 'UTC' AS month_end
        ) AS month
        CROSS JOIN LATERAL (
            -- whole days: the one of the grant and the one in which it expires count
            SELECT greatest(month_start, date_trunc('day', credits.granted_at, 'UTC')) AS since, least(month_end,
                date_trunc('day', credits.expires_at - interval '1 microsecond', 'UTC') + interval '1 day') AS until
        ) AS covered
        WHERE closes.account_id = ANY ($1) AND closes.period = $2 AND closes.invoice_id IS NOT NULL
            AND covered.since < covered.until AND (covered.since > month_start OR covered.until < month_end)
        """,
        list(account_ids),
        period.start_date,
    )
    return [tuple(row) for row in rows]


async def issue(
    connection: Connection,
    *,
    invoice_ids: Mapping[UUID, UUID],
    period: Period,
    issuer: Issuer,
    credit_limits_minor: Mapping[tuple[UUID, UUID], int],
    template_version: int,
) -> list[IssuedInvoice]:
    """Store the numbered invoices of a month, given by account, with taxes and what was collected.

    What is returned is to be posted in this transaction.
    """
    rows = await _fetch_planned(
        connection,
        _ISSUE,
        list(invoice_ids.values()),
        msgspec.json.encode(issuer).decode(),
        [invoice_id for invoice_id, _ in credit_limits_minor],
        [credit_id for _, credit_id in credit_limits_minor],
        list(credit_limits_minor.values()),
        template_version,
        list(invoice_ids.keys()),
        period.start_date,
    )
    return [
        IssuedInvoice(
            row["account_id"],
            row["invoice_id"],
            row["number"],
            row["currency"],
            row["issued_at"],
            row["due_at"],
            row["subtotal_minor"],
            row["total_minor"],
            row["paid_minor"],
            dict(zip(row["tax_names"], row["tax_amounts_minor"], strict=True)),
            list(zip(row["payment_sources"], row["payment_amounts_minor"], strict=True)),
        )
        for row in rows
    ]


async def list_draft_versions(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period
) -> dict[UUID, int]:
    """By account, the version of the month that its draft saw."""
    rows = await connection.fetch(
        "SELECT account_id, version FROM closes WHERE account_id = ANY ($1) AND period = $2",
        list(account_ids),
        period.start_date,
    )
    return {row["account_id"]: row["version"] for row in rows}


async def list_items(
    connection: Connection, *, account_ids: Sequence[UUID], period: Period
) -> list[tuple[ItemKind, str, str]]:
    """(kind, plan or meter, currency) of what the drafts of a month bill, each once."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT l.item_kind, l.item, closes.currency
        FROM closes
        JOIN invoice_lines AS l ON l.account_id = closes.account_id AND l.invoice_id = closes.invoice_id
        WHERE closes.account_id = ANY ($1) AND closes.period = $2
        """,
        list(account_ids),
        period.start_date,
    )
    return [tuple(row) for row in rows]


async def find_issuer(connection: Connection, *, name: str) -> Issuer | None:
    """The issuer, or None."""
    row = await connection.fetchrow(
        """
        SELECT name, address, tax_id, bank_details, mobile_money, support_email, encode(logo_sha256, 'hex') AS logo_sha256
        FROM issuers WHERE issuer = $1
        """,
        name,
    )
    return None if row is None else Issuer(**dict(row))


async def upsert_issuer(connection: Connection, *, name: str, issuer: Issuer, now: datetime) -> None:
    """Store who issues invoices from now on; those issued keep theirs."""
    await connection.execute(
        """
        INSERT INTO issuers (
            issuer, name, address, tax_id, bank_details, mobile_money, support_email, logo_sha256, updated_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, decode($8, 'hex'), $9)
        ON CONFLICT (issuer) DO UPDATE SET name = excluded.name, address = excluded.address, tax_id = excluded.tax_id,
            bank_details = excluded.bank_details, mobile_money = excluded.mobile_money,
            support_email = excluded.support_email, logo_sha256 = excluded.logo_sha256, updated_at = excluded.updated_at
        """,
        name,
        issuer.name,
        issuer.address,
        issuer.tax_id,
        issuer.bank_details,
        issuer.mobile_money,
        issuer.support_email,
        issuer.logo_sha256,
        now,
    )


async def insert_logo(connection: Connection, *, content: bytes, sha256: bytes) -> None:
    """Keep a picture; again is harmless."""
    await connection.execute(
        "INSERT INTO issuer_logos (sha256, content) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING", sha256, content
    )


async def get_logo(connection: Connection, *, sha256: bytes) -> bytes:
    """A picture that was kept."""
    return await connection.fetchval("SELECT content FROM issuer_logos WHERE sha256 = $1", sha256)


async def tax_totals(connection: Connection, *, subtotals_minor: Mapping[UUID, int], at: date) -> dict[UUID, int]:
    """Subtotals with the taxes that an invoice issued on a date would carry, by account."""
    rows = await connection.fetch(
        """
        SELECT asked.account_id, (asked.subtotal_minor + coalesce((
            SELECT sum(round(asked.subtotal_minor * rates.percent / 100))
            FROM (
                SELECT DISTINCT ON (name) name, percent FROM tax_rates_v
                WHERE country = accounts_v.country AND valid_from <= $3
                ORDER BY name, valid_from DESC
            ) AS rates
            WHERE NOT accounts_v.tax_exempt
        ), 0))::bigint AS total_minor
        FROM unnest($1::uuid[], $2::bigint[]) AS asked (account_id, subtotal_minor)
        JOIN accounts_v ON accounts_v.account_id = asked.account_id
        """,
        list(subtotals_minor.keys()),
        list(subtotals_minor.values()),
        at,
    )
    return {row["account_id"]: row["total_minor"] for row in rows}


async def list_issue_totals(connection: Connection, *, invoice_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What numbered invoices of any accounts come to, with the taxes of the instant at which each was issued."""
    rows = await connection.fetch(
        """
        SELECT n.invoice_id, (closes.subtotal_minor + coalesce((
            SELECT sum(round(closes.subtotal_minor * rates.percent / 100))
            FROM (
                SELECT DISTINCT ON (name) name, percent FROM tax_rates_v
                WHERE country = accounts_v.country AND valid_from <= (n.issued_at AT TIME ZONE 'UTC')::date
                ORDER BY name, valid_from DESC
            ) AS rates
            WHERE NOT accounts_v.tax_exempt
        ), 0))::bigint AS total_minor
        FROM invoice_numbers AS n
        JOIN closes ON closes.account_id = n.account_id AND closes.invoice_id = n.invoice_id
        JOIN accounts_v ON accounts_v.account_id = n.account_id
        WHERE n.invoice_id = ANY ($1)
        """,
        list(invoice_ids),
    )
    return {row["invoice_id"]: row["total_minor"] for row in rows}


async def list_expired_credits(
    connection: Connection, *, account_ids: Sequence[UUID], until: datetime
) -> list[tuple[UUID, UUID, str, int, int]]:
    """(account, credit, currency, what is left in minor units, how often a rest of it was booked before) of credits that expired by
    an instant, in a fixed order.
    """
    rows = await connection.fetch(
        """
        SELECT account_id, credit_id, currency, balance_minor, (
            SELECT count(*) FROM expired_credits_v
            WHERE expired_credits_v.account_id = credits.account_id AND expired_credits_v.credit_reference = credits.credit_id::text
        ) AS booked
        FROM unspent_credits_v AS credits
        WHERE account_id = ANY ($1) AND expires_at <= $2
        ORDER BY account_id, credit_id
        """,
        list(account_ids),
        until,
    )
    return [tuple(row) for row in rows]
