"""The operator's routes that touch several slices, below /operator/v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import post

from billing import accounts, projects, wallets
from billing.core import ids
from billing.kit.auth import Operator
from billing.kit.web import DESCRIBED, Answer, Command, Described, RawBody
from billing.onboarding import operations, schemas
from billing.onboarding.schemas import AccountOpenedAnswer

if TYPE_CHECKING:
    from billing.kit.db import Tx


@post(
    "/accounts",
    opt={
        DESCRIBED: Described(
            summary="Open an account",
            section="Accounts",
            answer=AccountOpenedAnswer,
            statuses=(201,),
            body=accounts.AccountOpen,
            errors=(accounts.CurrencyNotSupported,),
            needs_key=True,
            located=True,
        )
    },
)
async def open_account(
    accounts_operator: Operator, body: RawBody, command: Command, wallet_settings: wallets.WalletSettings
) -> Answer:
    """Open an account with its wallet, default project and first key, which is shown once."""
    command.require_key()
    wanted = body.read(accounts.AccountOpen)

    async def work(tx: Tx) -> AccountOpenedAnswer:
        opened = await operations.open_account(
            tx,
            email=wanted.email,
            name=wanted.name,
            currency=wanted.currency,
            company=wanted.company,
            timezone=wanted.timezone or "UTC",
            country=wanted.country,
            phone=wanted.phone,
            currencies=wallet_settings.currencies,
        )
        return schemas.show(opened)

    return await command.run(
        work,
        status=201,
        location=lambda answer: f"/accounts/{answer.account.id}",
        stored=schemas.without_secret,
    )


@post(
    "/projects/{project_id:str}/restore",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Restore a project",
            section="Projects",
            answer=projects.ProjectAnswer,
            errors=(projects.ProjectNotRestorable,),
        )
    },
)
async def restore_project(accounts_operator: Operator, project_id: str, command: Command) -> Answer:
    """Take a project's deletion back, within 7 days of it.

    What the platform has not deleted yet is metered again from now on; what lies between is never billed.
    """
    identifier = ids.expect(projects.PROJECT_PREFIX, project_id)

    async def work(tx: Tx) -> projects.ProjectAnswer:
        summary, currency = await operations.restore_project(tx, project_id=identifier)
        command.concerns(summary.project.account_id)
        return projects.ProjectAnswer(project=projects.show_details(summary, currency=currency))

    return await command.run(work)


HANDLERS = [open_account, restore_project]
