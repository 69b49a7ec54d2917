"""Wire shapes of invoices and the issuer."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta as Bound
from msgspec import Struct

from billing import payments
from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.core.period import Period
from billing.invoices.model import Bill, Invoice, InvoiceLine, InvoicePayment, InvoiceStatus, Issuer
from billing.invoices.operations.reading import WholeInvoice
from billing.invoices.pdf import is_printable
from billing.invoices.schemas.credit_notes import CreditNoteBrief, show_brief
from billing.invoices.schemas.taxes import TaxShown, show_tax
from billing.kit.web import Check, DateFilter, Meta, PageQuery, window_faults

INVOICE_PREFIX = "inv"
LOGO_MAX_BYTES = 65_536
LISTED: tuple[InvoiceStatus, ...] = ("pending", "overdue", "paid")

Text = Annotated[str, Bound(min_length=1, max_length=200)]
LongText = Annotated[str, Bound(min_length=1, max_length=1000)]


class InvoicesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /account/invoices."""

    status: InvoiceStatus | None = None
    from_date: DateFilter | None = None
    to_date: DateFilter | None = None

    checks: ClassVar[tuple[Check, ...]] = (window_faults,)


class InvoiceShown(Struct, frozen=True, kw_only=True):
    """An invoice in the list."""

    id: str
    number: str
    status: str
    amount: Decimal
    currency: str
    period_start: datetime
    period_end: datetime
    due_date: datetime
    paid_at: datetime | None
    created_at: datetime
    kind: str


class InvoicesOut(Struct, frozen=True, kw_only=True):
    """GET /account/invoices."""

    invoices: list[InvoiceShown]
    meta: Meta


class LineShown(Struct, frozen=True, kw_only=True):
    """One line. `amount` is rounded, `unrounded` is what it was rounded from."""

    id: str | None
    kind: str
    description: str
    service: str
    type: str | None
    project_id: str
    project: str
    resource_id: str | None
    resource_name: str | None
    region: str
    plan: str | None
    meter: str | None
    period_start: datetime
    period_end: datetime
    quantity: Decimal
    unit: str
    unit_price: Decimal | None
    amount: Decimal
    unrounded: Decimal


class PaymentShown(Struct, frozen=True, kw_only=True):
    """Money set against an invoice."""

    transaction_id: str | None
    source: str
    amount: Decimal
    created_at: datetime


class InvoiceDetails(InvoiceShown, frozen=True, kw_only=True):
    """One invoice with its parts."""

    subtotal: Decimal
    tax: Decimal
    amount_paid: Decimal
    amount_due: Decimal
    pdf_sha256: str
    taxes: list[TaxShown]
    lines: list[LineShown]
    lines_total: int
    payments: list[PaymentShown]
    credit_notes: list[CreditNoteBrief]


class InvoiceAnswer(Struct, frozen=True, kw_only=True):
    """One invoice, wrapped."""

    invoice: InvoiceDetails


class PayIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /account/invoices/{id}/pay: what is asked for the rest after credit and wallet; the default method if none is named."""

    payment_method: str | None = None


class PaidAnswer(Struct, frozen=True, kw_only=True):
    """An invoice after a payment; without a transaction, promotional credit and wallet paid it."""

    invoice: InvoiceDetails
    transaction: payments.TransactionOut | None


class InvoiceShownAnswer(Struct, frozen=True, kw_only=True):
    """One invoice without its parts, wrapped."""

    invoice: InvoiceShown


class LinesOut(Struct, frozen=True, kw_only=True):
    """GET /account/invoices/{id}/lines."""

    lines: list[LineShown]
    meta: Meta


class PreviewShown(Struct, frozen=True, kw_only=True):
    """A bill as it stands."""

    status: Literal["draft"]
    currency: str
    period_start: datetime
    period_end: datetime
    amount: Decimal
    subtotal: Decimal
    tax: Decimal
    taxes: list[TaxShown]
    lines: list[LineShown]


class PreviewAnswer(Struct, frozen=True, kw_only=True):
    """GET /accounts/{id}/invoices/preview."""

    invoice: PreviewShown


class PreviewQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /accounts/{id}/invoices/preview: a month, the running one by default."""

    period: str | None = None


def _logo_faults(*, logo: str | None) -> list[Fault]:
    if logo is None:
        return []
    try:
        content = b64decode(logo, validate=True)
    except ValueError:
        content = b""
    if len(content) > LOGO_MAX_BYTES:
        return [Fault("body", "logo", f"has more than {LOGO_MAX_BYTES:,} bytes")]
    return [] if is_printable(content) else [Fault("body", "logo", "is no PNG or JPEG in base64")]


class IssuerIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /issuer."""

    name: Text
    address: LongText
    tax_id: Text | None = None
    bank_details: LongText | None = None
    mobile_money: LongText | None = None
    support_email: Text | None = None
    logo: Annotated[str, Bound(min_length=1, max_length=LOGO_MAX_BYTES * 3 // 2)] | None = None

    checks: ClassVar[tuple[Check, ...]] = (_logo_faults,)

    def read_logo(self) -> bytes | None:
        """The picture."""
        return None if self.logo is None else b64decode(self.logo)


class IssuerAnswer(Struct, frozen=True, kw_only=True):
    """The issuer, wrapped."""

    issuer: Issuer


class EmptyIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body without members."""


def read_period(text: str, *, where: Literal["body", "query"] = "body") -> Period:
    """A month such as 2024-01. Raises InvalidParameter."""
    try:
        return Period.parse(text)
    except ValueError as error:
        raise InvalidParameter.one(where, "period", str(error)) from error


def show(invoice: Invoice, *, now: datetime) -> InvoiceShown:
    """An invoice as the list shows it."""
    return InvoiceShown(
        id=ids.encode(INVOICE_PREFIX, invoice.invoice_id),
        number=invoice.number,
        status=invoice.status_at(now),
        amount=money.to_major(invoice.total_minor, invoice.currency),
        currency=invoice.currency,
        period_start=invoice.period.start,
        period_end=invoice.period.shown_end,
        due_date=invoice.due_at,
        paid_at=invoice.paid_at,
        created_at=invoice.issued_at,
        kind=invoice.kind,
    )


def show_whole(whole: WholeInvoice, *, pdf_sha256: bytes, now: datetime) -> InvoiceAnswer:
    """One invoice with its parts."""
    invoice = whole.invoice
    currency = invoice.currency
    listed = msgspec.structs.asdict(show(invoice, now=now))
    details = InvoiceDetails(
        **listed,
        subtotal=money.to_major(invoice.subtotal_minor, currency),
        tax=money.to_major(invoice.tax_minor, currency),
        amount_paid=money.to_major(invoice.paid_minor, currency),
        amount_due=money.to_major(invoice.due_minor, currency),
        pdf_sha256=pdf_sha256.hex(),
        taxes=[show_tax(tax, currency) for tax in whole.taxes],
        lines=[show_line(line, currency, invoice_id=invoice.invoice_id) for line in whole.lines],
        lines_total=whole.lines_total,
        payments=[_show_payment(payment, currency) for payment in whole.payments],
        credit_notes=[show_brief(note) for note in whole.credit_notes],
    )
    return InvoiceAnswer(invoice=details)


def show_line(line: InvoiceLine, currency: str, *, invoice_id: ids.UUID | None = None) -> LineShown:
    """One line; that of a preview has no id."""
    return LineShown(
        id=None if invoice_id is None else ids.encode_part("line", invoice_id, 1, line.ordinal),
        kind=line.kind,
        description=line.description,
        service=line.service,
        type=line.type or None,
        project_id=ids.encode("proj", line.project_id),
        project=line.project_name,
        resource_id=line.resource_id or None,
        resource_name=line.resource_name,
        region=line.region,
        plan=line.item if line.item_kind == "plan" else None,
        meter=line.item if line.item_kind == "meter" else None,
        period_start=line.service_period.start,
        period_end=line.service_period.shown_end,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price,
        amount=money.to_major(line.amount_minor, currency),
        unrounded=line.unrounded,
    )


def _show_payment(payment: InvoicePayment, currency: str) -> PaymentShown:
    is_transaction = payment.source == "method" and payment.source_id is not None
    return PaymentShown(
        transaction_id=ids.encode("txn", payment.source_id) if is_transaction and payment.source_id else None,
        source=payment.source,
        amount=money.to_major(payment.amount_minor, currency),
        created_at=payment.created_at,
    )


def show_preview(bill: Bill) -> PreviewAnswer:
    """A bill as it stands."""
    return PreviewAnswer(
        invoice=PreviewShown(
            status="draft",
            currency=bill.currency,
            period_start=bill.period.start,
            period_end=bill.period.shown_end,
            amount=money.to_major(bill.total_minor, bill.currency),
            subtotal=money.to_major(bill.subtotal_minor, bill.currency),
            tax=money.to_major(bill.total_minor - bill.subtotal_minor, bill.currency),
            taxes=[show_tax(tax, bill.currency) for tax in bill.taxes],
            lines=[show_line(line, bill.currency) for line in bill.lines],
        )
    )
