"""What an alert means, without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from uuid import UUID

from billing.alerts.model import (
    BUDGET_METHODS,
    BUDGET_PERCENTS,
    Alert,
    Condition,
    Figure,
    FiringKind,
    Latest,
    Subject,
    SubjectKey,
    Value,
)
from billing.core import money
from billing.core.period import Period

# How far ahead an account's figures are rated to find out when to look again, farthest first.
HORIZONS = tuple(timedelta(minutes=minutes) for minutes in (1440, 240, 40, 7, 1))
# What crosses within the last of them is looked at in every tick until it does.
AGAIN = timedelta(seconds=10)
# Longer than a transaction may take: one that did not see yet that its account is watched has ended by then.
SETTLES = timedelta(minutes=5)

VALUE_DECIMALS = 12
_EXACT = Context(prec=100)


def is_true(value: Value, *, condition: Condition, threshold: Decimal) -> bool:
    """Whether a figure is on the alerting side of a threshold; one that equals it is not."""
    return value > threshold if condition == "greater_than" else value < threshold


def holds(subject: Subject, value: Value) -> bool:
    """The same of a subject."""
    return is_true(value, condition=subject.condition, threshold=subject.threshold)


def occasion_of(period: Period) -> int:
    """A month as firings hold it: 202402."""
    return period.year * 100 + period.month


def next_firing(
    subject: Subject, value: Value, *, latest: Latest | None, period: Period
) -> tuple[int, FiringKind] | None:
    """(occasion, kind) of the firing that a figure calls for after the newest one, or None.

    A monthly figure fires once per month, and recovers at most once. A balance fires at each crossing: its recovery arms it again.
    """
    is_crossed = holds(subject, value)
    month = occasion_of(period)
    if subject.is_monthly:
        if latest is None or latest.occasion < month:
            return (month, "fired") if is_crossed else None
        is_open = latest == (month, "fired")
        return (month, "recovered") if is_open and not is_crossed else None
    if latest is None or latest.kind == "recovered":
        crossings = 0 if latest is None else latest.occasion
        return (crossings + 1, "fired") if is_crossed else None
    return None if is_crossed else (latest.occasion, "recovered")


def figure_of(alert: Alert) -> Figure:
    """What an alert compares."""
    match alert.type:
        case "budget":
            return Figure("net", alert.project_id)
        case "usage":
            return Figure("gross") if alert.metric is None else Figure("metric", alert.metric)
        case "balance":
            return Figure("available", alert.currency)


def subject_of(alert: Alert, *, project_name: str | None = None) -> Subject:
    """An alert as an evaluation compares it; with the name of its project, if it has one, for what is told."""
    return Subject(
        account_id=alert.account_id,
        key=SubjectKey(alert.alert_id, 0, alert.revision),
        figure=figure_of(alert),
        condition=alert.condition,
        threshold=alert.threshold,
        currency=alert.currency,
        methods=alert.methods,
        created_at=alert.created_at,
        project_name=project_name,
    )


def budget_subjects(
    *, account_id: UUID, project_id: UUID, name: str, budget_minor: int, currency: str, created_at: datetime
) -> list[Subject]:
    """The steps of a project's budget: each is passed once per month and budget."""
    return [
        Subject(
            account_id=account_id,
            key=SubjectKey(project_id, percent, budget_minor),
            figure=Figure("net", project_id),
            condition="greater_than",
            threshold=Decimal(budget_minor * percent) / 100,
            currency=currency,
            methods=BUDGET_METHODS,
            created_at=created_at,
            project_name=name,
            budget_minor=budget_minor,
        )
        for percent in BUDGET_PERCENTS
    ]


def crosses(subjects: Sequence[Subject], before: Sequence[Value], after: Sequence[Value]) -> bool:
    """Whether any subject's figure is on another side of its threshold after than before."""
    return any(
        holds(subject, earlier) != holds(subject, later)
        for subject, earlier, later in zip(subjects, before, after, strict=True)
    )


def earliest(*instants: datetime | None) -> datetime | None:
    """The first of some instants; None where there is none."""
    return min((instant for instant in instants if instant is not None), default=None)


def rounded(value: Value) -> Decimal:
    """A figure rounded half up to 12 decimals, without trailing zeros: how it is kept and shown."""
    scale = 10**VALUE_DECIMALS
    scaled = (2 * value.numerator * scale + value.denominator) // (2 * value.denominator)
    whole, rest = divmod(scaled, scale)
    with localcontext(_EXACT):
        return Decimal(scaled).scaleb(-VALUE_DECIMALS).normalize() if rest else Decimal(whole)


def shown(value: Decimal, *, currency: str, is_quantity: bool) -> Decimal:
    """A value or threshold as it is told: a quantity as it is, minor units as an amount of the currency."""
    if is_quantity:
        return value
    with localcontext(_EXACT):
        return money.to_major(int(value.to_integral_value(ROUND_HALF_UP)), currency)
