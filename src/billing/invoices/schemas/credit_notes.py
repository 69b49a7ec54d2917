"""Wire shapes of credit notes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta as Bound
from msgspec import Struct

from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.invoices.model import CreditNote

LINES_MAX = 1_000


class CreditNoteLineIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the invoice and what is taken back of it, net."""

    line: str
    amount: Decimal


class CreditNoteIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /invoices/{id}/credit-notes: lines or a gross amount; neither takes back all that is left."""

    reason: Annotated[str, Bound(min_length=1, max_length=500)]
    kind: Literal["credit"] = "credit"
    amount: Decimal | None = None
    lines: Annotated[list[CreditNoteLineIn], Bound(min_length=1, max_length=LINES_MAX)] | None = None


class CreditNoteShown(Struct, frozen=True, kw_only=True):
    """A credit note. `returned`: the part that went into the wallet."""

    id: str
    invoice_id: str
    number: str
    kind: Literal["credit"]
    amount: Decimal
    net: Decimal
    tax: Decimal
    returned: Decimal
    currency: str
    reason: str
    created_at: datetime


class CreditNoteAnswer(Struct, frozen=True, kw_only=True):
    """One credit note, wrapped."""

    credit_note: CreditNoteShown


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


def show_credit_note(note: CreditNote) -> CreditNoteAnswer:
    """One credit note."""
    return CreditNoteAnswer(
        credit_note=CreditNoteShown(
            id=ids.encode("cn", note.credit_note_id),
            invoice_id=ids.encode("inv", note.invoice_id),
            number=note.number,
            kind="credit",
            amount=money.to_major(note.total_minor, note.currency),
            net=money.to_major(note.net_minor, note.currency),
            tax=money.to_major(note.tax_minor, note.currency),
            returned=money.to_major(note.returned_minor, note.currency),
            currency=note.currency,
            reason=note.reason,
            created_at=note.issued_at,
        )
    )
