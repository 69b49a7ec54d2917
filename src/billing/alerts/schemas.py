"""Alerts and what they told, on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec import Meta as Bounds

from billing import accounts, metering
from billing.alerts import rules
from billing.alerts.model import (
    ALERT_PREFIX,
    NOTIFICATION_PREFIX,
    Alert,
    AlertChanges,
    AlertType,
    Condition,
    FiringKind,
    Measured,
    Told,
)
from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.core.page import Page
from billing.kit.web import Meta
from billing.notifications import Method, NewNotification

if TYPE_CHECKING:
    from collections.abc import Set

PROJECT_PREFIX = "proj"
QUANTITY_END = Decimal(10) ** 29  # exclusive

Methods = Annotated[list[Method], Bounds(min_length=1, max_length=3)]


class AlertIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /account/alerts."""

    type: AlertType
    threshold: Decimal
    condition: Condition
    notification_methods: Methods
    currency: str | None = None
    project_id: str | None = None
    metric: accounts.ShortText | None = None

    def check(self, *, own_currency: str, enabled: Set[str]) -> str:
        """The currency that the alert is in. Raises InvalidParameter with every fault, CurrencyNotSupported."""
        faults = [*_belonging_faults(self, own_currency=own_currency), *_method_faults(self.notification_methods)]
        currency = self.currency if self.type == "balance" and self.currency else own_currency
        reason = threshold_reason(self.threshold, currency=currency, is_quantity=self.metric is not None)
        if reason is not None:
            faults.append(Fault("body", "threshold", reason))
        if faults:
            raise InvalidParameter(faults)
        accounts.require_currency(currency, enabled=enabled | {own_currency})
        return currency


class AlertUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /account/alerts/{id}. An absent member stays as it is; what an alert is about is fixed."""

    threshold: Decimal | UnsetType = UNSET
    condition: Condition | UnsetType = UNSET
    notification_methods: Methods | UnsetType = UNSET

    def changes_of(self, alert: Alert) -> AlertChanges:
        """What an update sets of an alert. Raises InvalidParameter with every fault."""
        faults = [] if self.notification_methods is UNSET else _method_faults(self.notification_methods)
        is_quantity = alert.metric is not None
        threshold: Decimal | None = None
        if self.threshold is not UNSET:
            reason = threshold_reason(self.threshold, currency=alert.currency, is_quantity=is_quantity)
            if reason is not None:
                faults.append(Fault("body", "threshold", reason))
            else:
                threshold = read_threshold(self.threshold, currency=alert.currency, is_quantity=is_quantity)
        if faults:
            raise InvalidParameter(faults)
        return AlertChanges(
            condition=None if self.condition is UNSET else self.condition,
            threshold=threshold,
            methods=None if self.notification_methods is UNSET else self.notification_methods,
        )


class AlertOut(Struct, frozen=True, kw_only=True):
    """An alert as it stands now: `status` says on which side of the threshold `current_value` is."""

    id: str
    type: AlertType
    threshold: Decimal
    condition: Condition
    notification_methods: list[Method]
    currency: str
    project_id: str | None
    metric: str | None
    status: Literal["ok", "triggered"]
    current_value: Decimal
    last_triggered_at: datetime | None
    created_at: datetime


class DeliveryOut(Struct, frozen=True, kw_only=True):
    """How far a message is on one channel."""

    method: Method
    status: str


class NotificationOut(Struct, frozen=True, kw_only=True):
    """One crossing that was told: of an alert, or of a step of a project's budget."""

    id: str
    alert_id: str | None
    kind: FiringKind
    value: Decimal
    threshold: Decimal
    created_at: datetime
    deliveries: list[DeliveryOut]
    project_id: str | None
    percent: int | None
    currency: str | None


class TrialOut(Struct, frozen=True, kw_only=True):
    """A message sent as a trial."""

    id: str
    alert_id: str
    kind: Literal["test"]
    created_at: datetime
    deliveries: list[DeliveryOut]


class AlertAnswer(Struct, frozen=True, kw_only=True):
    """One alert, wrapped."""

    alert: AlertOut


class AlertsAnswer(Struct, frozen=True, kw_only=True):
    """GET /account/alerts: a page of alerts, and the newest of what was told."""

    alerts: list[AlertOut]
    notifications: list[NotificationOut]
    meta: Meta


class TrialAnswer(Struct, frozen=True, kw_only=True):
    """POST /accounts/{id}/alerts/{id}/test of the operator API."""

    notification: TrialOut


