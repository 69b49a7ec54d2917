"""The operator's routes of invoices and of who issues them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from litestar import get, post, put

from billing import accounts
from billing.core import ids
from billing.core.period import Period
from billing.invoices import schemas
from billing.invoices.model import (
    DEFAULT_ISSUER,
    UNNAMED_ISSUER,
    InvoiceNotPayable,
    InvoiceNotVoidable,
    Issuer,
)
from billing.invoices.operations import documents, ending, reading
from billing.invoices.schemas import (
    LISTED,
    EmptyIn,
    InvoiceAnswer,
    InvoiceShownAnswer,
    InvoicesOut,
    InvoicesQuery,
    IssuerAnswer,
    IssuerIn,
    LinesOut,
    PreviewAnswer,
    PreviewQuery,
)
from billing.invoices.store import closing
from billing.invoices.store import invoices as store
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, Media, PageQuery, RawBody, RawQuery, meta, window_of

if TYPE_CHECKING:
    from billing.kit.db import Tx


@get(
    "/accounts/{account_id:str}/invoices",
    opt={DESCRIBED: Described(summary="List an account's invoices", section="Invoices", query=InvoicesQuery)},
)
async def list_account_invoices(
    billing_operator: Operator, account_id: str, query: RawQuery, db: Database
) -> InvoicesOut:
    """The invoices of an account, newest first. Void and uncollectible ones are listed only when `status` asks for them.

    `from_date` and `to_date` look at when an invoice was made.
    """
    identifier = ids.expect("acc", account_id)
    wanted, page = query.read_page(InvoicesQuery)
    since, until = window_of(wanted.from_date, wanted.to_date)
    async with db.snapshot() as tx:
        await accounts.get_account(tx.connection, account_id=identifier)
        found = await store.list_invoices(
            tx.connection,
            account_id=identifier,
            statuses=LISTED if wanted.status is None else (wanted.status,),
            since=since,
            until=until,
            now=tx.now,
            page=page,
        )
    return InvoicesOut(invoices=[schemas.show(invoice, now=tx.now) for invoice in found.items], meta=meta(page, found))


@get("/invoices/{invoice_id:str}", opt={DESCRIBED: Described(summary="Get an invoice", section="Invoices")})
async def show_invoice(billing_operator: Operator, invoice_id: str, db: Database) -> InvoiceAnswer:
    """One invoice with its lines, taxes and payments; at most the first 1,000 lines, the others are in `/lines`."""
    identifier = ids.expect("inv", invoice_id)
    async with db.snapshot() as tx:
        account_id = (await reading.get_numbered_invoice(tx, invoice_id=identifier)).account_id
        whole = await reading.get_whole(tx, account_id=account_id, invoice_id=identifier)
    pdf = await documents.get_invoice_pdf(db, account_id=account_id, invoice_id=identifier)
    return schemas.show_whole(whole, pdf_sha256=pdf.sha256, now=tx.now)


@get(
    "/invoices/{invoice_id:str}/lines",
    opt={DESCRIBED: Described(summary="List an invoice's lines", section="Invoices", query=PageQuery)},
)
async def list_invoice_lines(billing_operator: Operator, invoice_id: str, query: RawQuery, db: Database) -> LinesOut:
    """The lines of an invoice, page by page."""
    identifier = ids.expect("inv", invoice_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as tx:
        invoice = await reading.get_numbered_invoice(tx, invoice_id=identifier)
        found = await store.list_lines_page(
            tx.connection, account_id=invoice.account_id, invoice_id=identifier, page=page
        )
    shown = [schemas.show_line(line, invoice.currency, invoice_id=identifier) for line in found.items]
    return LinesOut(lines=shown, meta=meta(page, found))


@get(
    "/invoices/{invoice_id:str}/pdf",
    opt={
        DESCRIBED: Described(
            summary="Download an invoice as PDF",
            section="Invoices",
            answer=Media(media_type="application/pdf", says="The invoice as PDF/A-3."),
        )
    },
)
async def download_invoice_pdf(billing_operator: Operator, invoice_id: str, db: Database) -> Answer:
    """An invoice as a PDF file, the same bytes as its account gets."""
    identifier = ids.expect("inv", invoice_id)
    async with db.reading() as tx:
        invoice = await reading.get_numbered_invoice(tx, invoice_id=identifier)
    return schemas.show_pdf(await documents.get_invoice_pdf(db, account_id=invoice.account_id, invoice_id=identifier))


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


@put(
    "/issuer",
    opt={DESCRIBED: Described(summary="Set the issuer", section="Invoices", answer=IssuerAnswer, body=IssuerIn)},
)
async def name_issuer(billing_operator: Operator, body: RawBody, command: Command) -> Answer:
    """Say who issues invoices from now on. Invoices that exist keep their issuer."""
    wanted = body.read(IssuerIn)
    logo = wanted.read_logo()
    sha256 = None if logo is None else hashlib.sha256(logo).digest()
    issuer = Issuer(
        wanted.name,
        wanted.address,
        wanted.tax_id,
        wanted.bank_details,
        wanted.mobile_money,
        wanted.support_email,
        None if sha256 is None else sha256.hex(),
    )

    async def work(tx: Tx) -> IssuerAnswer:
        if logo is not None and sha256 is not None:
            await closing.insert_logo(tx.connection, content=logo, sha256=sha256)
        await closing.upsert_issuer(tx.connection, name=DEFAULT_ISSUER, issuer=issuer, now=tx.now)
        return IssuerAnswer(issuer=issuer)

    return await command.run(work)


@get("/issuer", opt={DESCRIBED: Described(summary="Get the issuer", section="Invoices")})
async def show_issuer(billing_operator: Operator, db: Database) -> IssuerAnswer:
    """Who issues invoices."""
    async with db.reading() as tx:
        found = await closing.find_issuer(tx.connection, name=DEFAULT_ISSUER)
    return IssuerAnswer(issuer=found or UNNAMED_ISSUER)


HANDLERS = [
    list_account_invoices,
    show_invoice,
    list_invoice_lines,
    download_invoice_pdf,
    preview,
    void_invoice,
    write_off_invoice,
    name_issuer,
    show_issuer,
]
