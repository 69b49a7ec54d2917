"""Invoices, their parts, and the runs that make them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict
from uuid import UUID

from billing.core.errors import Refused
from billing.core.period import Period

RunStatus = Literal["queued", "running", "completed", "failed"]
RunAccountState = Literal["queued", "rated", "done", "parked"]
RunChunkState = Literal["queued", "rated", "numbered", "done"]
InvoiceStatus = Literal["draft", "pending", "overdue", "paid", "void", "uncollectible"]
InvoiceKind = Literal["invoice", "credit_note"]
CreditNoteKind = Literal["credit", "refund"]
PaymentSource = Literal["credit", "wallet", "method"]

INVOICE_MAX_MINOR = 10**14
DEFAULT_ISSUER = "default"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues the invoices: the provider as its documents name it. `logo_sha256`: the picture's digest in hexadecimal."""

    name: str
    address: str
    tax_id: str | None
    bank_details: str | None
    mobile_money: str | None
    support_email: str | None
    logo_sha256: str | None = None


UNNAMED_ISSUER = Issuer("Lineserve", "", None, None, None, None)


@dataclass(frozen=True, slots=True)
class Run:
    """One resumable execution. `waits_until`: the end of the grace, before which it does not start."""

    run_id: UUID
    period: Period
    dry_run: bool
    only_accounts: tuple[UUID, ...] | None
    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    errors: list[str]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `amount_minor_by_currency`: totals of the invoices, tax included."""

    accounts_total: int
    accounts_rated: int
    accounts_done: int
    accounts_parked: int
    invoices: int
    amount_minor_by_currency: dict[str, int]


@dataclass(frozen=True, slots=True)
class ParkedAccount:
    """An account whose billing stopped in a run, and why."""

    account_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class RatedAccount:
    """What became of one account's month in a run: its invoice is drafted, there is nothing to bill, or an objection."""

    account_id: UUID
    invoice_id: UUID
    currency: str
    subtotal_minor: Decimal
    line_count: int
    objection: str | None
    is_drafted: bool


@dataclass(frozen=True, slots=True)
class IssuedInvoice:
    """An invoice as it was just issued, with what has to be posted. `payment_sources`: a credit's id, or None for cash."""

    account_id: UUID
    invoice_id: UUID
    number: str
    currency: str
    issued_at: datetime
    due_at: datetime
    subtotal_minor: int
    total_minor: int
    paid_minor: int
    taxes_minor: dict[str, int]
    payments: list[tuple[UUID | None, int]]


