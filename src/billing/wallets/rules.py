"""Decisions about wallets, without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from billing import accounts, ledger
from billing.core import money
from billing.core.errors import Fault, InvalidParameter
from billing.core.period import Period
from billing.wallets.model import Cash, Credit, Wallet

_CURRENCY = re.compile("[A-Z]{3}")
_WALLET = {ledger.WALLET_CASH, ledger.WALLET_PENDING, ledger.WALLET_HELD}


def read_amount(amount: Decimal, currency: str, *, enabled: Set[str], other_faults: Sequence[Fault] = ()) -> int:
    """Minor units of the body members `amount` and `currency`.

    Raises InvalidParameter with a fault for each of them that is not valid by itself, after `other_faults` of the same
    body; CurrencyNotSupported for the code of a currency that this installation has not enabled.
    """
    faults = [*other_faults, *_currency_faults(currency=currency), *amount_faults(amount=amount)]
    faults.extend(_exactness_faults(amount=amount, currency=currency))
    if faults:
        raise InvalidParameter(faults)
    accounts.require_currency(currency, enabled=enabled)
    return money.to_minor(amount, currency)


def _currency_faults(*, currency: str) -> Iterator[Fault]:
    """What is wrong with the body member `currency` by itself."""
    if _CURRENCY.fullmatch(currency) is None:
        yield Fault("body", "currency", "must be a currency code such as USD")


def amount_faults(*, amount: Decimal) -> Iterator[Fault]:
    """What is wrong with the body member `amount` in whatever currency: no amount of money is 0 or less."""
    if not _is_above_0(amount):
        yield Fault("body", "amount", "must be greater than 0")


def _exactness_faults(*, amount: Decimal, currency: str) -> Iterator[Fault]:
    """What is wrong with an `amount` above 0 in its currency, where that is known."""
    if _is_above_0(amount) and currency in money.DECIMALS:
        try:
            money.to_minor(amount, currency)
        except money.NotAnAmount as error:
            yield Fault("body", "amount", str(error))


def _is_above_0(amount: Decimal) -> bool:
    return not amount.is_nan() and amount > 0  # NaN raises where it is ordered


MONEY_CHECKS = (_currency_faults, amount_faults, _exactness_faults)
"""What is wrong with the members `amount` and `currency` of a body, as far as each of them can be read."""


def cash_by_currency(
    balances_minor: Mapping[tuple[str, str], int], *, expired_minor: Mapping[str, int], own_currency: str
) -> dict[str, Cash]:
    """Each wallet's money, the own currency's first, the others by code.

    `expired_minor` is what expired holds still stand for on `wallet:held`. A currency appears once its wallet has had
    money that arrived or is on its way; the own one always.
    """
    currencies = {
        currency
        for (currency, ledger_account), minor in balances_minor.items()
        if ledger_account in _WALLET and (minor > 0 or ledger_account == ledger.WALLET_CASH)
    }
    found: dict[str, Cash] = {}
    for currency in [own_currency, *sorted(currencies - {own_currency})]:
        expired = expired_minor.get(currency, 0)
        found[currency] = Cash(
            cash_minor=balances_minor.get((currency, ledger.WALLET_CASH), 0) + expired,
            pending_minor=balances_minor.get((currency, ledger.WALLET_PENDING), 0),
            held_minor=balances_minor.get((currency, ledger.WALLET_HELD), 0) - expired,
        )
    return found


def shown(currency: str, cash: Cash, *, reserve_minor: int) -> Wallet:
    """The wallet that its owner sees; `reserve_minor` is R."""
    assert 0 <= reserve_minor <= max(cash.cash_minor, 0), "R is part of the cash"
    return Wallet(
        currency=currency,
        available_minor=cash.cash_minor - reserve_minor,
        pending_minor=cash.pending_minor,
        reserved_minor=cash.held_minor + reserve_minor,
    )


def of_currency(wallets: Sequence[Wallet], currency: str) -> Wallet:
    """The wallet of a currency, empty if it never had money."""
    return next((wallet for wallet in wallets if wallet.currency == currency), Wallet(currency, 0, 0, 0))


def reserve_of(*, cash_minor: int, unbilled_minor: int, credit_minor: int, next_day_minor: int) -> int:
    """R = min(cash, max(0, U - P) + F), never below 0: design.md, after idea 5."""
    return max(0, min(cash_minor, max(0, unbilled_minor - credit_minor) + next_day_minor))


def days_covered(credit: Credit, period: Period) -> tuple[datetime, datetime] | None:
    """The whole UTC days of a month in which a credit is valid, from midnight to midnight: that of its grant, and that in which it
    expires, count. None where there is none: it pays nothing of the month.
    """
    if credit.granted_at >= period.end or (credit.expires_at is not None and credit.expires_at <= period.start):
        return None
    since = max(period.start, _midnight(credit.granted_at))
    if credit.expires_at is None:
        return since, period.end
    return since, min(period.end, _midnight(credit.expires_at - timedelta(microseconds=1)) + timedelta(days=1))


def _midnight(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def spend_credits(
    credits: Sequence[tuple[Credit, int]], total_minor: int, *, period: Period, limits_minor: Mapping[UUID, int]
) -> tuple[list[tuple[Credit, int]], int]:
    """(credits and what is left of each, what they paid) after a bill of a month, in the order in which they are spent.

    `limits_minor` is the most that a credit may pay of the bill; one that is not in it may pay all.
    """
    left: list[tuple[Credit, int]] = []
    due_minor = total_minor
    for credit, balance_minor in credits:
        most_minor = 0 if days_covered(credit, period) is None else limits_minor.get(credit.credit_id, total_minor)
        paid_minor = max(min(balance_minor, most_minor, due_minor), 0)
        due_minor -= paid_minor
        left.append((credit, balance_minor - paid_minor))
    return left, total_minor - due_minor
