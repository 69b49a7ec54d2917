"""The SQL of a run's worklist: its accounts, and the chunks of them that workers claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.page import Page, PageRequest
from billing.invoices.model import ParkedAccount, Run, RunAccountState, RunChunkState

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def insert_worklist(connection: Connection, *, run: Run, account_ids: Sequence[UUID], chunk_size: int) -> None:
    """Give a run its accounts, in chunks. What an earlier run had drafted goes on from there; a dry run rates it again."""
    await connection.execute(
        """
        WITH made AS (
            INSERT INTO run_accounts (run_id, account_id, state, invoice_id, currency, total_minor)
            SELECT $1, asked.account_id, CASE WHEN closes.account_id IS NULL OR $4 THEN 'queued' ELSE 'rated' END,
                closes.invoice_id, closes.currency, closes.subtotal_minor
            FROM unnest($3::uuid[]) AS asked (account_id)
            LEFT JOIN LATERAL (  -- looked up for each: a join may read the closes of all months
                SELECT * FROM closes WHERE closes.account_id = asked.account_id AND closes.period = $2 LIMIT 1
            ) AS closes ON true
            WHERE closes.finalized_at IS NULL
            ORDER BY asked.account_id
            RETURNING account_id
        ), placed AS (
            SELECT account_id, (row_number() OVER (ORDER BY account_id) - 1) / $5::integer AS chunk FROM made
        ), chunks AS (
            SELECT chunk, array_agg(account_id ORDER BY account_id) AS ids FROM placed GROUP BY chunk
        )
        INSERT INTO run_chunks (run_id, chunk, first_account_id, last_account_id, state)
        SELECT $1, chunk, ids[1], ids[cardinality(ids)], 'queued' FROM chunks
        """,
        run.run_id,
        run.period.start_date,
        list(account_ids),
        run.dry_run,
        chunk_size,
    )


async def claim_chunks(connection: Connection, *, run_id: UUID, state: RunChunkState, limit: int) -> list[int]:
    """Up to `limit` chunks of a run in a state, held until the transaction ends."""
    rows = await connection.fetch(
        """
        SELECT chunk FROM run_chunks
        WHERE run_id = $1 AND state = $2
        ORDER BY chunk
        LIMIT $3
        FOR UPDATE SKIP LOCKED
        """,
        run_id,
        state,
        limit,
    )
    return [row["chunk"] for row in rows]


async def lock_chunks(connection: Connection, *, run_id: UUID, state: RunChunkState) -> list[int]:
    """All chunks of a run in a state, waited for and held until the transaction ends."""
    rows = await connection.fetch(
        "SELECT chunk FROM run_chunks WHERE run_id = $1 AND state = $2 ORDER BY chunk FOR UPDATE", run_id, state
    )
    return [row["chunk"] for row in rows]


async def mark_chunks(connection: Connection, *, run_id: UUID, chunks: Sequence[int], state: RunChunkState) -> None:
    """Note how far chunks are."""
    await connection.execute(
        "UPDATE run_chunks SET state = $3 WHERE run_id = $1 AND chunk = ANY ($2)", run_id, list(chunks), state
    )


async def list_accounts(
    connection: Connection, *, run_id: UUID, chunks: Sequence[int], state: RunAccountState
) -> list[asyncpg.Record]:
    """The accounts of chunks in a state (account_id, invoice_id, is_accepted), by id. Ask once the chunks are held."""
    return await connection.fetch(
        """
        SELECT run_accounts.account_id, run_accounts.invoice_id, run_accounts.is_accepted
        FROM run_chunks
        JOIN run_accounts ON run_accounts.run_id = $1
            AND run_accounts.account_id BETWEEN run_chunks.first_account_id AND run_chunks.last_account_id
        WHERE run_chunks.run_id = $1 AND run_chunks.chunk = ANY ($2) AND run_accounts.state = $3
        ORDER BY run_accounts.account_id
        """,
        run_id,
        list(chunks),
        state,
    )


async def mark_accounts(
    connection: Connection,
    *,
    run_id: UUID,
    account_ids: Sequence[UUID],
    states: Sequence[RunAccountState],
    reasons: Sequence[str | None],
    invoice_ids: Sequence[UUID | None],
    currencies: Sequence[str | None],
    totals_minor: Sequence[int | None],
) -> None:
    """Note what became of accounts in a run."""
    await connection.execute(
        """
        UPDATE run_accounts SET state = told.state, reason = told.reason, invoice_id = told.invoice_id,
            currency = told.currency, total_minor = told.total_minor
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::bigint[])
            AS told (account_id, state, reason, invoice_id, currency, total_minor)
        WHERE run_accounts.run_id = $1 AND run_accounts.account_id = told.account_id
        """,
        run_id,
        list(account_ids),
        list(states),
        list(reasons),
        list(invoice_ids),
        list(currencies),
        list(totals_minor),
    )


async def list_parked(connection: Connection, *, run_id: UUID) -> list[ParkedAccount]:
    """The accounts whose billing stopped in a run."""
    rows = await connection.fetch(
        "SELECT account_id, reason FROM run_accounts WHERE run_id = $1 AND reason IS NOT NULL ORDER BY account_id",
        run_id,
    )
    return [ParkedAccount(row["account_id"], row["reason"]) for row in rows]


async def list_parked_page(connection: Connection, *, run_id: UUID, page: PageRequest) -> Page[ParkedAccount]:
    """One page of the accounts whose billing stopped in a run, by id."""
    rows = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT account_id, reason FROM run_accounts WHERE run_id = $1 AND reason IS NOT NULL
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $2::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE account_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY account_id
            LIMIT $3 OFFSET $4
        ) AS page ON true
        ORDER BY page.account_id
        """,
        run_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(UUID),
    )
    found = [ParkedAccount(row["account_id"], row["reason"]) for row in rows if row["account_id"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda parked: (parked.account_id,))


async def requeue_parked(connection: Connection, *, run_id: UUID, accepts_totals: bool = False) -> int:
    """Let a run try its parked accounts again, an unusual total accepted or not; returns how many."""
    return await connection.fetchval(
        """
        WITH moved AS (
            UPDATE run_accounts SET state = 'queued', reason = NULL, is_accepted = is_accepted OR $2
            WHERE run_id = $1 AND state = 'parked'
            RETURNING account_id
        ), chunks AS (
            UPDATE run_chunks SET state = 'queued'
            FROM moved
            WHERE run_chunks.run_id = $1 AND moved.account_id BETWEEN run_chunks.first_account_id AND run_chunks.last_account_id
        ), reopened AS (
            UPDATE runs SET status = 'running', finished_at = NULL WHERE run_id = $1 AND EXISTS (SELECT FROM moved)
        )
        SELECT count(*) FROM moved
        """,
        run_id,
        accepts_totals,
    )


async def has_open_chunks(connection: Connection, *, run_id: UUID) -> bool:
    """Whether some account of a run is neither done nor parked."""
    return await connection.fetchval(
        "SELECT EXISTS (SELECT FROM run_chunks WHERE run_id = $1 AND state IN ('queued', 'rated', 'numbered'))", run_id
    )
