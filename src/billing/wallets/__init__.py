"""Wallets: what money an account has, holds on it, promotional credit. See README.md."""

from billing.wallets.model import Credit, Hold, OwnCash, Wallet
from billing.wallets.operations import (
    Reserve,
    WalletSettings,
    get_wallet,
    grant_credit,
    list_wallets,
    list_wallets_of,
    nothing_reserved,
    post_arrivals,
    release_expired,
    require_available,
    reserve_for_usage,
)
from billing.wallets.rules import MONEY_CHECKS, amount_faults, of_currency, read_amount, reserve_of
from billing.wallets.schemas import WalletOut, show_wallet, text_faults
from billing.wallets.store import list_unspent_credits, run_checks

__all__ = [
    "MONEY_CHECKS",
    "Credit",
    "Hold",
    "OwnCash",
    "Reserve",
    "Wallet",
    "WalletOut",
    "WalletSettings",
    "amount_faults",
    "get_wallet",
    "grant_credit",
    "list_unspent_credits",
    "list_wallets",
    "list_wallets_of",
    "nothing_reserved",
    "of_currency",
    "post_arrivals",
    "read_amount",
    "release_expired",
    "require_available",
    "reserve_for_usage",
    "reserve_of",
    "run_checks",
    "show_wallet",
    "text_faults",
]
