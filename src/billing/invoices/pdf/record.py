"""What an invoice, credit note or receipt says, frozen as at issue: everything that its PDF needs and nothing from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from billing.core.period import Period

TEMPLATE_VERSION = 1  # of documents issued from now on; each keeps the version that it was issued with

DocumentKind = Literal["invoice", "credit_note"]
PaymentSource = Literal["credit", "wallet", "method"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerParty:
    """Who issues the document. Address, bank details and mobile money may have several lines."""

    name: str
    address: str
    tax_id: str | None = None
    bank_details: str | None = None
    mobile_money: str | None = None
    support_email: str | None = None
    logo_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountParty:
    """Who is billed. The address may have several lines; `country` is its name, shown as it is given."""

    name: str
    email: str
    company: str | None = None
    address: str | None = None
    country: str | None = None
    tax_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """One line. Lines are grouped by project (its id, so that two of one name stay apart), then service, in the order given."""

    description: str
    service: str
    project: str
    region: str
    quantity: Decimal
    unit: str
    unit_price: Decimal | None  # None when the price is tiered, or there is none
    amount_minor: int
    project_id: str = ""
    kind: Literal["usage", "other"] = "usage"  # other: no quantity times a price, such as a minimum or a correction


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """One tax on the subtotal; `percent` is 16 for 16 %."""

    name: str
    percent: Decimal
    base_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentAtIssue:
    """Money that was set against the document when it was issued."""

    source: PaymentSource
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthCost:
    """What the services of a month cost, without taxes, as far as it was billed by the time of issue."""

    period: Period
    costs_minor: tuple[tuple[str, int], ...]  # by service


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDocument:
    """The whole document. Raises ValueError when its parts do not add up.

    `issued_at` is shown as a date in `time_zone` (IANA), `due_date` as it is, the period in UTC. A credit note is never due; its
    amounts keep the signs of its lines and the headline shows the total without its sign. `corrects` is the number of the
    invoice that it lowers, `reason` why.
    """

    kind: DocumentKind
    number: str
    issuer: IssuerParty
    account: AccountParty
    issued_at: datetime
    time_zone: str
    currency: str
    lines: tuple[DocumentLine, ...]
    subtotal_minor: int
    total_minor: int
    amount_due_minor: int
    taxes: tuple[Tax, ...] = ()
    payments: tuple[PaymentAtIssue, ...] = ()
    due_date: date | None = None
    period: Period | None = None
    corrects: str | None = None
    reason: str | None = None
    logo: bytes | None = None  # the issuer's, a PNG or JPEG
    history: tuple[MonthCost, ...] = ()  # this month and those before it, oldest first
    template_version: int = TEMPLATE_VERSION

    def __post_init__(self) -> None:
        if self.issued_at.tzinfo is None:
            raise ValueError("issued_at must be an aware instant")
        if self.subtotal_minor != sum(line.amount_minor for line in self.lines):
            raise ValueError("the lines do not add up to the subtotal")
        if self.total_minor != self.subtotal_minor + sum(tax.amount_minor for tax in self.taxes):
            raise ValueError("subtotal and taxes do not add up to the total")
        paid_minor = sum(payment.amount_minor for payment in self.payments)
        if self.amount_due_minor != (self.total_minor - paid_minor if self.kind == "invoice" else 0):
            raise ValueError("total and payments at issue do not add up to the amount due")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptPart:
    """What a part of the money was for."""

    label: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidInvoice:
    """An invoice that was paid when the money arrived: how much of it, and what it still asked for then."""

    number: str
    issued_at: datetime
    total_minor: int
    amount_minor: int
    due_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDocument:
    """A receipt for money that arrived. Raises ValueError when its parts do not add up.

    `issued_at` is when the payment was completed, shown as a date in `time_zone` (IANA). `invoices` were paid by this very payment,
    or with `is_by_wallet` from the wallet that it went into.
    """

    number: str
    issuer: IssuerParty
    account: AccountParty
    issued_at: datetime
    time_zone: str
    currency: str
    amount_minor: int
    description: str
    parts: tuple[ReceiptPart, ...]
    invoices: tuple[PaidInvoice, ...] = ()
    is_by_wallet: bool = False
    received_at: datetime | None = None  # in the world, where that was told
    reference: str | None = None
    logo: bytes | None = None
    template_version: int = TEMPLATE_VERSION

    def __post_init__(self) -> None:
        if self.issued_at.tzinfo is None:
            raise ValueError("issued_at must be an aware instant")
        if self.amount_minor != sum(part.amount_minor for part in self.parts):
            raise ValueError("the parts do not add up to the amount")
