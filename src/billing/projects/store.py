"""The SQL of projects. Other slices read `projects_v`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest
from billing.projects.model import Project, ResourceDeletion

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def insert_project(connection: Connection, *, project: Project) -> None:
    """Store a new project."""
    await connection.execute(
        """
        INSERT INTO projects (account_id, project_id, name, description, region, budget_minor, is_default, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        project.account_id,
        project.project_id,
        project.name,
        project.description,
        project.region,
        project.budget_minor,
        project.is_default,
        project.created_at,
    )


async def get_project(connection: Connection, *, account_id: UUID, project_id: UUID) -> Project:
    """One project of the account. Raises NotFound, also for a deleted one."""
    record = await connection.fetchrow(
        "SELECT * FROM projects WHERE account_id = $1 AND project_id = $2 AND deleted_at IS NULL",
        account_id,
        project_id,
    )
    return _found(record)


async def get_project_for_update(connection: Connection, *, account_id: UUID, project_id: UUID) -> Project:
    """One project of the account, locked until the transaction ends. Raises NotFound."""
    record = await connection.fetchrow(
        """
        SELECT * FROM projects
        WHERE account_id = $1 AND project_id = $2 AND deleted_at IS NULL
        FOR NO KEY UPDATE
        """,
        account_id,
        project_id,
    )
    return _found(record)


async def get_default_project(connection: Connection, *, account_id: UUID) -> Project:
    """The project that every account has. Raises NotFound for an unknown account."""
    record = await connection.fetchrow("SELECT * FROM projects WHERE account_id = $1 AND is_default", account_id)
    return _found(record)


async def list_projects(connection: Connection, *, account_id: UUID, page: PageRequest) -> Page[Project]:
    """A page of the account's projects, oldest first."""
    records = await connection.fetch(
        """
        WITH live AS NOT MATERIALIZED (
            SELECT * FROM projects WHERE account_id = $1 AND deleted_at IS NULL
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $2::boolean THEN (SELECT count(*) FROM live) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM live
            WHERE (created_at, project_id) > (
                coalesce($5::timestamptz, '-infinity'), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY created_at, project_id
            LIMIT $3 OFFSET $4
        ) AS page ON true
        ORDER BY page.created_at, page.project_id
        """,
        account_id,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    found = [_project(record) for record in records if record["project_id"] is not None]
    return page.cut(found, total=records[0]["total"], key=lambda project: (project.created_at, project.project_id))


async def update_project(connection: Connection, *, project: Project) -> None:
    """Store what may change of a project: name, description and budget."""
    await connection.execute(
        """
        UPDATE projects SET name = $3, description = $4, budget_minor = $5
        WHERE account_id = $1 AND project_id = $2
        """,
        project.account_id,
        project.project_id,
        project.name,
        project.description,
        project.budget_minor,
    )


async def lock_projects(connection: Connection, *, account_id: UUID, project_ids: Collection[UUID]) -> None:
    """Keep some projects from being deleted or restored until the transaction ends."""
    await connection.execute(
        "SELECT FROM projects WHERE account_id = $1 AND project_id = ANY ($2) ORDER BY project_id FOR SHARE",
        account_id,
        list(project_ids),
    )


async def find_account(connection: Connection, *, project_id: UUID) -> UUID | None:
    """Whose project this is: the operator names a project alone."""
    return await connection.fetchval("SELECT account_id FROM projects WHERE project_id = $1", project_id)


async def mark_deleted(connection: Connection, *, account_id: UUID, project_id: UUID, now: datetime) -> None:
    """Delete a project: from now on it is found by nobody, but what was used in it stays there."""
    await connection.execute(
        "UPDATE projects SET deleted_at = $3 WHERE account_id = $1 AND project_id = $2", account_id, project_id, now
    )


async def lock_deleted(connection: Connection, *, account_id: UUID, project_id: UUID) -> datetime | None:
    """When a project was deleted, or None; the project is locked until the transaction ends."""
    return await connection.fetchval(
        "SELECT deleted_at FROM projects WHERE account_id = $1 AND project_id = $2 FOR NO KEY UPDATE",
        account_id,
        project_id,
    )


async def mark_restored(connection: Connection, *, account_id: UUID, project_id: UUID, now: datetime) -> None:
    """Take a project's deletion back, and what was asked of the platform with it unless it was confirmed."""
    await connection.execute(
        """
        WITH project AS (
            UPDATE projects SET deleted_at = NULL WHERE account_id = $1 AND project_id = $2
        )
        UPDATE resource_deletions SET restored_at = $3
        WHERE account_id = $1 AND project_id = $2 AND restored_at IS NULL AND confirmed_at IS NULL
        """,
        account_id,
        project_id,
        now,
    )


async def insert_deletions(connection: Connection, deletions: Sequence[ResourceDeletion]) -> None:
    """Store what the platform is asked to delete."""
    await connection.execute(
        """
        INSERT INTO resource_deletions
            (account_id, resource_id, asked_at, project_id, status_before, plan_before, units_before)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::numeric[])
        """,
        [one.account_id for one in deletions],
        [one.resource_id for one in deletions],
        [one.asked_at for one in deletions],
        [one.project_id for one in deletions],
        [one.status_before for one in deletions],
        [one.plan_before for one in deletions],
        [one.units_before for one in deletions],
    )


async def is_being_deleted(connection: Connection, *, account_id: UUID, resource_id: str, at: datetime) -> bool:
    """Whether an instant lies after a resource's deletion was asked for, and not after it was restored."""
    return await connection.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM resource_deletions
            WHERE account_id = $1 AND resource_id = $2 AND asked_at <= $3 AND coalesce(restored_at, 'infinity') > $3
        )
        """,
        account_id,
        resource_id,
        at,
    )


async def list_open_deletions(connection: Connection, *, account_id: UUID, project_id: UUID) -> list[ResourceDeletion]:
    """What the platform has yet to confirm of a project's deletion, locked until the transaction ends."""
    rows = await connection.fetch(
        """
        SELECT account_id, resource_id, asked_at, project_id, status_before, plan_before, units_before,
            stopped_at IS NOT NULL AS is_stopped
        FROM resource_deletions
        WHERE account_id = $1 AND project_id = $2 AND confirmed_at IS NULL AND restored_at IS NULL
        ORDER BY resource_id, asked_at
        FOR UPDATE
        """,
        account_id,
        project_id,
    )
    return [ResourceDeletion(**dict(row)) for row in rows]


