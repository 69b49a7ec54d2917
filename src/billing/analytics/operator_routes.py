"""The operator's routes of analytics, below /operator/v1: explanations."""

from __future__ import annotations

from litestar import get

from billing import accounts
from billing.analytics.operations import explaining
from billing.analytics.schemas import explaining as showing
from billing.analytics.schemas import explanations
from billing.analytics.schemas.explanations import ExplainQuery, ExplanationAnswer
from billing.core import ids
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


HANDLERS = [explain]
