"""The SQL of resources and their state points."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core.page import Page, PageRequest
from billing.metering.model import Resource, StateReport, Status

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def lock_resource(connection: Connection, *, account_id: UUID, resource_id: str) -> None:
    """Let one report of a resource at a time through until the transaction ends, also before its first."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::text || $2, 0))", str(account_id), resource_id
    )


async def find_resource(connection: Connection, *, account_id: UUID, resource_id: str, at: datetime) -> Resource | None:
    """A resource and its state at an instant (its first state before that), or None."""
    row = await connection.fetchrow(
        """
        SELECT account_id, resource_id, project_id, type, service, name, region, created_at, status, plan, units
        FROM resource_states_v($1, $2)
        WHERE resource_id = $3
        """,
        account_id,
        at,
        resource_id,
    )
    return None if row is None else _resource(row)


async def list_live_resources(
    connection: Connection, *, account_id: UUID, at: datetime, project_id: UUID | None = None
) -> list[Resource]:
    """An account's resources that are not deleted at an instant, or a project's, with their state then, oldest first."""
    rows = await connection.fetch(
        """
        SELECT account_id, resource_id, project_id, type, service, name, region, created_at, status, plan, units
        FROM resource_states_v($1, $2)
        WHERE coalesce(deleted_at, 'infinity') > '-infinity' AND coalesce(deleted_at, 'infinity') > $2  -- by ix_resources_end
            AND status <> 'deleted' AND ($3::uuid IS NULL OR project_id = $3)
        ORDER BY created_at, resource_id
        """,
        account_id,
        at,
        project_id,
    )
    return [_resource(row) for row in rows]


_PAGE = """
WITH matching AS NOT MATERIALIZED (
    SELECT account_id, resource_id, project_id, type, service, name, region, created_at, status, plan, units
    FROM resource_states_v($1, $2)
    WHERE ($3::uuid IS NULL OR project_id = $3) AND ($4::text IS NULL OR service = $4) AND status = ANY ($5::text[])
)
SELECT page.*, counted.total
FROM (SELECT CASE WHEN $6::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
LEFT JOIN (
    SELECT * FROM matching
    WHERE (created_at, resource_id) > (coalesce($9::timestamptz, '-infinity'), coalesce($10::text, ''))
    ORDER BY created_at, resource_id
    LIMIT $7 OFFSET $8
) AS page ON true
ORDER BY page.created_at, page.resource_id
"""
# The same of those that are not deleted, past what is: those without an end by their index, and the few that end in minutes.
_LIVE_PAGE = """
WITH living AS NOT MATERIALIZED (
    SELECT account_id, resource_id, project_id, type, service, name, region, created_at, status, plan, units
    FROM resource_states_v($1, $2)
    WHERE deleted_at IS NULL
        AND ($3::uuid IS NULL OR project_id = $3) AND ($4::text IS NULL OR service = $4) AND status = ANY ($5::text[])
), ending AS MATERIALIZED (
    SELECT account_id, resource_id, project_id, type, service, name, region, created_at, status, plan, units
    FROM resource_states_v($1, $2)
    WHERE coalesce(deleted_at, 'infinity') > '-infinity'
        AND coalesce(deleted_at, 'infinity') > $2 AND coalesce(deleted_at, 'infinity') < 'infinity'
        AND ($3::uuid IS NULL OR project_id = $3) AND ($4::text IS NULL OR service = $4) AND status = ANY ($5::text[])
)
SELECT page.*, counted.total
FROM (
    SELECT CASE WHEN $6::boolean THEN (SELECT count(*) FROM living) + (SELECT count(*) FROM ending) END AS total
) AS counted
LEFT JOIN (
    SELECT * FROM (
        (SELECT * FROM living
        WHERE (created_at, resource_id) > (coalesce($9::timestamptz, '-infinity'), coalesce($10::text, ''))
        ORDER BY created_at, resource_id
        LIMIT $7::bigint + $8::bigint)
        UNION ALL
        (SELECT * FROM ending
        WHERE (created_at, resource_id) > (coalesce($9::timestamptz, '-infinity'), coalesce($10::text, ''))
        ORDER BY created_at, resource_id
        LIMIT $7::bigint + $8::bigint)
    ) AS both_kinds
    ORDER BY created_at, resource_id
    LIMIT $7 OFFSET $8
) AS page ON true
ORDER BY page.created_at, page.resource_id
"""