async def claim_unstopped(connection: Connection) -> ResourceDeletion | None:
    """A resource of any account whose state has yet to be written down, held until the transaction ends, or None."""
    row = await connection.fetchrow(
        """
        SELECT account_id, resource_id, asked_at, project_id, status_before, plan_before, units_before, false AS is_stopped
        FROM resource_deletions
        WHERE stopped_at IS NULL
        ORDER BY asked_at, account_id, resource_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
        """
    )
    return ResourceDeletion(**dict(row)) if row else None


async def mark_stopped(connection: Connection, deletion: ResourceDeletion, *, now: datetime) -> None:
    """Note that a resource's state was written down."""
    await connection.execute(
        "UPDATE resource_deletions SET stopped_at = $4 WHERE account_id = $1 AND resource_id = $2 AND asked_at = $3",
        deletion.account_id,
        deletion.resource_id,
        deletion.asked_at,
        now,
    )


async def mark_confirmed(connection: Connection, *, account_id: UUID, resource_id: str, now: datetime) -> None:
    """Note that the platform has deleted a resource, if it was asked to."""
    await connection.execute(
        """
        UPDATE resource_deletions SET confirmed_at = $3
        WHERE account_id = $1 AND resource_id = $2 AND confirmed_at IS NULL AND restored_at IS NULL
        """,
        account_id,
        resource_id,
        now,
    )


async def mark_alarmed(
    connection: Connection, *, asked_before: datetime, now: datetime, limit: int
) -> list[tuple[UUID, str, datetime]]:
    """(account, resource, asked at) of deletions of any account that are unconfirmed for too long; each is told once."""
    rows = await connection.fetch(
        """
        UPDATE resource_deletions SET alarmed_at = $2
        WHERE (account_id, resource_id, asked_at) IN (
            SELECT account_id, resource_id, asked_at FROM resource_deletions
            WHERE asked_at <= $1 AND confirmed_at IS NULL AND restored_at IS NULL AND alarmed_at IS NULL
            ORDER BY asked_at, account_id, resource_id
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        )
        RETURNING account_id, resource_id, asked_at
        """,
        asked_before,
        now,
        limit,
    )
    return sorted((row["account_id"], row["resource_id"], row["asked_at"]) for row in rows)


def _found(record: asyncpg.Record | None) -> Project:
    if record is None:
        raise NotFound
    return _project(record)


def _project(record: asyncpg.Record) -> Project:
    return Project(
        account_id=record["account_id"],
        project_id=record["project_id"],
        name=record["name"],
        description=record["description"],
        region=record["region"],
        budget_minor=record["budget_minor"],
        is_default=record["is_default"],
        created_at=record["created_at"],
    )
