"""The SQL of projects. Other slices read `projects_v`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.errors import NotFound
from billing.core.page import PageRequest
from billing.projects.model import Project

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


async def list_projects(
    connection: Connection, *, account_id: UUID, page: PageRequest
) -> tuple[Sequence[Project], int]:
    """A page of the account's projects, oldest first, and how many there are."""
    records = await connection.fetch(
        """
        WITH live AS (
            SELECT * FROM projects WHERE account_id = $1 AND deleted_at IS NULL
        )
        SELECT page.*, counted.total
        FROM (SELECT count(*) AS total FROM live) AS counted
        LEFT JOIN (SELECT * FROM live ORDER BY created_at, project_id LIMIT $2 OFFSET $3) AS page ON true
        ORDER BY page.created_at, page.project_id
        """,
        account_id,
        page.per_page,
        page.offset,
    )
    return [_project(record) for record in records if record["project_id"] is not None], records[0]["total"]


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
