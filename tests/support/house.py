"""The HTTP application over a database of the module's own, with accounts and keys to call it with.

A test asks for the `house` fixture, which its module makes with `house_of(handlers...)`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import httpx2

from billing import accounts, api_keys, metering, onboarding
from billing.core import ids
from billing.kit.auth import Permission
from billing.kit.db import Database, open_pool
from billing.kit.web import build_app
from billing.kit.web.rate_limits import RateLimits

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

START = datetime(2024, 2, 1, 10, 0, tzinfo=UTC)
STRANGER = "acc_" + "0" * 26


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, delta: timedelta) -> None:
        self.now += delta


def counted(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The `meta` of a page that others follow, without the cursor that leads there."""
    assert meta["next_cursor"]
    return {name: value for name, value in meta.items() if name != "next_cursor"}


@dataclass(frozen=True)
class Reply:
    """An answer with its body read exactly."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text, parse_float=Decimal)

    @property
    def code(self) -> str:
        return self.body["error"]["code"]

    @property
    def faults(self) -> list[str]:
        """The paths of the faults, sorted."""
        return sorted(fault["path"] for fault in self.body["error"]["details"]["faults"])


@dataclass(frozen=True)
class Resident:
    """An account with its first key."""

    account_id: UUID
    key: str
    default_project_id: UUID

    @property
    def id(self) -> str:
        return ids.encode("acc", self.account_id)


@dataclass
class House:
    """The application, its clock, and an operator's key."""

    client: httpx2.AsyncClient
    database: Database
    keyring: api_keys.Keyring
    clock: Clock
    operator_key: str
    emails: int = field(default=0)

    async def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """One call; the path begins with /v1 or /operator/v1, `body` is sent as JSON (bytes as they are)."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        content: bytes | None = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        answer = await self.client.request(method, path, content=content, headers=sent)
        return Reply(answer.status_code, answer.headers, answer.text)

    async def operate(
        self, method: str, path: str, *, body: object = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """One call of the operator API, the path below its base."""
        return await self.call(method, f"/operator/v1{path}", key=self.operator_key, body=body, headers=headers)

    async def open_account(
        self, *, currency: str = "USD", name: str = "Jane Doe", email: str | None = None
    ) -> Resident:
        """A new account."""
        self.emails += 1
        async with self.database.transaction() as tx:
            opened = await onboarding.open_account(
                tx, email=email or f"jane{self.emails}@example.com", name=name, currency=currency
            )
        return Resident(opened.account.account_id, opened.key.secret, opened.project.project_id)

    async def issue(self, resident: Resident, *permissions: Permission, **limits: Any) -> str:
        """The secret of another key of an account."""
        async with self.database.transaction() as tx:
            issued = await api_keys.issue(
                tx, account_id=resident.account_id, name="Another key", permissions=permissions, **limits
            )
        return issued.secret

    async def issue_operator(self, *scopes: api_keys.Scope) -> str:
        """The secret of another operator's key."""
        async with self.database.transaction() as tx:
            return (await api_keys.create_operator_key(tx, name="Another", scopes=scopes)).secret

    async def suspend(self, resident: Resident) -> None:
        """Suspend an account."""
        async with self.database.transaction() as tx:
            await accounts.suspend(tx, account_id=resident.account_id)


@asynccontextmanager
async def open_house(
    dsn: str,
    *,
    public: Sequence[HTTPRouteHandler] = (),
    operator: Sequence[HTTPRouteHandler] = (),
    plain: Sequence[HTTPRouteHandler] = (),
    values: Mapping[str, object] | None = None,
    limited: Callable[[Clock], RateLimits] | None = None,
    calls_max: int | None = None,
    reads_max: int | None = None,
) -> AsyncIterator[House]:
    """The application with some handlers over a database, as its own role; without rate limits unless `limited` makes some."""
    clock = Clock()
    pool = await open_pool(dsn, size=4)
    database = Database(pool, clock)
    keyring = api_keys.Keyring(database)
    try:
        async with database.transaction() as tx:
            operator_key = (await api_keys.create_operator_key(tx, name="Test", scopes=["*"])).secret
        app = build_app(
            database=database,
            read_caller=keyring.read_caller,
            read_operator=keyring.read_operator,
            public=public,
            operator=operator,
            plain=plain,
            values={"intake": metering.Intake(database), **(values or {})},
            rate_limits=None if limited is None else limited(clock),
            calls_max=calls_max,
            reads_max=reads_max,
        )
        transport = httpx2.ASGITransport(app=cast("Any", app), client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing.test") as client:
            yield House(client, database, keyring, clock, operator_key)
        await keyring.close()
    finally:
        await pool.close()
