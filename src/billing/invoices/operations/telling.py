"""What the world is told of invoices and credit notes: events that hold all that a message about them says.

Members are named as the API names them; amounts are texts with all their digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from billing.core import ids, money
from billing.core.period import Period
from billing.invoices.model import CreditNote, Invoice, IssuedInvoice
from billing.kit import outbox

if TYPE_CHECKING:
    from datetime import datetime

    from billing.kit.db import Tx
    from billing.kit.outbox import NewEvent

INVOICE_PREFIX = "inv"
CREDIT_NOTE_PREFIX = "cn"


async def tell(tx: Tx, invoice: Invoice, event: str) -> None:
    """Something happened to an invoice, which is told as it stands now: `invoice.paid`, `invoice.voided`, ..."""
    await tell_all(tx, [invoice], event)


async def tell_all(tx: Tx, invoices: Sequence[Invoice], event: str) -> None:
    """The same happened to some invoices, of any accounts: one statement."""
    events: list[NewEvent] = [
        (invoice.account_id, ids.encode(INVOICE_PREFIX, invoice.invoice_id), payload_of(invoice, now=tx.now))
        for invoice in invoices
    ]
    if events:
        await outbox.publish_all(tx, type=event, events=events)


async def tell_issued(tx: Tx, issued: Sequence[IssuedInvoice], *, period: Period) -> None:
    """Documents of a month were issued: one statement for each type of event, however many there are."""
    bounds = {"period_start": period.start, "period_end": period.shown_end}
    events: dict[str, list[NewEvent]] = {"invoice.issued": [], "credit_note.issued": [], "invoice.paid": []}
    for document in issued:
        is_bill = document.total_minor >= 0
        payload = _invoice_payload(document, bounds) if is_bill else _credit_payload(document, bounds)
        event = (document.account_id, ids.encode(INVOICE_PREFIX, document.invoice_id), payload)
        events["invoice.issued" if is_bill else "credit_note.issued"].append(event)
        if is_bill and document.paid_minor >= document.total_minor:
            events["invoice.paid"].append(event)
    for type_, of_type in events.items():
        if of_type:
            await outbox.publish_all(tx, type=type_, events=of_type)


async def tell_credit_note(tx: Tx, note: CreditNote, *, invoice: Invoice) -> None:
    """An operator's credit note was issued."""
    await outbox.publish(
        tx,
        account_id=note.account_id,
        type="credit_note.issued",
        object_id=ids.encode(CREDIT_NOTE_PREFIX, note.credit_note_id),
        payload={
            "number": note.number,
            "currency": note.currency,
            "net": money.to_text(note.net_minor, note.currency),
            "tax": money.to_text(note.tax_minor, note.currency),
            "amount": money.to_text(note.total_minor, note.currency),
            "lowered": money.to_text(note.lowered_minor, note.currency),
            "returned": money.to_text(note.returned_minor, note.currency),
            "restored": money.to_text(note.restored_minor, note.currency),
            "refunded": money.to_text(note.refunded_minor, note.currency),
            "invoice_id": ids.encode(INVOICE_PREFIX, note.invoice_id),
            "invoice_number": invoice.number,
            "reason": note.reason,
            "period_start": invoice.period.start,
            "period_end": invoice.period.shown_end,
            "created_at": note.issued_at,
        },
    )


def payload_of(invoice: Invoice, *, now: datetime) -> dict[str, object]:
    """What an event says of an invoice as it stands at an instant."""
    return {
        **_amounts(
            invoice.currency,
            subtotal_minor=invoice.subtotal_minor,
            total_minor=invoice.total_minor,
            paid_minor=invoice.paid_minor,
            due_minor=invoice.due_minor,
        ),
        "period_start": invoice.period.start,
        "period_end": invoice.period.shown_end,
        "created_at": invoice.issued_at,
        "due_date": invoice.due_at,
        "number": invoice.number,
        "status": invoice.status_at(now),
        "credited": money.to_text(invoice.credited_minor, invoice.currency),
        "paid_at": invoice.paid_at,
    }


def _invoice_payload(document: IssuedInvoice, bounds: Mapping[str, object]) -> dict[str, object]:
    is_paid = document.paid_minor >= document.total_minor
    return {
        **_amounts(
            document.currency,
            subtotal_minor=document.subtotal_minor,
            total_minor=document.total_minor,
            paid_minor=document.paid_minor,
            due_minor=document.total_minor - document.paid_minor,
        ),
        **bounds,
        "created_at": document.issued_at,
        "due_date": document.due_at,
        "number": document.number,
        "status": "paid" if is_paid else "pending",
        "credited": money.to_text(0, document.currency),
        "paid_at": document.issued_at if is_paid else None,
    }


def _credit_payload(document: IssuedInvoice, bounds: Mapping[str, object]) -> dict[str, object]:
    """A month that came out below 0: it takes nothing back of one invoice, and all of it goes into the wallet."""
    currency, total_minor = document.currency, -document.total_minor
    nothing = money.to_text(0, currency)
    return {
        "number": document.number,
        "currency": currency,
        "net": money.to_text(-document.subtotal_minor, currency),
        "tax": money.to_text(total_minor + document.subtotal_minor, currency),
        "amount": money.to_text(total_minor, currency),
        "lowered": nothing,
        "returned": money.to_text(total_minor, currency),
        "restored": nothing,
        "refunded": nothing,
        "invoice_id": None,
        "invoice_number": None,
        "reason": None,
        **bounds,
        "created_at": document.issued_at,
    }


def _amounts(
    currency: str, *, subtotal_minor: int, total_minor: int, paid_minor: int, due_minor: int
) -> dict[str, object]:
    return {
        "currency": currency,
        "subtotal": money.to_text(subtotal_minor, currency),
        "tax": money.to_text(total_minor - subtotal_minor, currency),
        "amount": money.to_text(total_minor, currency),
        "amount_paid": money.to_text(paid_minor, currency),
        "amount_due": money.to_text(due_minor, currency),
    }
