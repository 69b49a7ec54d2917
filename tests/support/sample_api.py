"""A small API that has each kind of handler, served by a real server on the loopback address."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import httpx2
import msgspec
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, delete, get, post, put

from billing.core.errors import Fault, Refused, Unauthorized, Unavailable
from billing.kit.auth import Caller, Operator
from billing.kit.db import Database, Tx
from billing.kit.web import (
    Answer,
    Check,
    Command,
    DateFilter,
    PageQuery,
    RawBody,
    RawQuery,
    build_app,
    meta,
    window_of,
)

ONE, OTHER, SUSPENDED = UUID(int=1), UUID(int=2), UUID(int=3)
KEYS = {
    "ls_test_one": Caller(
        account_id=ONE, key_id=ONE, permissions=frozenset({"read", "write"}), account_status="active", currency="USD"
    ),
    "ls_test_other": Caller(
        account_id=OTHER,
        key_id=OTHER,
        permissions=frozenset({"read", "write"}),
        account_status="active",
        currency="USD",
    ),
    "ls_test_reads": Caller(
        account_id=ONE, key_id=ONE, permissions=frozenset({"read"}), account_status="active", currency="USD"
    ),
    "ls_test_suspended": Caller(
        account_id=SUSPENDED,
        key_id=SUSPENDED,
        permissions=frozenset({"read", "write"}),
        account_status="suspended",
        currency="USD",
    ),
}
OPERATORS = {
    "ls_op_all": Operator(key_id=UUID(int=9), name="all", scopes=frozenset({"*"})),
    "ls_op_audit": Operator(key_id=UUID(int=8), name="audit", scopes=frozenset({"audit"})),
}


class Line(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    quantity: Decimal
    units: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1


def _checked_faults(*, name: str, labels: dict[str, str]) -> list[Fault]:
    return [Fault("body", "labels", "must be empty for checked")] if name == "checked" and labels else []


class ThingCreate(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    amount: Decimal
    kind: Literal["card", "bank_account"] = "card"
    is_default: bool = False
    note: str | None = None
    starts_at: datetime | msgspec.UnsetType = msgspec.UNSET
    day: date | None = None
    lines: Annotated[list[Line], msgspec.Meta(max_length=3)] = []
    labels: dict[str, str] = {}

    checks: ClassVar[tuple[Check, ...]] = (_checked_faults,)


class ThingsQuery(PageQuery, kw_only=True, frozen=True, forbid_unknown_fields=True):
    from_date: DateFilter | None = None
    to_date: DateFilter | None = None
    kind: Literal["card", "bank_account"] | None = None
    detailed: bool = False


class Event(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    id: str
    quantity: Decimal


class NotToday(Refused):
    """The sample refuses."""

    message = "Not today"


async def read_caller(*, token: str, ip: str) -> Caller:
    if token not in KEYS:
        raise Unauthorized
    return KEYS[token]


async def read_operator(*, token: str, ip: str) -> Operator:
    if token not in OPERATORS:
        raise Unauthorized
    return OPERATORS[token]


async def record(tx: Tx, *, account_id: UUID, kind: str) -> UUID:
    """An effect that can be counted."""
    event_id = tx.new_id()
    await tx.connection.execute(
        "INSERT INTO outbox_events (account_id, event_id, type, object_id, payload, created_at) VALUES ($1,$2,$3,'','{}',$4)",
        account_id,
        event_id,
        kind,
        tx.now,
    )
    return event_id


@dataclass
class Gateway:
    """The outside world of the staged handler: what it was asked, and how it fails."""

    asked: list[str] = field(default_factory=list[str])
    failures: list[Exception] = field(default_factory=list[Exception])
    delay_s: float = 0


@get("/things")
async def list_things(*, reader: Caller, query: RawQuery) -> dict[str, Any]:
    wanted, page = query.read_page(ThingsQuery)
    start, end = window_of(wanted.from_date, wanted.to_date)
    shown = {"kind": wanted.kind, "detailed": wanted.detailed, "start": start, "end": end}
    numbers = range(1, 61)
    found = page.of_whole(numbers, types=(int,), key=lambda number: (number,))
    return {"things": [shown], "numbers": found.items, "meta": meta(page, found)}


@get("/things/{thing_id:str}")
async def show_thing(*, reader: Caller, thing_id: str) -> dict[str, Any]:
    return {"id": thing_id, "amount": Decimal("25.00"), "large": Decimal("12345678901234567.89")}


@post("/things")
async def create_thing(*, writer: Caller, body: RawBody, command: Command, gateway: Gateway) -> Answer:
    wanted = body.read(ThingCreate)

    async def work(tx: Tx) -> dict[str, Any]:
        if wanted.name == "contended":
            gateway.asked.append("again")
            await record(tx, account_id=writer.account_id, kind="contended")
            if gateway.failures:
                raise gateway.failures.pop()
        event_id = await record(tx, account_id=writer.account_id, kind="created")
        if wanted.name == "refused":
            raise NotToday
        if wanted.name == "broken":
            raise RuntimeError("the secret of the house")
        await asyncio.sleep(0.02)
        return {"id": str(event_id), "amount": wanted.amount, "note": wanted.note, "key": "shown-once"}

    return await command.run(
        work,
        status=201,
        location=lambda answer: f"/things/{answer['id']}",
        stored=lambda answer: {**answer, "key": None},
    )


@put("/things/{thing_id:str}", opt={"suspended_ok": True})
async def change_thing(*, writer: Caller, thing_id: str, body: RawBody) -> dict[str, Any]:
    wanted = body.read(ThingCreate)
    shown = {} if wanted.starts_at is msgspec.UNSET else {"starts_at": wanted.starts_at}
    return {"id": thing_id, "amount": wanted.amount, "labels": wanted.labels, **shown}


@delete("/things/{thing_id:str}")
async def delete_thing(*, writer: Caller, thing_id: str, command: Command) -> Answer:
    async def work(tx: Tx) -> None:
        await record(tx, account_id=writer.account_id, kind="deleted")

    return await command.run(work, status=204)


@post("/payments")
async def pay(*, writer: Caller, body: RawBody, command: Command, db: Database, gateway: Gateway) -> Answer:
    wanted = body.read(ThingCreate)

    async def start(tx: Tx) -> dict[str, Any]:
        return {"payment_id": str(await record(tx, account_id=writer.account_id, kind="started"))}

    async def finish(intent: dict[str, Any]) -> dict[str, Any]:
        gateway.asked.append(intent["payment_id"])
        await asyncio.sleep(gateway.delay_s)
        if gateway.failures:
            raise gateway.failures.pop()
        async with db.transaction() as tx:
            await record(tx, account_id=writer.account_id, kind="settled")
        return {"payment_id": intent["payment_id"], "amount": wanted.amount}

    return await command.run_staged(start=start, finish=finish, location=lambda made: f"/payments/{made['payment_id']}")


@get("/failures/{kind:str}")
async def fail(*, reader: Caller, kind: str, db: Database) -> dict[str, Any]:
    async with db.transaction() as tx:
        match kind:
            case "bug":
                raise RuntimeError("the secret of the house")
            case "slow":
                await tx.connection.execute("SET LOCAL statement_timeout = 20; SELECT pg_sleep(10)")
            case "torn":
                tx.connection.terminate()
                await tx.connection.execute("SELECT 1")
            case "overflow":
                await tx.connection.execute("SELECT 10::numeric(3, 2) * $1::numeric", Decimal(1))
            case "unencodable":
                await tx.connection.fetchval("SELECT $1::int", 2**40)
            case "sql":
                await tx.connection.execute("SELECT * FROM secret_table")
            case _:
                raise Unavailable
    return {}


@post("/events")
async def ingest(*, metering_operator: Operator, body: RawBody) -> dict[str, Any]:
    items = body.read_json_array(Event, media_type="application/cloudevents-batch+json", max_items=3)
    return {
        "results": [
            {"id": item.value.id if item.value else None, "reasons": [f"{f.path} {f.reason}" for f in item.faults]}
            for item in items
        ]
    }


@post("/credits")
async def grant(*, billing_operator: Operator, body: RawBody, command: Command) -> Answer:
    command.require_key()
    wanted = body.read(ThingCreate)

    async def work(tx: Tx) -> dict[str, Any]:
        await record(tx, account_id=billing_operator.key_id, kind="granted")
        return {"note": wanted.note}

    return await command.run(work, status=201)


@get("/big")
async def show_big(*, reader: Caller) -> dict[str, Any]:
    return {"numbers": list(range(2_000))}


@get("/document")
async def show_document(*, reader: Caller) -> Answer:
    return Answer(body=b"%PDF" + b" " * 5_000, media_type="application/pdf")


@get("/named/{name:path}")
async def show_named(*, reader: Caller, name: str) -> dict[str, Any]:
    return {"name": name}


@get("/livez")
async def livez() -> dict[str, Any]:
    return {"ok": True}


PUBLIC = [
    list_things,
    show_thing,
    create_thing,
    change_thing,
    delete_thing,
    pay,
    fail,
    show_big,
    show_document,
    show_named,
]
OPERATOR = [ingest, grant]


def make_app(database: Database, *, gateway: Gateway | None = None, cors_origins: Sequence[str] = ()) -> Litestar:
    """The sample application."""
    return build_app(
        database=database,
        read_caller=read_caller,
        read_operator=read_operator,
        public=PUBLIC,
        operator=OPERATOR,
        plain=[livez],
        values={"gateway": gateway or Gateway()},
        cors_origins=cors_origins,
    )


@asynccontextmanager
async def served(app: Litestar) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application behind a real server on a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logging.getLogger("_granian").setLevel("ERROR")
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    task = asyncio.create_task(server.serve())
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        await _until_ready(client)
        try:
            yield client
        finally:
            server.stop()
            await task


async def _until_ready(client: httpx2.AsyncClient) -> None:
    for _ in range(100):
        try:
            await client.get("/livez")
        except httpx2.TransportError:
            await asyncio.sleep(0.05)
        else:
            return
    raise TimeoutError("the server did not start")