def threshold_reason(threshold: Decimal, *, currency: str, is_quantity: bool) -> str | None:
    """Why an alert cannot have a threshold, or None."""
    if is_quantity:
        if threshold <= 0:
            return "must be greater than 0"
        if threshold >= QUANTITY_END:
            return "is too large"
        return None if metering.has_storable_decimals(threshold) else "must have at most 12 decimals"
    if currency not in money.DECIMALS:
        return None if threshold > 0 else "must be greater than 0"
    try:
        money.to_minor(threshold, currency)
    except money.NotAnAmount as error:
        return str(error)
    return None


def read_threshold(threshold: Decimal, *, currency: str, is_quantity: bool) -> Decimal:
    """A threshold that has been checked, as alerts keep it."""
    return threshold if is_quantity else Decimal(money.to_minor(threshold, currency))


def _belonging_faults(alert: AlertIn, *, own_currency: str) -> list[Fault]:
    """What does not belong to the type of alert."""
    faults: list[Fault] = []
    if alert.project_id is not None and alert.type != "budget":
        faults.append(Fault("body", "project_id", "belongs to alerts of type budget alone"))
    if alert.metric is not None and alert.type != "usage":
        faults.append(Fault("body", "metric", "belongs to alerts of type usage alone"))
    if alert.currency is not None and alert.type != "balance" and alert.currency != own_currency:
        faults.append(Fault("body", "currency", f"must be the account's ({own_currency}) unless the type is balance"))
    elif alert.currency is not None and accounts.member_reason("currency", alert.currency) is not None:
        faults.append(Fault("body", "currency", "must be a currency code such as USD"))
    return faults


def _method_faults(methods: Sequence[Method]) -> list[Fault]:
    return [
        Fault("body", f"notification_methods[{index}]", "is named twice")
        for index, method in enumerate(methods)
        if method in methods[:index]
    ]


def show(measured: Measured) -> AlertOut:
    """An alert as it stands."""
    alert = measured.alert
    is_quantity = alert.metric is not None
    is_triggered = rules.is_true(measured.value, condition=alert.condition, threshold=alert.threshold)
    return AlertOut(
        id=ids.encode(ALERT_PREFIX, alert.alert_id),
        type=alert.type,
        threshold=rules.shown(alert.threshold, currency=alert.currency, is_quantity=is_quantity),
        condition=alert.condition,
        notification_methods=list(alert.methods),
        currency=alert.currency,
        project_id=None if alert.project_id is None else ids.encode(PROJECT_PREFIX, alert.project_id),
        metric=alert.metric,
        status="triggered" if is_triggered else "ok",
        current_value=rules.shown(rules.rounded(measured.value), currency=alert.currency, is_quantity=is_quantity),
        last_triggered_at=measured.last_triggered_at,
        created_at=alert.created_at,
    )


def show_all(alerts: Page[Measured], told: Sequence[Told], *, meta: Meta) -> AlertsAnswer:
    """Alerts as they stand, and what was told."""
    return AlertsAnswer(
        alerts=[show(one) for one in alerts.items], notifications=[show_told(one) for one in told], meta=meta
    )


def show_told(told: Told) -> NotificationOut:
    """A firing of the history."""
    is_step = told.percent > 0
    return NotificationOut(
        id=ids.encode(NOTIFICATION_PREFIX, told.firing_id),
        alert_id=None if is_step else ids.encode(ALERT_PREFIX, told.subject_id),
        kind=told.kind,
        value=rules.shown(told.value, currency=told.currency, is_quantity=told.is_quantity),
        threshold=rules.shown(told.threshold, currency=told.currency, is_quantity=told.is_quantity),
        created_at=told.created_at,
        deliveries=[DeliveryOut(method=method, status=status) for method, status in told.deliveries],
        project_id=ids.encode(PROJECT_PREFIX, told.subject_id) if is_step else None,
        percent=told.percent or None,
        currency=None if told.is_quantity else told.currency,
    )


def show_trial(trial: NewNotification, *, alert_id: str, now: datetime) -> TrialOut:
    """A message sent as a trial."""
    return TrialOut(
        id=ids.encode(NOTIFICATION_PREFIX, trial.notification_id),
        alert_id=alert_id,
        kind="test",
        created_at=now,
        deliveries=[DeliveryOut(method=method, status="pending") for method in trial.methods or ()],
    )
