"""Costs of finalised and open months put together: by group, over time, of a project."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog, metering, projects
from billing.analytics import rules
from billing.analytics.model import (
    AskedCosts,
    CostGroup,
    DayShares,
    DaySpan,
    Grouping,
    Interval,
    Metric,
    PlaceShare,
    ProjectUsage,
    TrendPoint,
)
from billing.analytics.store import costs as store
from billing.analytics.store import kept, transactions
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Connection

SHOWN_AS = {"storage": "storage_gb", "bandwidth": "bandwidth_gb"}


async def break_down(
    connection: Connection, *, account_id: UUID, days: DaySpan, group_by: Grouping, now: datetime
) -> list[CostGroup]:
    """What an account's days cost, without tax, by group. The connection should see one state throughout.

    Finalised months are what their lines say, minimums and corrections of the month among them; open months what usage says.
    """
    asked = await _ask(connection, account_id=account_id, days=days, now=now, grouping=group_by, takes_kept=True)
    match group_by:
        case "day" | "week":
            return rules.groups_of_days(await _list_day_shares(connection, asked), interval=group_by)
        case _:
            groups = rules.groups_of_places(await _list_place_shares(connection, asked))
            return sorted(groups, key=lambda group: group.key) if group_by == "month" else groups


async def follow(
    connection: Connection, *, account_id: UUID, metric: Metric, interval: Interval, days: DaySpan, now: datetime
) -> list[TrendPoint]:
    """A metric over time, with a value for each bucket. Costs are in minor units."""
    buckets = rules.buckets_of(days, interval)
    if metric == "cost":
        groups = await break_down(connection, account_id=account_id, days=days, group_by=interval, now=now)
        amounts = {date.fromisoformat(group.key): group.amount_minor for group in groups}
        return [TrendPoint(bucket, amounts.get(bucket, 0)) for bucket in buckets]
    if metric == "resources":
        ends = rules.ends_of_buckets(buckets, days=days, interval=interval, now=now)
        counts = await store.count_resources_at(connection, account_id=account_id, instants=ends)
        counts += [0] * (len(buckets) - len(counts))
        return [TrendPoint(bucket, count) for bucket, count in zip(buckets, counts, strict=True)]
    runs = await store.list_metered_days(
        connection, account_id=account_id, days=days, shows_as=SHOWN_AS[metric], now=now
    )
    quantities = rules.quantities_of_buckets(runs, buckets=buckets, interval=interval)
    return [TrendPoint(bucket, quantities[bucket]) for bucket in buckets]


async def get_project_usage(
    connection: Connection, *, account_id: UUID, project_id: UUID, days: DaySpan, now: datetime
) -> ProjectUsage:
    """What a project used and what it cost, by service, resource and day. Raises NotFound."""
    await projects.get_project(connection, account_id=account_id, project_id=project_id)
    services = rules.services_shown(await catalog.list_services(connection))
    asked = await _ask(connection, account_id=account_id, days=days, now=now, project_id=project_id)
    used, runs = await store.list_used_shares(connection, asked=asked)
    usage = rules.usage_of_shares(used, services=services)
    return ProjectUsage(
        project_id=project_id,
        days=days,
        services=usage,
        message_price=await _message_price(connection, rules.price_id_of_messages(usage)),
        daily=rules.daily_costs(runs, days=days),
    )


async def _list_place_shares(connection: Connection, asked: AskedCosts) -> list[PlaceShare]:
    shares = await kept.list_place_shares(connection, asked=asked) if asked.kept else []
    return shares + await store.list_place_shares(connection, asked=asked)


async def _list_day_shares(connection: Connection, asked: AskedCosts) -> DayShares:
    shares = await store.list_day_shares(connection, asked=asked)
    if not asked.kept:
        return shares
    known = await kept.list_day_shares(connection, asked=asked)
    return DayShares(known.runs + shares.runs, known.presences + shares.presences)


async def _message_price(connection: Connection, price_id: UUID | None) -> Decimal | None:
    return None if price_id is None else await transactions.find_plain_price(connection, price_id=price_id)


async def _ask(
    connection: Connection,
    *,
    account_id: UUID,
    days: DaySpan,
    now: datetime,
    grouping: Grouping | None = None,
    project_id: UUID | None = None,
    takes_kept: bool = False,
) -> AskedCosts:
    open_periods = await metering.list_open_periods(connection, account_id=account_id, now=now)
    billed_end = min(days.end_day, open_periods[0].start_date if open_periods else days.end_day)
    billed = DaySpan(days.first_day, billed_end)
    known: list[Period] = []
    reckoned = [billed] if days.first_day < billed_end else []
    if takes_kept and reckoned:
        months = await kept.list_billed_months(connection, account_id=account_id, days=billed)
        known = [month.period for month in months if month.is_kept]
        reckoned = rules.stretches([month.period for month in months if not month.is_kept], within=billed)
    return AskedCosts(
        account_id=account_id,
        days=days,
        kept=known,
        billed=reckoned,
        open_periods=_touched(open_periods, days),
        now=now,
        grouping=grouping,
        project_id=project_id,
    )


def _touched(periods: Sequence[Period], days: DaySpan) -> list[Period]:
    return [
        period for period in periods if period.start_date < days.end_day and days.first_day < period.next().start_date
    ]
