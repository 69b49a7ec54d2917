"""Decisions about invoices, without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from billing import ledger, rating
from billing.invoices.model import InvoiceTax, RunAccountState

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
    transfers: list[ledger.Transfer] = []
    for ordinal, (credit_id, amount_minor) in enumerate(payments, first_ordinal):
        if credit_id is None:
            transfer = ledger.invoice_paid_from_cash(
                account_id=account_id,
                invoice_id=invoice_id,
                ordinal=ordinal,
                currency=currency,
                amount_minor=amount_minor,
                at=at,
            )
        else:
            transfer = ledger.invoice_paid_from_credit(
                account_id=account_id,
                invoice_id=invoice_id,
                credit_id=credit_id,
                ordinal=ordinal,
                currency=currency,
                amount_minor=amount_minor,
                at=at,
            )
        transfers.append(transfer)
    return transfers


def net_within(shares: Sequence[rating.Share], inside: Mapping[rating.QuantityKey, Decimal]) -> tuple[Fraction, int]:
    """(net inside, net) in minor units: each resource's share of a charge by the part of its quantity that lies inside."""
    net_inside, net = Fraction(0), 0
    for share in shares:
        quantity = inside.get((share.price_id, share.units, share.resource_id), Decimal(0))
        net += share.amount_minor
        net_inside += share.amount_minor * min(Fraction(quantity) / Fraction(share.quantity), Fraction(1))
    return net_inside, net


def tax_of(net_minor: int, tax: InvoiceTax) -> int:
    """A tax of an invoice on part of its net, rounded half up."""
    return rating.tax_minor(net_minor, tax.percent)


def tax_parts(gross_minor: int, *, total_minor: int, taxes: Sequence[InvoiceTax]) -> dict[str, int]:
    """The taxes in part of an invoice's total: each by its share of the whole, rounded half up."""
    return {tax.name: (2 * gross_minor * tax.amount_minor + total_minor) // (2 * total_minor) for tax in taxes}
