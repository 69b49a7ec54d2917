"""Accounts on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Annotated, ClassVar, Literal, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from billing.accounts import rules
from billing.accounts.model import Account, AccountChanges, AccountStatus
from billing.core import ids
from billing.kit.web import Meta, PageQuery, values

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
    billing_paused: bool


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


class CheckedText(str):
    """A text that is checked while its body is read, so that its fault is told beside all the others."""

    __slots__ = ()

    reason: ClassVar[Callable[[str], str | None]]
    """Why a text is refused, or None."""
    wire_schema: ClassVar[Mapping[str, object]]
    """The same in JSON Schema, as far as it can say it."""

    @classmethod
    def read(cls, value: object) -> str:
        """The text of a body's member. Raises ValueError with the reason."""
        text = values.read_text(value)
        reason = cls.reason(text)
        if reason is not None:
            raise ValueError(reason)
        return text


class ShortText(CheckedText):
    """A name or the like: one line, 1 to 200 characters."""

    __slots__ = ()

    reason = staticmethod(partial(rules.text_reason, longest=rules.SHORT_LONGEST))
    wire_schema = values.text_schema(longest=rules.SHORT_LONGEST)


class LongText(CheckedText):
    """A description or the like: 1 to 2,000 characters, with line breaks."""

    __slots__ = ()

    reason = staticmethod(partial(rules.text_reason, longest=rules.LONG_LONGEST, lines=True))
    wire_schema = values.text_schema(longest=rules.LONG_LONGEST, lines=True)


class Email(CheckedText):
    """An e-mail address."""

    __slots__ = ()

    reason = staticmethod(rules.email_reason)
    wire_schema: ClassVar = {"type": "string", "pattern": rules.EMAIL_PATTERN, "maxLength": rules.EMAIL_LONGEST}


class Phone(CheckedText):
    """A phone number as E.164."""

    __slots__ = ()

    reason = staticmethod(rules.phone_reason)
    wire_schema: ClassVar = {"type": "string", "pattern": rules.PHONE_PATTERN}


class Country(CheckedText):
    """A country of ISO 3166-1."""

    __slots__ = ()

    reason = staticmethod(rules.country_reason)
    wire_schema: ClassVar = {"type": "string", "enum": sorted(rules.COUNTRIES)}


class Timezone(CheckedText):
    """An IANA time zone."""

    __slots__ = ()

    reason = staticmethod(rules.timezone_reason)
    wire_schema: ClassVar = {"type": "string", "format": "iana-time-zone", "maxLength": 100}


class CurrencyCode(CheckedText):
    """Three capital letters; whether the currency is supported is said later."""

    __slots__ = ()

    reason = staticmethod(rules.currency_reason)
    wire_schema: ClassVar = {"type": "string", "pattern": rules.CURRENCY_PATTERN}


class AccountOpen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts of the operator API, which onboarding serves."""

    email: Email
    name: ShortText
    currency: CurrencyCode
    company: ShortText | None = None
    timezone: Timezone | None = None
    country: Country | None = None
    phone: Phone | None = None


class AccountUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /account. An absent member stays; null clears what may be absent."""

    name: ShortText | UnsetType = UNSET
    company: ShortText | UnsetType | None = UNSET
    timezone: Timezone | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET
    address: LongText | UnsetType | None = UNSET
    tax_id: ShortText | UnsetType | None = UNSET


class OperatorAccountUpdate(AccountUpdate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /accounts/{id} of the operator API."""

    email: Email | UnsetType = UNSET
    country: Country | UnsetType | None = UNSET
    tax_exempt: bool | UnsetType = UNSET
    terms_days: Annotated[int, msgspec.Meta(ge=0, le=rules.TERMS_DAYS_MAX)] | UnsetType = UNSET
    billing_paused: bool | UnsetType = UNSET
    verified: bool | UnsetType = UNSET


class AccountsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /accounts of the operator API; `q` is looked for in e-mail, name and company."""

    status: Literal["active", "suspended", "closed"] | None = None
    q: str | None = None


def changes_of(update: AccountUpdate) -> AccountChanges:
    """What an update sets."""
    members = {name: value for name in update.__struct_fields__ if (value := getattr(update, name)) is not UNSET}
    return cast("AccountChanges", members)


def show(account: Account) -> AccountShown:
    """An account as its own keys see it: the most read of all answers, so it is put together member by member."""
    return AccountShown(
        id=ids.encode(ACCOUNT_PREFIX, account.account_id),
        email=account.email,
        name=account.name,
        company=account.company,
        status=account.status,
        created_at=account.created_at.replace(microsecond=0),  # in whole seconds already, it is written in one walk
        verified=account.verified,
        currency=account.currency,
        timezone=account.timezone,
    )


def show_details(account: Account) -> AccountDetails:
    """An account with what the spec does not show."""
    return msgspec.convert(_members(account), AccountDetails)


def show_to_operator(account: Account) -> OperatorAccount:
    """An account as operators see it."""
    return msgspec.convert(_members(account), OperatorAccount)


_MEMBERS = tuple(field.name for field in fields(Account))


def _members(account: Account) -> dict[str, object]:
    members = {name: getattr(account, name) for name in _MEMBERS}  # `asdict` would copy each of them
    return {"id": ids.encode(ACCOUNT_PREFIX, account.account_id), **members}
