"""The operator's routes of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from litestar import get, post

from billing import accounts
from billing.core import ids
from billing.invoices import schemas
from billing.invoices.jobs import CLOSE_JOB
from billing.invoices.model import PeriodOpen
from billing.invoices.operations import closing as operations
from billing.invoices.schemas import RUN_PREFIX, ParkedOut, RetryIn, RunAnswer, RunIn, RunsOut
from billing.invoices.store import runs, worklist
from billing.kit import worker
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta

if TYPE_CHECKING:
    from billing.kit.db import Tx


@post(
    "/runs",
    opt={
        DESCRIBED: Described(
            summary="Start a run",
            section="Runs",
            answer=RunAnswer,
            statuses=(202,),
            body=RunIn,
            errors=(PeriodOpen,),
            located=True,
        )
    },
)
async def request_run(billing_operator: Operator, body: RawBody, command: Command) -> Answer:
    """Close a month: 202 at once, and the work goes on behind it. Asked again, it answers with the run under way."""
    wanted = body.read(RunIn)
    period = schemas.read_period(wanted.period)
    only_accounts = schemas.read_account_ids(wanted.account_ids)

    async def work(tx: Tx) -> RunAnswer:
        if only_accounts is not None:
            unknown = await accounts.list_unknown(tx.connection, account_ids=only_accounts)
            schemas.refuse_accounts([None if one in unknown else one for one in only_accounts])
        run = await operations.request_run(tx, period=period, dry_run=wanted.dry_run, only_accounts=only_accounts)
        await worker.wake(tx.connection, job=CLOSE_JOB)
        return await _answer(tx, run.run_id)

    return await command.run(work, status=202, location=lambda answer: f"/runs/{answer.run.id}")


@get("/runs", opt={DESCRIBED: Described(summary="List runs", section="Runs", query=PageQuery)})
async def list_runs(billing_operator: Operator, query: RawQuery, db: Database) -> RunsOut:
    """Runs, newest first."""
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as tx:
        found = await runs.list_runs(tx.connection, page=page)
        progress = await runs.get_progress(tx.connection, run_ids=[run.run_id for run in found.items])
    return RunsOut(runs=[schemas.show_run(run, progress[run.run_id]) for run in found.items], meta=meta(page, found))


@get("/runs/{run_id:str}", opt={DESCRIBED: Described(summary="Get a run", section="Runs")})
async def show_run(billing_operator: Operator, run_id: str, db: Database) -> RunAnswer:
    """One run and how far it is."""
    async with db.snapshot() as tx:
        return await _answer(tx, ids.expect(RUN_PREFIX, run_id))


@get(
    "/runs/{run_id:str}/parked",
    opt={DESCRIBED: Described(summary="List parked accounts", section="Runs", query=PageQuery)},
)
async def list_parked(billing_operator: Operator, run_id: str, query: RawQuery, db: Database) -> ParkedOut:
    """The accounts whose billing stopped in a run, and why."""
    identifier = ids.expect(RUN_PREFIX, run_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as tx:
        await operations.get_run(tx, run_id=identifier)
        found = await worklist.list_parked_page(tx.connection, run_id=identifier, page=page)
    return schemas.show_parked(found.items, meta=meta(page, found))


@post(
    "/runs/{run_id:str}/parked",
    opt={
        DESCRIBED: Described(
            summary="Retry parked accounts",
            section="Runs",
            answer=RunAnswer,
            statuses=(202,),
            body=RetryIn,
            body_optional=True,
        )
    },
)
async def retry_parked(billing_operator: Operator, run_id: str, body: RawBody, command: Command) -> Answer:
    """Let a run try its parked accounts again; with `accept_totals` an unusual total is billed after all."""
    identifier = ids.expect(RUN_PREFIX, run_id)
    wanted = body.read(RetryIn, optional=True)

    async def work(tx: Tx) -> RunAnswer:
        await operations.get_run(tx, run_id=identifier)
        await worklist.requeue_parked(tx.connection, run_id=identifier, accepts_totals=wanted.accept_totals)
        await worker.wake(tx.connection, job=CLOSE_JOB)
        return await _answer(tx, identifier)

    return await command.run(work, status=202)


async def _answer(tx: Tx, run_id: UUID) -> RunAnswer:
    run = await operations.get_run(tx, run_id=run_id)
    progress = await runs.get_progress(tx.connection, run_ids=[run_id])
    return RunAnswer(run=schemas.show_run(run, progress[run_id]))


HANDLERS = [request_run, list_runs, show_run, list_parked, retry_parked]
