"""What rating answers beside a month's charges: quotes, and what a wallet reserves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog, metering
from billing.core.period import Period
from billing.rating import rules, store
from billing.rating.model import PriceMissing, QuotedLine, QuoteRequest, ReserveBasis, UnbilledMonth

if TYPE_CHECKING:
    from billing.kit.db import Connection, Tx

_DAY = timedelta(days=1)
HOUR_S = 3600


async def get_reserve_basis(
    connection: Connection, *, account_id: UUID, country: str | None, tax_exempt: bool, now: datetime
) -> ReserveBasis:
    """What the account has used and not been billed for, and a day more of what runs, taxed as an invoice issued now would be."""
    rates: list[Decimal] = []
    if country is not None and not tax_exempt:
        found = await catalog.list_tax_rates(connection, at=now.date(), countries=[country])
        rates = [rate.percent for rate in found]
    months: list[UnbilledMonth] = []
    plans_minor = 0
    for period in await metering.list_open_periods(connection, account_id=account_id, now=now):
        total_minor, plans_minor = await store.get_total(connection, account_id=account_id, period=period, as_of=now)
        months.append(UnbilledMonth(period, _taxed(total_minor, rates)))
    _, later_minor = await store.get_total(
        connection, account_id=account_id, period=Period.containing(now), as_of=now + _DAY, runs_on=_DAY
    )
    return ReserveBasis(tuple(months), _taxed(max(later_minor - plans_minor, 0), rates))


def _taxed(net_minor: int, percents: Sequence[Decimal]) -> int:
    return net_minor + sum(rules.tax_minor(net_minor, percent) for percent in percents)


async def get_net_within(
    connection: Connection,
    *,
    account_id: UUID,
    period: Period,
    as_of: datetime,
    since: datetime,
    until: datetime,
    with_minimums: bool = False,
) -> tuple[Fraction, int]:
    """(net of some whole UTC days of a month, net of the month) in minor units, as far as they are counted.

    The days' part of a charge is their part of its quantity; of a `max` or `last` meter their part of the sum of each resource's
    daily aggregates.
    """
    shares = await store.list_shares(
        connection, account_ids=[account_id], period=period, as_of=as_of, with_minimums=with_minimums
    )
    inside = await store.list_quantities(connection, account_id=account_id, since=since, until=until, as_of=as_of)
    weights = await store.list_day_weights(connection, account_id=account_id, period=period, since=since, until=until)
    return rules.net_within(shares, inside=inside, weights=weights)


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
