"""The verbs of projects, and what is in them now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog, metering, rating
from billing.core.errors import InvalidParameter
from billing.kit import touches
from billing.projects import rules, store
from billing.projects.model import PricedResource, Project, ProjectChanges, ProjectSummary

if TYPE_CHECKING:
    from billing.kit.db import Connection, Tx

LIVE: tuple[metering.Status, ...] = ("running", "stopped", "deleting")


async def create(
    tx: Tx,
    *,
    account_id: UUID,
    name: str,
    description: str | None = None,
    region: str | None = None,
    budget_minor: int | None = None,
) -> Project:
    """Store a new, empty project of an account."""
    project = Project(
        account_id=account_id,
        project_id=tx.new_id(),
        name=name,
        description=description,
        region=region,
        budget_minor=budget_minor,
        is_default=False,
        created_at=tx.now,
    )
    await store.insert_project(tx.connection, project=project)
    if budget_minor is not None:
        await touches.watch(tx, account_id=account_id)
    return project


async def create_default(tx: Tx, *, account_id: UUID, name: str = "Default") -> Project:
    """Store the project that every account has from its opening on."""
    project = Project(
        account_id=account_id,
        project_id=tx.new_id(),
        name=name,
        description=None,
        region=None,
        budget_minor=None,
        is_default=True,
        created_at=tx.now,
    )
    await store.insert_project(tx.connection, project=project)
    return project


async def change(tx: Tx, *, account_id: UUID, project_id: UUID, changes: ProjectChanges) -> Project:
    """Set the members that `changes` names, which have been checked. Raises NotFound."""
    project = await store.get_project_for_update(tx.connection, account_id=account_id, project_id=project_id)
    changed = replace(project, **changes)
    if changed != project:
        await store.update_project(tx.connection, project=changed)
    if changed.budget_minor not in (None, project.budget_minor):
        await touches.watch(tx, account_id=account_id)
    return changed


async def summarize(
    connection: Connection, *, account_id: UUID, projects: Sequence[Project], now: datetime
) -> list[ProjectSummary]:
    """The projects with what is in them at an instant."""
    only = projects[0].project_id if len(projects) == 1 else None
    resources = await metering.list_live_resources(connection, account_id=account_id, at=now, project_id=only)
    priced = await price_resources(connection, account_id=account_id, resources=resources, now=now)
    counts: Counter[UUID] = Counter()
    sums_minor: Counter[UUID] = Counter()
    for one in priced:
        counts[one.resource.project_id] += 1
        sums_minor[one.resource.project_id] += one.monthly_cost_minor
    return [
        ProjectSummary(
            project=project,
            resources=counts[project.project_id],
            monthly_cost_minor=sums_minor[project.project_id],
        )
        for project in projects
    ]


async def require_known_service(connection: Connection, *, service: str) -> None:
    """Refuse a filter by a service that nothing can be of. Raises InvalidParameter."""
    if service not in {*rules.SERVICES, *await catalog.list_services(connection)}:
        raise InvalidParameter.one("query", "service", "must be a known service such as compute, storage or messaging")


async def price_resources(
    connection: Connection, *, account_id: UUID, resources: Sequence[metering.Resource], now: datetime
) -> list[PricedResource]:
    """The resources with what a full month of each costs; one that is deleted, or has no price, costs nothing."""
    if not resources:
        return []
    costs = await rating.list_monthly_costs(connection, account_id=account_id, now=now)
    return [PricedResource(resource, costs.get(resource.resource_id, 0)) for resource in resources]


async def project_for(
    connection: Connection, *, account_id: UUID, resource_id: str, project_id: UUID | None, now: datetime
) -> UUID:
    """Where a reported resource belongs: the project that is named, else the one it is in, else the default one.

    No project that the resource leaves or enters is deleted meanwhile. Raises NotFound for a project that the account does not
    have, or has deleted: only what is in it may still be reported.
    """
    known = await metering.find_resource(connection, account_id=account_id, resource_id=resource_id, at=now)
    home = None if known is None else known.project_id
    wanted = project_id or home or (await store.get_default_project(connection, account_id=account_id)).project_id
    await store.lock_projects(connection, account_id=account_id, project_ids={wanted, home or wanted})
    if wanted == home:
        return wanted
    return (await store.get_project(connection, account_id=account_id, project_id=wanted)).project_id
