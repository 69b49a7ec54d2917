"""Deleting a project with all in it, taking that back, and what the platform may still report of it.

The project and what is asked of the platform are stored in one transaction. The state of its resources is written down there for
the first of them, and by a job for the others, as of the same instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from billing import metering
from billing.core import ids
from billing.core.errors import NotFound
from billing.kit import outbox, worker
from billing.projects import rules, store
from billing.projects.model import (
    Project,
    ProjectNotRestorable,
    ProjectProtected,
    ResourceDeleting,
    ResourceDeletion,
)

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

STOP_JOB = "projects.stop"
STOPPED_AT_ONCE = 50  # what a request bears besides its own work
CONFIRMED_WITHIN = timedelta(hours=24)
_ALARMS = 100

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def delete(tx: Tx, *, account_id: UUID, project_id: UUID) -> None:
    """Delete a project: metering of all in it stops now, and the platform is asked to delete each resource.

    Raises NotFound, also when it was deleted before, and ProjectProtected for the default one.
    """
    project = await store.get_project_for_update(tx.connection, account_id=account_id, project_id=project_id)
    if project.is_default:
        raise ProjectProtected
    await store.mark_deleted(tx.connection, account_id=account_id, project_id=project_id, now=tx.now)
    resources = await metering.list_live_resources(
        tx.connection, account_id=account_id, at=tx.now, project_id=project_id
    )
    deletions = [_deletion_of(resource, asked_at=tx.now) for resource in resources]
    await store.insert_deletions(tx.connection, deletions)
    await _tell(tx, "resource.deletion_requested", deletions)
    for deletion in deletions[:STOPPED_AT_ONCE]:
        await _stop(tx, deletion)
    if len(deletions) > STOPPED_AT_ONCE:
        await worker.wake(tx.connection, job=STOP_JOB)
    await outbox.publish(
        tx,
        account_id=account_id,
        type="project.deleted",
        object_id=ids.encode(rules.PROJECT_PREFIX, project_id),
        payload={"name": project.name},
    )


async def restore(tx: Tx, *, project_id: UUID) -> Project:
    """Take a deletion back: what the platform has not deleted yet is again what it was, and metered from now on.

    Raises NotFound, and ProjectNotRestorable for a project that is not deleted, or was more than 7 days ago.
    """
    account_id = await store.find_account(tx.connection, project_id=project_id)
    if account_id is None:
        raise NotFound
    deleted_at = await store.lock_deleted(tx.connection, account_id=account_id, project_id=project_id)
    if deleted_at is None or not rules.is_restorable(deleted_at, now=tx.now):
        raise ProjectNotRestorable(details={"deleted_at": deleted_at})
    deletions = await store.list_open_deletions(tx.connection, account_id=account_id, project_id=project_id)
    await store.mark_restored(tx.connection, account_id=account_id, project_id=project_id, now=tx.now)
    for deletion in deletions:
        if not deletion.is_stopped:
            await _stop(tx, deletion)
        await _resume(tx, deletion)
    await _tell(tx, "resource.deletion_withdrawn", deletions)
    project = await store.get_project(tx.connection, account_id=account_id, project_id=project_id)
    await outbox.publish(
        tx,
        account_id=account_id,
        type="project.restored",
        object_id=ids.encode(rules.PROJECT_PREFIX, project_id),
        payload={"name": project.name},
    )
    return project


async def record_report(tx: Tx, report: metering.StateReport) -> metering.RecordedState:
    """Store what the platform says of a resource, in the project that `project_for` found.

    Raises ResourceDeleting for one that still runs after its project was deleted, and what `metering.record_state` raises.
    """
    if report.status in {"running", "stopped"} and await store.is_being_deleted(
        tx.connection, account_id=report.account_id, resource_id=report.resource_id, at=report.effective_at
    ):
        raise ResourceDeleting(details={"resource_id": report.resource_id})
    recorded = await metering.record_state(tx, report)
    if report.status == "deleted":
        await store.mark_confirmed(
            tx.connection, account_id=report.account_id, resource_id=report.resource_id, now=tx.now
        )
    return recorded


async def stop_asked(database: Database) -> int:
    """Write down the state of what was asked to be deleted, each in a transaction of its own; returns how many there were."""
    stopped = 0
    while True:
        async with database.transaction() as tx:
            deletion = await store.claim_unstopped(tx.connection)
            if deletion is None:
                return stopped
            await _stop(tx, deletion)
        stopped += 1


async def raise_alarms(database: Database) -> int:
    """Tell the operator once of each resource whose deletion the platform has not confirmed for 24 h; returns how many."""
    told = 0
    while True:
        async with database.transaction() as tx:
            late = await store.mark_alarmed(
                tx.connection, asked_before=tx.now - CONFIRMED_WITHIN, now=tx.now, limit=_ALARMS
            )
            for account_id, resource_id, asked_at in late:
                account = ids.encode("acc", account_id)
                log.error("deletion_unconfirmed", account_id=account, resource_id=resource_id, asked_at=str(asked_at))
                await outbox.publish(
                    tx,
                    account_id=account_id,
                    type="resource.deletion_unconfirmed",
                    object_id=resource_id,
                    payload={"asked_at": asked_at},
                )
        told += len(late)
        if len(late) < _ALARMS:
            return told


def _deletion_of(resource: metering.Resource, *, asked_at: datetime) -> ResourceDeletion:
    return ResourceDeletion(
        account_id=resource.account_id,
        resource_id=resource.resource_id,
        asked_at=asked_at,
        project_id=resource.project_id,
        status_before=resource.status,
        plan_before=resource.plan,
        units_before=resource.units,
    )


async def _stop(tx: Tx, deletion: ResourceDeletion) -> None:
    """Let a resource be `deleting` from the request on, and from each state on that was reported to begin later."""
    await store.mark_stopped(tx.connection, deletion, now=tx.now)
    spans = await _spans_of(tx, deletion)
    held = [deletion.asked_at for span in spans if rules.holds_at(span, deletion.asked_at)]
    later = [span.start_at for span in spans if span.start_at > deletion.asked_at]
    # Without its plan: a price that has ended meanwhile refuses nothing, and what is being deleted costs nothing.
    await _record(tx, deletion, [*held, *later], status="deleting", plan=None)


async def _resume(tx: Tx, deletion: ResourceDeletion) -> None:
    """Let a resource be what it was before, from now on."""
    if deletion.status_before == "deleting":
        return
    spans = await _spans_of(tx, deletion)
    held = [tx.now for span in spans if rules.holds_at(span, tx.now)]
    later = [span.start_at for span in spans if span.start_at > tx.now]
    await _record(tx, deletion, [*held, *later], status=deletion.status_before, plan=deletion.plan_before)


async def _spans_of(tx: Tx, deletion: ResourceDeletion) -> list[metering.Span]:
    return await metering.list_spans(tx.connection, account_id=deletion.account_id, resource_id=deletion.resource_id)


async def _record(
    tx: Tx, deletion: ResourceDeletion, starts: Sequence[datetime], *, status: metering.Status, plan: str | None
) -> None:
    resource = await metering.find_resource(
        tx.connection, account_id=deletion.account_id, resource_id=deletion.resource_id, at=tx.now
    )
    assert resource is not None, "what is asked to be deleted was reported"
    for start_at in starts:
        report = metering.StateReport(
            account_id=deletion.account_id,
            resource_id=deletion.resource_id,
            project_id=resource.project_id,
            type=resource.type,
            service=resource.service,
            name=resource.name,
            region=resource.region,
            status=status,
            effective_at=start_at,
            plan=plan,
            units=deletion.units_before,
        )
        await metering.record_state(tx, report)


async def _tell(tx: Tx, event: str, deletions: Sequence[ResourceDeletion]) -> None:
    if not deletions:
        return
    events: list[outbox.NewEvent] = [
        (
            one.account_id,
            one.resource_id,
            {"project_id": ids.encode(rules.PROJECT_PREFIX, one.project_id), "asked_at": one.asked_at},
        )
        for one in deletions
    ]
    await outbox.publish_all(tx, type=event, events=events)
