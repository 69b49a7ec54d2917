"""The operator's routes of accounts' keys, below /operator/v1: to see them and to end one that was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import delete, get

from billing import accounts
from billing.api_keys import operations, schemas, store
from billing.api_keys.schemas import KeysAnswer
from billing.core import ids
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawQuery, meta

if TYPE_CHECKING:
    from billing.kit.db import Tx


@get(
    "/accounts/{account_id:str}/api-keys",
    opt={DESCRIBED: Described(summary="List an account's API keys", section="Accounts", query=PageQuery)},
)
async def list_account_keys(accounts_operator: Operator, account_id: str, query: RawQuery, db: Database) -> KeysAnswer:
    """The keys of an account that are not revoked, newest first. Their secrets are kept nowhere."""
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as tx:
        await accounts.get_account(tx.connection, account_id=identifier)
        found = await store.list_keys(tx.connection, account_id=identifier, page=page)
    return KeysAnswer(api_keys=[schemas.show(key) for key in found.items], meta=meta(page, found))


@delete(
    "/accounts/{account_id:str}/api-keys/{key_id:str}",
    status_code=200,
    opt={DESCRIBED: Described(summary="Revoke an account's API key", section="Accounts", statuses=(204,))},
)
async def revoke_account_key(accounts_operator: Operator, account_id: str, key_id: str, command: Command) -> Answer:
    """Revoke a key of an account: it opens nothing from now on, and leaves the list."""
    identifier = ids.expect(accounts.ACCOUNT_PREFIX, account_id)
    key_identifier = ids.expect(schemas.KEY_PREFIX, key_id)

    async def work(tx: Tx) -> None:
        await operations.revoke(tx, account_id=identifier, key_id=key_identifier)

    return await command.run(work, status=204)


HANDLERS = [list_account_keys, revoke_account_key]
