"""The operator's routes of resources, below /operator/v1: what the platform reports of them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from litestar import get, put

from billing import accounts, metering
from billing.core import ids
from billing.core.errors import NotFound
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.projects import operations, schemas, store
from billing.projects.model import ResourceDeleting
from billing.projects.schemas import (
    OperatorResource,
    OperatorResourceAnswer,
    OperatorResourcesAnswer,
    OperatorResourcesQuery,
    ProjectsAnswer,
    ResourceReport,
)

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


@get(
    "/accounts/{account_id:str}/resources",
    opt={DESCRIBED: Described(summary="List an account's resources", section="Metering", query=OperatorResourcesQuery)},
)
async def list_account_resources(
    metering_operator: Operator, account_id: str, query: RawQuery, db: Database
) -> OperatorResourcesAnswer:
    """The resources of an account, oldest first. Deleted ones are listed only when `status` asks for them."""
    account = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    wanted, page = query.read_page(OperatorResourcesQuery)
    project_id = None if wanted.project_id is None else ids.expect(schemas.PROJECT_PREFIX, wanted.project_id)
    async with db.snapshot() as tx:
        currency = (await accounts.get_account(tx.connection, account_id=account)).currency
        if wanted.service is not None:
            await operations.require_known_service(tx.connection, service=wanted.service)
        found = await metering.list_resources_page(
            tx.connection,
            account_id=account,
            at=tx.now,
            project_id=project_id,
            service=wanted.service,
            statuses=operations.LIVE if wanted.status is None else (wanted.status,),
            page=page,
        )
        priced = await operations.price_resources(tx.connection, account_id=account, resources=found.items, now=tx.now)
    shown = [schemas.show_listed_to_operator(one, currency=currency) for one in priced]
    return OperatorResourcesAnswer(resources=shown, meta=meta(page, found))


@get(
    "/accounts/{account_id:str}/resources/{resource_id:path}",
    opt={DESCRIBED: Described(summary="Get a resource", section="Metering")},
)
async def show_account_resource(
    metering_operator: Operator, account_id: str, resource_id: str, db: Database
) -> OperatorResourceAnswer:
    """One resource with what it was over time."""
    account = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    async with db.snapshot() as tx:
        currency = (await accounts.get_account(tx.connection, account_id=account)).currency
        shown = await _shown(tx, account_id=account, resource_id=resource_id.removeprefix("/"), currency=currency)
    return OperatorResourceAnswer(resource=shown)


@get(
    "/accounts/{account_id:str}/projects",
    opt={DESCRIBED: Described(summary="List an account's projects", section="Projects", query=PageQuery)},
)
async def list_account_projects(
    accounts_operator: Operator, account_id: str, query: RawQuery, db: Database
) -> ProjectsAnswer:
    """The projects of an account, oldest first, with what is in them now."""
    account = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as tx:
        currency = (await accounts.get_account(tx.connection, account_id=account)).currency
        found = await store.list_projects(tx.connection, account_id=account, page=page)
        summaries = await operations.summarize(tx.connection, account_id=account, projects=found.items, now=tx.now)
    return ProjectsAnswer(projects=[schemas.show(one, currency=currency) for one in summaries], meta=meta(page, found))


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


HANDLERS = [report_resource, list_account_resources, show_account_resource, list_account_projects]
