"""Accounts: who is billed, in which currency, on which terms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict
from uuid import UUID

from billing.core.errors import Refused

AccountStatus = Literal["active", "suspended", "closed"]


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it stands. `currency` is what it is rated and invoiced in; `terms_days` run from issue to due.

    With `billing_paused` no month of the account is closed: runs park it until an operator lets it go on.
    """

    account_id: UUID
    email: str
    name: str
    company: str | None
    status: AccountStatus
    verified: bool
    currency: str
    timezone: str
    country: str | None
    phone: str | None
    address: str | None
    tax_id: str | None
    tax_exempt: bool
    terms_days: int
    billing_paused: bool
    created_at: datetime


class AccountChanges(TypedDict, total=False):
    """What an update sets; a member that is absent stays as it is, None clears it."""

    email: str
    name: str
    company: str | None
    timezone: str
    country: str | None
    phone: str | None
    address: str | None
    tax_id: str | None
    tax_exempt: bool
    terms_days: int
    billing_paused: bool
    verified: bool


class CurrencyNotSupported(Refused):
    """The currency is not one that ISO 4217 lists and this installation has enabled."""

    def __init__(self, currency: str) -> None:
        super().__init__(f"Currency {currency} is not supported", details={"currency": currency})


class AccountClosed(Refused):
    """The account is closed for good."""

    message = "The account is closed"
