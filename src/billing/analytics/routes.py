"""The public routes of analytics, below /v1: billing history, single transactions, usage, explanations."""

from __future__ import annotations

from litestar import get

from billing import payments
from billing.analytics import rules
from billing.analytics.operations import costs, explaining, usage
from billing.analytics.schemas import costs as costs_shown
from billing.analytics.schemas import explaining as showing
from billing.analytics.schemas import explanations
from billing.analytics.schemas import transactions as schemas
from billing.analytics.schemas.costs import (
    PROJECT_PREFIX,
    CostsAnswer,
    CostsQuery,
    ProjectUsageAnswer,
    ProjectUsageQuery,
    TrendsAnswer,
    TrendsQuery,
)
from billing.analytics.schemas.explanations import ExplainQuery, ExplanationAnswer
from billing.analytics.schemas.transactions import (
    TRANSACTION_PREFIX,
    HistoryOut,
    HistoryQuery,
    TransactionAnswer,
    UsageAnswer,
    UsageQuery,
)
from billing.analytics.store import transactions as store
from billing.core import ids
from billing.core.errors import NotFound
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Described, RawQuery, meta, window_of


@get(
    "/account/billing/history",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(summary="Get billing history", section="Billing Management", query=HistoryQuery),
    },
)
async def list_history(reader: Caller, query: RawQuery, db: Database) -> HistoryOut:
    """What was charged, paid and refunded, newest first. Amounts are positive: the type says which way money went.

    Adjustments, credits and chargebacks are listed too when no `type` is asked for.
    """
    wanted, page = query.read_page(HistoryQuery)
    since, until = window_of(wanted.from_date, wanted.to_date)
    async with db.reading() as reading:
        found = await store.list_transactions(
            reading.connection, account_id=reader.account_id, type=wanted.type, since=since, until=until, page=page
        )
    return HistoryOut(transactions=[schemas.show(one) for one in found.items], meta=meta(page, found))


@get(
    "/account/transactions/{transaction_id:str}",
    opt={DESCRIBED: Described(summary="Get a transaction", section="Billing Management", is_extension=True)},
)
async def show_transaction(reader: Caller, transaction_id: str, db: Database) -> TransactionAnswer:
    """One transaction: a payment or refund, to see whether it has settled, or another row of the history."""
    whole_id = ids.decode(TRANSACTION_PREFIX, transaction_id)
    part = ids.decode_part(TRANSACTION_PREFIX, transaction_id)
    async with db.reading() as reading:
        if whole_id is not None:
            whole = await payments.get_transaction(
                reading.connection, account_id=reader.account_id, transaction_id=whole_id
            )
            return schemas.show_whole(whole)
        if part is None:
            raise NotFound
        source_id, part_kind, ordinal = part
        transaction = await store.get_part(
            reading.connection,
            account_id=reader.account_id,
            source_id=source_id,
            part_kind=part_kind,
            ordinal=ordinal,
        )
        invoice_id = await store.find_invoice(reading.connection, account_id=reader.account_id, transaction=transaction)
    return schemas.show_part(transaction, invoice_id=invoice_id)


@get(
    "/account/usage",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(summary="Get current usage", section="Billing Management", query=UsageQuery),
    },
)
async def show_usage(reader: Caller, query: RawQuery, db: Database) -> UsageAnswer:
    """What the account has used in the running month and what it costs so far, by service; with `detailed` by resource too.

    The costs are what an invoice now would say, before tax.
    """
    wanted = query.read(UsageQuery)
    async with db.snapshot() as snapshot:
        found = await usage.get_usage(
            snapshot.connection, account_id=reader.account_id, service=wanted.service, now=snapshot.now
        )
    return schemas.show_usage(found, currency=reader.currency, is_detailed=wanted.detailed)


@get(
    "/account/explain",
    opt={
        DESCRIBED: Described(
            summary="Explain an amount", section="Billing Management", query=ExplainQuery, is_extension=True
        )
    },
)
async def explain(reader: Caller, query: RawQuery, db: Database) -> ExplanationAnswer:
    """How an amount came about: a line of an invoice, or what a plan or meter cost in a month.

    Name either `invoice_line`, or one of `plan` and `meter`.
    """
    asked = explanations.read_asked(query.read(ExplainQuery))
    async with db.snapshot() as snapshot:
        explanation = await explaining.explain(snapshot, account_id=reader.account_id, asked=asked)
    return showing.show_explanation(explanation)


@get(
    "/account/analytics/costs",
    opt={DESCRIBED: Described(summary="Get cost breakdown", section="Cost Analytics", query=CostsQuery)},
)
async def show_costs(reader: Caller, query: RawQuery, db: Database) -> CostsAnswer:
    """What some days cost by service, project, region, day, week or month, without tax; the running month unless told otherwise.

    Finalised months are what their invoice lines say: minimums are among them, and corrections are in the month that they
    correct. Open months are what usage says so far. Parts sum to `total_cost`, percentages to 100.0. At most five years.
    """
    wanted = query.read(CostsQuery)
    window_of(wanted.from_date, wanted.to_date)
    async with db.snapshot() as snapshot:
        days = rules.months_asked(wanted.from_date, wanted.to_date, now=snapshot.now)
        groups = await costs.break_down(
            snapshot.connection,
            account_id=reader.account_id,
            days=days,
            group_by=wanted.group_by,
            now=snapshot.now,
        )
    return costs_shown.show_costs(groups, group_by=wanted.group_by, currency=reader.currency)


@get(
    "/account/analytics/trends",
    opt={DESCRIBED: Described(summary="Get usage trends", section="Cost Analytics", query=TrendsQuery)},
)
async def show_trends(reader: Caller, query: RawQuery, db: Database) -> TrendsAnswer:
    """Cost, number of resources, storage or bandwidth over time, with a value for each day, ISO week or month.

    Without dates: the last 30 days, 12 weeks or 12 months. Resources are counted at the end of a bucket, or now.
    """
    wanted = query.read(TrendsQuery)
    window_of(wanted.from_date, wanted.to_date)
    async with db.snapshot() as snapshot:
        days = rules.buckets_asked(wanted.from_date, wanted.to_date, interval=wanted.interval, now=snapshot.now)
        points = await costs.follow(
            snapshot.connection,
            account_id=reader.account_id,
            metric=wanted.metric,
            interval=wanted.interval,
            days=days,
            now=snapshot.now,
        )
    return costs_shown.show_trends(points, metric=wanted.metric, interval=wanted.interval, currency=reader.currency)


@get(
    "/projects/{project_id:str}/usage",
    opt={
        "rate_class": "project",
        DESCRIBED: Described(summary="Get project usage", section="Projects", query=ProjectUsageQuery),
    },
)
async def show_project_usage(reader: Caller, project_id: str, query: RawQuery, db: Database) -> ProjectUsageAnswer:
    """What a project used in some days, by service, resource and day; in the running month unless told otherwise."""
    identifier = ids.expect(PROJECT_PREFIX, project_id)
    wanted = query.read(ProjectUsageQuery)
    window_of(wanted.from_date, wanted.to_date)
    async with db.snapshot() as snapshot:
        days = rules.months_asked(wanted.from_date, wanted.to_date, now=snapshot.now)
        found = await costs.get_project_usage(
            snapshot.connection, account_id=reader.account_id, project_id=identifier, days=days, now=snapshot.now
        )
    return costs_shown.show_project_usage(found, currency=reader.currency)


HANDLERS = [list_history, show_transaction, show_usage, explain, show_costs, show_trends, show_project_usage]
