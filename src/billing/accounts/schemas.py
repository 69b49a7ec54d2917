"""Accounts on the wire."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Literal, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from billing.accounts import rules
from billing.accounts.model import Account, AccountChanges, AccountStatus
from billing.core import ids
from billing.core.errors import Fault, InvalidParameter
from billing.kit.web import Meta, PageQuery

ACCOUNT_PREFIX = "acc"


class AccountShown(Struct, frozen=True, kw_only=True):
    """An account as its own keys see it."""

    id: str
    email: str
    name: str
    company: str | None
    status: AccountStatus
    created_at: datetime
    verified: bool
    currency: str
    timezone: str


class AccountDetails(AccountShown, frozen=True, kw_only=True):
    """An account after an update: with what the spec does not show."""

    phone: str | None
    address: str | None
    tax_id: str | None


class OperatorAccount(AccountDetails, frozen=True, kw_only=True):
    """An account as operators see it."""

    country: str | None
    tax_exempt: bool
    terms_days: int


class AccountAnswer(Struct, frozen=True, kw_only=True):
    """GET /account."""

    account: AccountShown


class AccountDetailsAnswer(Struct, frozen=True, kw_only=True):
    """PUT /account."""

    account: AccountDetails


class OperatorAccountAnswer(Struct, frozen=True, kw_only=True):
    """One account of the operator API."""

    account: OperatorAccount


class OperatorAccountsAnswer(Struct, frozen=True, kw_only=True):
    """A page of accounts of the operator API."""

    accounts: list[OperatorAccount]
    meta: Meta


class AccountUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /account. An absent member stays; null clears what may be absent."""

    name: str | UnsetType = UNSET
    company: str | UnsetType | None = UNSET
    timezone: str | UnsetType = UNSET
    phone: str | UnsetType | None = UNSET
    address: str | UnsetType | None = UNSET
    tax_id: str | UnsetType | None = UNSET


class OperatorAccountUpdate(AccountUpdate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /accounts/{id} of the operator API."""

    email: str | UnsetType = UNSET
    country: str | UnsetType | None = UNSET
    tax_exempt: bool | UnsetType = UNSET
    terms_days: int | UnsetType = UNSET
    verified: bool | UnsetType = UNSET


class AccountsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /accounts of the operator API; `q` is looked for in e-mail, name and company."""

    status: Literal["active", "suspended", "closed"] | None = None
    q: str | None = None


def changes_of(update: AccountUpdate) -> AccountChanges:
    """What an update sets. Raises InvalidParameter with every fault."""
    members = {name: value for name in update.__struct_fields__ if (value := getattr(update, name)) is not UNSET}
    refuse_faults(members)
    return cast("AccountChanges", members)


def refuse_faults(members: dict[str, object]) -> None:
    """Raises InvalidParameter with a fault for each member that an account may not have like this."""
    reasons = {name: rules.member_reason(name, value) for name, value in members.items()}
    faults = [Fault("body", name, reason) for name, reason in reasons.items() if reason is not None]
    if faults:
        raise InvalidParameter(faults)


def show(account: Account) -> AccountShown:
    """An account as its own keys see it."""
    return msgspec.convert(_members(account), AccountShown)


def show_details(account: Account) -> AccountDetails:
    """An account with what the spec does not show."""
    return msgspec.convert(_members(account), AccountDetails)


def show_to_operator(account: Account) -> OperatorAccount:
    """An account as operators see it."""
    return msgspec.convert(_members(account), OperatorAccount)


def _members(account: Account) -> dict[str, object]:
    return {"id": ids.encode(ACCOUNT_PREFIX, account.account_id), **asdict(account)}
