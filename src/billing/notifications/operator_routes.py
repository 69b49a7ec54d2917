"""The operator's routes of notifications, below /operator/v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, post

from billing import accounts
from billing.core import ids
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.notifications import schemas
from billing.notifications.model import (
    DELIVERY_PREFIX,
    ChannelNotConfigured,
    DeliveredByWebhook,
    DeliveryUnderWay,
    Mailroom,
    PhoneMissing,
)
from billing.notifications.operations import keeping
from billing.notifications.schemas import (
    ChannelTrialAnswer,
    ChannelTrialIn,
    DeliveriesOfAllQuery,
    NotificationsAnswer,
    OperatorDeliveriesAnswer,
    OperatorDeliveryAnswer,
)
from billing.notifications.store import listing

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.kit.web.commands import Intent

_SECTION = "Alerts and Notifications"


@get(
    "/accounts/{account_id:str}/notifications",
    opt={DESCRIBED: Described(summary="List an account's notifications", section=_SECTION, query=PageQuery)},
)
async def list_notifications(
    accounts_operator: Operator, account_id: str, query: RawQuery, db: Database
) -> NotificationsAnswer:
    """What an account was told, as it sees it, newest first."""
    _, page = query.read_page(PageQuery)
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    async with db.snapshot() as snapshot:
        await accounts.get_account(snapshot.connection, account_id=identifier)
        found = await listing.list_notifications(snapshot.connection, account_id=identifier, page=page)
    shown = [schemas.show_notification(one) for one in found.items]
    return NotificationsAnswer(notifications=shown, meta=meta(page, found))


@get(
    "/deliveries",
    opt={DESCRIBED: Described(summary="List deliveries of messages", section=_SECTION, query=DeliveriesOfAllQuery)},
)
async def list_message_deliveries(
    accounts_operator: Operator, query: RawQuery, db: Database
) -> OperatorDeliveriesAnswer:
    """Messages on their way to recipients, of all accounts, newest first, with their newest 20 attempts.

    `status=failed` and `status=unknown` are what nobody got, or nobody knows; `status=suppressed` what was not sent, for example
    because the channel is not configured (`channel_not_configured`). A `pending` one says in `next_at` when it is tried again.
    """
    wanted, page = query.read_page(DeliveriesOfAllQuery)
    account_id = None if wanted.account_id is None else ids.expect(accounts.ACCOUNT_PREFIX, wanted.account_id)
    async with db.reading() as reading:
        found = await listing.list_deliveries(
            reading.connection, account_id=account_id, status=wanted.status, page=page
        )
    shown = [schemas.show_delivery(one) for one in found.items]
    return OperatorDeliveriesAnswer(deliveries=shown, meta=meta(page, found))


@post(
    "/accounts/{account_id:str}/deliveries/{delivery_id:str}/resend",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Send a delivery again",
            section=_SECTION,
            answer=OperatorDeliveryAnswer,
            errors=(DeliveryUnderWay, DeliveredByWebhook, PhoneMissing),
        )
    },
)
async def resend_delivery(accounts_operator: Operator, account_id: str, delivery_id: str, command: Command) -> Answer:
    """Have a delivery tried again from the first try on, to the address that the account has now.

    One that was sent, or may have been (`unknown`), then arrives twice: a mail with the same Message-ID as before.
    """
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    again = ids.expect(DELIVERY_PREFIX, delivery_id)

    async def work(tx: Tx) -> OperatorDeliveryAnswer:
        delivery = await keeping.send_again(tx, account_id=identifier, delivery_id=again)
        return OperatorDeliveryAnswer(delivery=schemas.show_delivery(delivery))

    return await command.run(work)


@post(
    "/notifications/test",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Try a channel out",
            section=_SECTION,
            answer=ChannelTrialAnswer,
            body=ChannelTrialIn,
            errors=(ChannelNotConfigured,),
        )
    },
)
async def test_channel(
    *, accounts_operator: Operator, body: RawBody, command: Command, db: Database, mailroom: Mailroom
) -> Answer:
    """Send a test message by e-mail or SMS now, once, and say what became of it: whether the configuration works."""
    wanted = body.read(ChannelTrialIn)
    wanted.check()

    async def start(tx: Tx) -> Intent:
        return {}

    async def finish(intent: Intent) -> ChannelTrialAnswer:
        gateway, outcome = await keeping.try_channel(
            db, method=wanted.channel, recipient=wanted.recipient, mailroom=mailroom
        )
        return schemas.show_trial(wanted, gateway=gateway, outcome=outcome)

    return await command.run_staged(start=start, finish=finish, status=200)


HANDLERS = [list_notifications, list_message_deliveries, resend_delivery, test_channel]
