"""Accounts: who is billed. See README.md."""

from billing.accounts.model import Account, AccountChanges, AccountClosed, AccountStatus, CurrencyNotSupported
from billing.accounts.operations import change, open_account, restore, suspend
from billing.accounts.rules import CURRENCIES_DEFAULT, member_reason, require_currency, text_reason
from billing.accounts.schemas import (
    ACCOUNT_PREFIX,
    AccountOpen,
    CheckedText,
    Email,
    LongText,
    OperatorAccount,
    ShortText,
    show_to_operator,
)
from billing.accounts.store import get_account, list_accounts, list_billing_paused, list_unknown

__all__ = [
    "ACCOUNT_PREFIX",
    "CURRENCIES_DEFAULT",
    "Account",
    "AccountChanges",
    "AccountClosed",
    "AccountOpen",
    "AccountStatus",
    "CheckedText",
    "CurrencyNotSupported",
    "Email",
    "LongText",
    "OperatorAccount",
    "ShortText",
    "change",
    "get_account",
    "list_accounts",
    "list_billing_paused",
    "list_unknown",
    "member_reason",
    "open_account",
    "require_currency",
    "restore",
    "show_to_operator",
    "suspend",
    "text_reason",
]
