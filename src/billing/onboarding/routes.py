"""The public routes that touch several slices, below /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import delete

from billing import projects
from billing.core import ids
from billing.kit.auth import Caller
from billing.kit.web import DESCRIBED, Answer, Command, Described
from billing.onboarding import operations

if TYPE_CHECKING:
    from billing.kit.db import Tx


@delete(
    "/projects/{project_id:str}",
    status_code=200,
    opt={
        "rate_class": "project",
        DESCRIBED: Described(
            summary="Delete a project",
            section="Projects",
            statuses=(204,),
            errors=(projects.ProjectProtected,),
        ),
    },
)
async def delete_project(writer: Caller, project_id: str, command: Command) -> Answer:
    """Delete a project and all its resources.

    Metering stops with this call; what was used until then is billed, and stays in usage and invoices. The default project
    cannot be deleted.
    """
    identifier = ids.expect(projects.PROJECT_PREFIX, project_id)

    async def work(tx: Tx) -> None:
        await operations.delete_project(tx, account_id=writer.account_id, project_id=identifier)

    return await command.run(work, status=204)


HANDLERS = [delete_project]
