"""The API in this process, called by a command as operators, platforms and accounts call it."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec

from billing import api_keys
from billing.app.faults import CommandError
from billing.app.http import make_app
from billing.app.keys import audit_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from billing.app.runtime import Installation

_EVENTS = "application/cloudevents-batch+json"
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class Api:
    """Calls of both planes; what is refused ends the command."""

    def __init__(self, client: httpx2.AsyncClient, *, operator_key: str) -> None:
        self._client = client
        self._operator_key = operator_key
        self.account_key = ""

    async def operate(self, method: str, path: str, body: object = None) -> Any:
        """A call of the operator API; the path below its base."""
        return await self._call(method, f"/operator/v1{path}", body, key=self._operator_key)

    async def send_events(self, events: list[dict[str, Any]], *, backfill: bool = False) -> Any:
        """Usage events, at most 1,000."""
        path = f"/operator/v1/events{'?backfill=true' if backfill else ''}"
        return await self._call("POST", path, events, key=self._operator_key, media_type=_EVENTS)

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """A call of the public API with the account's key; the path below its base."""
        return await self._call(method, f"/v1{path}", body, key=self.account_key)

    async def _call(
        self, method: str, path: str, body: object, *, key: str, media_type: str = "application/json"
    ) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": secrets.token_hex(16)}
        if body is not None:
            headers["Content-Type"] = media_type
        content = None if body is None else msgspec.json.encode(body)
        answer = await self._client.request(method, path, content=content, headers=headers)
        if answer.status_code >= 400:
            raise RefusedCall(f"{method} {path} answered {answer.status_code}: {_told(answer)}", answer.status_code)
        return _DECODER.decode(answer.content) if answer.content else None


class RefusedCall(CommandError):
    """A call that was not answered with success."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@asynccontextmanager
async def open_api(installed: Installation, *, command: str) -> AsyncIterator[Api]:
    """The API of an installation, with an operator's key that lives as long as the block."""
    async with installed.database.transaction() as tx:
        issued = await api_keys.create_operator_key(tx, name=command, scopes=["*"])
        await audit_key(tx, issued, command=command)
    keyring = api_keys.Keyring(installed.database)
    app = make_app(installed, plane="all", keyring=keyring)
    transport = httpx2.ASGITransport(app=app)  # pyright: ignore[reportArgumentType]  # Litestar's own types of ASGI
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing") as client:
            yield Api(client, operator_key=issued.secret)
    finally:
        await keyring.close()
        async with installed.database.transaction() as tx:
            await api_keys.revoke_operator_key(tx, key_id=issued.key_id)
            await audit_key(tx, issued, command=command, is_revoked=True)


def _told(answer: httpx2.Response) -> str:
    """What an answer says is wrong, fault by fault."""
    error = answer.json()["error"]
    faults = error["details"].get("faults", [])
    return "; ".join(f"{fault['path']} {fault['reason']}" for fault in faults) or error["message"]
