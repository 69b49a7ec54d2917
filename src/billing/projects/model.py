"""Projects: groups of an account's resources, with a budget."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from billing.metering import Resource


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


@dataclass(frozen=True, slots=True)
class PricedResource:
    """A resource and what a full month of it costs today, in minor units of the account's currency."""

    resource: Resource
    monthly_cost_minor: int
