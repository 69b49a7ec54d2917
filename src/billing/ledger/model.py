"""What the books are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.core.errors import Refused

WALLET_CASH = "wallet:cash"
WALLET_PENDING = "wallet:pending"
WALLET_HELD = "wallet:held"
RECEIVABLE = "receivable"
REVENUE = "revenue"
PROMOTIONS = "promotions"
WRITE_OFFS = "write_offs"
OWED = "owed"
EXTERNAL_GATEWAY = "external"


def promo(credit_id: UUID) -> str:
    """The ledger account of one promotional credit."""
    return f"promo:{credit_id}"


def gateway(name: str) -> str:
    """The ledger account of a payment gateway: what it has taken in for us, below zero."""
    return f"gateway:{name}"


def tax(name: str) -> str:
    """The ledger account of a tax."""
    return f"tax:{name}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A positive amount of minor units to move from one ledger account to another of the same account and currency.

    `(account_id, template, reference, ordinal)` is posted once, whatever is sent again.
    """

    account_id: UUID
    currency: str
    source: str
    destination: str
    amount_minor: int
    template: str
    reference: str
    effective_at: datetime
    ordinal: int = 0

    def __post_init__(self) -> None:
        assert self.amount_minor > 0, f"{self.template} moves nothing"
        assert self.source != self.destination
        assert self.effective_at.tzinfo is not None


@dataclass(frozen=True, slots=True)
class PostedTransfer:
    """A transfer as the books hold it."""

    number: int
    currency: str
    source: str
    destination: str
    amount_minor: int
    template: str
    reference: str
    effective_at: datetime
    recorded_at: datetime


class InsufficientBalance(Refused):
    """A guarded ledger account would fall below zero."""

    message = "Insufficient wallet balance for this operation"


class TransferConflict(Exception):
    """The same reference was posted before with other content: a bug, never a caller's mistake."""
