"""Opening an account with all that belongs to it; deleting a project with all that is in it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from billing import accounts, api_keys, ledger, projects

if TYPE_CHECKING:
    from billing.kit.db import Tx

FIRST_KEY_NAME = "First key"


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """A new account, its default project and its first key with the secret."""

    account: accounts.Account
    project: projects.Project
    key: api_keys.IssuedKey


async def open_account(
    tx: Tx,
    *,
    email: str,
    name: str,
    currency: str,
    company: str | None = None,
    timezone: str = "UTC",
    country: str | None = None,
    phone: str | None = None,
    currencies: Set[str] = accounts.CURRENCIES_DEFAULT,
) -> OpenedAccount:
    """Open an account, its books, its default project and a first key that may read and write, in one transaction.

    Raises CurrencyNotSupported for a currency outside `currencies`.
    """
    account = await accounts.open_account(
        tx,
        email=email,
        name=name,
        currency=currency,
        company=company,
        timezone=timezone,
        country=country,
        phone=phone,
        currencies=currencies,
    )
    await ledger.open_head(tx.connection, account_id=account.account_id)
    project = await projects.create_default(tx, account_id=account.account_id)
    key = await api_keys.issue(tx, account_id=account.account_id, name=FIRST_KEY_NAME, permissions=("read", "write"))
    return OpenedAccount(account=account, project=project, key=key)


async def delete_project(tx: Tx, *, account_id: UUID, project_id: UUID) -> None:
    """Delete a project: metering of what is in it stops now, and the platform is asked to delete each resource.

    Raises NotFound, also when it was deleted before, and ProjectProtected.
    """
    await projects.delete(tx, account_id=account_id, project_id=project_id)


async def restore_project(tx: Tx, *, project_id: UUID) -> tuple[projects.ProjectSummary, str]:
    """Take a project's deletion back; the project with what is in it, and its account's currency.

    Raises NotFound, ProjectNotRestorable.
    """
    project = await projects.restore(tx, project_id=project_id)
    account = await accounts.get_account(tx.connection, account_id=project.account_id)
    [summary] = await projects.summarize(tx.connection, account_id=project.account_id, projects=[project], now=tx.now)
    return summary, account.currency