async def list_resources_page(
    connection: Connection,
    *,
    account_id: UUID,
    at: datetime,
    project_id: UUID | None,
    service: str | None,
    statuses: Sequence[Status],
    page: PageRequest,
) -> Page[Resource]:
    """One page of an account's resources, or of a project's, with their state at an instant, oldest first."""
    rows = await connection.fetch(
        _PAGE if "deleted" in statuses else _LIVE_PAGE,
        account_id,
        at,
        project_id,
        service,
        list(statuses),
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(datetime, str),
    )
    found = [_resource(row) for row in rows if row["resource_id"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda one: (one.created_at, one.resource_id))


async def count_live_resources(connection: Connection, *, account_id: UUID, at: datetime) -> dict[UUID, int]:
    """Resources that are not deleted, by project."""
    rows = await connection.fetch(
        """
        SELECT project_id, count(*) AS resources FROM resource_states_v($1, $2)
        WHERE coalesce(deleted_at, 'infinity') > '-infinity' AND coalesce(deleted_at, 'infinity') > $2  -- by ix_resources_end
            AND status <> 'deleted'
        GROUP BY project_id
        """,
        account_id,
        at,
    )
    return {row["project_id"]: row["resources"] for row in rows}


async def upsert_resource(connection: Connection, report: StateReport, *, is_newest: bool, now: datetime) -> None:
    """Store what a report says of a resource; name, type, service and project only if no later state is known."""
    await connection.execute(
        """
        INSERT INTO resources AS r (
            account_id, resource_id, project_id, type, service, name, region, created_at, deleted_at, recorded_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (account_id, resource_id) DO UPDATE SET
            project_id = CASE WHEN $11 THEN excluded.project_id ELSE r.project_id END,
            type = CASE WHEN $11 THEN excluded.type ELSE r.type END,
            service = CASE WHEN $11 THEN excluded.service ELSE r.service END,
            name = CASE WHEN $11 THEN excluded.name ELSE r.name END,
            created_at = least(r.created_at, excluded.created_at),
            deleted_at = least(r.deleted_at, excluded.deleted_at)
        """,
        report.account_id,
        report.resource_id,
        report.project_id,
        report.type,
        report.service,
        report.name,
        report.region,
        report.effective_at,
        report.effective_at if report.status == "deleted" else None,
        now,
        is_newest,
    )


async def insert_move(connection: Connection, *, account_id: UUID, resource_id: str, now: datetime) -> None:
    """Note the project that a resource is in now, if it is another than the one noted last."""
    await connection.execute(
        """
        INSERT INTO resource_moves (account_id, resource_id, recorded_at, project_id)
        SELECT account_id, resource_id, $3, project_id FROM resources
        WHERE account_id = $1 AND resource_id = $2 AND project_id IS DISTINCT FROM (
            SELECT project_id FROM resource_moves
            WHERE account_id = $1 AND resource_id = $2
            ORDER BY recorded_at DESC
            LIMIT 1
        )
        ON CONFLICT (account_id, resource_id, recorded_at) DO UPDATE SET project_id = excluded.project_id
        """,
        account_id,
        resource_id,
        now,
    )


async def find_deletion(connection: Connection, *, account_id: UUID, resource_id: str) -> datetime | None:
    """When the resource ended, or None."""
    return await connection.fetchval(
        "SELECT deleted_at FROM resources WHERE account_id = $1 AND resource_id = $2", account_id, resource_id
    )


async def upsert_shortened(
    connection: Connection, *, account_id: UUID, resource_id: str, due_at: datetime, settled_at: datetime
) -> None:
    """Note that a resource's life became shorter, for the job that settles its usage."""
    await connection.execute(
        """
        INSERT INTO shortened_resources AS s (account_id, resource_id, due_at, settled_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (account_id, resource_id) DO UPDATE SET
            due_at = least(s.due_at, excluded.due_at), settled_at = greatest(s.settled_at, excluded.settled_at)
        """,
        account_id,
        resource_id,
        due_at,
        settled_at,
    )


async def claim_shortened(connection: Connection, *, now: datetime) -> tuple[UUID, str] | None:
    """(account, resource) of the shortened life that is due longest, held until the transaction ends, or None."""
    row = await connection.fetchrow(
        """
        SELECT account_id, resource_id FROM shortened_resources
        WHERE due_at <= $1
        ORDER BY due_at, account_id, resource_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
        """,
        now,
    )
    return None if row is None else (row["account_id"], row["resource_id"])


async def settle_shortened(connection: Connection, *, account_id: UUID, resource_id: str, now: datetime) -> None:
    """Be done with a shortened life, or look at it once more when nobody can count by the longer one any more."""
    await connection.execute(
        """
        WITH settled AS (
            DELETE FROM shortened_resources WHERE account_id = $1 AND resource_id = $2 AND settled_at <= $3
        ), ended AS (  -- of gauges, too, that were new while the report was under way
            UPDATE gauges SET ended_at = resources.deleted_at
            FROM resources
            WHERE gauges.account_id = $1 AND gauges.resource_id = $2
                AND resources.account_id = $1 AND resources.resource_id = $2
                AND gauges.ended_at IS DISTINCT FROM resources.deleted_at
        )
        UPDATE shortened_resources SET due_at = settled_at WHERE account_id = $1 AND resource_id = $2 AND settled_at > $3
        """,
        account_id,
        resource_id,
        now,
    )


def _resource(row: asyncpg.Record) -> Resource:
    return Resource(**{name: value for name, value in row.items() if name != "total"})
