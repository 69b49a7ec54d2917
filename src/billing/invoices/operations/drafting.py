"""Drafting a month: rating it, and rating again the earlier months that were written to since their close."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from billing import accounts, ledger, metering, rating
from billing.core import ids
from billing.core.period import Period
from billing.invoices import rules
from billing.invoices.model import INVOICE_MAX_MINOR, RatedAccount, Run
from billing.invoices.operations.credits import expire_credits
from billing.invoices.store import closing, worklist

if TYPE_CHECKING:
    from billing.kit.db import Tx


log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Chunk:
    """What a chunk's accounts came to: why some are parked, and what the others' drafts sum to (None: nothing to bill)."""

    parked: dict[UUID, str] = field(default_factory=dict[UUID, str])
    subtotals_minor: dict[UUID, int | None] = field(default_factory=dict[UUID, int | None])
    invoice_ids: dict[UUID, UUID] = field(default_factory=dict[UUID, UUID])
    currencies: dict[UUID, str] = field(default_factory=dict[UUID, str])


async def draft(tx: Tx, run: Run, *, account_ids: Sequence[UUID], accepted: Collection[UUID]) -> None:
    """Store the lines of a chunk of accounts and what became of each; a dry run stores only what would come.

    Versions are read before usage: what arrives between is rated now and once more, with no difference.
    """
    connection = tx.connection
    chunk = _Chunk()
    blocked = await metering.list_unrated_before(connection, account_ids=account_ids, period=run.period)
    chunk.parked = dict.fromkeys(blocked, "earlier_period_open")
    paused = await accounts.list_billing_paused(connection, account_ids=account_ids)
    chunk.parked |= dict.fromkeys(paused, "billing_paused")
    dirty = await metering.list_dirty(connection, account_ids=account_ids, before=run.period)
    for corrected, seen in dirty.items():
        for missing in await rating.list_unpriced(
            connection, account_ids=list(seen), period=corrected, as_of=corrected.end
        ):
            chunk.parked[missing.account_id] = "price_missing"
    versions = await metering.list_versions(connection, account_ids=account_ids, period=run.period)
    rated = await closing.draft_month(
        connection,
        invoice_ids={account_id: tx.new_id() for account_id in account_ids if account_id not in chunk.parked},
        versions=versions,
        period=run.period,
        most_minor=INVOICE_MAX_MINOR,
        accepted=accepted,
        dry_run=run.dry_run,
        now=tx.now,
    )
    for account in rated:
        _note(chunk, account, is_kept=account.is_drafted or run.dry_run)
    await _correct(tx, run, chunk, dirty)
    if not run.dry_run:
        corrected_ids = {account_id for seen in dirty.values() for account_id in seen}
        unsettled = [
            account_id
            for account_id in chunk.invoice_ids
            if account_id in corrected_ids or chunk.subtotals_minor[account_id] is None
        ]
        if unsettled:
            chunk.subtotals_minor |= await closing.settle_drafts(
                connection, account_ids=unsettled, period=run.period, now=tx.now
            )
        await _mark_empty(tx, run, chunk, versions, dirty)
    await _write_down(tx, run, chunk)


def _note(chunk: _Chunk, account: RatedAccount, *, is_kept: bool) -> None:
    chunk.currencies[account.account_id] = account.currency
    if account.objection is not None:
        chunk.parked[account.account_id] = account.objection
    elif is_kept:
        chunk.invoice_ids[account.account_id] = account.invoice_id
        chunk.subtotals_minor[account.account_id] = int(account.subtotal_minor) if account.line_count else None
    else:  # another run has it
        chunk.subtotals_minor[account.account_id] = None


async def _correct(tx: Tx, run: Run, chunk: _Chunk, dirty: dict[Period, dict[UUID, int]]) -> None:
    """Rate the dirty months again and add what differs to the chunk's drafts."""
    for corrected, seen in dirty.items():
        documents = {
            account_id: chunk.invoice_ids[account_id] for account_id in seen if account_id in chunk.invoice_ids
        }
        if not documents:
            continue
        sums_minor = await closing.correct_month(
            tx.connection, invoice_ids=documents, period=corrected, dry_run=run.dry_run
        )
        for account_id, sum_minor in sums_minor.items():
            if sum_minor:
                chunk.subtotals_minor[account_id] = (chunk.subtotals_minor[account_id] or 0) + sum_minor
        if not run.dry_run:
            kept = {account_id: seen[account_id] for account_id in documents}
            await closing.insert_corrections(tx.connection, versions=kept, period=run.period, corrected=corrected)


async def _mark_empty(
    tx: Tx, run: Run, chunk: _Chunk, versions: dict[UUID, int], dirty: dict[Period, dict[UUID, int]]
) -> None:
    """What came to no line is finalised with its draft: its months are rated as of now."""
    empty = {account_id for account_id in chunk.invoice_ids if chunk.subtotals_minor.get(account_id) is None}
    if not empty:
        return
    seen_now = {account_id: versions.get(account_id, 0) for account_id in sorted(empty)}
    await metering.mark_rated(tx.connection, versions=seen_now, period=run.period)
    await ledger.lock_heads(tx.connection, account_ids=sorted(empty))
    await expire_credits(tx, account_ids=sorted(empty), period=run.period)
    for corrected, seen in dirty.items():
        rated = {account_id: version for account_id, version in seen.items() if account_id in empty}
        if rated:
            await metering.mark_rated(tx.connection, versions=rated, period=corrected)


async def _write_down(tx: Tx, run: Run, chunk: _Chunk) -> None:
    """Note in the run's worklist what became of each account; a dry run's totals are taxed as the run's would be."""
    for account_id, reason in chunk.parked.items():
        log.warning(
            "account_parked",
            account_id=ids.encode("acc", account_id),
            period=str(run.period),
            reason=reason,
            dry_run=run.dry_run,
        )
    subtotals_minor = {account_id: minor for account_id, minor in chunk.subtotals_minor.items() if minor is not None}
    totals_minor = (
        await closing.tax_totals(tx.connection, subtotals_minor=subtotals_minor, at=tx.now.date())
        if run.dry_run
        else subtotals_minor
    )
    outcomes = [
        *(rules.parked(account_id, reason) for account_id, reason in chunk.parked.items()),
        *(
            rules.outcome_of(
                account_id,
                invoice_id=None if minor is None else chunk.invoice_ids[account_id],
                currency=chunk.currencies[account_id],
                dry_run=run.dry_run,
            )
            for account_id, minor in chunk.subtotals_minor.items()
        ),
    ]
    await worklist.mark_accounts(
        tx.connection,
        run_id=run.run_id,
        account_ids=[account_id for account_id, *_ in outcomes],
        states=[state for _, state, *_ in outcomes],
        reasons=[reason for _, _, reason, *_ in outcomes],
        invoice_ids=[invoice_id for *_, invoice_id, _ in outcomes],
        currencies=[currency for *_, currency in outcomes],
        totals_minor=[totals_minor.get(account_id) for account_id, *_ in outcomes],
    )
