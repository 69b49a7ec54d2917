"""The public routes of invoices, below /v1."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from litestar import get, post

from billing import ledger, payments
from billing.core import ids
from billing.core.page import PageRequest
from billing.invoices import schemas
from billing.invoices.model import InvoiceKey, InvoiceNotPayable
from billing.invoices.operations import documents, paying, reading, receipting
from billing.invoices.schemas import (
    CREDIT_NOTE_PREFIX,
    INVOICE_PREFIX,
    LISTED,
    CreditNoteAnswer,
    InvoiceAnswer,
    InvoicesOut,
    InvoicesQuery,
    LinesOut,
    PaidAnswer,
    PayIn,
    exports,
)
from billing.invoices.store import invoices as store
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import (
    DESCRIBED,
    Answer,
    Command,
    Described,
    Media,
    PageQuery,
    RawBody,
    RawQuery,
    meta,
    window_of,
)
from billing.payments import PaymentSettings

if TYPE_CHECKING:
    from billing.kit.db import Tx

TRANSACTION_PREFIX = "txn"
CSV_TYPE = "text/csv; charset=utf-8; header=present"
CSV_CHUNK = 1_000


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
    wanted, page = query.read_page(InvoicesQuery)
    since, until = window_of(wanted.from_date, wanted.to_date)
    async with db.reading() as tx:
        found = await store.list_invoices(
            tx.connection,
            account_id=reader.account_id,
            statuses=LISTED if wanted.status is None else (wanted.status,),
            since=since,
            until=until,
            now=tx.now,
            page=page,
        )
    return InvoicesOut(invoices=[schemas.show(invoice, now=tx.now) for invoice in found.items], meta=meta(page, found))


@get(
    "/account/invoices/{invoice_id:str}",
    opt={"rate_class": "billing", DESCRIBED: Described(summary="Get invoice details", section="Invoices")},
)
async def show_invoice(reader: Caller, invoice_id: str, db: Database) -> InvoiceAnswer:
    """One invoice with its lines, taxes and payments; at most the first 1,000 lines, the others are in `/lines`."""
    return await _shown(db, account_id=reader.account_id, invoice_id=ids.expect(INVOICE_PREFIX, invoice_id))


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
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as tx:
        invoice = await store.get_invoice(tx.connection, account_id=reader.account_id, invoice_id=identifier)
        found = await store.list_lines_page(
            tx.connection, account_id=reader.account_id, invoice_id=identifier, page=page
        )
    shown = [schemas.show_line(line, invoice.currency, invoice_id=identifier) for line in found.items]
    return LinesOut(lines=shown, meta=meta(page, found))


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
    identifier = ids.expect(INVOICE_PREFIX, invoice_id)
    return schemas.show_pdf(await documents.get_invoice_pdf(db, account_id=reader.account_id, invoice_id=identifier))


@get(
    "/account/credit-notes/{credit_note_id:str}",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(summary="Show a credit note", section="Invoices", is_extension=True),
    },
)
async def show_credit_note(reader: Caller, credit_note_id: str, db: Database) -> CreditNoteAnswer:
    """One credit note with its parts: what was taken back of an invoice, and where what was paid went."""
    identifier = ids.expect(CREDIT_NOTE_PREFIX, credit_note_id)
    async with db.snapshot() as tx:
        whole = await reading.get_whole_credit_note(tx, account_id=reader.account_id, credit_note_id=identifier)
    return schemas.show_whole_credit_note(whole)


@get(
    "/account/credit-notes/{credit_note_id:str}/pdf",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Download a credit note as PDF",
            section="Invoices",
            answer=Media(media_type="application/pdf", says="The credit note as PDF/A-3."),
            is_extension=True,
        ),
    },
)
async def download_credit_note_pdf(reader: Caller, credit_note_id: str, db: Database) -> Answer:
    """A credit note as PDF, the same bytes each time."""
    identifier = ids.expect(CREDIT_NOTE_PREFIX, credit_note_id)
    return schemas.show_pdf(
        await documents.get_credit_note_pdf(db, account_id=reader.account_id, credit_note_id=identifier)
    )


@post(
    "/account/invoices/{invoice_id:str}/pay",
    status_code=200,
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Pay an invoice",
            section="Invoices",
            answer=PaidAnswer,
            body=PayIn,
            body_optional=True,
            errors=(InvoiceNotPayable, payments.PaymentDeclined, ledger.InsufficientBalance),
            is_extension=True,
        ),
        "suspended_ok": True,
    },
)
async def pay_invoice(
    *, writer: Caller, invoice_id: str, body: RawBody, db: Database, command: Command, payment_settings: PaymentSettings
) -> Answer:
    """Pay what an invoice asks for: promotional credit, then the wallet, then a payment method for the rest.

    The rest is asked of `payment_method`, or of the default one. While its gateway has not answered, the transaction and the
    invoice are pending, and no other payment of the invoice is started. What arrives for an invoice that was paid meanwhile
    stays in the wallet. `transaction` is null when credit and wallet paid it all.
    """
    identifier = ids.expect(INVOICE_PREFIX, invoice_id)
    wanted = body.read(PayIn, optional=True)
    gateway, account_id = payment_settings.gateway, writer.account_id

    async def start(tx: Tx) -> dict[str, Any]:
        payment = await paying.start(
            tx,
            gateway=gateway,
            account_id=account_id,
            invoice_id=identifier,
            payment_method_id=None if wanted.payment_method is None else ids.expect("pm", wanted.payment_method),
        )
        return {"payment_id": None if payment is None else str(payment.payment_id)}

    async def finish(intent: dict[str, Any]) -> PaidAnswer:
        payment = None
        if intent["payment_id"] is not None:
            payment = await paying.charge(db, gateway, account_id=account_id, payment_id=UUID(intent["payment_id"]))
            if payment.status == "failed":
                raise payments.PaymentDeclined(
                    details={"reason": payment.failure_reason, "transaction_id": payment.transaction_id}
                )
        shown = await _shown(db, account_id=account_id, invoice_id=identifier)
        return PaidAnswer(
            invoice=shown.invoice, transaction=None if payment is None else payments.show_transaction(payment)
        )

    return await command.run_staged(start=start, finish=finish, status=200)


@get(
    "/account/transactions/{transaction_id:str}/receipt",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Download a payment's receipt",
            section="Billing Management",
            answer=Media(media_type="application/pdf", says="The receipt as PDF/A-3."),
            is_extension=True,
        ),
    },
)
async def download_receipt(reader: Caller, transaction_id: str, db: Database) -> Answer:
    """The receipt of a completed payment as a PDF file, the same bytes each time: what arrived, and which invoices it paid.

    Top-ups, payments of invoices and recorded payments have one; other transactions, and payments that have not arrived, have none.
    """
    identifier = ids.expect(TRANSACTION_PREFIX, transaction_id)
    return schemas.show_pdf(await receipting.get_receipt_pdf(db, account_id=reader.account_id, payment_id=identifier))


@get(
    "/account/invoices/{invoice_id:str}/csv",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Download an invoice as CSV",
            section="Invoices",
            answer=Media(media_type="text/csv", says="A row for each line and each tax, under a header (RFC 4180)."),
            is_extension=True,
        ),
    },
)
async def download_csv(reader: Caller, invoice_id: str, db: Database) -> Answer:
    """An invoice as CSV in UTF-8: all its lines, then its taxes as rows of the kind `tax`.

    Amounts are exact. A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    key: InvoiceKey = {"account_id": reader.account_id, "invoice_id": ids.expect(INVOICE_PREFIX, invoice_id)}
    content = bytearray(exports.header())
    async with db.snapshot() as tx:
        invoice = await store.get_invoice(tx.connection, **key)
        page = PageRequest(per_page=CSV_CHUNK, after=())  # by parts: of very many lines only the text is held
        while page.after is not None:
            found = await store.list_lines_page(tx.connection, **key, page=page)
            content += exports.line_rows(invoice, found.items)
            page = replace(page, after=found.next_key)
        content += exports.tax_rows(invoice, await store.list_taxes(tx.connection, **key))
    headers = {"Content-Disposition": f'attachment; filename="{invoice.number}.csv"'}
    return Answer(body=bytes(content), media_type=CSV_TYPE, headers=headers)


async def _shown(db: Database, *, account_id: UUID, invoice_id: UUID) -> InvoiceAnswer:
    async with db.snapshot() as tx:
        whole = await reading.get_whole(tx, account_id=account_id, invoice_id=invoice_id)
    digest = whole.invoice.pdf_sha256
    if digest is None:
        digest = (await documents.get_invoice_pdf(db, account_id=account_id, invoice_id=invoice_id)).sha256
    return schemas.show_whole(whole, pdf_sha256=digest, now=tx.now)


HANDLERS = [
    list_invoices,
    show_invoice,
    list_lines,
    download_pdf,
    pay_invoice,
    download_csv,
    download_receipt,
    show_credit_note,
    download_credit_note_pdf,
]
