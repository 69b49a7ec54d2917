"""The named templates: each money movement of the system, and nothing builds a transfer any other way.

topup.started              gateway:<name>  → wallet:pending
topup.settled              wallet:pending  → wallet:cash
topup.failed               wallet:pending  → gateway:<name>
payment.recorded           gateway:external → wallet:cash
refund.started             wallet:cash     → wallet:held
refund.settled             wallet:held     → gateway:<name>
refund.failed              wallet:held     → wallet:cash
chargeback.taken           wallet:cash, owed → gateway:<name>, for each part
owed.paid                  wallet:cash     → owed
credit.granted             promotions      → promo:<grant>
credit.expired             promo:<grant>   → promotions
credit.undone              promo:<grant>   → promotions
hold.placed                wallet:cash     → wallet:held
hold.captured              wallet:held     → revenue
hold.released              wallet:held     → wallet:cash
invoice.issued             receivable      → revenue, tax:<name> for each tax
invoice.credited           revenue, tax:<name> → wallet:cash, for each part
invoice.paid_from_credit   promo:<grant>   → receivable
invoice.paid_from_cash     wallet:cash     → receivable
invoice.payment_started    gateway:<name>  → wallet:pending
invoice.payment_settled    wallet:pending  → wallet:cash
invoice.payment_failed     wallet:pending  → gateway:<name>
invoice.paid_from_method   wallet:cash     → receivable
invoice.voided             revenue, tax:<name> → receivable, for each part
invoice.payment_returned   receivable      → wallet:cash or promo:<grant>
invoice.written_off        write_offs      → receivable
credit_note.issued         revenue, tax:<name> → receivable, for each part
credit_note.returned       receivable      → wallet:cash or promo:<grant>
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from billing.ledger.model import (
    EXTERNAL_GATEWAY,
    OWED,
    PROMOTIONS,
    RECEIVABLE,
    REVENUE,
    WALLET_CASH,
    WALLET_HELD,
    WALLET_PENDING,
    WRITE_OFFS,
    Transfer,
    gateway,
    promo,
    tax,
)


def topup_started(
    *, account_id: UUID, payment_id: UUID, gateway_name: str, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Money asked of a gateway: pending until it settles or fails."""
    return Transfer(
        account_id, currency, gateway(gateway_name), WALLET_PENDING, amount_minor, "topup.started", str(payment_id), at
    )


