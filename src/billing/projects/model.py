"""Projects: groups of an account's resources, with a budget."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypedDict
from uuid import UUID

from billing.core.errors import Refused
from billing.metering import Resource, Status


@dataclass(frozen=True, slots=True)
class Project:
    """One project. `budget_minor` is a month's net cost in the account's currency; `region` is the default."""

    account_id: UUID
    project_id: UUID
    name: str
    description: str | None
    region: str | None
    budget_minor: int | None
    is_default: bool
    created_at: datetime


class ProjectChanges(TypedDict, total=False):
    """What an update sets; a member that is absent stays as it is, None clears it."""

    name: str
    description: str | None
    budget_minor: int | None


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """A project with what is in it now: resources that are not deleted, and what a full month of them costs."""

    project: Project
    resources: int
    monthly_cost_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDeletion:
    """What the platform was asked to delete with its project at an instant, and what it was until then."""

    account_id: UUID
    resource_id: str
    asked_at: datetime
    project_id: UUID
    status_before: Status
    plan_before: str | None
    units_before: Decimal
    is_stopped: bool = False


class ProjectProtected(Refused):
    """The default project, which every account has."""

    message = "The default project cannot be deleted"


class ProjectNotRestorable(Refused):
    """A project that is not deleted, or was longer ago than it may be restored."""

    message = "A project can be restored for 7 days after its deletion"


class ResourceDeleting(Refused):
    """The resource is being deleted with its project: it does not run from then on."""

    message = "The resource is being deleted with its project"


@dataclass(frozen=True, slots=True)
class PricedResource:
    """A resource and what a full month of it costs today, in minor units of the account's currency."""

    resource: Resource
    monthly_cost_minor: int
