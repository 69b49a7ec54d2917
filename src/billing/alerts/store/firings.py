"""The SQL of firings: what was told, and what was told last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.alerts import rules
from billing.alerts.model import Firing, Latest, Subject, SubjectKey, Told

if TYPE_CHECKING:
    from billing.kit.db import Connection


async def list_latest(
    connection: Connection, *, subjects: Sequence[Subject], are_crossed: Sequence[bool]
) -> dict[tuple[UUID, SubjectKey], Latest]:
    """The newest firing of each subject in its revision, as far as it matters: those that never fired are left out, and those
    that are not crossed and did not fire last.
    """
    rows = await connection.fetch(
        """
        SELECT asked.account_id, asked.subject_id, asked.percent, asked.revision, newest.occasion, newest.kind
        FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::boolean[])
            AS asked (account_id, subject_id, percent, revision, is_crossed)
        CROSS JOIN LATERAL (
            SELECT occasion, kind FROM alert_firings
            WHERE alert_firings.account_id = asked.account_id AND alert_firings.subject_id = asked.subject_id
                AND alert_firings.percent = asked.percent AND alert_firings.revision = asked.revision
            ORDER BY occasion DESC, kind DESC  -- recovered after fired
            LIMIT 1
        ) AS newest
        WHERE asked.is_crossed OR newest.kind = 'fired'
        """,
        [subject.account_id for subject in subjects],
        [subject.key.subject_id for subject in subjects],
        [subject.key.percent for subject in subjects],
        [subject.key.revision for subject in subjects],
        list(are_crossed),
    )
    return {
        (row["account_id"], SubjectKey(row["subject_id"], row["percent"], row["revision"])): Latest(
            row["occasion"], row["kind"]
        )
        for row in rows
    }


async def insert_firings(connection: Connection, *, firings: Sequence[Firing], now: datetime) -> set[UUID]:
    """Store firings; the ids of those that nobody had stored before."""
    rows = await connection.fetch(
        """
        INSERT INTO alert_firings (account_id, firing_id, subject_id, percent, revision, occasion, kind, currency, is_quantity,
                                   value, threshold, created_at)
        SELECT account_id, firing_id, subject_id, percent, revision, occasion, kind, currency, is_quantity, value, threshold, $12
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::bigint[], $6::integer[], $7::text[], $8::text[],
                    $9::boolean[], $10::numeric[], $11::numeric[])
            AS found (account_id, firing_id, subject_id, percent, revision, occasion, kind, currency, is_quantity, value, threshold)
        ORDER BY account_id, subject_id, percent, revision, occasion, kind
        ON CONFLICT ON CONSTRAINT uq_alert_firings_once DO NOTHING
        RETURNING firing_id
        """,
        [firing.subject.account_id for firing in firings],
        [firing.firing_id for firing in firings],
        [firing.subject.key.subject_id for firing in firings],
        [firing.subject.key.percent for firing in firings],
        [firing.subject.key.revision for firing in firings],
        [firing.occasion for firing in firings],
        [firing.kind for firing in firings],
        [firing.subject.currency for firing in firings],
        [firing.subject.figure.kind == "metric" for firing in firings],
        [rules.rounded(firing.value) for firing in firings],
        [firing.subject.threshold for firing in firings],
        now,
    )
    return {row["firing_id"] for row in rows}


async def list_told(connection: Connection, *, account_id: UUID, limit: int) -> list[Told]:
    """The account's newest firings with their deliveries, newest first."""
    rows = await connection.fetch(
        """
        SELECT newest.*, array_remove(array_agg(deliveries_v.method ORDER BY deliveries_v.method), NULL) AS methods,
            array_remove(array_agg(deliveries_v.status ORDER BY deliveries_v.method), NULL) AS statuses
        FROM (
            SELECT account_id, firing_id, subject_id, percent, kind, currency, is_quantity, value, threshold, created_at
            FROM alert_firings
            WHERE account_id = $1
            ORDER BY created_at DESC, percent DESC, firing_id DESC
            LIMIT $2
        ) AS newest
        LEFT JOIN deliveries_v ON deliveries_v.account_id = newest.account_id AND deliveries_v.notification_id = newest.firing_id
        GROUP BY newest.account_id, newest.firing_id, newest.subject_id, newest.percent, newest.kind, newest.currency,
            newest.is_quantity, newest.value, newest.threshold, newest.created_at
        ORDER BY newest.created_at DESC, newest.percent DESC, newest.firing_id DESC
        """,
        account_id,
        limit,
    )
    return [
        Told(
            firing_id=row["firing_id"],
            subject_id=row["subject_id"],
            percent=row["percent"],
            kind=row["kind"],
            currency=row["currency"],
            is_quantity=row["is_quantity"],
            value=row["value"],
            threshold=row["threshold"],
            created_at=row["created_at"],
            deliveries=tuple(zip(row["methods"], row["statuses"], strict=True)),
        )
        for row in rows
    ]


async def list_last_fired(
    connection: Connection, *, account_id: UUID, alert_ids: Sequence[UUID]
) -> dict[UUID, datetime]:
    """When each of some alerts fired last; those that never did are left out."""
    rows = await connection.fetch(
        """
        SELECT subject_id, max(created_at) AS created_at FROM alert_firings
        WHERE account_id = $1 AND subject_id = ANY ($2) AND kind = 'fired'
        GROUP BY subject_id
        """,
        account_id,
        list(alert_ids),
    )
    return {row["subject_id"]: row["created_at"] for row in rows}
