"""The public routes of invoices, below /v1."""

from __future__ import annotations

from litestar import get

from billing.core import ids
from billing.invoices import schemas
from billing.invoices.operations import reading
from billing.invoices.schemas import INVOICE_PREFIX, LISTED, InvoiceAnswer, InvoicesOut, InvoicesQuery, LinesOut
from billing.invoices.store import invoices as store
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Described, Media, PageQuery, RawQuery, meta, page_of, window_of


@get(
    "/account/invoices",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(summary="List invoices", section="Invoices", query=InvoicesQuery),
    },
)
async def list_invoices(reader: Caller, query: RawQuery, db: Database) -> InvoicesOut:
    """The account's invoices, newest first. Void and uncollectible ones are listed only when `status` asks for them.

    `from_date` and `to_date` look at when an invoice was made.
    """
    wanted = query.read(InvoicesQuery)
    page = page_of(wanted)
    since, until = window_of(wanted.from_date, wanted.to_date)
    async with db.reading() as tx:
        found, total = await store.list_invoices(
            tx.connection,
            account_id=reader.account_id,
            statuses=LISTED if wanted.status is None else (wanted.status,),
            since=since,
            until=until,
            now=tx.now,
            page=page,
        )
    return InvoicesOut(invoices=[schemas.show(invoice, now=tx.now) for invoice in found], meta=meta(page, total=total))


@get(
    "/account/invoices/{invoice_id:str}",
    opt={"rate_class": "billing", DESCRIBED: Described(summary="Get invoice details", section="Invoices")},
)
async def show_invoice(reader: Caller, invoice_id: str, db: Database) -> InvoiceAnswer:
    """One invoice with its lines, taxes and payments; at most the first 1,000 lines, the others are in `/lines`."""
    identifier = ids.expect(INVOICE_PREFIX, invoice_id)
    async with db.snapshot() as tx:
        whole = await reading.get_whole(tx, account_id=reader.account_id, invoice_id=identifier)
    digest = whole.invoice.pdf_sha256
    if digest is None:
        _, _, digest = await reading.get_pdf(db, account_id=reader.account_id, invoice_id=identifier)
    return schemas.show_whole(whole, pdf_sha256=digest, now=tx.now)


@get(
    "/account/invoices/{invoice_id:str}/lines",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(summary="List an invoice's lines", section="Invoices", query=PageQuery, is_extension=True),
    },
)
async def list_lines(reader: Caller, invoice_id: str, query: RawQuery, db: Database) -> LinesOut:
    """The lines of an invoice, page by page."""
    identifier = ids.expect(INVOICE_PREFIX, invoice_id)
    page = page_of(query.read(PageQuery))
    async with db.snapshot() as tx:
        invoice = await store.get_invoice(tx.connection, account_id=reader.account_id, invoice_id=identifier)
        total = await store.count_lines(tx.connection, account_id=reader.account_id, invoice_id=identifier)
        lines = await store.list_lines(
            tx.connection,
            account_id=reader.account_id,
            invoice_id=identifier,
            limit=page.per_page,
            offset=page.offset,
        )
    shown = [schemas.show_line(line, invoice.currency, invoice_id=identifier) for line in lines]
    return LinesOut(lines=shown, meta=meta(page, total=total))


@get(
    "/account/invoices/{invoice_id:str}/pdf",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Download an invoice as PDF",
            section="Invoices",
            answer=Media(media_type="application/pdf", says="The invoice as PDF/A-3."),
        ),
    },
)
async def download_pdf(reader: Caller, invoice_id: str, db: Database) -> Answer:
    """An invoice as a PDF file, the same bytes each time: what was due when it was issued."""
    number, content, digest = await reading.get_pdf(
        db, account_id=reader.account_id, invoice_id=ids.expect(INVOICE_PREFIX, invoice_id)
    )
    return Answer(
        body=content,
        media_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{number}.pdf"', "ETag": f'"{digest.hex()}"'},
    )


HANDLERS = [list_invoices, show_invoice, list_lines, download_pdf]
