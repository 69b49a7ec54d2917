"""The public routes of analytics, below /v1: billing history, single transactions, usage, explanations."""

from __future__ import annotations

from litestar import get

from billing import payments
from billing.analytics.operations import explaining, usage
from billing.analytics.schemas import explaining as showing
from billing.analytics.schemas import explanations
from billing.analytics.schemas import transactions as schemas
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
from billing.kit.web import DESCRIBED, Described, RawQuery, meta, page_of, window_of


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
    wanted = query.read(HistoryQuery)
    page = page_of(wanted)
    since, until = window_of(wanted.from_date, wanted.to_date)
    async with db.reading() as reading:
        found, total = await store.list_transactions(
            reading.connection, account_id=reader.account_id, type=wanted.type, since=since, until=until, page=page
        )
    return HistoryOut(transactions=[schemas.show(one) for one in found], meta=meta(page, total=total))


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
    return schemas.show_part(transaction)


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


HANDLERS = [list_history, show_transaction, show_usage, explain]
