"""Closing a month: one resumable run, any number of workers, killed anywhere and run again with the same result.

    start  ‖  draft a chunk: rate, lines, close  ‖  numbers, in a block  ‖  issue a chunk: number, tax, state, posting, collection

Each ‖ is a commit. What a run has to do and has done stands in its own worklist, claimed with SKIP LOCKED; `closes` holds each
(account, period) to one invoice, whatever runs there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog, ledger, metering
from billing.core.errors import NotFound
from billing.core.period import Period
from billing.invoices import rules
from billing.invoices.model import (
    DEFAULT_ISSUER,
    UNNAMED_ISSUER,
    IssuedInvoice,
    PeriodOpen,
    Run,
)
from billing.invoices.operations import drafting, telling
from billing.invoices.operations.collecting import WALLET_CREDITED
from billing.invoices.operations.credits import expire_credits, limit_credits
from billing.invoices.pdf import TEMPLATE_VERSION
from billing.invoices.store import closing, runs, worklist
from billing.kit import outbox

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

CHUNK = 250
DRAFTED_AT_ONCE = 4  # chunks: who drafts holds nothing that others wait for
ISSUED_AT_ONCE = 2  # chunks: who issues holds the books of their accounts
_PAUSE = timedelta(milliseconds=100)
_ENDED = {"completed", "failed"}


async def request_run(
    tx: Tx, *, period: Period, dry_run: bool = False, only_accounts: Sequence[UUID] | None = None
) -> Run:
    """Queue a close of a month. Asked again while the same is under way, it answers with that run. Raises PeriodOpen."""
    if period.end > tx.now:
        raise PeriodOpen(details={"period": str(period), "ends_at": period.end})
    wanted = None if only_accounts is None else sorted(set(only_accounts))
    await runs.lock_requests(tx.connection)
    unfinished = await runs.find_unfinished_run(tx.connection, period=period, dry_run=dry_run, only_accounts=wanted)
    if unfinished is not None:
        return unfinished
    run_id = tx.new_id()
    await runs.insert_run(
        tx.connection, run_id=run_id, period=period, dry_run=dry_run, only_accounts=wanted, now=tx.now
    )
    return await get_run(tx, run_id=run_id)


async def get_run(tx: Tx, *, run_id: UUID) -> Run:
    """A run. Raises NotFound."""
    run = await runs.find_run(tx.connection, run_id=run_id)
    if run is None:
        raise NotFound
    return run


async def advance_all(database: Database, *, grace: timedelta, lanes: int = 1) -> int:
    """Carry every unfinished run whose month's grace is over to its end; returns how many ended.

    A month waits for an earlier one that another worker has in hand: its accounts would be parked for that. `lanes` as `advance`
    has them.
    """
    ended = 0
    while True:
        async with database.reading() as tx:
            startable = await runs.list_startable_runs(tx.connection, ended_before=tx.now - grace)
        carried = [await advance(database, run_id=run_id, lanes=lanes) for run_id in startable]
        newly_ended = sum(run.status in _ENDED for run in carried)
        if not newly_ended:
            return ended
        ended += newly_ended


async def advance(
    database: Database, *, run_id: UUID, lanes: int = 1, on_step: Callable[[], None] = lambda: None
) -> Run:
    """Carry a run to its end, from wherever it stands; `on_step` is called after each commit.

    As many `lanes`, each over a session of its own, draft and issue at once: while PostgreSQL rates the accounts of one, the
    amounts and events of another are put together here. Numbers are allotted when all of them have drafted, so that invoices
    are numbered in the order of their accounts however many lanes there are.
    """
    await _start(database, run_id)
    on_step()
    while True:
        await _work_off(_draft_some, database, run_id, lanes=lanes, on_step=on_step)
        await _number(database, run_id)
        on_step()
        if not await _work_off(_issue_some, database, run_id, lanes=lanes, on_step=on_step):
            return await _finish(database, run_id)


async def complete(
    database: Database, *, run_id: UUID, lanes: int = 1, on_step: Callable[[], None] = lambda: None
) -> Run:
    """Carry a run to its end and wait for what other workers have in hand of it."""
    while True:
        run = await advance(database, run_id=run_id, lanes=lanes, on_step=on_step)
        if run.status in _ENDED:
            return run
        await asyncio.sleep(_PAUSE.total_seconds())


async def _work_off(
    do_some: Callable[[Database, UUID], Awaitable[bool]],
    database: Database,
    run_id: UUID,
    *,
    lanes: int,
    on_step: Callable[[], None],
) -> bool:
    """Do some, in each lane, until there is nothing left; False when there was nothing."""

    async def lane() -> bool:
        was_any = False
        while await do_some(database, run_id):
            was_any = True
            on_step()
        return was_any

    try:
        async with asyncio.TaskGroup() as working:
            done = [working.create_task(lane()) for _ in range(lanes)]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return any(task.result() for task in done)


async def _start(database: Database, run_id: UUID) -> None:
    async with database.transaction() as tx:
        if await runs.lock_run(tx.connection, run_id=run_id) != "queued":
            return
        run = await get_run(tx, run_id=run_id)
        account_ids = await metering.list_active_accounts(tx.connection, period=run.period)
        if run.only_accounts is not None:
            wanted = set(run.only_accounts)
            account_ids = [account_id for account_id in account_ids if account_id in wanted]
        await worklist.insert_worklist(tx.connection, run=run, account_ids=account_ids, chunk_size=CHUNK)
        await runs.mark_run(tx.connection, run_id=run_id, status="running", now=tx.now)


async def _draft_some(database: Database, run_id: UUID) -> bool:
    """Rate some chunks of the worklist and store their lines; False when there is none left."""
    async with database.transaction() as tx:
        chunks = await worklist.claim_chunks(tx.connection, run_id=run_id, state="queued", limit=DRAFTED_AT_ONCE)
        if not chunks:
            return False
        run = await get_run(tx, run_id=run_id)
        claimed = await worklist.list_accounts(tx.connection, run_id=run_id, chunks=chunks, state="queued")
        if claimed:
            await drafting.draft(
                tx,
                run,
                account_ids=[row["account_id"] for row in claimed],
                accepted=[row["account_id"] for row in claimed if row["is_accepted"]],
            )
        state = "done" if run.dry_run else "rated"
        await worklist.mark_chunks(tx.connection, run_id=run_id, chunks=chunks, state=state)
        return True


async def _number(database: Database, run_id: UUID) -> None:
    """Allot numbers to all drafts of the run in one short transaction; a dry run has none."""
    async with database.transaction() as tx:
        # Held first: what a worker drafts meanwhile may get its numbers now, and is moved on by that worker.
        chunks = await worklist.lock_chunks(tx.connection, run_id=run_id, state="rated")
        if not chunks:
            return
        for prefix, is_credit in (("INV", False), ("CN", True)):
            await runs.insert_numbers(
                tx.connection, run_id=run_id, series=f"{prefix}-{tx.now.year}", is_credit=is_credit, now=tx.now
            )
        await worklist.mark_chunks(tx.connection, run_id=run_id, chunks=chunks, state="numbered")


async def _issue_some(database: Database, run_id: UUID) -> bool:
    """Issue some chunks of numbered invoices; False when there is none left."""
    async with database.transaction() as tx:
        chunks = await worklist.claim_chunks(tx.connection, run_id=run_id, state="numbered", limit=ISSUED_AT_ONCE)
        if not chunks:
            return False
        run = await get_run(tx, run_id=run_id)
        claimed = await worklist.list_accounts(tx.connection, run_id=run_id, chunks=chunks, state="rated")
        if claimed:
            await _issue(tx, run, {row["account_id"]: row["invoice_id"] for row in claimed})
        await worklist.mark_chunks(tx.connection, run_id=run_id, chunks=chunks, state="done")
        return True


async def _issue(tx: Tx, run: Run, invoice_ids: Mapping[UUID, UUID]) -> None:
    account_ids = list(invoice_ids)
    await ledger.lock_heads(tx.connection, account_ids=account_ids)
    issued = await closing.issue(
        tx.connection,
        invoice_ids=invoice_ids,
        period=run.period,
        issuer=await closing.find_issuer(tx.connection, name=DEFAULT_ISSUER) or UNNAMED_ISSUER,
        credit_limits_minor=await limit_credits(tx, account_ids=account_ids, period=run.period),
        template_version=TEMPLATE_VERSION,
    )
    await _post(tx, issued)
    await expire_credits(tx, account_ids=account_ids, period=run.period)
    await _tell_others(tx, run.period, issued)
    by_account = {invoice.account_id: invoice for invoice in issued}
    done = [by_account.get(account_id) for account_id in account_ids]
    # What another run has issued meanwhile is done here too.
    await worklist.mark_accounts(
        tx.connection,
        run_id=run.run_id,
        account_ids=account_ids,
        states=["done" for _ in done],
        reasons=[None] * len(done),
        invoice_ids=[None if invoice is None else invoice.invoice_id for invoice in done],
        currencies=[None if invoice is None else invoice.currency for invoice in done],
        totals_minor=[None if invoice is None else invoice.total_minor for invoice in done],
    )


async def _post(tx: Tx, issued: Sequence[IssuedInvoice]) -> None:
    transfers: list[ledger.Transfer] = []
    for invoice in issued:
        template = ledger.invoice_credited if invoice.total_minor < 0 else ledger.invoice_issued
        transfers += template(
            account_id=invoice.account_id,
            invoice_id=invoice.invoice_id,
            currency=invoice.currency,
            net_minor=invoice.subtotal_minor,
            taxes_minor=invoice.taxes_minor,
            at=invoice.issued_at,
        )
        transfers += rules.payment_transfers(
            account_id=invoice.account_id,
            invoice_id=invoice.invoice_id,
            currency=invoice.currency,
            payments=invoice.payments,
            first_ordinal=1,
            at=invoice.issued_at,
        )
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)


async def _tell_others(tx: Tx, period: Period, issued: Sequence[IssuedInvoice]) -> None:
    """The catalogue holds prices to what was billed, metering knows what was seen, the outbox tells the world."""
    account_ids = [invoice.account_id for invoice in issued]
    items = await closing.list_items(tx.connection, account_ids=account_ids, period=period)
    await catalog.mark_billed(
        tx.connection,
        kinds=[kind for kind, *_ in items],
        items=[item for _, item, _ in items],
        currencies=[currency for *_, currency in items],
        period=period.start_date,
    )
    versions = await closing.list_draft_versions(tx.connection, account_ids=account_ids, period=period)
    await metering.mark_rated(tx.connection, versions=versions, period=period)
    corrections = await closing.list_corrections(tx.connection, account_ids=account_ids, period=period)
    for corrected, seen in corrections.items():
        await metering.mark_rated(tx.connection, versions=seen, period=corrected)
    credited: list[outbox.NewEvent] = [
        (invoice.account_id, str(invoice.invoice_id), {}) for invoice in issued if invoice.total_minor < 0
    ]
    if credited:
        await outbox.publish_all(tx, type=WALLET_CREDITED, events=credited)
    await telling.tell_issued(tx, issued, period=period)


async def _finish(database: Database, run_id: UUID) -> Run:
    """Mark a run completed once nothing of it is left, here or with another worker."""
    async with database.transaction() as tx:
        if await runs.lock_run(tx.connection, run_id=run_id) == "running" and not await worklist.has_open_chunks(
            tx.connection, run_id=run_id
        ):
            await runs.mark_run(tx.connection, run_id=run_id, status="completed", now=tx.now)
        return await get_run(tx, run_id=run_id)
