"""The operator's routes of webhooks, below /operator/v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, post

from billing import accounts
from billing.core import ids
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.webhooks import schemas
from billing.webhooks.model.endpoints import ENDPOINT_PREFIX
from billing.webhooks.model.errors import WebhookDisabled
from billing.webhooks.operations import redelivering
from billing.webhooks.schemas import (
    AllDeliveriesQuery,
    DeliveriesReplayIn,
    OwnedDeliveriesAnswer,
    ReplayedOut,
    WebhooksAnswer,
)
from billing.webhooks.store import endpoints, log

if TYPE_CHECKING:
    from billing.kit.db import Tx

_SECTION = "Events and webhooks"


@get(
    "/accounts/{account_id:str}/webhooks",
    opt={DESCRIBED: Described(summary="List an account's webhooks", section=_SECTION, query=PageQuery)},
)
async def list_webhooks(accounts_operator: Operator, account_id: str, query: RawQuery, db: Database) -> WebhooksAnswer:
    """An account's webhook endpoints as it sees them, oldest first."""
    _, page = query.read_page(PageQuery)
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    async with db.snapshot() as snapshot:
        await accounts.get_account(snapshot.connection, account_id=identifier)
        found = await endpoints.list_endpoints(snapshot.connection, account_id=identifier, page=page)
    return WebhooksAnswer(webhooks=[schemas.show(one) for one in found.items], meta=meta(page, found))


@get(
    "/webhooks/deliveries",
    opt={DESCRIBED: Described(summary="List webhook deliveries", section=_SECTION, query=AllDeliveriesQuery)},
)
async def list_webhook_deliveries(accounts_operator: Operator, query: RawQuery, db: Database) -> OwnedDeliveriesAnswer:
    """What was sent to accounts' endpoints within the last 90 days, newest first; `status=failed` is what was given up."""
    wanted, page = query.read_page(AllDeliveriesQuery)
    account_id = None if wanted.account_id is None else ids.expect(accounts.ACCOUNT_PREFIX, wanted.account_id)
    async with db.snapshot() as snapshot:
        found = await log.list_all_deliveries(
            snapshot.connection, account_id=account_id, status=wanted.status, page=page
        )
    return OwnedDeliveriesAnswer(deliveries=[schemas.show_owned(one) for one in found.items], meta=meta(page, found))


@post(
    "/accounts/{account_id:str}/webhooks/replay",
    opt={
        DESCRIBED: Described(
            summary="Send failed webhook messages again",
            section=_SECTION,
            answer=ReplayedOut,
            body=DeliveriesReplayIn,
            errors=(WebhookDisabled,),
        )
    },
)
async def replay_webhook_messages(
    accounts_operator: Operator, account_id: str, body: RawBody, command: Command
) -> Answer:
    """Send again what was given up since an instant, to all enabled endpoints of the account or to one.

    The oldest 1,000 messages: call again while `replayed` is 1,000.
    """
    wanted = body.read(DeliveriesReplayIn)
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    endpoint_id = None if wanted.webhook_id is None else ids.expect(ENDPOINT_PREFIX, wanted.webhook_id)

    async def work(tx: Tx) -> ReplayedOut:
        await accounts.get_account(tx.connection, account_id=identifier)
        if endpoint_id is not None:
            await endpoints.get_endpoint(tx.connection, account_id=identifier, endpoint_id=endpoint_id)
        return ReplayedOut(
            replayed=await redelivering.replay(tx, account_id=identifier, endpoint_id=endpoint_id, since=wanted.since)
        )

    return await command.run(work)


HANDLERS = [list_webhooks, list_webhook_deliveries, replay_webhook_messages]
