"""Wire shapes of credit notes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import Meta as Bound
from msgspec import Struct, structs

from billing import payments
from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.invoices.model import CreditNote, CreditNoteKind
from billing.invoices.operations.reading import WholeCreditNote
from billing.invoices.schemas.taxes import TaxShown, show_tax
from billing.kit.web import Meta
from billing.payments import RefundOut

CREDIT_NOTE_PREFIX = "cn"
LINES_MAX = 1_000


class CreditNoteLineIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the invoice and what is taken back of it, net."""

    line: str
    amount: Decimal


class CreditNoteIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /invoices/{id}/credit-notes: lines or a gross amount; neither takes back all that is left."""

    reason: Annotated[str, Bound(min_length=1, max_length=500)]
    kind: CreditNoteKind = "credit"
    amount: Decimal | None = None
    lines: Annotated[list[CreditNoteLineIn], Bound(min_length=1, max_length=LINES_MAX)] | None = None


class CreditNoteBrief(Struct, frozen=True, kw_only=True):
    """A credit note beside its invoice."""

    id: str
    number: str
    amount: Decimal
    kind: CreditNoteKind
    created_at: datetime


class CreditNoteShown(Struct, frozen=True, kw_only=True):
    """A credit note.

    `amount` is what it takes back: `lowered` of it had not been paid; `restored` went back to promotional credits, `returned`
    into the wallet, `refunded` was asked of gateways. What a gateway declines is in the wallet then.
    """

    id: str
    invoice_id: str
    number: str
    kind: CreditNoteKind
    amount: Decimal
    net: Decimal
    tax: Decimal
    returned: Decimal
    currency: str
    reason: str
    created_at: datetime
    lowered: Decimal
    restored: Decimal
    refunded: Decimal


class CreditedLineShown(Struct, frozen=True, kw_only=True):
    """A part of a credit note, net: of a line of its invoice, or of the whole (null)."""

    line: str | None
    description: str | None
    amount: Decimal


class CreditNoteDetails(CreditNoteShown, frozen=True, kw_only=True):
    """One credit note with its parts."""

    invoice_number: str
    lines: list[CreditedLineShown]
    taxes: list[TaxShown]
    refunds: list[RefundOut]


class CreditNoteAnswer(Struct, frozen=True, kw_only=True):
    """One credit note, wrapped."""

    credit_note: CreditNoteDetails


class CreditNotesOut(Struct, frozen=True, kw_only=True):
    """GET /invoices/{id}/credit-notes."""

    credit_notes: list[CreditNoteShown]
    meta: Meta


def read_parts(
    wanted: CreditNoteIn, *, invoice_id: UUID, currency: str
) -> tuple[int | None, list[tuple[int, int]] | None]:
    """(gross minor units, lines as ordinal and minor units) that a body asks for. Raises InvalidParameter with every fault."""
    faults: list[Fault] = []
    gross_minor = None if wanted.amount is None else _minor(wanted.amount, currency, "amount", faults)
    if wanted.amount is not None and wanted.lines is not None:
        faults.append(Fault("body", "lines", "cannot be given beside amount"))
    parts: list[tuple[int, int]] = []
    for index, line in enumerate(wanted.lines or ()):
        found = ids.decode_part("line", line.line)
        if found is None or found[0] != invoice_id or found[2] in {ordinal for ordinal, _ in parts}:
            faults.append(Fault("body", f"lines[{index}].line", "is not another line of this invoice"))
            continue
        parts.append((found[2], _minor(line.amount, currency, f"lines[{index}].amount", faults)))
    if faults:
        raise InvalidParameter(faults)
    return gross_minor, parts if wanted.lines is not None else None


def _minor(amount: Decimal, currency: str, path: str, faults: list[Fault]) -> int:
    try:
        return money.to_minor(amount, currency)
    except money.NotAnAmount as error:
        faults.append(Fault("body", path, str(error)))
        return 0


def show_brief(note: CreditNote) -> CreditNoteBrief:
    """A credit note beside its invoice."""
    return CreditNoteBrief(
        id=ids.encode(CREDIT_NOTE_PREFIX, note.credit_note_id),
        number=note.number,
        amount=money.to_major(note.total_minor, note.currency),
        kind=note.kind,
        created_at=note.issued_at,
    )


def show_credit_note(note: CreditNote) -> CreditNoteShown:
    """A credit note in a list."""
    return CreditNoteShown(
        id=ids.encode(CREDIT_NOTE_PREFIX, note.credit_note_id),
        invoice_id=ids.encode("inv", note.invoice_id),
        number=note.number,
        kind=note.kind,
        amount=money.to_major(note.total_minor, note.currency),
        net=money.to_major(note.net_minor, note.currency),
        tax=money.to_major(note.tax_minor, note.currency),
        returned=money.to_major(note.returned_minor, note.currency),
        currency=note.currency,
        reason=note.reason,
        created_at=note.issued_at,
        lowered=money.to_major(note.lowered_minor, note.currency),
        restored=money.to_major(note.restored_minor, note.currency),
        refunded=money.to_major(note.refunded_minor, note.currency),
    )


def show_whole_credit_note(whole: WholeCreditNote) -> CreditNoteAnswer:
    """One credit note with its parts."""
    note = whole.note
    return CreditNoteAnswer(
        credit_note=CreditNoteDetails(
            **structs.asdict(show_credit_note(note)),
            invoice_number=whole.invoice.number,
            lines=[
                CreditedLineShown(
                    line=None
                    if line.invoice_ordinal is None
                    else ids.encode_part("line", note.invoice_id, 1, line.invoice_ordinal),
                    description=line.description,
                    amount=money.to_major(line.amount_minor, note.currency),
                )
                for line in whole.lines
            ],
            taxes=[show_tax(tax, note.currency) for tax in whole.taxes],
            refunds=[payments.show_refund(refund) for refund in whole.refunds],
        )
    )
