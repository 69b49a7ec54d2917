"""Alerts, what they compare, and their firings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias
from uuid import UUID

from billing.core.errors import Refused
from billing.notifications import Method

AlertType = Literal["budget", "usage", "balance"]
Condition = Literal["greater_than", "less_than"]
FiringKind = Literal["fired", "recovered"]

ALERT_PREFIX = "alert"
NOTIFICATION_PREFIX = "ntf"

ALERTS_MAX = 100
TOLD_SHOWN = 100  # firings in the list of alerts
BUDGET_PERCENTS = (50, 80, 100)
BUDGET_METHODS: tuple[Method, ...] = ("email",)  # how the steps of a project's budget are told


Value: TypeAlias = int | Fraction
"""A figure, exact: minor units, or a quantity."""


class Figure(NamedTuple):
    """What is compared: of an account `net`, `gross` or `metric` of its month, or `available` in a currency.

    `item` is the project of a net cost (None: all of the account), the meter or the currency. Amounts are in minor units.
    """

    kind: Literal["net", "gross", "metric", "available"]
    item: UUID | str | None = None


class SubjectKey(NamedTuple):
    """What fires: an alert (percent 0) or a step of a project's budget, as it stands in a revision."""

    subject_id: UUID
    percent: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An account's rule. `threshold` is in minor units of `currency`, or with a `metric` in the meter's unit."""

    account_id: UUID
    alert_id: UUID
    type: AlertType
    condition: Condition
    threshold: Decimal
    currency: str
    project_id: UUID | None
    metric: str | None
    methods: tuple[Method, ...]
    revision: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an evaluation compares: an alert, or a step of a project's budget."""

    account_id: UUID
    key: SubjectKey
    figure: Figure
    condition: Condition
    threshold: Decimal
    currency: str
    methods: tuple[Method, ...]
    created_at: datetime
    project_name: str | None = None
    budget_minor: int | None = None

    @property
    def is_monthly(self) -> bool:
        """Whether the figure begins anew with each month."""
        return self.figure.kind != "available"


class Latest(NamedTuple):
    """The newest firing of a subject."""

    occasion: int
    kind: FiringKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One crossing that was found. `value` is exact; `occasion` is a month (202402) or the number of a balance's crossing."""

    firing_id: UUID
    subject: Subject
    occasion: int
    kind: FiringKind
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A firing as the history holds it, with how far each of its deliveries is. `value` has at most 12 decimals."""

    firing_id: UUID
    subject_id: UUID
    percent: int
    kind: FiringKind
    currency: str
    is_quantity: bool
    value: Decimal
    threshold: Decimal
    created_at: datetime
    deliveries: tuple[tuple[Method, str], ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """An alert as it stands now: its figure and when it last fired."""

    alert: Alert
    value: Value
    last_triggered_at: datetime | None


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """What an update sets; None stays as it is."""

    condition: Condition | None = None
    threshold: Decimal | None = None
    methods: Collection[Method] | None = None


class TooManyAlerts(Refused):
    """The account has as many alerts as it may."""

    message = f"An account has at most {ALERTS_MAX} alerts; delete one first"
