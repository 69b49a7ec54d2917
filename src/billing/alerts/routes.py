"""The public routes of alerts, below /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import delete, get, post, put

from billing.accounts import CurrencyNotSupported
from billing.alerts import schemas
from billing.alerts.jobs import EVALUATE_JOB
from billing.alerts.model import ALERT_PREFIX, TooManyAlerts
from billing.alerts.operations import keeping
from billing.alerts.operations.measuring import list_with_history, measure_alerts
from billing.alerts.schemas import AlertAnswer, AlertIn, AlertsAnswer, AlertUpdate
from billing.alerts.store import alerts as store
from billing.core import ids
from billing.kit import worker
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.notifications import PhoneMissing
from billing.wallets import WalletSettings

if TYPE_CHECKING:
    from billing.alerts.model import Alert
    from billing.kit.db import Tx


@get(
    "/account/alerts",
    opt={DESCRIBED: Described(summary="List alerts", section="Alerts and Notifications", query=PageQuery)},
)
async def list_alerts(reader: Caller, query: RawQuery, db: Database, wallet_settings: WalletSettings) -> AlertsAnswer:
    """The account's alerts as they stand now, oldest first, and the newest 100 crossings that were told."""
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as snapshot:
        alerts, told = await list_with_history(
            snapshot, account_id=reader.account_id, page=page, reserve=wallet_settings.reserve
        )
    return schemas.show_all(alerts, told, meta=meta(page, alerts))


@post(
    "/account/alerts",
    opt={
        DESCRIBED: Described(
            summary="Create an alert",
            section="Alerts and Notifications",
            answer=AlertAnswer,
            statuses=(201,),
            body=AlertIn,
            errors=(CurrencyNotSupported, PhoneMissing, TooManyAlerts),
            located=True,
        )
    },
)
async def create_alert(writer: Caller, body: RawBody, command: Command, wallet_settings: WalletSettings) -> Answer:
    """Have the account told when its cost, its usage or its balance crosses a threshold."""
    wanted = body.read(AlertIn)
    currency = wanted.check(own_currency=writer.currency, enabled=wallet_settings.currencies)

    async def work(tx: Tx) -> AlertAnswer:
        alert = await keeping.create(
            tx,
            account_id=writer.account_id,
            type=wanted.type,
            condition=wanted.condition,
            threshold=schemas.read_threshold(
                wanted.threshold, currency=currency, is_quantity=wanted.metric is not None
            ),
            currency=currency,
            project_id=None if wanted.project_id is None else ids.expect(schemas.PROJECT_PREFIX, wanted.project_id),
            metric=wanted.metric,
            methods=wanted.notification_methods,
        )
        await worker.wake(tx.connection, job=EVALUATE_JOB)
        return await _answer(tx, alert, wallet_settings)

    return await command.run(work, status=201, location=lambda answer: f"/account/alerts/{answer.alert.id}")


@get(
    "/account/alerts/{alert_id:str}",
    opt={DESCRIBED: Described(summary="Get an alert", section="Alerts and Notifications", is_extension=True)},
)
async def show_alert(reader: Caller, alert_id: str, db: Database, wallet_settings: WalletSettings) -> AlertAnswer:
    """One alert as it stands now."""
    identifier = ids.expect(ALERT_PREFIX, alert_id)
    async with db.snapshot() as snapshot:
        alert = await store.get_alert(snapshot.connection, account_id=reader.account_id, alert_id=identifier)
        return await _answer(snapshot, alert, wallet_settings)


@put(
    "/account/alerts/{alert_id:str}",
    opt={
        DESCRIBED: Described(
            summary="Update an alert",
            section="Alerts and Notifications",
            answer=AlertAnswer,
            body=AlertUpdate,
            errors=(PhoneMissing,),
            is_extension=True,
        )
    },
)
async def update_alert(
    writer: Caller, alert_id: str, body: RawBody, command: Command, wallet_settings: WalletSettings
) -> Answer:
    """Set what the body names of threshold, condition and notification_methods."""
    identifier = ids.expect(ALERT_PREFIX, alert_id)
    update = body.read(AlertUpdate)

    async def work(tx: Tx) -> AlertAnswer:
        alert = await store.get_alert(tx.connection, account_id=writer.account_id, alert_id=identifier)
        changed = await keeping.change(
            tx, account_id=writer.account_id, alert_id=identifier, changes=update.changes_of(alert)
        )
        await worker.wake(tx.connection, job=EVALUATE_JOB)
        return await _answer(tx, changed, wallet_settings)

    return await command.run(work)


@delete(
    "/account/alerts/{alert_id:str}",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Delete an alert", section="Alerts and Notifications", statuses=(204,), is_extension=True
        )
    },
)
async def delete_alert(writer: Caller, alert_id: str, command: Command) -> Answer:
    """Remove an alert; what it told stays in the list of notifications."""
    identifier = ids.expect(ALERT_PREFIX, alert_id)

    async def work(tx: Tx) -> None:
        await keeping.delete(tx, account_id=writer.account_id, alert_id=identifier)

    return await command.run(work, status=204)


async def _answer(tx: Tx, alert: Alert, wallet_settings: WalletSettings) -> AlertAnswer:
    [measured] = await measure_alerts(tx, alerts=[alert], reserve=wallet_settings.reserve)
    return AlertAnswer(alert=schemas.show(measured))


HANDLERS = [list_alerts, create_alert, show_alert, update_alert, delete_alert]
