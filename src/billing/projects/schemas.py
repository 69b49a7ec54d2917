"""Projects and their resources on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType, structs

from billing import accounts, metering
from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.kit.web import Meta, PageQuery, values
from billing.projects import rules
from billing.projects.model import PricedResource, ProjectChanges, ProjectSummary

PROJECT_PREFIX = rules.PROJECT_PREFIX


class ProjectShown(Struct, frozen=True, kw_only=True):
    """A project in the list."""

    id: str
    name: str
    description: str | None
    status: Literal["active"]
    region: str | None
    created_at: datetime
    resource_count: int
    monthly_cost: Decimal
    currency: str


class ProjectDetails(ProjectShown, frozen=True, kw_only=True):
    """One project."""

    budget_limit: Decimal | None
    is_default: bool
    protected: bool


class ProjectAnswer(Struct, frozen=True, kw_only=True):
    """One project, wrapped."""

    project: ProjectDetails


class ProjectsAnswer(Struct, frozen=True, kw_only=True):
    """GET /projects."""

    projects: list[ProjectShown]
    meta: Meta


class ResourceShown(Struct, frozen=True, kw_only=True):
    """A resource in the list."""

    id: str
    type: str
    name: str
    status: metering.Status
    service: str
    region: str
    monthly_cost: Decimal
    created_at: datetime


class ResourcesAnswer(Struct, frozen=True, kw_only=True):
    """GET /projects/{id}/resources."""

    resources: list[ResourceShown]
    meta: Meta


class ProjectCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /projects."""

    name: accounts.ShortText
    description: accounts.LongText | None = None
    region: accounts.ShortText | None = None
    budget_limit: Decimal | None = None


class ProjectUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /projects/{id}. An absent member stays; null clears what may be absent."""

    name: accounts.ShortText | UnsetType = UNSET
    description: accounts.LongText | UnsetType | None = UNSET
    budget_limit: Decimal | UnsetType | None = UNSET


class ResourcesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /projects/{id}/resources. Deleted resources are listed only when `status` asks for them."""

    service: str | None = None
    status: metering.Status | None = None


class SpanShown(Struct, frozen=True, kw_only=True):
    """What a resource was from `start` to `end` (exclusive; null: still so)."""

    plan: str | None
    units: Decimal
    status: metering.Status
    start: datetime
    end: datetime | None


class OperatorResourceShown(ResourceShown, frozen=True, kw_only=True):
    """A resource in the operators' list."""

    project_id: str
    plan: str | None
    units: Decimal


class OperatorResource(OperatorResourceShown, frozen=True, kw_only=True):
    """A resource as operators see it."""

    spans: list[SpanShown]


class OperatorResourcesAnswer(Struct, frozen=True, kw_only=True):
    """GET /accounts/{id}/resources of the operator API."""

    resources: list[OperatorResourceShown]
    meta: Meta


class OperatorResourcesQuery(ResourcesQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /accounts/{id}/resources of the operator API. Deleted resources are listed only when `status` asks for them."""

    project_id: str | None = None


class OperatorResourceAnswer(Struct, frozen=True, kw_only=True):
    """PUT /accounts/{id}/resources/{id} of the operator API."""

    resource: OperatorResource


class Units(Decimal):
    """How many of a plan a resource is."""

    __slots__ = ()

    wire_schema: ClassVar = values.decimal_schema(exclusiveMinimum=0, maximum=int(rules.UNITS_MAX))

    @classmethod
    def read(cls, value: object) -> Decimal:
        """The units of a body. Raises ValueError with the reason."""
        units = values.read_decimal(value)
        reason = rules.units_reason(units)
        if reason is not None:
            raise ValueError(reason)
        return units


class ResourceReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the platform says that a resource is from `effective_at` on."""

    type: accounts.ShortText
    service: accounts.ShortText
    name: accounts.ShortText
    region: accounts.ShortText
    status: metering.Status
    effective_at: datetime
    project_id: str | None = None
    plan: accounts.ShortText | None = None
    units: Units = Units(1)


def changes_of(update: ProjectUpdate, *, currency: str) -> ProjectChanges:
    """What an update sets. Raises InvalidParameter."""
    changes = ProjectChanges()
    if update.name is not UNSET:
        changes["name"] = update.name
    if update.description is not UNSET:
        changes["description"] = update.description
    if update.budget_limit is not UNSET:
        changes["budget_minor"] = budget_minor(update.budget_limit, currency=currency)
    return changes


def budget_minor(limit: Decimal | None, *, currency: str) -> int | None:
    """A budget in minor units. Raises InvalidParameter for what is no amount of the currency."""
    try:
        return None if limit is None else money.to_minor(limit, currency)
    except money.NotAnAmount as error:
        raise InvalidParameter.one("body", "budget_limit", str(error)) from None


def show(summary: ProjectSummary, *, currency: str) -> ProjectShown:
    """A project in the list."""
    project = summary.project
    return ProjectShown(
        id=ids.encode(PROJECT_PREFIX, project.project_id),
        name=project.name,
        description=project.description,
        status="active",
        region=project.region,
        created_at=project.created_at,
        resource_count=summary.resources,
        monthly_cost=money.to_major(summary.monthly_cost_minor, currency),
        currency=currency,
    )


def show_details(summary: ProjectSummary, *, currency: str) -> ProjectDetails:
    """One project."""
    project = summary.project
    return ProjectDetails(
        **structs.asdict(show(summary, currency=currency)),
        budget_limit=None if project.budget_minor is None else money.to_major(project.budget_minor, currency),
        is_default=project.is_default,
        protected=project.is_default,
    )


def show_resource(priced: PricedResource, *, currency: str) -> ResourceShown:
    """A resource in the list."""
    resource = priced.resource
    return ResourceShown(
        id=resource.resource_id,
        type=resource.type,
        name=resource.name,
        status=resource.status,
        service=resource.service,
        region=resource.region,
        monthly_cost=money.to_major(priced.monthly_cost_minor, currency),
        created_at=resource.created_at,
    )


def refuse_faults(report: ResourceReport, *, resource_id: str, now: datetime) -> None:
    """Raises InvalidParameter with what is wrong with a report that arrives at an instant for a resource."""
    identifier = accounts.text_reason(resource_id, longest=rules.RESOURCE_ID_LONGEST)
    effective_at = rules.effective_at_reason(report.effective_at, now=now)
    faults: list[Fault] = []
    if identifier is not None:
        faults.append(Fault("path", "resource_id", identifier))
    if effective_at is not None:
        faults.append(Fault("body", "effective_at", effective_at))
    if faults:
        raise InvalidParameter(faults)


def show_listed_to_operator(priced: PricedResource, *, currency: str) -> OperatorResourceShown:
    """A resource in the operators' list."""
    return OperatorResourceShown(
        **structs.asdict(show_resource(priced, currency=currency)),
        project_id=ids.encode(PROJECT_PREFIX, priced.resource.project_id),
        plan=priced.resource.plan,
        units=priced.resource.units,
    )


def show_to_operator(priced: PricedResource, *, spans: Sequence[metering.Span], currency: str) -> OperatorResource:
    """A resource as operators see it, with its whole history."""
    return OperatorResource(
        **structs.asdict(show_listed_to_operator(priced, currency=currency)),
        spans=[
            SpanShown(plan=span.plan, units=span.units, status=span.status, start=span.start_at, end=span.end_at)
            for span in spans
        ],
    )
