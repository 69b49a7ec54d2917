"""The public routes of webhooks, below /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import delete, get, post, put
from msgspec import UNSET

from billing.core import ids
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.webhooks import schemas
from billing.webhooks.model.endpoints import ENDPOINT_PREFIX
from billing.webhooks.model.errors import DeliveryUnderWay, TooManyWebhooks, UrlRefused, WebhookDisabled
from billing.webhooks.model.events import EVERYTHING
from billing.webhooks.model.messages import MESSAGE_PREFIX
from billing.webhooks.model.settings import WebhookSettings
from billing.webhooks.operations import keeping, redelivering
from billing.webhooks.schemas import (
    DeliveriesQuery,
    WebhookAnswer,
    WebhookDeliveriesAnswer,
    WebhookDeliveryAnswer,
    WebhookIn,
    WebhookIssuedAnswer,
    WebhooksAnswer,
    WebhookUpdate,
)
from billing.webhooks.store import endpoints, log

if TYPE_CHECKING:
    from billing.kit.db import Tx

_SECTION = "Webhooks"


@get(
    "/account/webhooks",
    opt={DESCRIBED: Described(summary="List webhooks", section=_SECTION, query=PageQuery, is_extension=True)},
)
async def list_webhooks(reader: Caller, query: RawQuery, db: Database) -> WebhooksAnswer:
    """The account's webhook endpoints, oldest first. Their secrets are not shown."""
    _, page = query.read_page(PageQuery)
    async with db.reading() as reading:
        found = await endpoints.list_endpoints(reading.connection, account_id=reader.account_id, page=page)
    return WebhooksAnswer(webhooks=[schemas.show(one) for one in found.items], meta=meta(page, found))


@post(
    "/account/webhooks",
    opt={
        DESCRIBED: Described(
            summary="Create a webhook",
            section=_SECTION,
            answer=WebhookIssuedAnswer,
            statuses=(201,),
            body=WebhookIn,
            errors=(TooManyWebhooks, UrlRefused),
            located=True,
            is_extension=True,
        ),
        "audited": "webhook.created",
    },
)
async def create_webhook(writer: Caller, body: RawBody, command: Command, webhook_settings: WebhookSettings) -> Answer:
    """Have events sent to a URL of yours, as signed POST requests in the format of Standard Webhooks.

    The `secret` that signs them is shown in this answer alone: keep it. A replay of the answer shows null in its place. The host
    must have public addresses only.
    """
    wanted = body.read(WebhookIn)
    await _check_url(wanted.url, webhook_settings)

    async def work(tx: Tx) -> WebhookIssuedAnswer:
        issued = await keeping.create(
            tx,
            account_id=writer.account_id,
            url=wanted.url,
            description=wanted.description,
            events=wanted.events or (EVERYTHING,),
            secret_key=webhook_settings.secret_key,
        )
        return schemas.show_issued(issued)

    return await command.run(
        work,
        status=201,
        location=lambda answer: f"/account/webhooks/{answer.webhook.id}",
        stored=schemas.without_secret,
    )


@get(
    "/account/webhooks/{webhook_id:str}",
    opt={DESCRIBED: Described(summary="Get a webhook", section=_SECTION, is_extension=True)},
)
async def show_webhook(reader: Caller, webhook_id: str, db: Database) -> WebhookAnswer:
    """One webhook endpoint, without its secret."""
    async with db.reading() as reading:
        endpoint = await endpoints.get_endpoint(
            reading.connection, account_id=reader.account_id, endpoint_id=ids.expect(ENDPOINT_PREFIX, webhook_id)
        )
    return WebhookAnswer(webhook=schemas.show(endpoint))


@put(
    "/account/webhooks/{webhook_id:str}",
    opt={
        DESCRIBED: Described(
            summary="Update a webhook",
            section=_SECTION,
            answer=WebhookAnswer,
            body=WebhookUpdate,
            errors=(UrlRefused,),
            is_extension=True,
        ),
        "audited": "webhook.updated",
    },
)
async def update_webhook(
    writer: Caller, webhook_id: str, body: RawBody, command: Command, webhook_settings: WebhookSettings
) -> Answer:
    """Set what the body names of url, events, description and status.

    `enabled` ends a disablement and forgets past failures; what was missed meanwhile is not made up for. With `disabled` nothing
    more is sent, and what was waiting is given up.
    """
    identifier = ids.expect(ENDPOINT_PREFIX, webhook_id)
    update = body.read(WebhookUpdate)
    if update.url is not UNSET:
        await _check_url(update.url, webhook_settings)

    async def work(tx: Tx) -> WebhookAnswer:
        changed = await keeping.change(
            tx, account_id=writer.account_id, endpoint_id=identifier, changes=update.changes()
        )
        return WebhookAnswer(webhook=schemas.show(changed))

    return await command.run(work)


@delete(
    "/account/webhooks/{webhook_id:str}",
    status_code=200,
    opt={
        DESCRIBED: Described(summary="Delete a webhook", section=_SECTION, statuses=(204,), is_extension=True),
        "audited": "webhook.deleted",
    },
)
async def delete_webhook(writer: Caller, webhook_id: str, command: Command) -> Answer:
    """Remove an endpoint; what is waiting for it is not sent any more."""
    identifier = ids.expect(ENDPOINT_PREFIX, webhook_id)

    async def work(tx: Tx) -> None:
        await keeping.delete(tx, account_id=writer.account_id, endpoint_id=identifier)

    return await command.run(work, status=204)


