"""The operator's routes of invoices, below /operator/v1: runs, previews, the issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from litestar import get, post, put

from billing import accounts, payments
from billing.core import ids
from billing.core.period import Period
from billing.invoices import schemas
from billing.invoices.jobs import CLOSE_JOB
from billing.invoices.model import (
    DEFAULT_ISSUER,
    UNNAMED_ISSUER,
    CreditNoteExceedsInvoice,
    CreditNoteKey,
    InvoiceNotPayable,
    InvoiceNotVoidable,
    Issuer,
    PeriodOpen,
)
from billing.invoices.operations import closing as operations
from billing.invoices.operations import crediting, documents, ending, reading
from billing.invoices.schemas import (
    CREDIT_NOTE_PREFIX,
    RUN_PREFIX,
    CreditNoteAnswer,
    CreditNoteIn,
    CreditNotesOut,
    EmptyIn,
    InvoiceShownAnswer,
    IssuerAnswer,
    IssuerIn,
    ParkedOut,
    PreviewAnswer,
    PreviewQuery,
    RetryIn,
    RunAnswer,
    RunIn,
    RunsOut,
)
from billing.invoices.store import closing, credit_notes, runs
from billing.kit import worker
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, Media, PageQuery, RawBody, RawQuery, meta

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
        found = await runs.list_parked_page(tx.connection, run_id=identifier, page=page)
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
        await runs.requeue_parked(tx.connection, run_id=identifier, accepts_totals=wanted.accept_totals)
        await worker.wake(tx.connection, job=CLOSE_JOB)
        return await _answer(tx, identifier)

    return await command.run(work, status=202)


@get(
    "/accounts/{account_id:str}/invoices/preview",
    opt={DESCRIBED: Described(summary="Preview an invoice", section="Invoices", query=PreviewQuery)},
)
async def preview(billing_operator: Operator, account_id: str, query: RawQuery, db: Database) -> PreviewAnswer:
    """The bill of a month as it stands, the running one by default."""
    identifier = ids.expect("acc", account_id)
    wanted = query.read(PreviewQuery)
    period = None if wanted.period is None else schemas.read_period(wanted.period, where="query")
    async with db.snapshot() as tx:
        bill = await reading.preview(tx, account_id=identifier, period=period or Period.containing(tx.now))
    return schemas.show_preview(bill)


@post(
    "/invoices/{invoice_id:str}/void",
    opt={
        DESCRIBED: Described(
            summary="Void an invoice",
            section="Invoices",
            answer=InvoiceShownAnswer,
            body=EmptyIn,
            body_optional=True,
            errors=(InvoiceNotVoidable,),
            needs_key=True,
        )
    },
)
async def void_invoice(billing_operator: Operator, invoice_id: str, body: RawBody, command: Command) -> Answer:
    """Take an invoice back whole; the next close bills its months again."""
    command.require_key()
    identifier = ids.expect("inv", invoice_id)
    body.read(EmptyIn, optional=True)

    async def work(tx: Tx) -> InvoiceShownAnswer:
        invoice = await ending.void(tx, invoice_id=identifier)
        command.concerns(invoice.account_id)
        return InvoiceShownAnswer(invoice=schemas.show(invoice, now=tx.now))

    return await command.run(work)


@post(
    "/invoices/{invoice_id:str}/write-off",
    opt={
        DESCRIBED: Described(
            summary="Write an invoice off",
            section="Invoices",
            answer=InvoiceShownAnswer,
            body=EmptyIn,
            body_optional=True,
            errors=(InvoiceNotPayable,),
            needs_key=True,
        )
    },
)
async def write_off_invoice(billing_operator: Operator, invoice_id: str, body: RawBody, command: Command) -> Answer:
    """Give up what an invoice still asks for."""
    command.require_key()
    identifier = ids.expect("inv", invoice_id)
    body.read(EmptyIn, optional=True)

    async def work(tx: Tx) -> InvoiceShownAnswer:
        invoice = await ending.write_off(tx, invoice_id=identifier)
        command.concerns(invoice.account_id)
        return InvoiceShownAnswer(invoice=schemas.show(invoice, now=tx.now))

    return await command.run(work)


@post(
    "/invoices/{invoice_id:str}/credit-notes",
    opt={
        DESCRIBED: Described(
            summary="Write a credit note",
            section="Invoices",
            answer=CreditNoteAnswer,
            statuses=(201,),
            body=CreditNoteIn,
            errors=(InvoiceNotPayable, CreditNoteExceedsInvoice, payments.PaymentsNotRefundable),
            needs_key=True,
            located=True,
        )
    },
)
async def write_credit_note(
    *,
    billing_operator: Operator,
    invoice_id: str,
    body: RawBody,
    db: Database,
    command: Command,
    payment_settings: payments.PaymentSettings,
) -> Answer:
    """Take back part of an issued invoice: what is open of it first, then what was paid, back where it came from.

    Kind `credit`: paid money goes into the wallet. Kind `refund`: it goes on to the payments that it came with, the newest
    first; what their gateways decline stays in the wallet. Promotional credit goes back to its grant, never out as money.
    """
    command.require_key()
    identifier = ids.expect("inv", invoice_id)
    wanted = body.read(CreditNoteIn)
    gateway = payment_settings.gateway

    async def start(tx: Tx) -> dict[str, Any]:
        invoice = await ending.hold_invoice(tx, identifier)
        command.concerns(invoice.account_id)
        gross_minor, parts = schemas.read_parts(wanted, invoice_id=identifier, currency=invoice.currency)
        terms: crediting.Terms = {
            "invoice_id": identifier,
            "reason": wanted.reason,
            "refund_by": gateway if wanted.kind == "refund" else None,
        }
        note = (
            await crediting.credit_amount(tx, gross_minor=gross_minor, **terms)
            if parts is None
            else await crediting.credit_lines(tx, parts=parts, **terms)
        )
        return {"account_id": str(note.account_id), "credit_note_id": str(note.credit_note_id)}

    async def finish(intent: dict[str, Any]) -> CreditNoteAnswer:
        key: CreditNoteKey = {
            "account_id": UUID(intent["account_id"]),
            "credit_note_id": UUID(intent["credit_note_id"]),
        }
        await crediting.pay_back(db, gateway, **key)
        async with db.snapshot() as tx:
            return schemas.show_whole_credit_note(await reading.get_whole_credit_note(tx, **key))

    return await command.run_staged(
        start=start, finish=finish, location=lambda answer: f"/credit-notes/{answer.credit_note.id}"
    )


@get(
    "/invoices/{invoice_id:str}/credit-notes",
    opt={DESCRIBED: Described(summary="List an invoice's credit notes", section="Invoices", query=PageQuery)},
)
async def list_credit_notes(
    billing_operator: Operator, invoice_id: str, query: RawQuery, db: Database
) -> CreditNotesOut:
    """The credit notes of an invoice that operators wrote, newest first."""
    identifier = ids.expect("inv", invoice_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as tx:
        invoice = await reading.get_numbered_invoice(tx, invoice_id=identifier)
        found = await credit_notes.list_credit_notes_page(
            tx.connection, account_id=invoice.account_id, invoice_id=identifier, page=page
        )
    return CreditNotesOut(credit_notes=[schemas.show_credit_note(note) for note in found.items], meta=meta(page, found))


@get("/credit-notes/{credit_note_id:str}", opt={DESCRIBED: Described(summary="Get a credit note", section="Invoices")})
async def show_credit_note(billing_operator: Operator, credit_note_id: str, db: Database) -> CreditNoteAnswer:
    """One credit note with its parts, and the refunds that it started."""
    async with db.snapshot() as tx:
        key = await reading.find_credit_note(tx, credit_note_id=ids.expect(CREDIT_NOTE_PREFIX, credit_note_id))
        return schemas.show_whole_credit_note(await reading.get_whole_credit_note(tx, **key))


@get(
    "/credit-notes/{credit_note_id:str}/pdf",
    opt={
        DESCRIBED: Described(
            summary="Download a credit note as PDF",
            section="Invoices",
            answer=Media(media_type="application/pdf", says="The credit note as PDF/A-3."),
        )
    },
)
async def download_credit_note_pdf(billing_operator: Operator, credit_note_id: str, db: Database) -> Answer:
    """A credit note as PDF, the same bytes each time."""
    async with db.reading() as tx:
        key = await reading.find_credit_note(tx, credit_note_id=ids.expect(CREDIT_NOTE_PREFIX, credit_note_id))
    return schemas.show_pdf(await documents.get_credit_note_pdf(db, **key))


@put(
    "/issuer",
    opt={DESCRIBED: Described(summary="Set the issuer", section="Invoices", answer=IssuerAnswer, body=IssuerIn)},
)
async def name_issuer(billing_operator: Operator, body: RawBody, command: Command) -> Answer:
    """Say who issues invoices from now on. Invoices that exist keep their issuer."""
    wanted = body.read(IssuerIn)
    issuer = Issuer(wanted.name, wanted.address, wanted.tax_id, wanted.bank_details, wanted.support_email)

    async def work(tx: Tx) -> IssuerAnswer:
        await closing.upsert_issuer(tx.connection, name=DEFAULT_ISSUER, issuer=issuer, now=tx.now)
        return IssuerAnswer(issuer=issuer)

    return await command.run(work)


@get("/issuer", opt={DESCRIBED: Described(summary="Get the issuer", section="Invoices")})
async def show_issuer(billing_operator: Operator, db: Database) -> IssuerAnswer:
    """Who issues invoices."""
    async with db.reading() as tx:
        found = await closing.find_issuer(tx.connection, name=DEFAULT_ISSUER)
    return IssuerAnswer(issuer=found or UNNAMED_ISSUER)


async def _answer(tx: Tx, run_id: UUID) -> RunAnswer:
    run = await operations.get_run(tx, run_id=run_id)
    progress = await runs.get_progress(tx.connection, run_ids=[run_id])
    return RunAnswer(run=schemas.show_run(run, progress[run_id]))


HANDLERS = [
    request_run,
    list_runs,
    show_run,
    list_parked,
    retry_parked,
    preview,
    name_issuer,
    show_issuer,
    void_invoice,
    write_off_invoice,
    write_credit_note,
    list_credit_notes,
    show_credit_note,
    download_credit_note_pdf,
]
