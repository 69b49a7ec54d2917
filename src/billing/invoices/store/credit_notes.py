"""The SQL of credit notes that an operator writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.invoices.model import Credited, CreditNote, CreditNoteLine, InvoiceTax, Issuer
from billing.invoices.store.runs import number_one

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def get_credited(
    connection: Connection, *, account_id: UUID, invoice_id: UUID, before: UUID | None = None
) -> Credited:
    """What the credit notes of an invoice have taken back so far, or those before one of them.

    It stays so while the account's head is locked.
    """
    rows = await connection.fetch(
        """
        WITH counted AS (
            SELECT notes.account_id, notes.credit_note_id, net_minor, total_minor,
                restored_minor + returned_minor + refunded_minor AS given_back_minor
            FROM credit_notes AS notes
            JOIN invoice_numbers AS numbers ON numbers.invoice_id = notes.credit_note_id
            LEFT JOIN invoice_numbers AS next ON next.invoice_id = $3::uuid
            WHERE notes.account_id = $1 AND notes.invoice_id = $2
                -- by their numbers: two of one instant have no other order
                AND ($3 IS NULL OR (numbers.issued_at, numbers.number) < (next.issued_at, next.number))
        )
        SELECT NULL::text AS tax, NULL::integer AS line, coalesce(sum(net_minor), 0)::bigint AS amount_minor,
            coalesce(sum(total_minor), 0)::bigint AS total_minor, coalesce(sum(given_back_minor), 0)::bigint AS given_back_minor
        FROM counted
        UNION ALL
        SELECT taxes.name, NULL, sum(taxes.amount_minor)::bigint, 0, 0
        FROM counted
        JOIN credit_note_taxes AS taxes ON taxes.account_id = counted.account_id
            AND taxes.credit_note_id = counted.credit_note_id
        GROUP BY taxes.name
        UNION ALL
        SELECT NULL, lines.invoice_ordinal, sum(lines.amount_minor)::bigint, 0, 0
        FROM counted
        JOIN credit_note_lines AS lines ON lines.account_id = counted.account_id
            AND lines.credit_note_id = counted.credit_note_id
        WHERE lines.invoice_ordinal IS NOT NULL
        GROUP BY lines.invoice_ordinal
        """,
        account_id,
        invoice_id,
        before,
    )
    (whole,) = [row for row in rows if row["tax"] is None and row["line"] is None]
    return Credited(
        net_minor=whole["amount_minor"],
        total_minor=whole["total_minor"],
        given_back_minor=whole["given_back_minor"],
        taxes_minor={row["tax"]: row["amount_minor"] for row in rows if row["tax"] is not None},
        lines_minor={row["line"]: row["amount_minor"] for row in rows if row["line"] is not None},
    )


async def list_credit_notes(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> list[CreditNote]:
    """The credit notes of an invoice, newest first."""
    rows = await connection.fetch(
        """
        SELECT account_id, credit_note_id, invoice_id, kind, number, currency, net_minor, tax_minor, total_minor, restored_minor,
            returned_minor, refunded_minor, reason, issued_at
        FROM credit_notes
        WHERE account_id = $1 AND invoice_id = $2
        ORDER BY issued_at DESC, credit_note_id DESC
        """,
        account_id,
        invoice_id,
    )
    return [_credit_note(row) for row in rows]


async def list_credit_notes_page(
    connection: Connection, *, account_id: UUID, invoice_id: UUID, page: PageRequest
) -> Page[CreditNote]:
    """One page of the credit notes of an invoice, newest first."""
    rows = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT account_id, credit_note_id, invoice_id, kind, number, currency, net_minor, tax_minor, total_minor,
                restored_minor, returned_minor, refunded_minor, reason, issued_at
            FROM credit_notes
            WHERE account_id = $1 AND invoice_id = $2
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $3::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE (issued_at, credit_note_id) < (
                coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY issued_at DESC, credit_note_id DESC
            LIMIT $4 OFFSET $5
        ) AS page ON true
        ORDER BY page.issued_at DESC, page.credit_note_id DESC
        """,
        account_id,
        invoice_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [_credit_note(row) for row in rows if row["credit_note_id"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda note: (note.issued_at, note.credit_note_id))


async def get_credit_note(connection: Connection, *, account_id: UUID, credit_note_id: UUID) -> CreditNote:
    """A credit note of an operator. Raises NotFound."""
    row = await connection.fetchrow(
        """
        SELECT account_id, credit_note_id, invoice_id, kind, number, currency, net_minor, tax_minor, total_minor, restored_minor,
            returned_minor, refunded_minor, reason, issued_at
        FROM credit_notes
        WHERE account_id = $1 AND credit_note_id = $2
        """,
        account_id,
        credit_note_id,
    )
    if row is None:
        raise NotFound
    return CreditNote(**dict(row))


async def list_parts(connection: Connection, *, account_id: UUID, credit_note_id: UUID) -> list[CreditNoteLine]:
    """The parts of a credit note, in its order, each with what its line of the invoice says."""
    rows = await connection.fetch(
        """
        SELECT part.ordinal, part.invoice_ordinal, part.amount_minor, line.description, line.service, line.project_id,
            line.project_name, line.region
        FROM credit_note_lines AS part
        JOIN credit_notes AS note ON note.account_id = part.account_id AND note.credit_note_id = part.credit_note_id
        LEFT JOIN invoice_lines AS line ON line.account_id = note.account_id AND line.invoice_id = note.invoice_id
            AND line.ordinal = part.invoice_ordinal
        WHERE part.account_id = $1 AND part.credit_note_id = $2
        ORDER BY part.ordinal
        """,
        account_id,
        credit_note_id,
    )
    return [CreditNoteLine(**dict(row)) for row in rows]


async def list_taxes(connection: Connection, *, account_id: UUID, credit_note_id: UUID) -> list[InvoiceTax]:
    """The taxes in a credit note, in its order; their base is its net."""
    rows = await connection.fetch(
        """
        SELECT name, percent, net_minor AS base_minor, amount_minor
        FROM credit_note_taxes AS taxes
        JOIN credit_notes AS note ON note.account_id = taxes.account_id AND note.credit_note_id = taxes.credit_note_id
        WHERE taxes.account_id = $1 AND taxes.credit_note_id = $2
        ORDER BY ordinal
        """,
        account_id,
        credit_note_id,
    )
    return [InvoiceTax(**dict(row)) for row in rows]


async def get_parties(connection: Connection, *, account_id: UUID, credit_note_id: UUID) -> dict[str, Any]:
    """Issuer, account, time zone and template version as when the credit note was issued."""
    parties = await connection.fetchval(
        "SELECT parties FROM credit_notes WHERE account_id = $1 AND credit_note_id = $2", account_id, credit_note_id
    )
    return msgspec.json.decode(parties)


async def allot_number(
    connection: Connection, *, account_id: UUID, credit_note_id: UUID, now: datetime
) -> tuple[str, datetime]:
    """The next number of the credit notes' series and the instant of issue, in this transaction."""
    return await number_one(
        connection, series=f"CN-{now.year}", account_id=account_id, document_id=credit_note_id, now=now
    )


async def insert_credit_note(
    connection: Connection,
    note: CreditNote,
    *,
    issuer: Issuer,
    template_version: int,
) -> None:
    """Store a credit note without its parts, with issuer and account as they are now."""
    await connection.execute(
        """
        INSERT INTO credit_notes (
            account_id, credit_note_id, invoice_id, kind, number, currency, net_minor, tax_minor, total_minor, restored_minor,
            returned_minor, refunded_minor, reason, issued_at, parties
        )
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, jsonb_build_object(
            'issuer', $15::jsonb, 'template_version', $16::integer, 'time_zone', accounts_v.timezone,
            'account', jsonb_build_object(
                'name', accounts_v.name, 'company', accounts_v.company, 'email', accounts_v.email, 'address', accounts_v.address,
                'country', accounts_v.country, 'tax_id', accounts_v.tax_id))
        FROM accounts_v
        WHERE accounts_v.account_id = $1
        """,
        note.account_id,
        note.credit_note_id,
        note.invoice_id,
        note.kind,
        note.number,
        note.currency,
        note.net_minor,
        note.tax_minor,
        note.total_minor,
        note.restored_minor,
        note.returned_minor,
        note.refunded_minor,
        note.reason,
        note.issued_at,
        msgspec.json.encode(issuer).decode(),
        template_version,
    )


async def insert_parts(
    connection: Connection,
    note: CreditNote,
    *,
    parts: Sequence[tuple[int | None, int]],
    percents: Mapping[str, object],
    taxes_minor: Mapping[str, int],
) -> None:
    """Store the parts of a credit note (an invoice line's ordinal, or None for the whole; net minor units) and its taxes."""
    await connection.execute(
        """
        INSERT INTO credit_note_lines (account_id, credit_note_id, ordinal, invoice_ordinal, amount_minor)
        SELECT $1, $2, ordinal, invoice_ordinal, amount_minor
        FROM unnest($3::integer[], $4::bigint[]) WITH ORDINALITY AS parts (invoice_ordinal, amount_minor, ordinal)
        """,
        note.account_id,
        note.credit_note_id,
        [ordinal for ordinal, _ in parts],
        [minor for _, minor in parts],
    )
    await connection.execute(
        """
        INSERT INTO credit_note_taxes (account_id, credit_note_id, ordinal, name, percent, amount_minor)
        SELECT $1, $2, ordinal, name, percent, amount_minor
        FROM unnest($3::text[], $4::numeric[], $5::bigint[]) WITH ORDINALITY AS taxes (name, percent, amount_minor, ordinal)
        """,
        note.account_id,
        note.credit_note_id,
        list(taxes_minor),
        [percents[name] for name in taxes_minor],
        list(taxes_minor.values()),
    )


async def lower_due(
    connection: Connection, *, account_id: UUID, invoice_id: UUID, amount_minor: int, now: datetime
) -> bool:
    """Note that part of what an invoice asks for was credited; with nothing left to ask for it is paid, and the answer True."""
    return await connection.fetchval(
        """
        UPDATE invoice_states AS s SET credited_minor = s.credited_minor + $3,
            status = CASE WHEN s.paid_minor + s.credited_minor + $3 = i.total_minor THEN 'paid' ELSE s.status END,
            paid_at = CASE WHEN s.paid_minor + s.credited_minor + $3 = i.total_minor THEN coalesce(s.paid_at, $4) ELSE s.paid_at END
        FROM invoices AS i
        WHERE s.account_id = $1 AND s.invoice_id = $2 AND i.account_id = $1 AND i.invoice_id = $2
        RETURNING s.status = 'paid'
        """,
        account_id,
        invoice_id,
        amount_minor,
        now,
    )


def _credit_note(row: asyncpg.Record) -> CreditNote:
    return CreditNote(**{name: value for name, value in row.items() if name != "total"})
