"""The operator's routes of resources, below /operator/v1: what the platform reports of them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from litestar import put

from billing import accounts, metering
from billing.core import ids
from billing.core.errors import NotFound
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, RawBody
from billing.projects import operations, schemas
from billing.projects.model import ResourceDeleting
from billing.projects.schemas import OperatorResource, OperatorResourceAnswer, ResourceReport

if TYPE_CHECKING:
    from billing.kit.db import Tx


@put(
    "/accounts/{account_id:str}/resources/{resource_id:path}",
    opt={
        DESCRIBED: Described(
            summary="Report a resource",
            section="Metering",
            answer=OperatorResourceAnswer,
            statuses=(200, 201),
            body=ResourceReport,
            errors=(
                metering.PriceMissing,
                metering.ResourceRegionFixed,
                metering.ResourceDeleted,
                ResourceDeleting,
            ),
        ),
        "audited": False,
    },
)  # the platform's data
async def report_resource(
    *, metering_operator: Operator, account_id: str, resource_id: str, body: RawBody, command: Command, db: Database
) -> Answer:
    """Store what a resource is from an instant on: 201 for a new one, else 200.

    The same report again is a no-op. Reports may come out of order and late; `deleted` ends the resource.
    """
    account = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    resource_id = resource_id.removeprefix("/")  # the platform's own text, which may hold slashes
    report = body.read(ResourceReport)
    schemas.refuse_faults(report, resource_id=resource_id, now=db.clock())
    recorded: list[metering.RecordedState] = []

    async def work(tx: Tx) -> OperatorResourceAnswer:
        currency = (await accounts.get_account(tx.connection, account_id=account)).currency
        recorded.append(await _record(tx, account_id=account, resource_id=resource_id, report=report))
        shown = await _shown(tx, account_id=account, resource_id=resource_id, currency=currency)
        return OperatorResourceAnswer(resource=shown)

    answer = await command.run(work)
    if recorded and recorded[-1].is_created:
        answer.status = 201
    return answer


async def _record(tx: Tx, *, account_id: UUID, resource_id: str, report: ResourceReport) -> metering.RecordedState:
    project_id = await operations.project_for(
        tx.connection,
        account_id=account_id,
        resource_id=resource_id,
        project_id=None if report.project_id is None else ids.expect(schemas.PROJECT_PREFIX, report.project_id),
        now=tx.now,
    )
    return await operations.record_report(
        tx,
        metering.StateReport(
            account_id=account_id,
            resource_id=resource_id,
            project_id=project_id,
            type=report.type,
            service=report.service,
            name=report.name,
            region=report.region,
            status=report.status,
            effective_at=report.effective_at,
            plan=report.plan,
            units=report.units,
        ),
    )


async def _shown(tx: Tx, *, account_id: UUID, resource_id: str, currency: str) -> OperatorResource:
    resource = await metering.find_resource(tx.connection, account_id=account_id, resource_id=resource_id, at=tx.now)
    if resource is None:
        raise NotFound
    [priced] = await operations.price_resources(tx.connection, account_id=account_id, resources=[resource], now=tx.now)
    spans = await metering.list_spans(tx.connection, account_id=account_id, resource_id=resource_id)
    return schemas.show_to_operator(priced, spans=spans, currency=currency)


HANDLERS = [report_resource]