@dataclass(frozen=True, slots=True)
class Invoice:
    """A finalised invoice and its state now."""

    account_id: UUID
    invoice_id: UUID
    kind: InvoiceKind
    number: str
    period: Period
    currency: str
    subtotal_minor: int
    tax_minor: int
    total_minor: int
    paid_at_issue_minor: int
    issued_at: datetime
    due_at: datetime
    parties: dict[str, Any]
    status: str
    paid_minor: int
    credited_minor: int
    paid_at: datetime | None
    pdf_sha256: bytes | None = None

    def status_at(self, now: datetime) -> str:
        """The status as the wire shows it: overdue is pending past the due date, read and never stored."""
        if self.status in ("pending", "processing"):
            return "overdue" if now >= self.due_at else "pending"
        return self.status

    @property
    def due_minor(self) -> int:
        """What is still to be paid."""
        return (
            self.total_minor - self.paid_minor - self.credited_minor if self.status in ("pending", "processing") else 0
        )


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line of an invoice or of a preview. `resource_id` is empty where the charge pools resources."""

    ordinal: int
    kind: str
    item_kind: str
    item: str
    resource_id: str
    units: Decimal
    service_period: Period
    service: str
    type: str
    project_id: UUID
    project_name: str
    resource_name: str | None
    region: str
    description: str
    quantity: Decimal
    unit: str
    unit_price: Decimal | None
    amount_minor: int
    unrounded: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledLine:
    """A line of a finalised document, with the charge that it is a part of and what its close had seen.

    `seen_version` is the version of the service month that the close rated at `rated_at`.
    """

    invoice_id: UUID
    number: str
    document_period: Period
    rated_at: datetime
    seen_version: int
    price_id: UUID
    charge_kind: Literal["usage", "minimum"]
    line: InvoiceLine


@dataclass(frozen=True, slots=True)
class InvoiceTax:
    """One tax of an invoice."""

    name: str
    percent: Decimal
    base_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class InvoicePayment:
    """Money set against an invoice."""

    ordinal: int
    source: PaymentSource
    source_id: UUID | None
    amount_minor: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """What an operator took back of an issued invoice.

    `restored_minor` went back to promotional credits, `returned_minor` into the wallet, `refunded_minor` was asked of gateways.
    """

    account_id: UUID
    credit_note_id: UUID
    invoice_id: UUID
    kind: CreditNoteKind
    number: str
    currency: str
    net_minor: int
    tax_minor: int
    total_minor: int
    restored_minor: int
    returned_minor: int
    refunded_minor: int
    reason: str
    issued_at: datetime

    @property
    def lowered_minor(self) -> int:
        """The part that had not been paid."""
        return self.total_minor - self.restored_minor - self.returned_minor - self.refunded_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNoteLine:
    """A part of a credit note, net: of a line of its invoice, or of the whole (`invoice_ordinal` and what a line says None)."""

    ordinal: int
    invoice_ordinal: int | None
    amount_minor: int
    description: str | None
    service: str | None
    project_id: UUID | None
    project_name: str | None
    region: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited:
    """What the credit notes of an invoice have taken back so far; taxes by name, lines by ordinal.

    `given_back_minor` is the part of it that had been paid, wherever it went.
    """

    net_minor: int
    total_minor: int
    given_back_minor: int
    taxes_minor: dict[str, int]
    lines_minor: dict[int, int]


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """An invoice that still asks for money; `next_ordinal` numbers its next payment."""

    invoice_id: UUID
    due_minor: int
    next_ordinal: int


@dataclass(frozen=True, slots=True)
class ArrivedPayment:
    """A payment that settled for an invoice and was not set against it yet."""

    invoice_id: UUID
    payment_id: UUID
    amount_minor: int


@dataclass(frozen=True, slots=True)
class UsableCredit:
    """A promotional credit that may pay an invoice: what is left of it, and what it paid of that invoice before."""

    credit_id: UUID
    balance_minor: int
    used_minor: int


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill as it would be: lines, taxes, and what they come to."""

    period: Period
    currency: str
    lines: list[InvoiceLine]
    taxes: list[InvoiceTax]

    @property
    def subtotal_minor(self) -> int:
        """The lines' sum."""
        return sum(line.amount_minor for line in self.lines)

    @property
    def total_minor(self) -> int:
        """The lines and the taxes."""
        return self.subtotal_minor + sum(tax.amount_minor for tax in self.taxes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What collecting set against what an account owes and its invoices; by invoice, what came from the wallet."""

    used_minor: int
    from_wallet_minor: dict[UUID, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptInvoice:
    """An invoice that was paid when money arrived: how much of it, and what it still asked for then."""

    number: str
    issued_at: datetime
    total_minor: int
    amount_minor: int
    due_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a receipt says beside its payment. `is_by_wallet`: the invoices were paid from the wallet that the money went into."""

    parties: dict[str, Any]
    is_by_wallet: bool
    invoices: list[ReceiptInvoice]


class PeriodOpen(Refused):
    """The month is still running."""

    message = "The period has not ended yet"


class InvoiceNotPayable(Refused):
    """The invoice asks for no money."""

    message = "The invoice asks for no money"


class InvoiceNotVoidable(Refused):
    """Only an invoice that is pending or paid can be voided."""

    message = "Only an invoice that is pending or paid can be voided"


class InvoiceKey(TypedDict):
    """What names an invoice."""

    account_id: UUID
    invoice_id: UUID


class CreditNoteKey(TypedDict):
    """What names a credit note of an operator."""

    account_id: UUID
    credit_note_id: UUID


class CreditNoteExceedsInvoice(Refused):
    """The invoice, less what was credited of it before, is smaller than this credit note."""

    message = "The credit note is larger than what is left of the invoice"
