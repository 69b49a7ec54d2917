"""The public routes of accounts, below /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, put

from billing.accounts import operations, schemas, store
from billing.accounts.schemas import AccountAnswer, AccountDetailsAnswer, AccountUpdate
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, RawBody

if TYPE_CHECKING:
    from billing.kit.db import Tx


@get("/account", opt={DESCRIBED: Described(summary="Get account information", section="Account Management")})
async def show_account(reader: Caller, db: Database) -> AccountAnswer:
    """The account that the key belongs to, with its contact, currency and time zone."""
    async with db.reading() as reading:
        account = await store.get_account(reading.connection, account_id=reader.account_id)
    return AccountAnswer(account=schemas.show(account))


@put(
    "/account",
    opt={
        DESCRIBED: Described(
            summary="Update account information",
            section="Account Management",
            answer=AccountDetailsAnswer,
            body=AccountUpdate,
        )
    },
)
async def update_account(writer: Caller, body: RawBody, command: Command) -> Answer:
    """Change what the body names and leave the rest as it is; null clears what may be absent.

    An empty body changes nothing. The e-mail address and the currency are not changed here.
    """
    changes = schemas.changes_of(body.read(AccountUpdate))

    async def work(tx: Tx) -> AccountDetailsAnswer:
        account = await operations.change(tx, account_id=writer.account_id, changes=changes)
        return AccountDetailsAnswer(account=schemas.show_details(account))

    return await command.run(work)


HANDLERS = [show_account, update_account]