def topup_settled(*, account_id: UUID, payment_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Money that arrived: it can be spent."""
    return Transfer(
        account_id, currency, WALLET_PENDING, WALLET_CASH, amount_minor, "topup.settled", str(payment_id), at
    )


def topup_failed(
    *, account_id: UUID, payment_id: UUID, gateway_name: str, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Money that did not come: the reversal of `topup.started`."""
    return Transfer(
        account_id, currency, WALLET_PENDING, gateway(gateway_name), amount_minor, "topup.failed", str(payment_id), at
    )


def payment_recorded(*, account_id: UUID, payment_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Money that came another way, such as a bank transfer, recorded by the operator."""
    return Transfer(
        account_id,
        currency,
        gateway(EXTERNAL_GATEWAY),
        WALLET_CASH,
        amount_minor,
        "payment.recorded",
        str(payment_id),
        at,
    )


def refund_started(*, account_id: UUID, refund_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Money set aside that a gateway is asked to give back."""
    return Transfer(account_id, currency, WALLET_CASH, WALLET_HELD, amount_minor, "refund.started", str(refund_id), at)


def refund_settled(
    *, account_id: UUID, refund_id: UUID, gateway_name: str, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Money that a gateway gave back."""
    return Transfer(
        account_id, currency, WALLET_HELD, gateway(gateway_name), amount_minor, "refund.settled", str(refund_id), at
    )


def refund_failed(*, account_id: UUID, refund_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Money that a gateway did not give back: the reversal of `refund.started`."""
    return Transfer(account_id, currency, WALLET_HELD, WALLET_CASH, amount_minor, "refund.failed", str(refund_id), at)


def chargeback_taken(
    *,
    account_id: UUID,
    chargeback_id: UUID,
    gateway_name: str,
    currency: str,
    cash_minor: int,
    owed_minor: int,
    at: datetime,
) -> list[Transfer]:
    """Money that a gateway took back: what the wallet had, and the rest, which the account owes from then on."""
    parts = [(WALLET_CASH, cash_minor), (OWED, owed_minor)]
    return [
        Transfer(
            account_id,
            currency,
            source,
            gateway(gateway_name),
            minor,
            "chargeback.taken",
            str(chargeback_id),
            at,
            ordinal,
        )
        for ordinal, (source, minor) in enumerate(parts)
        if minor > 0
    ]


def owed_paid(*, account_id: UUID, reference: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Money that arrived set against what the account owes; `reference` is what brought it."""
    return Transfer(account_id, currency, WALLET_CASH, OWED, amount_minor, "owed.paid", str(reference), at)


def credit_granted(*, account_id: UUID, credit_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Promotional credit given by the operator."""
    return Transfer(
        account_id, currency, PROMOTIONS, promo(credit_id), amount_minor, "credit.granted", str(credit_id), at
    )


def hold_placed(*, account_id: UUID, hold_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Money set aside."""
    return Transfer(account_id, currency, WALLET_CASH, WALLET_HELD, amount_minor, "hold.placed", str(hold_id), at)


def hold_captured(*, account_id: UUID, hold_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Held money taken as revenue."""
    return Transfer(account_id, currency, WALLET_HELD, REVENUE, amount_minor, "hold.captured", str(hold_id), at)


def hold_released(*, account_id: UUID, hold_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """Held money given back."""
    return Transfer(account_id, currency, WALLET_HELD, WALLET_CASH, amount_minor, "hold.released", str(hold_id), at)


def invoice_issued(
    *, account_id: UUID, invoice_id: UUID, currency: str, net_minor: int, taxes_minor: Mapping[str, int], at: datetime
) -> list[Transfer]:
    """What an invoice says is owed: net to revenue and each tax to its own ledger account. Parts of 0 are left out."""
    parts = [(REVENUE, net_minor), *((tax(name), minor) for name, minor in taxes_minor.items())]
    return [
        Transfer(account_id, currency, RECEIVABLE, destination, minor, "invoice.issued", str(invoice_id), at, ordinal)
        for ordinal, (destination, minor) in enumerate(parts)
        if minor > 0
    ]


def invoice_credited(
    *, account_id: UUID, invoice_id: UUID, currency: str, net_minor: int, taxes_minor: Mapping[str, int], at: datetime
) -> list[Transfer]:
    """What a document below 0 gives back: net and each tax, which are below 0 or 0 too, into the wallet as settled money."""
    parts = [(REVENUE, net_minor), *((tax(name), minor) for name, minor in taxes_minor.items())]
    return [
        Transfer(account_id, currency, source, WALLET_CASH, -minor, "invoice.credited", str(invoice_id), at, ordinal)
        for ordinal, (source, minor) in enumerate(parts)
        if minor < 0
    ]


def invoice_voided(
    *, account_id: UUID, invoice_id: UUID, currency: str, net_minor: int, taxes_minor: Mapping[str, int], at: datetime
) -> list[Transfer]:
    """An invoice that asks for nothing any more: the reversal of `invoice.issued`, part by part."""
    parts = [(REVENUE, net_minor), *((tax(name), minor) for name, minor in taxes_minor.items())]
    return [
        Transfer(account_id, currency, source, RECEIVABLE, minor, "invoice.voided", str(invoice_id), at, ordinal)
        for ordinal, (source, minor) in enumerate(parts)
        if minor > 0
    ]


def credit_note_issued(
    *,
    account_id: UUID,
    credit_note_id: UUID,
    currency: str,
    net_minor: int,
    taxes_minor: Mapping[str, int],
    at: datetime,
) -> list[Transfer]:
    """What a credit note takes back of an invoice's earnings and taxes."""
    parts = [(REVENUE, net_minor), *((tax(name), minor) for name, minor in taxes_minor.items())]
    return [
        Transfer(
            account_id, currency, source, RECEIVABLE, minor, "credit_note.issued", str(credit_note_id), at, ordinal
        )
        for ordinal, (source, minor) in enumerate(parts)
        if minor > 0
    ]


def credit_note_returned(
    *,
    account_id: UUID,
    credit_note_id: UUID,
    ordinal: int,
    destination: str,
    currency: str,
    amount_minor: int,
    at: datetime,
) -> Transfer:
    """The part of a credit note that was paid already, back where it came from: the wallet, or the credit with its id.

    `ordinal` numbers the places that a credit note gives back to.
    """
    return Transfer(
        account_id,
        currency,
        RECEIVABLE,
        destination,
        amount_minor,
        "credit_note.returned",
        str(credit_note_id),
        at,
        ordinal,
    )


def invoice_payment_returned(
    *,
    account_id: UUID,
    invoice_id: UUID,
    ordinal: int,
    destination: str,
    currency: str,
    amount_minor: int,
    at: datetime,
) -> Transfer:
    """Money set against an invoice that was voided, back where it came from: the wallet, or the credit with its id."""
    return Transfer(
        account_id,
        currency,
        RECEIVABLE,
        destination,
        amount_minor,
        "invoice.payment_returned",
        str(invoice_id),
        at,
        ordinal,
    )


def invoice_written_off(
    *, account_id: UUID, invoice_id: UUID, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """What an invoice still asks for and nobody will pay."""
    return Transfer(
        account_id, currency, WRITE_OFFS, RECEIVABLE, amount_minor, "invoice.written_off", str(invoice_id), at
    )


def credit_expired(
    *, account_id: UUID, credit_id: UUID, ordinal: int, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """What was left of a promotional credit when its validity ended; `ordinal` is 0, and one more each time that something which
    came back to it later expires.
    """
    return Transfer(
        account_id, currency, promo(credit_id), PROMOTIONS, amount_minor, "credit.expired", str(credit_id), at, ordinal
    )


def credit_undone(*, account_id: UUID, credit_id: UUID, currency: str, amount_minor: int, at: datetime) -> Transfer:
    """A promotional credit that the operator took back: the reversal of `credit.granted`."""
    return Transfer(
        account_id, currency, promo(credit_id), PROMOTIONS, amount_minor, "credit.undone", str(credit_id), at
    )


def invoice_paid_from_credit(
    *, account_id: UUID, invoice_id: UUID, credit_id: UUID, ordinal: int, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Promotional credit set against an invoice; `ordinal` numbers the invoice's payments."""
    return Transfer(
        account_id,
        currency,
        promo(credit_id),
        RECEIVABLE,
        amount_minor,
        "invoice.paid_from_credit",
        str(invoice_id),
        at,
        ordinal,
    )


def invoice_paid_from_cash(
    *, account_id: UUID, invoice_id: UUID, ordinal: int, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Wallet cash set against an invoice; `ordinal` numbers the invoice's payments."""
    return Transfer(
        account_id,
        currency,
        WALLET_CASH,
        RECEIVABLE,
        amount_minor,
        "invoice.paid_from_cash",
        str(invoice_id),
        at,
        ordinal,
    )


def invoice_payment_started(
    *, account_id: UUID, payment_id: UUID, gateway_name: str, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Money asked of a gateway for an invoice: pending until it settles or fails."""
    return Transfer(
        account_id,
        currency,
        gateway(gateway_name),
        WALLET_PENDING,
        amount_minor,
        "invoice.payment_started",
        str(payment_id),
        at,
    )


def invoice_payment_settled(
    *, account_id: UUID, payment_id: UUID, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Money that arrived for an invoice; what the invoice does not take stays in the wallet."""
    return Transfer(
        account_id, currency, WALLET_PENDING, WALLET_CASH, amount_minor, "invoice.payment_settled", str(payment_id), at
    )


def invoice_payment_failed(
    *, account_id: UUID, payment_id: UUID, gateway_name: str, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Money that did not come for an invoice: the reversal of `invoice.payment_started`."""
    return Transfer(
        account_id,
        currency,
        WALLET_PENDING,
        gateway(gateway_name),
        amount_minor,
        "invoice.payment_failed",
        str(payment_id),
        at,
    )


def invoice_paid_from_method(
    *, account_id: UUID, invoice_id: UUID, ordinal: int, currency: str, amount_minor: int, at: datetime
) -> Transfer:
    """Money that arrived for an invoice set against it; `ordinal` numbers the invoice's payments."""
    return Transfer(
        account_id,
        currency,
        WALLET_CASH,
        RECEIVABLE,
        amount_minor,
        "invoice.paid_from_method",
        str(invoice_id),
        at,
        ordinal,
    )
