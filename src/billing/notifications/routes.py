"""The public routes of notifications, below /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, put

from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.notifications import schemas
from billing.notifications.model import PhoneMissing
from billing.notifications.operations import keeping
from billing.notifications.schemas import NotificationsAnswer, NotificationSettingsAnswer, NotificationSettingsUpdate
from billing.notifications.store import listing
from billing.notifications.store import settings as store

if TYPE_CHECKING:
    from billing.kit.db import Tx

_SECTION = "Alerts and Notifications"


@get(
    "/account/notifications",
    opt={DESCRIBED: Described(summary="List notifications", section=_SECTION, query=PageQuery, is_extension=True)},
)
async def list_notifications(reader: Caller, query: RawQuery, db: Database) -> NotificationsAnswer:
    """What the account was told, newest first, with what became of each message on its way to each recipient.

    A delivery is `pending` until it is `sent`, or has `failed` for good. `unknown`: the gateway has the message and never said
    what it did with it; it is not sent twice. `suppressed`: it was not sent, for the `reason` given.
    """
    _, page = query.read_page(PageQuery)
    async with db.reading() as reading:
        found = await listing.list_notifications(reading.connection, account_id=reader.account_id, page=page)
    shown = [schemas.show_notification(one) for one in found.items]
    return NotificationsAnswer(notifications=shown, meta=meta(page, found))


@get(
    "/account/notification-settings",
    opt={DESCRIBED: Described(summary="Get notification settings", section=_SECTION, is_extension=True)},
)
async def show_notification_settings(reader: Caller, db: Database) -> NotificationSettingsAnswer:
    """By which channels the account is told of what, who else gets its mail, and when no text messages are sent.

    What alerts tell goes by their own `notification_methods`.
    """
    async with db.reading() as reading:
        settings = await store.get_settings(reading.connection, account_id=reader.account_id)
    return schemas.show_settings(settings)


@put(
    "/account/notification-settings",
    opt={
        DESCRIBED: Described(
            summary="Update notification settings",
            section=_SECTION,
            answer=NotificationSettingsAnswer,
            body=NotificationSettingsUpdate,
            errors=(PhoneMissing,),
            is_extension=True,
        )
    },
)
async def update_notification_settings(writer: Caller, body: RawBody, command: Command) -> Answer:
    """Change what the body names and leave the rest as it is.

    Invoices, and what guards the account, always come by e-mail: they cannot be switched off. Up to three more addresses get
    all mail but what is about security. Text messages need a phone number. In quiet hours, by the account's time zone, text
    messages wait; a suspension alone does not. Quiet hours with the same start and end are none.
    """
    changes = body.read(NotificationSettingsUpdate).changes()

    async def work(tx: Tx) -> NotificationSettingsAnswer:
        settings = await keeping.change_settings(tx, account_id=writer.account_id, changes=changes)
        return schemas.show_settings(settings)

    return await command.run(work)


HANDLERS = [list_notifications, show_notification_settings, update_notification_settings]
