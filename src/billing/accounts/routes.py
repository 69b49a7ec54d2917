"""The public routes of accounts, below /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, put

from billing.accounts import operations, schemas, store
from billing.accounts.schemas import AccountAnswer, AccountDetailsAnswer, AccountUpdate
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import Answer, Command, RawBody

if TYPE_CHECKING:
    from billing.kit.db import Tx


@get("/account")
async def show_account(reader: Caller, db: Database) -> AccountAnswer:
    """The account that the key belongs to."""
    async with db.reading() as reading:
        account = await store.get_account(reading.connection, account_id=reader.account_id)
    return AccountAnswer(account=schemas.show(account))


@put("/account")
async def update_account(writer: Caller, body: RawBody, command: Command) -> Answer:
    """Set what the body names of name, company, timezone, phone, address and tax_id."""
    changes = schemas.changes_of(body.read(AccountUpdate))

    async def work(tx: Tx) -> AccountDetailsAnswer:
        account = await operations.change(tx, account_id=writer.account_id, changes=changes)
        return AccountDetailsAnswer(account=schemas.show_details(account))

    return await command.run(work)


HANDLERS = [show_account, update_account]
