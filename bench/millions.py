"""Ten million events over HTTP, and then what is read of them: is anything slower than it was with one million?

`BENCH_EVENTS` makes it fewer. A hundredth is of resources that nobody knows, and waits in quarantine.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bench import driving, serving
from bench.measuring import Row
from bench.world import open_world
from billing import alerts, wallets

if TYPE_CHECKING:
    from bench.serving import Estate, Process
    from bench.world import World

EVENTS = int(os.environ.get("BENCH_EVENTS", "10000000"))
TENTH = EVENTS // 10
ACCOUNTS = 256
BATCH = 1_000
AT_ONCE = 100  # batches, made before they are sent
CONNECTIONS = 4
READS = 400
TICKS = 5
UNKNOWN_OF = 100
PAGE = 100
DAYS = 20


async def rows() -> list[Row]:
    """The rows, over one database and one server."""
    async with open_world() as world, serving.ours(world) as ours:
        estates = await serving.open_estates(ours, count=ACCOUNTS)
        for number, estate in enumerate(estates):
            await _watch_and_pay(ours, estate, number)
        started_at = datetime.now(UTC)
        tenths = [await _ingest(ours, estates, start=tenth * TENTH, now=started_at) for tenth in range(10)]
        until, since = started_at.date() + timedelta(days=1), started_at.date() - timedelta(days=DAYS)
        costs = f"/v1/account/analytics/costs?from_date={since}&to_date={until}&group_by="
        return [
            _ingest_row(tenths),
            *[await _read_row(ours, estates, f"{costs}{group}", f"costs by {group}") for group in ("day", "service")],
            await _read_row(ours, estates, "/v1/account/usage", "usage"),
            await _read_row(ours, estates, "/v1/account/wallets", "wallets", bounds=(20, 5, 2)),
            await _list_row(ours),
            await _tick_row(world, ours, estates),
        ]


async def _watch_and_pay(ours: Process, estate: Estate, number: int) -> None:
    """Money, so that wallets reserve for usage, and a budget that is watched."""
    paid = {"amount": 50.0, "currency": "USD", "payment_method": estate.method}
    await serving.send(
        ours, "POST", "/v1/account/wallets/topup", key=estate.key, body=paid, Idempotency_Key=f"bench-{number}"
    )
    alert = {
        "type": "budget",
        "condition": "greater_than",
        "threshold": 10_000_000,
        "currency": "USD",
        "notification_methods": ["email"],
    }
    await serving.send(ours, "POST", "/v1/account/alerts", key=estate.key, body=alert)


def _batches(estates: Sequence[Estate], *, start: int, now: datetime) -> Iterator[list[dict[str, object]]]:
    """Events of days up to now, each account's in turn; those of an account come day by day, some out of order."""
    for first in itertools.count(start, BATCH):
        yield [
            {
                "specversion": "1.0",
                "id": secrets.token_hex(10),
                "source": "bench",
                "type": "usage",
                "subject": f"r{number % ACCOUNTS}" if number % UNKNOWN_OF else "unknown",
                "time": f"{now - timedelta(days=number * 7919 % DAYS, seconds=60 + number % 3600):%Y-%m-%dT%H:%M:%SZ}",
                "data": {"account_id": estates[number % ACCOUNTS].account, "meter": "sms", "quantity": 3},
            }
            for number in range(first, first + BATCH)
        ]


