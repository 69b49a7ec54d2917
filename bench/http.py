"""G1, G5, G6, G7, G8: ours over HTTP, as a process of its own, beside a bare application, pgbench and COPY; G4 in this one."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from bench import driving, serving
from bench.measuring import PAIRS, Rate, Row, compare, row_of
from bench.serving import Estate, Process
from bench.world import PROGRAMS, World, open_world
from billing import payments, wallets
from billing.core import ids
from billing.kit.db import open_pool

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

ACCOUNTS = 64
CONNECTIONS = 32
READS = 12_000
TOP_UPS = 1_000
TOP_UPS_OF_MANY = 8_000
CALLERS = 512
INSERTS_EACH = (
    1_000  # a second: pgbench begins with sessions that have nothing at hand, and of 100 inserts a fifth pays for that
)
EVENTS = 4_000
BATCHES = 20
BATCH = 1_000
BATCH_CONNECTIONS = 4
TPS = re.compile(r"tps = ([0-9.]+)")
EVENT_P99_LIMIT_MS = 25
READ_P99_TIMES = 2
OPEN_LOOPS = 5
OPEN_S = 3
OPEN_CONNECTIONS = 64
_OPEN_SHARE = 0.4  # of the closed loop's rate: a server that is not overloaded, whose latency says something


async def rows() -> list[Row]:
    """The rows, over one database and two servers."""
    async with open_world() as world, serving.ours(world) as ours, serving.bare(world) as bare:
        estates = await serving.open_estates(ours, count=ACCOUNTS)
        sides = (world, ours, bare, estates)
        return [
            await _reads(*sides),
            await _on_one_wallet(world, estates),
            await _top_ups(world, ours, estates, callers=CALLERS, calls=TOP_UPS_OF_MANY, id="G5"),
            await _top_ups(world, ours, estates, callers=CONNECTIONS, calls=TOP_UPS, id="G5-32"),
            await _single_events(*sides),
            await _batches(world, ours, estates),
            await _at_once(ours, estates),
        ]


async def _reads(world: World, ours: Process, bare: Process, estates: Sequence[Estate]) -> Row:
    asked = [driving.request("GET", "/v1/account", key=estate.key) for estate in estates]
    plain = driving.request("GET", "/row")

    async def read() -> int:
        sent = [asked[number % ACCOUNTS] for number in range(READS)]
        (await driving.closed_loop(ours.port, sent, connections=CONNECTIONS)).require(200)
        return READS

    async def yardstick() -> int:
        (await driving.closed_loop(bare.port, [plain] * READS, connections=CONNECTIONS)).require(200)
        return READS

    found = await compare(read, yardstick, postmaster=world.postmaster, servers=(ours.pid, bare.pid))
    per_s = _OPEN_SHARE * _median_per_s(found.ours)
    sent = [asked[number % ACCOUNTS] for number in range(int(per_s * OPEN_S))]
    our_p99s_ms: list[float] = []
    plain_p99s_ms: list[float] = []
    for _ in range(OPEN_LOOPS):
        our_p99s_ms.append(await _open_p99_ms(ours, sent, per_s=per_s))
        plain_p99s_ms.append(await _open_p99_ms(bare, [plain] * len(sent), per_s=per_s))
    our_p99_ms, plain_p99_ms = statistics.median(our_p99s_ms), statistics.median(plain_p99s_ms)
    return row_of(
        found,
        id="G1",
        operation="authenticated read",
        unit="reads",
        bounds=(0.35, 0.45, 0.60),
        also=(True, our_p99_ms <= READ_P99_TIMES * plain_p99_ms, True),
        p99_ms=round(our_p99_ms, 2),
        yardstick_p99_ms=round(plain_p99_ms, 2),
        open_loop_per_s=round(per_s),
    )


async def _open_p99_ms(server: Process, sent: Sequence[bytes], *, per_s: float) -> float:
    """The p99 of requests that come at their times, in milliseconds."""
    return (await driving.open_loop(server.port, sent, per_s=per_s, connections=OPEN_CONNECTIONS)).percentile_ms(0.99)


async def _on_one_wallet(world: World, estates: Sequence[Estate]) -> Row:
    """What comes to a wallet in numbers: top-ups of callers at once, two posts each. The yardstick is our own rate over all."""
    async with await open_pool(world.dsn, size=4) as outside:
        top_ups = payments.TopUps(
            world.database, gateway=payments.SandboxGateway(outside), reserve=wallets.reserve_for_usage
        )

        async def caller(chosen: Sequence[Estate], number: int) -> None:
            for index in range(number, TOP_UPS, CONNECTIONS):
                estate = chosen[index % len(chosen)]
                started = await top_ups.start(_wanted(estate), attempt=None)
                if started is None:
                    raise RuntimeError("a top-up was left out")
                payment = started.payment
                ended = await top_ups.charge(
                    account_id=payment.account_id,
                    own_currency=payment.currency,
                    payment_id=payment.payment_id,
                    started=started,
                )
                if ended.payment.status != "completed":
                    raise RuntimeError(f"a top-up is {ended.payment.status}")

        async def post(chosen: Sequence[Estate]) -> int:
            await asyncio.gather(*(caller(chosen, number) for number in range(CONNECTIONS)))
            return 2 * TOP_UPS

        found = await compare(lambda: post(estates[:1]), lambda: post(estates), postmaster=world.postmaster)
    return row_of(found, id="G4", operation="posts on one hot wallet", unit="posts", bounds=(0.7, 0.95, 1))


def _prepared(make: Callable[[], T]) -> list[T]:
    """What is sent in each turn, made before any of them: only what is measured happens in one."""
    return [make() for _ in range(PAIRS + 1)]


def _wanted(estate: Estate) -> payments.TopUp:
    account_id, method_id = ids.decode("acc", estate.account), ids.decode("pm", estate.method)
    if account_id is None or method_id is None:
        raise RuntimeError("an estate without ids")
    return payments.TopUp(account_id=account_id, payment_method_id=method_id, currency="USD", amount_minor=500)


async def _top_ups(world: World, ours: Process, estates: Sequence[Estate], *, callers: int, calls: int, id: str) -> Row:
    """What so many callers at once get done, beside what pgbench does with 32 clients, its best."""

    def asked(number: int) -> bytes:
        estate = estates[number % ACCOUNTS]
        body = json.dumps({"amount": 5.0, "currency": "USD", "payment_method": estate.method}).encode()
        return driving.request(
            "POST",
            "/v1/account/wallets/topup",
            key=estate.key,
            body=body,
            Content_Type="application/json",
            Idempotency_Key=secrets.token_hex(8),
        )

    turns = _prepared(lambda: [asked(number) for number in range(calls)])

    async def top_up() -> int:
        answered = await driving.closed_loop(ours.port, turns.pop(), connections=callers)
        answered.require(201)
        p99s_ms.append(answered.percentile_ms(0.99))
        return calls

    p99s_ms: list[float] = []
    script = world.home / "insert.sql"
    script.write_text("INSERT INTO yardstick.rows (amount, at) VALUES (5, now());\n", "utf-8")

    async def yardstick() -> Rate:
        return await _pgbench(world, script, clients=CONNECTIONS, each=INSERTS_EACH)

    found = await compare(top_up, yardstick, postmaster=world.postmaster, servers=(ours.pid,))
    return row_of(
        found,
        id=id,
        operation=f"top-up over HTTP, {callers} callers",
        unit="top-ups",
        bounds=(0.10, 0.20, 0.33),
        p99_ms=round(statistics.median(p99s_ms), 1),
    )


async def _pgbench(world: World, script: Path, *, clients: int, each: int) -> Rate:
    command = [
        str(PROGRAMS / "pgbench"), "-n", "-f", str(script), "-c", str(clients), "-j", "2", "-t", str(each), "-M", "prepared",
        world.dsn,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaint = await process.communicate()
    told = TPS.search(said.decode())
    if told is None:
        raise RuntimeError(f"pgbench: {complaint.decode()}")
    return Rate(clients * each, clients * each / float(told[1]), 0.0)


def _event(estate_number: int, estate: Estate, moment: datetime) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": secrets.token_hex(10),
        "source": "bench",
        "type": "usage",
        "subject": f"r{estate_number}",
        "time": moment.isoformat().replace("+00:00", "Z"),
        "data": {"account_id": estate.account, "meter": "sms", "quantity": 3},
    }


def _batch(ours: Process, estates: Sequence[Estate], *, size: int, start: int) -> bytes:
    moment = datetime.now(UTC) - timedelta(minutes=1)
    events = [_event(number % ACCOUNTS, estates[number % ACCOUNTS], moment) for number in range(start, start + size)]
    return driving.request(
        "POST",
        "/operator/v1/events",
        key=ours.ready["operator_key"],
        body=json.dumps(events).encode(),
        Content_Type="application/cloudevents-batch+json",
    )


async def _single_events(world: World, ours: Process, bare: Process, estates: Sequence[Estate]) -> Row:
    plain = driving.request("GET", "/row")

    turns = _prepared(lambda: [_batch(ours, estates, size=1, start=number) for number in range(EVENTS)])

    async def ingest() -> int:
        (await driving.closed_loop(ours.port, turns.pop(), connections=CONNECTIONS)).require(200)
        return EVENTS

    async def yardstick() -> int:
        (await driving.closed_loop(bare.port, [plain] * READS, connections=CONNECTIONS)).require(200)
        return READS

    found = await compare(ingest, yardstick, postmaster=world.postmaster, servers=(ours.pid, bare.pid))
    per_s = _OPEN_SHARE * _median_per_s(found.ours)
    p99s_ms: list[float] = []
    for _ in range(OPEN_LOOPS):
        sent = [_batch(ours, estates, size=1, start=number) for number in range(int(per_s * OPEN_S))]
        p99s_ms.append(await _open_p99_ms(ours, sent, per_s=per_s))
    p99_ms = statistics.median(p99s_ms)
    return row_of(
        found,
        id="G6",
        operation="one event per POST",
        unit="events",
        bounds=(0.25, 0.4, 0.6),
        also=(p99_ms <= EVENT_P99_LIMIT_MS, True, True),
        p99_ms=round(p99_ms, 2),
        p99_spread_ms=[round(min(p99s_ms), 2), round(max(p99s_ms), 2)],
        open_loop_per_s=round(per_s),
    )


async def _batches(world: World, ours: Process, estates: Sequence[Estate]) -> Row:
    turns = _prepared(lambda: [_batch(ours, estates, size=BATCH, start=number * 17) for number in range(BATCHES)])

    async def ingest() -> int:
        (await driving.closed_loop(ours.port, turns.pop(), connections=BATCH_CONNECTIONS)).require(200)
        return BATCHES * BATCH

    columns = ("account_id", "source", "event_id", "resource_id", "meter", "quantity", "occurred_at", "recorded_at")
    accounts = [account for estate in estates if (account := ids.decode("acc", estate.account)) is not None]

    def records(start: int) -> list[tuple[object, ...]]:
        moment = datetime.now(UTC)
        return [_record(accounts, start + index, moment) for index in range(BATCH)]

    copied = _prepared(lambda: [records(number * 17) for number in range(BATCHES)])

    async def copy(batches: Sequence[list[tuple[object, ...]]]) -> None:
        async with world.pool.acquire() as connection:
            for batch in batches:
                await connection.copy_records_to_table(
                    "events", schema_name="yardstick", records=batch, columns=columns
                )

    async def yardstick() -> int:
        turn = copied.pop()
        await asyncio.gather(*(copy(turn[number::BATCH_CONNECTIONS]) for number in range(BATCH_CONNECTIONS)))
        return BATCHES * BATCH

    found = await compare(ingest, yardstick, postmaster=world.postmaster, servers=(ours.pid,))
    return row_of(found, id="G7", operation="events in batches of 1,000", unit="events", bounds=(0.075, 0.15, 0.4))


def _record(accounts: Sequence[UUID], number: int, moment: datetime) -> tuple[object, ...]:
    account = number % ACCOUNTS
    return (accounts[account], "bench", secrets.token_hex(10), f"r{account}", "sms", 3, moment, moment)


async def _at_once(ours: Process, estates: Sequence[Estate]) -> Row:
    """How often usage is in the account's figures as soon as its event was acknowledged."""
    tries, seen = 20, 0
    for number in range(tries):
        estate = estates[number % ACCOUNTS]
        before = (await serving.send(ours, "GET", "/v1/account/usage", key=estate.key))["usage"]["total_cost"]
        status, _ = await driving.ask(ours.port, _batch(ours, estates, size=1, start=number))
        after = (await serving.send(ours, "GET", "/v1/account/usage", key=estate.key))["usage"]["total_cost"]
        seen += status == 200 and round(after - before, 2) == 0.03
    share = seen / tries
    return Row(
        id="G8",
        operation="usage read after its acknowledgement",
        ours=f"{seen} of {tries} at once",
        yardstick="all at once",
        ratio=share,
        spread=(share, share),
        bounds=(1, 1, 1),
    )


def _median_per_s(rates: Sequence[Rate]) -> float:
    return sorted(rate.per_s for rate in rates)[len(rates) // 2]
