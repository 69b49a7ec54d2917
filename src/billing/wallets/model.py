"""Wallets as their owner sees them, holds, promotional credits, and the errors of this slice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from billing.core.errors import Refused

CreditStatus = Literal["active", "used", "expired", "undone"]
HoldStatus = Literal["open", "captured", "released"]


@dataclass(frozen=True, slots=True)
class Wallet:
    """One currency's money of an account, in minor units."""

    currency: str
    available_minor: int
    pending_minor: int
    reserved_minor: int

    @property
    def total_minor(self) -> int:
        """All the wallet's money."""
        return self.available_minor + self.pending_minor + self.reserved_minor


@dataclass(frozen=True, slots=True)
class Cash:
    """What a wallet's ledger accounts hold in one currency; an expired hold counts as cash again."""

    cash_minor: int
    pending_minor: int
    held_minor: int


class OwnCash(NamedTuple):
    """The cash that an account has in its own currency, of which a part may be reserved."""

    currency: str
    cash_minor: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside until `expires_at` (exclusive: at that instant it is spendable again)."""

    account_id: UUID
    hold_id: UUID
    reference: str
    currency: str
    amount_minor: int
    captured_minor: int | None
    status: HoldStatus
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Whether the money is still set aside; an expired hold is not, whatever its row says."""
        return self.status == "open" and now < self.expires_at

    def shown_status(self, now: datetime) -> str:
        """The status that a reader sees."""
        return "expired" if self.status == "open" and not self.is_open(now) else self.status


@dataclass(frozen=True, slots=True)
class Credit:
    """Promotional credit: a grant of the operator, spent by (priority, expiry, oldest); a lower priority goes first."""

    account_id: UUID
    credit_id: UUID
    currency: str
    amount_minor: int
    reason: str
    priority: int
    granted_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class CreditStanding:
    """A promotional credit and how it stands: what is left of it, and how it ended."""

    credit: Credit
    remaining_minor: int
    is_expiry_booked: bool
    undone_at: datetime | None

    def status_at(self, now: datetime) -> CreditStatus:
        """The status that a reader sees. What is left of an expired one still pays for usage before its expiry."""
        expires_at = self.credit.expires_at
        if self.undone_at is not None:
            return "undone"
        if self.is_expiry_booked or (self.remaining_minor > 0 and expires_at is not None and now >= expires_at):
            return "expired"
        return "active" if self.remaining_minor > 0 else "used"


class CreditNotUndoable(Refused):
    """A credit of which something was spent, has expired or was undone before."""

    message = "A credit can be undone while nothing of it is used; void the invoices that it paid first"


class HoldReferenceReused(Refused):
    """The account has another hold of this reference."""

    message = "This reference was used for another hold"


class HoldNotOpen(Refused):
    """The hold was captured or released, or has expired."""

    message = "The hold is not open any more"


class CaptureAboveHold(Refused):
    """More was to be captured than was held."""

    message = "The amount is greater than what is held"
