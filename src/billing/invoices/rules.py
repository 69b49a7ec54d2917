"""Decisions about invoices, without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billing import ledger, rating
from billing.invoices.model import Credited, Invoice, InvoicePayment, InvoiceTax, PaymentSource, RunAccountState

Outcome = tuple[UUID, RunAccountState, str | None, UUID | None, str | None]


def outcome_of(account_id: UUID, *, invoice_id: UUID | None, currency: str, dry_run: bool) -> Outcome:
    """(account, state, reason, invoice, currency) in the run's worklist after rating; without an invoice it is done."""
    if invoice_id is None:
        return account_id, "done", None, None, None
    return account_id, "done" if dry_run else "rated", None, invoice_id, currency


def parked(account_id: UUID, reason: str) -> Outcome:
    """The outcome of an account whose billing stops, loudly."""
    return account_id, "parked", reason, None, None


def payment_transfers(
    *,
    account_id: UUID,
    invoice_id: UUID,
    currency: str,
    payments: Sequence[tuple[UUID | None, int]],
    first_ordinal: int,
    at: datetime,
) -> list[ledger.Transfer]:
    """The transfers of money set against an invoice, each (credit or None for cash, minor units), numbered on."""
    return [
        payment_transfer(
            account_id=account_id,
            invoice_id=invoice_id,
            ordinal=ordinal,
            source="wallet" if credit_id is None else "credit",
            source_id=credit_id,
            currency=currency,
            amount_minor=amount_minor,
            at=at,
        )
        for ordinal, (credit_id, amount_minor) in enumerate(payments, first_ordinal)
    ]


def payment_transfer(
    *,
    account_id: UUID,
    invoice_id: UUID,
    ordinal: int,
    source: PaymentSource,
    source_id: UUID | None,
    currency: str,
    amount_minor: int,
    at: datetime,
) -> ledger.Transfer:
    """The transfer of money set against an invoice: from the credit `source_id`, or from cash, which a method's money is by now."""
    if source == "credit":
        assert source_id is not None, "a credit is named"
        return ledger.invoice_paid_from_credit(
            account_id=account_id,
            invoice_id=invoice_id,
            credit_id=source_id,
            ordinal=ordinal,
            currency=currency,
            amount_minor=amount_minor,
            at=at,
        )
    template = ledger.invoice_paid_from_method if source == "method" else ledger.invoice_paid_from_cash
    return template(
        account_id=account_id,
        invoice_id=invoice_id,
        ordinal=ordinal,
        currency=currency,
        amount_minor=amount_minor,
        at=at,
    )


def taxes_on(net_minor: int, *, taxes: Sequence[InvoiceTax], credited: Credited) -> dict[str, int]:
    """The taxes of an invoice on more of its net that is taken back: on all of it so far, rounded once, less what went before."""
    return {
        tax.name: _more_of(
            tax, so_far_minor=rating.tax_minor(credited.net_minor + net_minor, tax.percent), credited=credited
        )
        for tax in taxes
    }


def split_gross(
    gross_minor: int, *, invoice: Invoice, taxes: Sequence[InvoiceTax], credited: Credited
) -> tuple[int, dict[str, int]]:
    """(net, taxes) in more of an invoice's total that is taken back.

    Each tax is its share of all that is taken back so far, rounded half up, less what went before: however many credit notes
    take the whole back, they take back its net and its taxes.
    """
    taken_minor, total_minor = credited.total_minor + gross_minor, invoice.total_minor
    net_minor, taxes_minor = gross_minor, dict[str, int]()
    for tax in taxes:
        share_minor = (2 * taken_minor * tax.amount_minor + total_minor) // (2 * total_minor)
        minor = min(_more_of(tax, so_far_minor=share_minor, credited=credited), net_minor)
        taxes_minor[tax.name] = minor
        net_minor -= minor
    above_minor = max(net_minor - (invoice.subtotal_minor - credited.net_minor), 0)
    for tax in taxes:  # what the net has not left, a tax has
        left_minor = tax.amount_minor - credited.taxes_minor.get(tax.name, 0) - taxes_minor[tax.name]
        minor = min(above_minor, left_minor)
        taxes_minor[tax.name] += minor
        net_minor, above_minor = net_minor - minor, above_minor - minor
    return net_minor, taxes_minor


def _more_of(tax: InvoiceTax, *, so_far_minor: int, credited: Credited) -> int:
    earlier_minor = credited.taxes_minor.get(tax.name, 0)
    return max(min(so_far_minor, tax.amount_minor) - earlier_minor, 0)


def give_back(
    amount_minor: int, *, payments: Sequence[InvoicePayment], earlier_minor: int
) -> tuple[int, dict[UUID, int]]:
    """(money, promotional credit by its id) that an amount already paid goes back to: the last payment first.

    So what stays is what would have paid an invoice of that much less. `earlier_minor` was given back before.
    """
    money_minor, credits_minor = 0, dict[UUID, int]()
    for payment in reversed(payments):
        skipped_minor = min(earlier_minor, payment.amount_minor)
        minor = min(payment.amount_minor - skipped_minor, amount_minor)
        earlier_minor, amount_minor = earlier_minor - skipped_minor, amount_minor - minor
        if minor and payment.source == "credit" and payment.source_id is not None:
            credits_minor[payment.source_id] = credits_minor.get(payment.source_id, 0) + minor
        else:
            money_minor += minor
    assert amount_minor == 0, "what was not paid cannot be given back"
    return money_minor, credits_minor
