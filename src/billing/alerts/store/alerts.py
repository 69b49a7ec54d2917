"""The SQL of alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.alerts import rules
from billing.alerts.model import Alert, Subject
from billing.core.errors import NotFound
from billing.core.page import Page, PageRequest

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def insert_alert(connection: Connection, *, alert: Alert) -> None:
    """Store a new alert."""
    await connection.execute(
        """
        INSERT INTO alerts (account_id, alert_id, type, condition, threshold, currency, project_id, metric, methods,
                            revision, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        alert.account_id,
        alert.alert_id,
        alert.type,
        alert.condition,
        alert.threshold,
        alert.currency,
        alert.project_id,
        alert.metric,
        list(alert.methods),
        alert.revision,
        alert.created_at,
    )


async def update_alert(connection: Connection, *, alert: Alert) -> None:
    """Store what may change of an alert."""
    await connection.execute(
        """
        UPDATE alerts SET condition = $3, threshold = $4, methods = $5, revision = $6
        WHERE account_id = $1 AND alert_id = $2
        """,
        alert.account_id,
        alert.alert_id,
        alert.condition,
        alert.threshold,
        list(alert.methods),
        alert.revision,
    )


async def delete_alert(connection: Connection, *, account_id: UUID, alert_id: UUID) -> None:
    """Remove an alert; what it told stays in the history. Raises NotFound."""
    found = await connection.fetchval(
        "DELETE FROM alerts WHERE account_id = $1 AND alert_id = $2 RETURNING alert_id", account_id, alert_id
    )
    if found is None:
        raise NotFound


async def get_alert(connection: Connection, *, account_id: UUID, alert_id: UUID) -> Alert:
    """One alert of the account. Raises NotFound."""
    record = await connection.fetchrow(
        "SELECT * FROM alerts WHERE account_id = $1 AND alert_id = $2", account_id, alert_id
    )
    return _found(record)


async def get_alert_for_update(connection: Connection, *, account_id: UUID, alert_id: UUID) -> Alert:
    """One alert of the account, locked until the transaction ends. Raises NotFound."""
    record = await connection.fetchrow(
        "SELECT * FROM alerts WHERE account_id = $1 AND alert_id = $2 FOR UPDATE", account_id, alert_id
    )
    return _found(record)


async def count_alerts(connection: Connection, *, account_id: UUID) -> int:
    """How many alerts the account has."""
    return await connection.fetchval("SELECT count(*) FROM alerts WHERE account_id = $1", account_id)


async def list_alerts(connection: Connection, *, account_id: UUID, page: PageRequest) -> Page[Alert]:
    """A page of the account's alerts, oldest first."""
    records = await connection.fetch(
        """
        SELECT * FROM alerts
        WHERE account_id = $1 AND (created_at, alert_id) > (
            coalesce($4::timestamptz, '-infinity'), coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))
        ORDER BY created_at, alert_id
        LIMIT $2 OFFSET $3
        """,
        account_id,
        page.limit,
        page.offset,
        *page.key(datetime, UUID),
    )
    total = await count_alerts(connection, account_id=account_id) if page.is_counted else None
    return page.cut(list(map(_alert, records)), total=total, key=lambda alert: (alert.created_at, alert.alert_id))


async def list_subjects(connection: Connection, *, account_ids: Sequence[UUID]) -> list[Subject]:
    """What there is to compare for some accounts: their alerts, and the budgets of their projects, by account and age."""
    alerts = await connection.fetch(
        """
        SELECT alerts.*, projects_v.name AS project_name
        FROM alerts
        LEFT JOIN LATERAL (  -- a look-up each, however many accounts the plan is made for
            SELECT name FROM projects_v
            WHERE projects_v.account_id = alerts.account_id AND projects_v.project_id = alerts.project_id
            OFFSET 0
        ) AS projects_v ON true
        WHERE alerts.account_id = ANY ($1)
        ORDER BY alerts.account_id, alerts.created_at, alerts.alert_id
        """,
        list(account_ids),
    )
    budgets = await connection.fetch(
        """
        SELECT projects_v.account_id, projects_v.project_id, projects_v.name, projects_v.budget_minor, projects_v.created_at,
               accounts_v.currency
        FROM projects_v
        JOIN accounts_v ON accounts_v.account_id = projects_v.account_id
        WHERE projects_v.account_id = ANY ($1) AND projects_v.budget_minor IS NOT NULL AND projects_v.deleted_at IS NULL
        ORDER BY projects_v.account_id, projects_v.created_at, projects_v.project_id
        """,
        list(account_ids),
    )
    return [
        *(rules.subject_of(_alert(record), project_name=record["project_name"]) for record in alerts),
        *(subject for record in budgets for subject in rules.budget_subjects(**dict(record))),
    ]


def _found(record: asyncpg.Record | None) -> Alert:
    if record is None:
        raise NotFound
    return _alert(record)


def _alert(record: asyncpg.Record) -> Alert:
    return Alert(
        account_id=record["account_id"],
        alert_id=record["alert_id"],
        type=record["type"],
        condition=record["condition"],
        threshold=record["threshold"],
        currency=record["currency"],
        project_id=record["project_id"],
        metric=record["metric"],
        methods=tuple(record["methods"]),
        revision=record["revision"],
        created_at=record["created_at"],
    )
