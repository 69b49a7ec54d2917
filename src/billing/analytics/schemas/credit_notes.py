"""Explanations of operators' credit notes put on the wire."""

from __future__ import annotations

from collections.abc import Iterator

from billing.analytics.model import ExplainedCreditNote
from billing.analytics.schemas.explanations import (
    LINE_KIND,
    LINE_PREFIX,
    CreditedOut,
    CreditNoteOut,
    CreditTaxOut,
    GivenBackOut,
    TransferOut,
)
from billing.core import ids, money
from billing.ledger import PostedTransfer

_PROMO = "promo:"


def show_transfer(transfer: PostedTransfer) -> TransferOut:
    """A transfer of the books for a document."""
    return TransferOut(
        number=transfer.number,
        template=transfer.template,
        source=transfer.source,
        destination=transfer.destination,
        amount=money.to_major(transfer.amount_minor, transfer.currency),
        effective_at=transfer.effective_at,
        recorded_at=transfer.recorded_at,
    )


def show_credit_note(explained: ExplainedCreditNote) -> CreditNoteOut:
    """How a credit note came about, and where what it gave back went."""
    whole, credited = explained.whole, explained.basis.credited
    note, currency = whole.note, whole.note.currency
    invoiced_minor = {tax.name: tax.amount_minor for tax in explained.basis.taxes}
    return CreditNoteOut(
        id=ids.encode("cn", note.credit_note_id),
        number=note.number,
        kind=note.kind,
        reason=note.reason,
        issued_at=note.issued_at,
        invoice_id=ids.encode("inv", note.invoice_id),
        invoice_number=whole.invoice.number,
        invoiced=money.to_major(whole.invoice.total_minor, currency),
        credited_before=money.to_major(credited.total_minor, currency),
        lines=[
            CreditedOut(
                line=None
                if line.invoice_ordinal is None
                else ids.encode_part(LINE_PREFIX, note.invoice_id, LINE_KIND, line.invoice_ordinal),
                description=line.description,
                amount=money.to_major(line.amount_minor, currency),
            )
            for line in whole.lines
        ],
        net=money.to_major(note.net_minor, currency),
        taxes=[
            CreditTaxOut(
                name=tax.name,
                rate=tax.percent,
                base=money.to_major(tax.base_minor, currency),
                amount=money.to_major(tax.amount_minor, currency),
                credited_before=money.to_major(credited.taxes_minor.get(tax.name, 0), currency),
                invoiced=money.to_major(invoiced_minor[tax.name], currency),
            )
            for tax in whole.taxes
        ],
        tax=money.to_major(note.tax_minor, currency),
        amount=money.to_major(note.total_minor, currency),
        lowered=money.to_major(note.lowered_minor, currency),
        given_back=list(_given_back(explained)),
        transfers=[show_transfer(transfer) for transfer in explained.transfers],
    )


def _given_back(explained: ExplainedCreditNote) -> Iterator[GivenBackOut]:
    note, currency = explained.whole.note, explained.whole.note.currency
    for refund in explained.whole.refunds:
        yield GivenBackOut(
            to="payment",
            id=ids.encode("pay", refund.payment_id),
            amount=money.to_major(refund.amount_minor, currency),
            status=refund.status,
        )
    for transfer in explained.transfers:
        if transfer.template == "credit_note.returned" and transfer.destination.startswith(_PROMO):
            yield GivenBackOut(
                to="credit",
                id=ids.encode("cred", ids.UUID(transfer.destination.removeprefix(_PROMO))),
                amount=money.to_major(transfer.amount_minor, currency),
                status="completed",
            )
    if note.returned_minor:
        yield GivenBackOut(
            to="wallet", id=None, amount=money.to_major(note.returned_minor, currency), status="completed"
        )
