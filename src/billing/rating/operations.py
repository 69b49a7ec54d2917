"""What rating answers beside a month's charges: quotes, and what a wallet reserves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from billing import metering
from billing.core.period import Period
from billing.rating import rules, store
from billing.rating.model import DaysOfMonth, PriceMissing, QuotedLine, QuoteRequest, ReserveBasis, Share, UnbilledMonth

if TYPE_CHECKING:
    from billing.kit.db import Connection, Tx

_DAY = timedelta(days=1)
HOUR_S = 3600


Totals: TypeAlias = "dict[UUID, tuple[int, int]]"
"""(all charges, those of plans alone) of accounts' months in minor units, without tax and minimum charges."""
_Until = tuple[Period, datetime]


class Reading:
    """Rates months for several questions asked in one snapshot: what was rated for one of them is known to the next."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._totals: dict[_Until, Totals] = {}
        self._plans: dict[_Until, dict[UUID, int]] = {}
        self._newest: dict[Period, Totals] = {}
        self._gauged: dict[tuple[Period, UUID], bool] = {}

    async def list_totals(self, *, account_ids: Iterable[UUID], period: Period, as_of: datetime) -> Totals:
        """The totals of some accounts' month up to an instant, which may lie ahead.

        Of an account without gauges in a month that was rated for an earlier instant, only plans are rated again.
        """
        known = self._totals.setdefault((period, min(as_of, period.end)), {})
        missing = [account_id for account_id in account_ids if account_id not in known]
        rated = self._newest.setdefault(period, {})
        still = await self._list_ungauged(period, [account_id for account_id in missing if account_id in rated])
        if still:
            plans_minor = await self.list_plans(account_ids=still, period=period, as_of=as_of)
            for account_id in still:
                total_minor, before_minor = rated[account_id]
                now_minor = plans_minor[account_id]
                known[account_id] = total_minor - before_minor + now_minor, now_minor
        anew = [account_id for account_id in missing if account_id not in still]
        if anew:
            found = await store.list_totals(self.connection, account_ids=anew, period=period, as_of=as_of)
            known.update((account_id, found.get(account_id, (0, 0))) for account_id in anew)
            rated.update((account_id, known[account_id]) for account_id in anew)
        return known

    async def list_plans(
        self, *, account_ids: Iterable[UUID], period: Period, as_of: datetime, runs_on: timedelta = timedelta(0)
    ) -> Mapping[UUID, int]:
        """What plans of some accounts cost in a month up to an instant. `runs_on`: how far they go past its end."""
        until = min(as_of, period.end + runs_on)
        known = self._plans.setdefault((period, until), {})
        missing = [account_id for account_id in account_ids if account_id not in known]
        if missing:
            found = await store.list_plans(
                self.connection, account_ids=missing, period=period, as_of=as_of, runs_on=runs_on
            )
            known.update((account_id, found.get(account_id, 0)) for account_id in missing)
        return known

    async def _list_ungauged(self, period: Period, account_ids: Sequence[UUID]) -> set[UUID]:
        unknown = [account_id for account_id in account_ids if (period, account_id) not in self._gauged]
        if unknown:
            gauged = await store.list_gauged(self.connection, account_ids=unknown, period=period)
            self._gauged.update(((period, account_id), account_id in gauged) for account_id in unknown)
        return {account_id for account_id in account_ids if not self._gauged[period, account_id]}


async def list_reserve_bases(
    reading: Reading, *, account_ids: Sequence[UUID], now: datetime
) -> dict[UUID, ReserveBasis]:
    """What some accounts have used and not been billed for, and a day more of what runs, taxed as invoices issued now would be.

    One statement for each month that any of them has open, and one for the day.
    """
    connection = reading.connection
    percents = await store.list_tax_percents(connection, account_ids=account_ids, at=now.date())
    open_periods = await metering.list_open_periods_of(connection, account_ids=account_ids, now=now)
    running = Period.containing(now)
    totals: dict[Period, Totals] = {running: {}}
    for period in sorted({period for periods in open_periods.values() for period in periods}):
        having = [account_id for account_id, periods in open_periods.items() if period in periods]
        totals[period] = await reading.list_totals(account_ids=having, period=period, as_of=now)
    later = await reading.list_plans(account_ids=account_ids, period=running, as_of=now + _DAY, runs_on=_DAY)
    bases: dict[UUID, ReserveBasis] = {}
    for account_id in account_ids:
        rates = percents.get(account_id, [])
        months = [
            UnbilledMonth(period, _taxed(totals[period][account_id][0], rates)) for period in open_periods[account_id]
        ]
        _, plans_minor = totals[running].get(account_id, (0, 0))
        next_day_minor = max(later[account_id] - plans_minor, 0)
        bases[account_id] = ReserveBasis(tuple(months), _taxed(next_day_minor, rates))
    return bases


def _taxed(net_minor: int, percents: Sequence[Decimal]) -> int:
    return net_minor + sum(rules.tax_minor(net_minor, percent) for percent in percents)


async def list_net_within(
    connection: Connection, *, asked: Collection[DaysOfMonth], now: datetime, with_minimums: bool = False
) -> dict[DaysOfMonth, tuple[Fraction, int]]:
    """(net of some whole UTC days of a month, net of the month) in minor units, as far as they are counted at an instant.

    The days' part of a charge is their part of its quantity; of a `max` or `last` meter their part of the sum of each resource's
    daily aggregates. One statement for each month and a few for each stretch of days, however many accounts there are.
    """
    found: dict[DaysOfMonth, tuple[Fraction, int]] = {}
    for period in sorted({one.period for one in asked}):
        of_month = [one for one in asked if one.period == period]
        as_of = min(now, period.end)
        shares: dict[UUID, list[Share]] = defaultdict(list)
        for share in await store.list_shares(
            connection,
            account_ids=sorted({one.account_id for one in of_month}),
            period=period,
            as_of=as_of,
            with_minimums=with_minimums,
        ):
            shares[share.account_id].append(share)
        for since, until in sorted({(one.since, one.until) for one in of_month}):
            within = [one for one in of_month if (one.since, one.until) == (since, until)]
            account_ids = [one.account_id for one in within]
            inside = await store.list_quantities(
                connection, account_ids=account_ids, since=since, until=until, as_of=as_of
            )
            weights = await store.list_day_weights(
                connection, account_ids=account_ids, period=period, since=since, until=until
            )
            for one in within:
                found[one] = rules.net_within(
                    shares[one.account_id], inside=inside[one.account_id], weights=weights[one.account_id]
                )
    return found


async def quote(
    tx: Tx, *, currency: str, account_id: UUID | None, at: datetime, requests: Sequence[QuoteRequest]
) -> list[QuotedLine]:
    """What quantities would cost in the month of an instant, one line each, in order.

    Without `terms` a line has the price that rating would choose for the account. Raises PriceMissing where there is none.
    """
    period = Period.containing(at)
    found = await store.find_prices(
        tx.connection, account_id=account_id, currency=currency, period=period, requests=requests
    )
    drafts = {
        position: store.draft_price(tx.new_id(), request.terms)
        for position, request in enumerate(requests)
        if request.terms is not None
    }
    prices = found | drafts
    for position, request in enumerate(requests):
        if position not in prices:
            raise PriceMissing(details={"line": position, request.kind: request.item})
    scales = [_scale(prices[position].model, period) for position in range(len(requests))]
    costs = await store.list_costs(
        tx.connection,
        currency=currency,
        prices=[prices[position] for position in range(len(requests))],
        drafts=list(drafts.values()),
        units=[request.units for request in requests],
        quantities=[request.quantity * seconds for request, (seconds, _) in zip(requests, scales, strict=True)],
        denominators=[Decimal(denominator) for _, denominator in scales],
    )
    quoted: list[QuotedLine] = []
    for position, request in enumerate(requests):
        price, (seconds, denominator) = prices[position], scales[position]
        cost = costs.get(position)
        if cost is None:  # a quantity of 0 costs 0 in every model
            quoted.append(QuotedLine(0, Decimal(0), [], False))
            continue
        steps = rules.steps_of(
            price.bands,
            model=price.model,
            quantity=Fraction(request.quantity) * seconds / denominator,
            billed_above=Fraction(cost.billed_quantity) / denominator,
            per=price.per,
            units=request.units,
            per_shown=HOUR_S if price.model == "hourly" else 1,
        )
        quoted.append(QuotedLine(cost.amount_minor, cost.cost, steps, cost.cap_applied))
    return quoted


def _scale(model: str, period: Period) -> tuple[int, int]:
    """(seconds per unit asked, denominator): plans are asked in hours; hourly ones count seconds, flat ones parts of the month."""
    if model == "hourly":
        return HOUR_S, 1
    if model == "flat":
        return HOUR_S, period.seconds
    return 1, 1
