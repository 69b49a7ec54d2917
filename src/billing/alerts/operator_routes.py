"""The operator's routes of alerts, below /operator/v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, post

from billing import accounts
from billing.alerts import schemas
from billing.alerts.model import ALERT_PREFIX
from billing.alerts.operations import keeping
from billing.alerts.operations.measuring import list_with_history
from billing.alerts.schemas import AlertsAnswer, TrialAnswer
from billing.core import ids
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawQuery, meta
from billing.notifications import PhoneMissing
from billing.wallets import WalletSettings

if TYPE_CHECKING:
    from billing.kit.db import Tx


@get(
    "/accounts/{account_id:str}/alerts",
    opt={DESCRIBED: Described(summary="List an account's alerts", section="Alerts and Notifications", query=PageQuery)},
)
async def list_alerts(
    *, accounts_operator: Operator, account_id: str, query: RawQuery, db: Database, wallet_settings: WalletSettings
) -> AlertsAnswer:
    """An account's alerts and what they told, as the account sees them."""
    _, page = query.read_page(PageQuery)
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    async with db.snapshot() as snapshot:
        await accounts.get_account(snapshot.connection, account_id=identifier)
        alerts, told = await list_with_history(
            snapshot, account_id=identifier, page=page, reserve=wallet_settings.reserve
        )
    return schemas.show_all(alerts, told, meta=meta(page, alerts))


@post(
    "/accounts/{account_id:str}/alerts/{alert_id:str}/test",
    opt={
        DESCRIBED: Described(
            summary="Try an alert out",
            section="Alerts and Notifications",
            answer=TrialAnswer,
            statuses=(201,),
            errors=(PhoneMissing,),
        )
    },
)
async def test_alert(accounts_operator: Operator, account_id: str, alert_id: str, command: Command) -> Answer:
    """Tell an alert as a trial, by all its channels; nothing fires."""
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    tested = ids.expect(ALERT_PREFIX, alert_id)

    async def work(tx: Tx) -> TrialAnswer:
        trial = await keeping.test(tx, account_id=identifier, alert_id=tested)
        return TrialAnswer(notification=schemas.show_trial(trial, alert_id=alert_id, now=tx.now))

    return await command.run(work, status=201)


HANDLERS = [list_alerts, test_alert]
