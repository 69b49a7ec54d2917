"""The operator's routes of credit notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from litestar import get, post

from billing import payments
from billing.core import ids
from billing.invoices import schemas
from billing.invoices.model import CreditNoteExceedsInvoice, CreditNoteKey, InvoiceNotPayable
from billing.invoices.operations import crediting, documents, ending, reading
from billing.invoices.schemas import CREDIT_NOTE_PREFIX, CreditNoteAnswer, CreditNoteIn, CreditNotesOut
from billing.invoices.store import credit_notes
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, Media, PageQuery, RawBody, RawQuery, meta

if TYPE_CHECKING:
    from billing.kit.db import Tx


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


HANDLERS = [write_credit_note, list_credit_notes, show_credit_note, download_credit_note_pdf]
