"""The operator's routes of rating, below /operator/v1: quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import post

from billing import accounts
from billing.accounts import CurrencyNotSupported
from billing.core import ids
from billing.kit.auth import Operator
from billing.kit.web import DESCRIBED, Answer, Command, Described, RawBody
from billing.rating import operations, schemas
from billing.rating.model import PriceMissing
from billing.rating.schemas import QuoteIn, QuoteOut

if TYPE_CHECKING:
    from billing.kit.db import Tx


@post(
    "/quotes",
    opt={
        DESCRIBED: Described(
            summary="Quote prices",
            section="Catalogue",
            answer=QuoteOut,
            body=QuoteIn,
            errors=(CurrencyNotSupported, PriceMissing),
        ),
        "audited": False,
    },
)  # nothing is done
async def quote(catalog_operator: Operator, body: RawBody, command: Command, currencies: frozenset[str]) -> Answer:
    """What quantities would cost, band by band; nothing is stored. A `price` given inline prices a draft."""
    wanted = body.read(QuoteIn)
    requests = schemas.read_requests(wanted.lines)
    accounts.require_currency(wanted.currency, enabled=currencies)
    account_id = None
    if wanted.account_id is not None:
        account_id = ids.expect(accounts.ACCOUNT_PREFIX, wanted.account_id)

    async def work(tx: Tx) -> QuoteOut:
        if account_id is not None:
            await accounts.get_account(tx.connection, account_id=account_id)
        quoted = await operations.quote(
            tx, currency=wanted.currency, account_id=account_id, at=wanted.at or tx.now, requests=requests
        )
        return schemas.show_quote(wanted, requests, quoted)

    return await command.run(work, status=200)


HANDLERS = [quote]
