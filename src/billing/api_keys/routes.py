"""The public routes of keys, below /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from litestar import delete, get, post

from billing.api_keys import operations, schemas, store
from billing.api_keys.model import TooManyKeys
from billing.api_keys.schemas import KeyAnswer, KeyCreate, KeyIssuedAnswer, KeysAnswer
from billing.core import ids
from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta

if TYPE_CHECKING:
    from billing.kit.db import Tx


@get("/account/api-keys", opt={DESCRIBED: Described(summary="List API keys", section="API Keys", query=PageQuery)})
async def list_keys(reader: Caller, query: RawQuery, db: Database) -> KeysAnswer:
    """The account's keys that are not revoked, newest first. Their secrets are not shown."""
    _, page = query.read_page(PageQuery)
    async with db.reading() as reading:
        found = await store.list_keys(reading.connection, account_id=reader.account_id, page=page)
    return KeysAnswer(api_keys=[schemas.show(key) for key in found.items], meta=meta(page, found))


@get(
    "/account/api-keys/{key_id:str}",
    opt={DESCRIBED: Described(summary="Get an API key", section="API Keys", is_extension=True)},
)
async def show_key(reader: Caller, key_id: str, db: Database) -> KeyAnswer:
    """One key that is not revoked, without its secret."""
    async with db.reading() as reading:
        key = await store.get_key(
            reading.connection, account_id=reader.account_id, key_id=ids.expect(schemas.KEY_PREFIX, key_id)
        )
    return KeyAnswer(api_key=schemas.show(key))


@post(
    "/account/api-keys",
    opt={
        DESCRIBED: Described(
            summary="Create an API key",
            section="API Keys",
            answer=KeyIssuedAnswer,
            statuses=(201,),
            body=KeyCreate,
            errors=(TooManyKeys,),
            located=True,
        ),
        "audited": "key.created",
    },
)
async def create_key(writer: Caller, body: RawBody, command: Command) -> Answer:
    """Make a key with at most the permissions, lifetime and addresses of the calling key.

    The secret in `key` is shown in this answer alone: keep it. A replay of the answer shows null in its place.
    """
    wanted = body.read(KeyCreate)

    async def work(tx: Tx) -> KeyIssuedAnswer:
        issued = await operations.mint(
            tx,
            account_id=writer.account_id,
            by_key_id=writer.key_id,
            name=wanted.name,
            permissions=wanted.permissions,
            expires_at=wanted.expires_at,
            ip_whitelist=wanted.ip_whitelist or (),
        )
        return KeyIssuedAnswer(api_key=schemas.show_issued(issued))

    return await command.run(
        work,
        status=201,
        location=lambda answer: f"/account/api-keys/{answer.api_key.id}",
        stored=lambda answer: KeyIssuedAnswer(api_key=msgspec.structs.replace(answer.api_key, key=None)),
    )


@delete(
    "/account/api-keys/{key_id:str}",
    status_code=200,
    opt={
        DESCRIBED: Described(summary="Revoke an API key", section="API Keys", statuses=(204,)),
        "audited": "key.revoked",
        "suspended_ok": True,
    },
)
async def revoke_key(writer: Caller, key_id: str, command: Command) -> Answer:
    """Revoke a key: it opens nothing from now on, and leaves the list."""
    identifier = ids.expect(schemas.KEY_PREFIX, key_id)

    async def work(tx: Tx) -> None:
        await operations.revoke(tx, account_id=writer.account_id, key_id=identifier)

    return await command.run(work, status=204)


HANDLERS = [list_keys, show_key, create_key, revoke_key]