async def _ingest(ours: Process, estates: Sequence[Estate], *, start: int, now: datetime) -> float:
    """A tenth of the events; how many of them a second were acknowledged."""
    took_s = 0.0
    made = _batches(estates, start=start, now=now)
    for first in range(0, TENTH, AT_ONCE * BATCH):
        count = min(AT_ONCE, (TENTH - first) // BATCH)
        sent = [
            driving.request(
                "POST",
                "/operator/v1/events",
                key=ours.ready["operator_key"],
                body=json.dumps(batch).encode(),
                Content_Type="application/cloudevents-batch+json",
            )
            for batch in itertools.islice(made, count)
        ]
        since = time.perf_counter()
        (await driving.closed_loop(ours.port, sent, connections=CONNECTIONS)).require(200)
        took_s += time.perf_counter() - since
    return TENTH / took_s


def _ingest_row(tenths: Sequence[float]) -> Row:
    first, last = tenths[0], tenths[-1]
    return Row(
        id="G7-10M",
        operation=f"{EVENTS:,} events in batches, the last tenth beside the first",
        ours=f"{last:,.0f} events/s",
        yardstick=f"{first:,.0f} events/s",
        ratio=last / first,
        spread=(min(tenths) / first, max(tenths) / first),
        bounds=(0.7, 0.85, 1),
        figures={"mean_per_s": round(statistics.harmonic_mean(tenths))},
    )


async def _read_row(
    ours: Process, estates: Sequence[Estate], path: str, what: str, *, bounds: tuple[float, float, float] = (100, 20, 5)
) -> Row:
    """One caller, account after account."""
    sent = [driving.request("GET", path, key=estates[number % ACCOUNTS].key) for number in range(READS)]
    (await driving.closed_loop(ours.port, sent[:50], connections=1)).require(200)
    answered = await driving.closed_loop(ours.port, sent, connections=1)
    answered.require(200)
    p99_ms = answered.percentile_ms(0.99)
    return Row(
        id=f"G12-10M-{what.rsplit(maxsplit=1)[-1]}",
        operation=f"{what} over HTTP after {EVENTS:,} events, p99, ms",
        ours=f"{p99_ms:.1f} ms",
        yardstick="none",
        ratio=p99_ms,
        spread=(answered.percentile_ms(0), answered.percentile_ms(1)),
        bounds=bounds,
        better="less",
        figures={"median_ms": round(answered.percentile_ms(0.5), 2)},
    )


async def _list_row(ours: Process) -> Row:
    """The quarantine along its cursor, from its newest event to its oldest."""
    key, cursor, ms = ours.ready["operator_key"], None, list[float]()
    while cursor or not ms:
        query = f"per_page={PAGE}" + (f"&cursor={cursor}" if cursor else "")
        since = time.perf_counter()
        page = await serving.send(ours, "GET", f"/operator/v1/events/quarantine?{query}", key=key)
        ms.append((time.perf_counter() - since) * 1e3)
        cursor = page["meta"]["next_cursor"]
    tenth = max(1, len(ms) // 10)
    first, last = statistics.median(ms[:tenth]), statistics.median(ms[-tenth:])
    return Row(
        id="G12-10M-list",
        operation=f"a list of {EVENTS // UNKNOWN_OF:,}, its last pages beside its first",
        ours=f"{last:.2f} ms",
        yardstick=f"{first:.2f} ms",
        ratio=last / first,
        spread=(min(ms) / first, max(ms) / first),
        bounds=(1.5, 1.2, 1.05),
        better="less",
    )


async def _tick_row(world: World, ours: Process, estates: Sequence[Estate]) -> Row:
    """A tick in which the budgets of all accounts are looked at, for each has had events."""
    ms: list[float] = []
    for tick in range(TICKS + 1):
        batch = next(_batches(estates, start=tick * BATCH, now=datetime.now(UTC)))
        sent = driving.request(
            "POST",
            "/operator/v1/events",
            key=ours.ready["operator_key"],
            body=json.dumps(batch).encode(),
            Content_Type="application/cloudevents-batch+json",
        )
        (await driving.closed_loop(ours.port, [sent], connections=1)).require(200)
        since = time.perf_counter()
        await alerts.evaluate_due(world.database, reserve=wallets.reserve_for_usage)
        ms.append((time.perf_counter() - since) * 1e3)
    median = statistics.median(ms[1:])
    return Row(
        id="G14-10M",
        operation=f"alerts' tick of {ACCOUNTS} accounts after {EVENTS:,} events, ms",
        ours=f"{median:.0f} ms",
        yardstick="none",
        ratio=median,
        spread=(min(ms[1:]), max(ms[1:])),
        bounds=(500, 100, 50),
        better="less",
    )
