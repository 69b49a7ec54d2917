"""A process that dies at a call of our choice: a statement, or a call of the world outside; and the yard it works in.

Every connection of the application's pool and its gateway go through one `Fuse`, which counts their calls. Armed, it burns at
one of them: all connections are torn down, and nothing that goes through it works any more, whatever the code still tries on
its way out, as after a `kill -9`. `mend` is the next start.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from weakref import WeakSet

import asyncpg
import httpx2

from billing import api_keys, payments
from billing.app.http import make_app
from billing.app.runtime import Installation, installation
from billing.app.worker import jobs_of
from billing.kit.config import load_settings
from billing.kit.db import Database, RandomBits, Session, open_pool
from billing.notifications.model import Message, Outcome, Outlet
from tests.support.house import Clock, House
from tests.support.sink import StubSender

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    Raw: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Raw = asyncpg.Connection  # which is generic for the type checker only

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """A statement by its text, or a call of the world outside."""

    text: str

    @property
    def is_read(self) -> bool:
        """Whether it changes and holds nothing: to die before it is to die after it."""
        return _CHANGES.search(self.text) is None

    def __str__(self) -> str:
        return " ".join(self.text.split())[:80]


# Statements that write or lock, functions that are called for what they do, ends of transactions, and all that is outside.
_CHANGES = re.compile(
    r"INSERT INTO|UPDATE |DELETE FROM|FOR (?:NO KEY )?(?:UPDATE|SHARE)|(?:SELECT|FROM)\s+(?!unnest)\w+\s*\(|^COMMIT|^outside:"
)


class Died(BaseException):
    """Stands for the death of the process: no handler of exceptions gets to see it."""


@dataclass
class Fuse:
    """Counts the calls that go through it while it is watched, and burns before or after one of them."""

    calls: list[Call] = field(default_factory=list)
    is_watched: bool = False
    is_burnt: bool = False
    burns_at: int = 0
    is_after: bool = False
    fault: Exception | None = None
    """What is raised at the point instead of burning, where the process lives on."""
    _connections: WeakSet[Raw] = field(default_factory=WeakSet)
    _torn: set[int] = field(default_factory=set)

    def watch(self, *, burns_at: int = 0, is_after: bool = False, fault: Exception | None = None) -> None:
        """Count from here on; burn (or raise a fault) at a call, counted from 1, or never."""
        self.calls, self.is_watched, self.burns_at, self.is_after = [], True, burns_at, is_after
        self.fault = fault

    async def through(self, name: Call, call: Callable[[], Awaitable[T]], connection: Raw | None = None) -> T:
        """A call. Raises Died where it burns, and from then on."""
        if self.is_burnt:
            if connection is not None:  # of one that was opened on the way out
                self._tear(connection)
            raise Died
        if connection is not None:
            self._connections.add(connection)
        if not self.is_watched:
            return await call()
        self.calls.append(name)
        is_here = len(self.calls) == self.burns_at
        if is_here and not self.is_after:
            self._burn()
        result = await call()
        if is_here:
            self._burn()
        return result

    def _burn(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.is_burnt = True
        for connection in self._connections:
            self._tear(connection)
        raise Died

    def _tear(self, connection: Raw) -> None:
        if not connection.is_closed():
            self._torn.add(connection.get_server_pid())
            connection.terminate()

    async def mend(self, owner: Raw) -> None:
        """Start again, once the server has noticed who is gone."""
        there = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1)"
        async with asyncio.timeout(10):
            while await owner.fetchval(there, list(self._torn)):  # noqa: ASYNC110  another process's doing
                await asyncio.sleep(0.001)
        self._torn.clear()
        self.is_watched = self.is_burnt = False


def fused_connections(fuse: Fuse) -> type[Raw]:
    """The class of connections whose statements go through a fuse, those of transactions too."""

    class FusedConnection(Session):
        async def execute(self, query: str, *args: Any, **options: Any) -> str:
            if query == self.get_reset_query():
                return await super().execute(query, *args, **options)
            call = super().execute
            return await fuse.through(Call(query), lambda: call(query, *args, **options), self)

        async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
            call = super().fetch
            return await fuse.through(Call(query), lambda: call(query, *args, **options), self)

        async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
            call = super().fetchrow
            return await fuse.through(Call(query), lambda: call(query, *args, **options), self)

        async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
            call = super().fetchval
            return await fuse.through(Call(query), lambda: call(query, *args, **options), self)

    return FusedConnection


class FusedOutside:
    """Something outside whose calls go through a fuse."""

    def __init__(self, outside: object, fuse: Fuse) -> None:
        self._outside = outside
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._outside, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **options: Any) -> Any:
            return await self._fuse.through(Call(f"outside: {name}"), lambda: found(*args, **options))

        return call


@dataclass
class Postman:
    """A channel that takes every message, and notes it."""

    gateway: str = "postman"
    taken: list[UUID] = field(default_factory=list)

    async def send(self, message: Message, *, handing_over: Callable[[], Awaitable[None]]) -> Outcome:
        await handing_over()
        self.taken.append(message.message_id)
        return Outcome(kind="sent")


@dataclass
class Outside:
    """Who is told: a postman, and a receiver of webhooks."""

    postman: Postman = field(default_factory=Postman)
    receiver: StubSender = field(default_factory=StubSender)

    def joined_to(self, installed: Installation, fuse: Fuse) -> Installation:
        """The installation with these, each call of them through the fuse."""
        channel = cast("Any", FusedOutside(self.postman, fuse))
        sender = cast("Any", FusedOutside(self.receiver, fuse))
        return replace(
            installed,
            mailroom=replace(installed.mailroom, email=Outlet(channel=channel, at_once=1)),
            webhook_settings=replace(self.receiver.settings, sender=sender),
        )


@dataclass(kw_only=True)
class Yard(House):
    """The whole application with its jobs, over a fuse; what happens in it is looked at from outside."""

    fuse: Fuse
    installed: Installation
    owner: Raw

    async def mend(self) -> None:
        """The next start of the process."""
        await self.fuse.mend(self.owner)

    async def work(self) -> None:
        """Run every job until there is nothing left to do."""
        for _ in range(2):  # what one leaves for another that ran before it
            for job in jobs_of(self.installed):
                await job.run(self.database)

    async def flush_notes(self) -> None:
        """Let keys be noted as used now, so that nothing goes on beside a call."""
        await self.owner.execute("UPDATE api_keys SET last_used_at = $1", self.clock.now)
        await self.owner.execute("UPDATE operator_keys SET last_used_at = $1", self.clock.now)

    async def command(self, path: str, body: object, *, key: str) -> Any:
        """A POST of the operator API that needs an Idempotency-Key."""
        return await self.operate("POST", path, body=body, headers={"Idempotency-Key": key})


@asynccontextmanager
async def open_yard(
    dsn: str,
    folder: Path,
    *,
    random_bits: RandomBits = secrets.randbits,
    outside: Outside | None = None,
    connections: int = 6,
) -> AsyncIterator[Yard]:
    """The whole application over a database; its gateway has connections of its own, which the fuse does not reach.

    With an `outside`, mails and webhooks go there; else nobody is told anything. What a dead process still had in hand is never
    given back to the pool: where many die in tasks of their own, it needs `connections`.
    """
    clock, fuse = Clock(), Fuse()
    settings = load_settings(database_url=dsn, home=folder, allow_unsafe_database=True)
    pool = await open_pool(dsn, size=connections, connection_class=fused_connections(fuse))
    sandbox_pool = await open_pool(dsn, size=2)
    owner = await asyncpg.connect(dsn)
    database = Database(pool, clock, random_bits)
    keyring = api_keys.Keyring(database)
    gateway = cast("payments.SandboxGateway", FusedOutside(payments.SandboxGateway(sandbox_pool, clock), fuse))
    async with installation(settings) as real:
        installed = replace(
            real,
            database=database,
            gateway=gateway,
            payment_settings=replace(real.payment_settings, gateway=gateway),
        )
        if outside is not None:
            installed = outside.joined_to(installed, fuse)
    try:
        async with database.transaction() as tx:
            operator_key = (await api_keys.create_operator_key(tx, name="Test", scopes=["*"])).secret
        app: Any = make_app(installed, keyring=keyring, plane="all")
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing.test") as client:
            yield Yard(client, database, keyring, clock, operator_key, fuse=fuse, installed=installed, owner=owner)
        await keyring.close()
    finally:
        await owner.close()
        await sandbox_pool.close()
        pool.terminate()


async def footprints(owner: Raw, account_ids: Sequence[Any]) -> dict[Any, dict[str, Any]]:
    """What is stored of accounts, without what is new each time: rows by table, balances, and how things stand."""
    found: dict[Any, dict[str, Any]] = {account_id: {} for account_id in account_ids}
    tables = await owner.fetch(
        """
        SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'account_id'
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        ORDER BY relname
        """
    )
    queries = {row["relname"]: f"SELECT account_id, count(*) AS told FROM {row['relname']}" for row in tables}  # noqa: S608
    for name, told in _STANDS.items():
        table = name.partition(" ")[0]
        queries[f"{name}:"] = f"SELECT account_id, array_agg({told} ORDER BY {told}) AS told FROM {table}"  # noqa: S608
    for name, query in queries.items():
        for row in await owner.fetch(f"{query} WHERE account_id = ANY ($1) GROUP BY 1", list(account_ids)):
            found[row["account_id"]][name] = row["told"]
    return found


_STANDS = {
    "balances": "concat(regexp_replace(ledger_account, ':.*-.*', ':…'), ' ', currency, ' ', balance_minor)",
    "transfers": "concat(template, ' ', amount_minor)",
    "payments": "concat(kind, ' ', status, ' ', amount_minor, ' ', failure_reason)",
    "refunds": "concat(status, ' ', amount_minor, ' ', failure_reason)",
    "holds": "concat(status, ' ', amount_minor)",
    "outbox_events": "concat(type, ' ', dispatched_at IS NULL)",
    "invoice_states": "concat(status, ' ', paid_minor, ' ', credited_minor)",
    "idempotency_keys": "concat(route, ' ', status)",
}
