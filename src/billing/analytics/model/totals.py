"""What a month comes to over all accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from billing.core.period import Period


@dataclass(slots=True)
class ServiceTotal:
    """Of a service: how many accounts have a charge of it, and what they come to."""

    accounts: int = 0
    amount_minor: int = 0


@dataclass(slots=True)
class CurrencyTotal:
    """What accounts of one currency come to, without taxes: finalised months by their lines, open ones as rated."""

    accounts: int = 0
    accounts_billed: int = 0
    amount_minor: int = 0
    billed_minor: int = 0
    services: dict[str, ServiceTotal] = field(default_factory=dict[str, ServiceTotal])


@dataclass(frozen=True, slots=True)
class MonthTotals:
    """A month of all accounts, counted up to an instant, by currency."""

    period: Period
    counted_until: datetime
    by_currency: dict[str, CurrencyTotal]
