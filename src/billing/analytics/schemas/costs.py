"""Wire shapes of costs, trends and a project's usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict
from uuid import UUID

from msgspec import Struct

from billing.analytics import rules
from billing.analytics.schemas import transactions
from billing.analytics.schemas.transactions import PeriodShown
from billing.core import ids, money
from billing.kit.web import Check, DateFilter, window_faults

if TYPE_CHECKING:
    from billing.analytics.model import CostGroup, Grouping, Metric, ProjectUsage, TrendPoint

PROJECT_PREFIX = "proj"
UNCOUNTED_SERVICE = "storage"
UNITS = {"resources": "count", "storage": "GB-month", "bandwidth": "GB"}


class CostsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /account/analytics/costs."""

    from_date: DateFilter | None = None
    to_date: DateFilter | None = None
    group_by: Literal["service", "project", "region", "day", "week", "month"] = "service"

    checks: ClassVar[tuple[Check, ...]] = (window_faults,)


class TrendsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /account/analytics/trends."""

    metric: Literal["cost", "resources", "storage", "bandwidth"]
    from_date: DateFilter | None = None
    to_date: DateFilter | None = None
    interval: Literal["day", "week", "month"] = "day"

    checks: ClassVar[tuple[Check, ...]] = (window_faults,)


class ProjectUsageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /projects/{project_id}/usage."""

    from_date: DateFilter | None = None
    to_date: DateFilter | None = None

    checks: ClassVar[tuple[Check, ...]] = (window_faults,)


class TypeShown(Struct, frozen=True, kw_only=True):
    """What a group's resources of one type cost, and how many they are. No type: what was billed for is gone."""

    type: str | None
    count: int
    cost: Decimal


class StorageTypeShown(Struct, frozen=True, kw_only=True):
    """The same of the service storage, which the API's documentation shows without a count."""

    type: str | None
    cost: Decimal


class _Common(TypedDict):
    cost: Decimal
    percentage: Decimal
    resources: list[TypeShown]


class ServiceCosts(Struct, frozen=True, kw_only=True):
    """A service's part."""

    service: str
    cost: Decimal
    percentage: Decimal
    resources: list[TypeShown | StorageTypeShown]


class ProjectCosts(Struct, frozen=True, kw_only=True):
    """A project's part."""

    project: str
    project_id: str
    cost: Decimal
    percentage: Decimal
    resources: list[TypeShown]


class RegionCosts(Struct, frozen=True, kw_only=True):
    """A region's part."""

    region: str
    cost: Decimal
    percentage: Decimal
    resources: list[TypeShown]


class DayCosts(Struct, frozen=True, kw_only=True):
    """A UTC day's part."""

    day: str
    cost: Decimal
    percentage: Decimal
    resources: list[TypeShown]


class WeekCosts(Struct, frozen=True, kw_only=True):
    """The part of an ISO week, such as 2024-W01."""

    week: str
    cost: Decimal
    percentage: Decimal
    resources: list[TypeShown]


class MonthCosts(Struct, frozen=True, kw_only=True):
    """The part of a UTC month, such as 2024-01."""

    month: str
    cost: Decimal
    percentage: Decimal
    resources: list[TypeShown]


class CostsAnswer(Struct, frozen=True, kw_only=True):
    """GET /account/analytics/costs. Parts sum to the total, percentages to 100.0."""

    cost_breakdown: list[ServiceCosts | ProjectCosts | RegionCosts | DayCosts | WeekCosts | MonthCosts]
    total_cost: Decimal
    currency: str


class TrendPointShown(Struct, frozen=True, kw_only=True):
    """The value of one bucket; `date` is its first day."""

    date: date
    value: Decimal | int


class TrendsAnswer(Struct, frozen=True, kw_only=True):
    """GET /account/analytics/trends."""

    trends: list[TrendPointShown]
    metric: str
    interval: str
    unit: str
    currency: str


class DayCostShown(Struct, frozen=True, kw_only=True):
    """What one UTC day cost."""

    date: date
    cost: Decimal


class ProjectUsageShown(Struct, frozen=True, kw_only=True):
    """A project's usage. Services are as in GET /account/usage with `detailed`; services and days each sum to `total_cost`."""

    project_id: str
    period: PeriodShown
    total_cost: Decimal
    currency: str
    services: dict[str, dict[str, object]]
    daily: list[DayCostShown]


class ProjectUsageAnswer(Struct, frozen=True, kw_only=True):
    """GET /projects/{project_id}/usage."""

    usage: ProjectUsageShown


def show_costs(groups: Sequence[CostGroup], *, group_by: Grouping, currency: str) -> CostsAnswer:
    """A breakdown of costs."""
    total_minor = sum(group.amount_minor for group in groups)
    return CostsAnswer(
        cost_breakdown=[_group(group, group_by, currency) for group in groups],
        total_cost=money.to_major(total_minor, currency),
        currency=currency,
    )


def _group(
    group: CostGroup, group_by: Grouping, currency: str
) -> ServiceCosts | ProjectCosts | RegionCosts | DayCosts | WeekCosts | MonthCosts:
    """A group with its first member named as it is grouped."""
    common: _Common = {
        "cost": money.to_major(group.amount_minor, currency),
        "percentage": Decimal(group.per_mille).scaleb(-1),
        "resources": [
            TypeShown(type=one.type, count=one.count, cost=money.to_major(one.amount_minor, currency))
            for one in group.types
        ],
    }
    match group_by:
        case "service":
            return _of_service(group, common)
        case "project":
            project_id = ids.encode(PROJECT_PREFIX, UUID(group.key))
            return ProjectCosts(project=group.name, project_id=project_id, **common)
        case "region":
            return RegionCosts(region=group.key, **common)
        case "day":
            return DayCosts(day=group.key, **common)
        case "week":
            return WeekCosts(week=date.fromisoformat(group.key).strftime("%G-W%V"), **common)
        case "month":
            return MonthCosts(month=group.key[:7], **common)


def _of_service(group: CostGroup, common: _Common) -> ServiceCosts:
    resources: list[TypeShown | StorageTypeShown] = [*common["resources"]]
    if group.key == UNCOUNTED_SERVICE:
        resources = [StorageTypeShown(type=one.type, cost=one.cost) for one in common["resources"]]
    return ServiceCosts(service=group.key, cost=common["cost"], percentage=common["percentage"], resources=resources)


def show_trends(points: Sequence[TrendPoint], *, metric: Metric, interval: str, currency: str) -> TrendsAnswer:
    """A metric over time."""
    is_cost = metric == "cost"
    return TrendsAnswer(
        trends=[
            TrendPointShown(date=one.date, value=money.to_major(int(one.value), currency) if is_cost else one.value)
            for one in points
        ],
        metric=metric,
        interval=interval,
        unit=UNITS.get(metric, currency),
        currency=currency,
    )


def show_project_usage(found: ProjectUsage, *, currency: str) -> ProjectUsageAnswer:
    """What a project used."""
    end: datetime = rules.midnight(found.days.end_day) - timedelta(seconds=1)
    return ProjectUsageAnswer(
        usage=ProjectUsageShown(
            project_id=ids.encode(PROJECT_PREFIX, found.project_id),
            period=PeriodShown(start=rules.midnight(found.days.first_day), end=end),
            total_cost=money.to_major(found.total_minor, currency),
            currency=currency,
            services=transactions.show_services(
                found.services, message_price=found.message_price, currency=currency, is_detailed=True
            ),
            daily=[DayCostShown(date=one.day, cost=money.to_major(one.amount_minor, currency)) for one in found.daily],
        )
    )