@post(
    "/account/webhooks/{webhook_id:str}/rotate-secret",
    opt={
        DESCRIBED: Described(
            summary="Rotate a webhook's secret", section=_SECTION, answer=WebhookIssuedAnswer, is_extension=True
        ),
        "audited": "webhook.secret_rotated",
    },
)
async def rotate_webhook_secret(
    writer: Caller, webhook_id: str, command: Command, webhook_settings: WebhookSettings
) -> Answer:
    """Make a new secret, which is shown in this answer alone.

    For 24 hours messages carry two signatures, with the new secret and with the one before; an older one ends at once.
    """
    identifier = ids.expect(ENDPOINT_PREFIX, webhook_id)

    async def work(tx: Tx) -> WebhookIssuedAnswer:
        return schemas.show_issued(
            await keeping.rotate_secret(
                tx,
                account_id=writer.account_id,
                endpoint_id=identifier,
                secret_key=webhook_settings.secret_key,
            )
        )

    return await command.run(work, stored=schemas.without_secret)


@post(
    "/account/webhooks/{webhook_id:str}/test",
    opt={
        DESCRIBED: Described(
            summary="Try a webhook out",
            section=_SECTION,
            answer=WebhookDeliveryAnswer,
            statuses=(201,),
            errors=(WebhookDisabled,),
            located=True,
            is_extension=True,
        )
    },
)
async def test_webhook(writer: Caller, webhook_id: str, command: Command) -> Answer:
    """Send a message of type `webhook.test` within seconds; the delivery says what became of it."""
    identifier = ids.expect(ENDPOINT_PREFIX, webhook_id)

    async def work(tx: Tx) -> WebhookDeliveryAnswer:
        delivery = await redelivering.test(tx, account_id=writer.account_id, endpoint_id=identifier)
        return WebhookDeliveryAnswer(delivery=schemas.show_delivery(delivery))

    return await command.run(
        work,
        status=201,
        location=lambda answer: f"/account/webhooks/{webhook_id}/deliveries/{answer.delivery.id}",
    )


@get(
    "/account/webhooks/{webhook_id:str}/deliveries",
    opt={
        DESCRIBED: Described(
            summary="List a webhook's deliveries", section=_SECTION, query=DeliveriesQuery, is_extension=True
        )
    },
)
async def list_webhook_deliveries(
    reader: Caller, webhook_id: str, query: RawQuery, db: Database
) -> WebhookDeliveriesAnswer:
    """What was sent to an endpoint within the last 90 days, newest first, with its newest attempts. No answer's body is kept."""
    wanted, page = query.read_page(DeliveriesQuery)
    identifier = ids.expect(ENDPOINT_PREFIX, webhook_id)
    async with db.snapshot() as snapshot:
        await endpoints.get_endpoint(snapshot.connection, account_id=reader.account_id, endpoint_id=identifier)
        found = await log.list_deliveries(
            snapshot.connection, account_id=reader.account_id, endpoint_id=identifier, status=wanted.status, page=page
        )
    return WebhookDeliveriesAnswer(
        deliveries=[schemas.show_delivery(one) for one in found.items], meta=meta(page, found)
    )


@get(
    "/account/webhooks/{webhook_id:str}/deliveries/{message_id:str}",
    opt={DESCRIBED: Described(summary="Get a webhook's delivery", section=_SECTION, is_extension=True)},
)
async def show_webhook_delivery(
    reader: Caller, webhook_id: str, message_id: str, db: Database
) -> WebhookDeliveryAnswer:
    """One message to an endpoint, with its newest attempts."""
    key = {"account_id": reader.account_id, "endpoint_id": ids.expect(ENDPOINT_PREFIX, webhook_id)}
    async with db.snapshot() as snapshot:
        await endpoints.get_endpoint(snapshot.connection, **key)
        delivery = await log.get_delivery(snapshot.connection, **key, message_id=ids.expect(MESSAGE_PREFIX, message_id))
    return WebhookDeliveryAnswer(delivery=schemas.show_delivery(delivery))


@post(
    "/account/webhooks/{webhook_id:str}/deliveries/{message_id:str}/redeliver",
    opt={
        DESCRIBED: Described(
            summary="Send a webhook's message again",
            section=_SECTION,
            answer=WebhookDeliveryAnswer,
            errors=(WebhookDisabled, DeliveryUnderWay),
            is_extension=True,
        )
    },
)
async def redeliver_webhook_message(writer: Caller, webhook_id: str, message_id: str, command: Command) -> Answer:
    """Send a message that was delivered or given up once more, with the same id and body, with ten tries again."""
    identifier, message = ids.expect(ENDPOINT_PREFIX, webhook_id), ids.expect(MESSAGE_PREFIX, message_id)

    async def work(tx: Tx) -> WebhookDeliveryAnswer:
        delivery = await redelivering.redeliver(
            tx, account_id=writer.account_id, endpoint_id=identifier, message_id=message
        )
        return WebhookDeliveryAnswer(delivery=schemas.show_delivery(delivery))

    return await command.run(work)


async def _check_url(url: str, settings: WebhookSettings) -> None:
    """Before any transaction: names are looked up."""
    schemas.require_url(url, allowed=settings.networks)
    if not await settings.sender.is_allowed(url):
        raise UrlRefused


HANDLERS = [
    list_webhooks,
    create_webhook,
    show_webhook,
    update_webhook,
    delete_webhook,
    rotate_webhook_secret,
    test_webhook,
    list_webhook_deliveries,
    show_webhook_delivery,
    redeliver_webhook_message,
]
