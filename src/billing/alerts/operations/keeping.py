"""Making, changing and deleting alerts; trying out how one is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from billing import accounts, catalog, notifications, projects
from billing.alerts import rules
from billing.alerts.model import (
    ALERT_PREFIX,
    ALERTS_MAX,
    NOTIFICATION_PREFIX,
    Alert,
    AlertChanges,
    AlertType,
    Condition,
    TooManyAlerts,
)
from billing.alerts.store import alerts as store
from billing.core import ids
from billing.core.errors import InvalidParameter
from billing.kit import outbox, touches
from billing.notifications import Method, NewNotification

if TYPE_CHECKING:
    from billing.kit.db import Tx

TRIAL = "alert.test"  # the template of a trial's message and the type of its event


async def create(
    tx: Tx,
    *,
    account_id: UUID,
    type: AlertType,
    condition: Condition,
    threshold: Decimal,
    currency: str,
    project_id: UUID | None,
    metric: str | None,
    methods: Sequence[Method],
) -> Alert:
    """Store a new alert; it is evaluated at once, so one that holds already fires.

    Raises NotFound for a project that the account does not have, InvalidParameter for a meter that does not exist,
    PhoneMissing, TooManyAlerts.
    """
    if project_id is not None:
        await projects.get_project(tx.connection, account_id=account_id, project_id=project_id)
    if metric is not None and not await catalog.list_meters(tx.connection, names=[metric]):
        raise InvalidParameter.one("body", "metric", "must be a known meter")
    await _require_reachable(tx, account_id=account_id, methods=methods)
    await touches.watch(tx, account_id=account_id)  # from here on one at a time, so that the count holds
    if await store.count_alerts(tx.connection, account_id=account_id) >= ALERTS_MAX:
        raise TooManyAlerts(details={"limit": ALERTS_MAX})
    alert = Alert(
        account_id=account_id,
        alert_id=tx.new_id(),
        type=type,
        condition=condition,
        threshold=threshold,
        currency=currency,
        project_id=project_id,
        metric=metric,
        methods=tuple(methods),
        revision=1,
        created_at=tx.now,
    )
    await store.insert_alert(tx.connection, alert=alert)
    return alert


async def change(tx: Tx, *, account_id: UUID, alert_id: UUID, changes: AlertChanges) -> Alert:
    """Set what `changes` names. Another threshold or condition may fire again in the same month.

    Raises NotFound, PhoneMissing.
    """
    alert = await store.get_alert_for_update(tx.connection, account_id=account_id, alert_id=alert_id)
    changed = replace(
        alert,
        condition=changes.condition or alert.condition,
        threshold=alert.threshold if changes.threshold is None else changes.threshold,
        methods=alert.methods if changes.methods is None else tuple(changes.methods),
    )
    if changes.methods is not None:
        await _require_reachable(tx, account_id=account_id, methods=changed.methods)
    if (changed.condition, changed.threshold) != (alert.condition, alert.threshold):
        changed = replace(changed, revision=alert.revision + 1)
    if changed != alert:
        await store.update_alert(tx.connection, alert=changed)
        await touches.watch(tx, account_id=account_id)
    return changed


async def delete(tx: Tx, *, account_id: UUID, alert_id: UUID) -> None:
    """Remove an alert; what it told stays in the history. Raises NotFound."""
    await store.delete_alert(tx.connection, account_id=account_id, alert_id=alert_id)


async def test(tx: Tx, *, account_id: UUID, alert_id: UUID) -> NewNotification:
    """Tell an alert as a trial, by all its channels; nothing fires, and what it does later stays the same. Raises NotFound."""
    alert = await store.get_alert(tx.connection, account_id=account_id, alert_id=alert_id)
    await _require_reachable(tx, account_id=account_id, methods=alert.methods)
    notification_id, object_id = tx.new_id(), ids.encode(ALERT_PREFIX, alert_id)
    threshold = rules.shown(alert.threshold, currency=alert.currency, is_quantity=alert.metric is not None)
    payload = {
        "notification_id": ids.encode(NOTIFICATION_PREFIX, notification_id),
        "alert_id": object_id,
        "threshold": f"{threshold:f}",
        "currency": alert.currency if alert.metric is None else None,
        "methods": list(alert.methods),
    }
    trial = NewNotification(
        account_id=account_id,
        notification_id=notification_id,
        template=TRIAL,
        object_id=str(notification_id),
        payload=payload,
        methods=alert.methods,
    )
    await notifications.announce(tx, [trial])
    await outbox.publish(tx, account_id=account_id, type=TRIAL, object_id=object_id, payload=payload)
    return trial


async def _require_reachable(tx: Tx, *, account_id: UUID, methods: Sequence[Method]) -> None:
    if "sms" in methods:
        account = await accounts.get_account(tx.connection, account_id=account_id)
        notifications.require_reachable(methods, phone=account.phone)
