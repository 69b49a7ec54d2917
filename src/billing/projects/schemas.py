"""Projects and their resources on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import UNSET, Struct, UnsetType, structs

from billing import accounts, metering
from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.kit.web import Meta, PageQuery
from billing.projects import rules
from billing.projects.model import PricedResource, ProjectChanges, ProjectSummary

PROJECT_PREFIX = "proj"


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

    name: str
    description: str | None = None
    region: str | None = None
    budget_limit: Decimal | None = None


class ProjectUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /projects/{id}. An absent member stays; null clears what may be absent."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
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


class OperatorResource(ResourceShown, frozen=True, kw_only=True):
    """A resource as operators see it."""

    project_id: str
    plan: str | None
    units: Decimal
    spans: list[SpanShown]


class OperatorResourceAnswer(Struct, frozen=True, kw_only=True):
    """PUT /accounts/{id}/resources/{id} of the operator API."""

    resource: OperatorResource


class ResourceReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the platform says that a resource is from `effective_at` on."""

    type: str
    service: str
    name: str
    region: str
    status: metering.Status
    effective_at: datetime
    project_id: str | None = None
    plan: str | None = None
    units: Decimal = Decimal(1)


def budget_of(wanted: ProjectCreate, *, currency: str) -> int | None:
    """The budget of a project that is asked for, in minor units. Raises InvalidParameter with every fault."""
    faults = _text_faults(name=wanted.name, description=wanted.description, region=wanted.region)
    budget = _budget_minor(wanted.budget_limit, currency=currency, faults=faults)
    if faults:
        raise InvalidParameter(faults)
    return budget


def changes_of(update: ProjectUpdate, *, currency: str) -> ProjectChanges:
    """What an update sets. Raises InvalidParameter with every fault."""
    changes = ProjectChanges()
    faults: list[Fault] = []
    if update.name is not UNSET:
        faults += _text_faults(name=update.name)
        changes["name"] = update.name
    if update.description is not UNSET:
        faults += _text_faults(description=update.description)
        changes["description"] = update.description
    if update.budget_limit is not UNSET:
        changes["budget_minor"] = _budget_minor(update.budget_limit, currency=currency, faults=faults)
    if faults:
        raise InvalidParameter(faults)
    return changes


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
    """Raises InvalidParameter with every fault of a report that arrives at an instant."""
    reasons = {
        member: accounts.text_reason(text, longest=rules.TEXT_LONGEST)
        for member, text in (
            ("type", report.type),
            ("service", report.service),
            ("name", report.name),
            ("region", report.region),
            ("plan", report.plan),
        )
        if text is not None
    }
    reasons["effective_at"] = rules.effective_at_reason(report.effective_at, now=now)
    reasons["units"] = rules.units_reason(report.units)
    faults = [Fault("body", member, reason) for member, reason in reasons.items() if reason is not None]
    identifier = accounts.text_reason(resource_id, longest=rules.TEXT_LONGEST)
    if identifier is not None:
        faults.insert(0, Fault("path", "resource_id", identifier))
    if faults:
        raise InvalidParameter(faults)


def show_to_operator(priced: PricedResource, *, spans: Sequence[metering.Span], currency: str) -> OperatorResource:
    """A resource as operators see it, with its whole history."""
    resource = priced.resource
    return OperatorResource(
        **structs.asdict(show_resource(priced, currency=currency)),
        project_id=ids.encode(PROJECT_PREFIX, resource.project_id),
        plan=resource.plan,
        units=resource.units,
        spans=[
            SpanShown(plan=span.plan, units=span.units, status=span.status, start=span.start_at, end=span.end_at)
            for span in spans
        ],
    )


def _budget_minor(limit: Decimal | None, *, currency: str, faults: list[Fault]) -> int | None:
    if limit is None:
        return None
    try:
        return money.to_minor(limit, currency)
    except money.NotAnAmount as error:
        faults.append(Fault("body", "budget_limit", str(error)))
        return None


def _text_faults(*, name: str | None = None, description: str | None = None, region: str | None = None) -> list[Fault]:
    reasons = {
        "name": None if name is None else accounts.text_reason(name, longest=rules.TEXT_LONGEST),
        "description": None
        if description is None
        else accounts.text_reason(description, longest=rules.DESCRIPTION_LONGEST, lines=True),
        "region": None if region is None else accounts.text_reason(region, longest=rules.TEXT_LONGEST),
    }
    return [Fault("body", member, reason) for member, reason in reasons.items() if reason is not None]
