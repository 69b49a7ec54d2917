"""The public routes of projects, below /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, post, put

from billing import metering
from billing.core import ids
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.projects import operations, schemas, store
from billing.projects.schemas import (
    ProjectAnswer,
    ProjectCreate,
    ProjectsAnswer,
    ProjectUpdate,
    ResourcesAnswer,
    ResourcesQuery,
)

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.projects.model import Project


@get(
    "/projects",
    opt={"rate_class": "project", DESCRIBED: Described(summary="List projects", section="Projects", query=PageQuery)},
)
async def list_projects(reader: Caller, query: RawQuery, db: Database) -> ProjectsAnswer:
    """The account's projects, oldest first, with what is in them now."""
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as reading:
        found = await store.list_projects(reading.connection, account_id=reader.account_id, page=page)
        summaries = await operations.summarize(
            reading.connection, account_id=reader.account_id, projects=found.items, now=reading.now
        )
    shown = [schemas.show(summary, currency=reader.currency) for summary in summaries]
    return ProjectsAnswer(projects=shown, meta=meta(page, found))


@post(
    "/projects",
    opt={
        "rate_class": "project",
        DESCRIBED: Described(
            summary="Create a project",
            section="Projects",
            answer=ProjectAnswer,
            statuses=(201,),
            body=ProjectCreate,
            located=True,
        ),
    },
)
async def create_project(writer: Caller, body: RawBody, command: Command) -> Answer:
    """Make a project to group resources in, with a region for new resources and a monthly budget if wanted."""
    wanted = body.read(ProjectCreate)
    budget_minor = schemas.budget_minor(wanted.budget_limit, currency=writer.currency)

    async def work(tx: Tx) -> ProjectAnswer:
        project = await operations.create(
            tx,
            account_id=writer.account_id,
            name=wanted.name,
            description=wanted.description,
            region=wanted.region,
            budget_minor=budget_minor,
        )
        return await _answer(tx, project, currency=writer.currency)

    return await command.run(work, status=201, location=lambda answer: f"/projects/{answer.project.id}")


@get(
    "/projects/{project_id:str}",
    opt={"rate_class": "project", DESCRIBED: Described(summary="Get project details", section="Projects")},
)
async def show_project(reader: Caller, project_id: str, db: Database) -> ProjectAnswer:
    """One project with what is in it now."""
    identifier = ids.expect(schemas.PROJECT_PREFIX, project_id)
    async with db.snapshot() as reading:
        project = await store.get_project(reading.connection, account_id=reader.account_id, project_id=identifier)
        return await _answer(reading, project, currency=reader.currency)


@put(
    "/projects/{project_id:str}",
    opt={
        "rate_class": "project",
        DESCRIBED: Described(summary="Update a project", section="Projects", answer=ProjectAnswer, body=ProjectUpdate),
    },
)
async def update_project(writer: Caller, project_id: str, body: RawBody, command: Command) -> Answer:
    """Change what the body names of name, description and budget; null clears what may be absent."""
    identifier = ids.expect(schemas.PROJECT_PREFIX, project_id)
    changes = schemas.changes_of(body.read(ProjectUpdate), currency=writer.currency)

    async def work(tx: Tx) -> ProjectAnswer:
        project = await operations.change(tx, account_id=writer.account_id, project_id=identifier, changes=changes)
        return await _answer(tx, project, currency=writer.currency)

    return await command.run(work)


@get(
    "/projects/{project_id:str}/resources",
    opt={
        "rate_class": "project",
        DESCRIBED: Described(summary="Get project resources", section="Projects", query=ResourcesQuery),
    },
)
async def list_resources(reader: Caller, project_id: str, query: RawQuery, db: Database) -> ResourcesAnswer:
    """A project's resources, oldest first. Deleted ones are listed only when `status` asks for them."""
    wanted, page = query.read_page(ResourcesQuery)
    identifier = ids.expect(schemas.PROJECT_PREFIX, project_id)
    statuses = operations.LIVE if wanted.status is None else (wanted.status,)
    account_id = reader.account_id
    async with db.snapshot() as reading:
        connection, now = reading.connection, reading.now
        await store.get_project(connection, account_id=account_id, project_id=identifier)
        if wanted.service is not None:
            await operations.require_known_service(connection, service=wanted.service)
        found = await metering.list_resources_page(
            connection,
            account_id=account_id,
            at=now,
            project_id=identifier,
            service=wanted.service,
            statuses=statuses,
            page=page,
        )
        priced = await operations.price_resources(connection, account_id=account_id, resources=found.items, now=now)
    shown = [schemas.show_resource(one, currency=reader.currency) for one in priced]
    return ResourcesAnswer(resources=shown, meta=meta(page, found))


async def _answer(tx: Tx, project: Project, *, currency: str) -> ProjectAnswer:
    [summary] = await operations.summarize(tx.connection, account_id=project.account_id, projects=[project], now=tx.now)
    return ProjectAnswer(project=schemas.show_details(summary, currency=currency))


HANDLERS = [list_projects, create_project, show_project, update_project, list_resources]
