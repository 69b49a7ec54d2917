"""The operator's routes of analytics, below /operator/v1: explanations, totals of all accounts."""

from __future__ import annotations

from litestar import get

from billing import accounts
from billing.analytics.operations import explaining, totals
from billing.analytics.schemas import explaining as showing
from billing.analytics.schemas import explanations
from billing.analytics.schemas import totals as showing_totals
from billing.analytics.schemas.explanations import ExplainQuery, ExplanationAnswer
from billing.analytics.schemas.totals import UsageTotalsAnswer, UsageTotalsQuery
from billing.core import ids
from billing.kit import patience
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Described, RawQuery


@get(
    "/accounts/{account_id:str}/explain",
    opt={DESCRIBED: Described(summary="Explain an amount", section="Invoices", query=ExplainQuery)},
)
async def explain(billing_operator: Operator, account_id: str, query: RawQuery, db: Database) -> ExplanationAnswer:
    """How an amount of an account came about, as the account sees it. Name either `invoice_line`, or one of `plan` and `meter`."""
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    wanted = query.read(ExplainQuery)
    async with db.snapshot() as snapshot:
        await accounts.get_account(snapshot.connection, account_id=identifier)
        asked = explanations.read_asked(wanted)
        explanation = await explaining.explain(snapshot, account_id=identifier, asked=asked)
    return showing.show_explanation(explanation)


@get(
    "/usage-totals",
    opt={DESCRIBED: Described(summary="Total a month of all accounts", section="Runs", query=UsageTotalsQuery)},
)
async def total_usage(billing_operator: Operator, query: RawQuery, db: Database) -> UsageTotalsAnswer:
    """What a month comes to over all accounts, by currency and service, before taxes; the running month by default.

    An account whose month was closed counts by the lines of its documents, corrections in later ones and minimum charges with
    them; one whose month is open counts by what it used up to `counted_until`, rated as the close will rate it, without minimum
    charges. Every account is read anew, some 30,000 a second.
    """
    wanted = query.read(UsageTotalsQuery)
    period = showing_totals.read_period(wanted.period, now=db.clock())
    with patience.within(None):  # it reads all accounts
        return showing_totals.show_totals(await totals.total_month(db, period=period))


HANDLERS = [explain, total_usage]
