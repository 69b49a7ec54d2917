"""The operator's routes of accounts, below /operator/v1. Opening one is onboarding's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, post, put

from billing.accounts import operations, schemas, store
from billing.accounts.model import AccountClosed
from billing.accounts.schemas import AccountsQuery, OperatorAccountAnswer, OperatorAccountsAnswer, OperatorAccountUpdate
from billing.core import ids
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, RawBody, RawQuery, meta

if TYPE_CHECKING:
    from billing.kit.db import Tx


@get("/accounts", opt={DESCRIBED: Described(summary="List accounts", section="Accounts", query=AccountsQuery)})
async def list_accounts(accounts_operator: Operator, query: RawQuery, db: Database) -> OperatorAccountsAnswer:
    """All accounts, newest first, by `status` and by a text in e-mail, name or company."""
    wanted, page = query.read_page(AccountsQuery)
    async with db.reading() as reading:
        found = await store.list_accounts(reading.connection, page=page, status=wanted.status, text=wanted.q)
    shown = [schemas.show_to_operator(account) for account in found.items]
    return OperatorAccountsAnswer(accounts=shown, meta=meta(page, found))


@get("/accounts/{account_id:str}", opt={DESCRIBED: Described(summary="Get an account", section="Accounts")})
async def show_account(accounts_operator: Operator, account_id: str, db: Database) -> OperatorAccountAnswer:
    """One account, with what only operators see of it."""
    async with db.reading() as reading:
        account = await store.get_account(reading.connection, account_id=ids.expect(schemas.ACCOUNT_PREFIX, account_id))
    return OperatorAccountAnswer(account=schemas.show_to_operator(account))


@put(
    "/accounts/{account_id:str}",
    opt={
        DESCRIBED: Described(
            summary="Update an account", section="Accounts", answer=OperatorAccountAnswer, body=OperatorAccountUpdate
        )
    },
)
async def update_account(accounts_operator: Operator, account_id: str, body: RawBody, command: Command) -> Answer:
    """Set what the body names of an account, and leave the rest; null clears what may be absent."""
    identifier = ids.expect(schemas.ACCOUNT_PREFIX, account_id)
    changes = schemas.changes_of(body.read(OperatorAccountUpdate))

    async def work(tx: Tx) -> OperatorAccountAnswer:
        account = await operations.change(tx, account_id=identifier, changes=changes)
        return OperatorAccountAnswer(account=schemas.show_to_operator(account))

    return await command.run(work)


@post(
    "/accounts/{account_id:str}/suspend",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Suspend an account", section="Accounts", answer=OperatorAccountAnswer, errors=(AccountClosed,)
        )
    },
)
async def suspend_account(accounts_operator: Operator, account_id: str, command: Command) -> Answer:
    """Refuse the account's writes, but for what pays its debts. Again is harmless."""
    identifier = ids.expect(schemas.ACCOUNT_PREFIX, account_id)

    async def work(tx: Tx) -> OperatorAccountAnswer:
        account = await operations.suspend(tx, account_id=identifier)
        return OperatorAccountAnswer(account=schemas.show_to_operator(account))

    return await command.run(work)


@post(
    "/accounts/{account_id:str}/restore",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Restore an account", section="Accounts", answer=OperatorAccountAnswer, errors=(AccountClosed,)
        )
    },
)
async def restore_account(accounts_operator: Operator, account_id: str, command: Command) -> Answer:
    """Take a suspension back. Again is harmless."""
    identifier = ids.expect(schemas.ACCOUNT_PREFIX, account_id)

    async def work(tx: Tx) -> OperatorAccountAnswer:
        account = await operations.restore(tx, account_id=identifier)
        return OperatorAccountAnswer(account=schemas.show_to_operator(account))

    return await command.run(work)


HANDLERS = [list_accounts, show_account, update_account, suspend_account, restore_account]
