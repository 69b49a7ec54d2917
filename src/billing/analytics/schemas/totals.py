"""Wire shapes of a month's totals over all accounts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from billing.analytics.model import CurrencyTotal, MonthTotals
from billing.core import money
from billing.core.errors import InvalidParameter
from billing.core.period import Period


class UsageTotalsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /usage-totals: a month, the running one by default."""

    period: str | None = None


class ServiceTotalShown(Struct, frozen=True, kw_only=True):
    """A service of one currency."""

    service: str
    accounts: int
    amount: Decimal


class CurrencyTotalShown(Struct, frozen=True, kw_only=True):
    """All accounts of one currency."""

    currency: str
    accounts: int
    accounts_billed: int
    amount: Decimal
    amount_billed: Decimal
    services: list[ServiceTotalShown]


class UsageTotalsAnswer(Struct, frozen=True, kw_only=True):
    """GET /usage-totals."""

    period: str
    counted_until: datetime
    usage_totals: list[CurrencyTotalShown]


def read_period(text: str | None, *, now: datetime) -> Period:
    """The month that is asked for. Raises InvalidParameter for one that has not begun."""
    if text is None:
        return Period.containing(now)
    try:
        period = Period.parse(text)
    except ValueError as error:
        raise InvalidParameter.one("query", "period", str(error)) from error
    if period.start > now:
        raise InvalidParameter.one("query", "period", "must not lie ahead")
    return period


def show_totals(found: MonthTotals) -> UsageTotalsAnswer:
    """The totals, by currency and then service in the order of their names."""
    return UsageTotalsAnswer(
        period=str(found.period),
        counted_until=found.counted_until,
        usage_totals=[_show(currency, total) for currency, total in sorted(found.by_currency.items())],
    )


def _show(currency: str, total: CurrencyTotal) -> CurrencyTotalShown:
    return CurrencyTotalShown(
        currency=currency,
        accounts=total.accounts,
        accounts_billed=total.accounts_billed,
        amount=money.to_major(total.amount_minor, currency),
        amount_billed=money.to_major(total.billed_minor, currency),
        services=[
            ServiceTotalShown(
                service=name, accounts=service.accounts, amount=money.to_major(service.amount_minor, currency)
            )
            for name, service in sorted(total.services.items())
        ],
    )
