"""G9, G10, G12, G13 and G14: months of 100,000 accounts closed, summed, looked into and watched, in one world."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bench import estate
from bench.measuring import Rate, Row, Work, measure
from bench.world import World, open_world
from billing import alerts, invoices, wallets
from billing.analytics.model import DaySpan
from billing.analytics.operations import costs, keeping, totals
from billing.app.serve import settle_memory
from billing.core.period import Period
from billing.invoices.operations import closing
from billing.kit.config import Settings
from billing.kit.db import Database

if TYPE_CHECKING:
    from asyncpg.connection import LoggedQuery

    from billing.analytics.model import Grouping

ACCOUNTS = int(os.environ.get("BENCH_ACCOUNTS", "100000"))
LANES: int = Settings.model_fields["close_lanes"].default
USAGE_DAYS = 10
MONTHS = [Period(2024, 1), Period(2024, 2), Period(2024, 3)]
OPEN_MONTH = Period(2024, 4)
OPEN_NOW = datetime(2024, 4, 20, tzinfo=UTC)
GROUPINGS: tuple[Grouping, ...] = ("day", "week", "month", "service", "project", "region")
LARGE = UUID("01900000-0000-7000-9000-000000000001")
LARGE_RESOURCES = 50
LARGE_NOW = datetime(2024, 12, 20, 12, tzinfo=UTC)
READS = 100
RULES_EACH = 10
TOUCHED = 1_000
TICKS = 5
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024


@dataclass(slots=True)
class _Closed:
    """A month that was closed, by us and by the yardstick."""

    ours: Rate
    yardstick: Rate
    steps_s: list[float]
    rss_mb: tuple[int, int]
    """Resident memory of this process after a tenth of the steps, and the most after that."""

    @property
    def times_yardstick(self) -> float:
        return self.ours.elapsed_s / self.yardstick.elapsed_s


async def rows() -> list[Row]:
    """All of them, over one database."""
    async with open_world() as world:
        await _prepare(world)
        closed = [
            await _close(world, MONTHS[0], lanes=LANES),
            await _close(world, MONTHS[1], lanes=1),
            await _close(world, MONTHS[2], lanes=LANES, yardstick_first=True),
        ]
        found = [_closing_row(closed[::2]), *_sharing_rows(shared=closed[::2], alone=closed[1])]
        found.append(await _totals(world))
        found.append(await _alerts_tick(world))
        return [*found, *await _reads(world)]


async def _prepare(world: World) -> None:
    await estate.publish_prices(world)
    async with world.owner() as owner:
        await owner.execute((Path(__file__).parent / "sql" / "y7.sql").read_text("utf-8"))
        await estate.settle(owner, first=1, last=ACCOUNTS)
        for month in (*MONTHS, OPEN_MONTH):
            await estate.use(owner, period=month, days=USAGE_DAYS)


def _database(world: World, now: datetime) -> Database:
    return Database(world.pool, lambda: now)


async def _close(world: World, period: Period, *, lanes: int, yardstick_first: bool = False) -> _Closed:
    """A month, closed by us and by the yardstick; raises RuntimeError unless both have written the same."""
    now = period.next().start.replace(day=2)
    database = _database(world, now)
    stamps: list[float] = []
    resident_mb: list[int] = []

    def note() -> None:
        stamps.append(time.perf_counter())
        resident_mb.append(_resident_mb())

    async def ours() -> int:
        async with database.transaction() as tx:
            run_id = (await invoices.request_run(tx, period=period)).run_id
        stamps.append(time.perf_counter())
        await closing.complete(database, run_id=run_id, lanes=lanes, on_step=note)
        async with database.snapshot() as tx:
            progress = (await invoices.get_progress(tx.connection, run_ids=[run_id]))[run_id]
        if progress.invoices != ACCOUNTS:
            raise RuntimeError(f"{progress.invoices} invoices for {ACCOUNTS} accounts")
        return ACCOUNTS

    async def yardstick() -> int:
        async with world.owner() as owner:
            return await owner.fetchval(
                "SELECT y7.close($1, $2, $3, $4, $5, $6)",
                period.start_date,
                period.start,
                period.end,
                f"INV-{now.year}",
                MONTHS.index(period) * ACCOUNTS,
                now,
            )

    async def turn(work: Work) -> Rate:
        async with world.owner() as owner:
            await owner.execute("CHECKPOINT")  # neither pays for pages that the other left to be written
        return await measure(work, postmaster=world.postmaster)

    their_rate = await turn(yardstick) if yardstick_first else None
    our_rate = await turn(ours)
    their_rate = their_rate or await turn(yardstick)
    async with world.owner() as owner:
        differing = await owner.fetchval("SELECT y7.differing($1)", period.start_date)
        if differing:
            raise RuntimeError(f"{differing} rows of {period} are not the yardstick's")
    steps_s = [after - before for before, after in pairwise(stamps)]
    early = max(1, len(resident_mb) // 10)
    return _Closed(our_rate, their_rate, steps_s, (resident_mb[early], max(resident_mb[early:])))


def _resident_mb() -> int:
    return int(int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_KB / 1024)


def _closing_row(closed: list[_Closed]) -> Row:
    ratios = [month.times_yardstick for month in closed]
    best = min(closed, key=lambda month: month.times_yardstick)
    return Row(
        id="G9",
        operation=f"close of {ACCOUNTS:,} accounts with {5 * ACCOUNTS:,} lines, in times Y7",
        ours=f"{best.ours.elapsed_s:.1f} s",
        yardstick=f"{best.yardstick.elapsed_s:.1f} s",
        ratio=statistics.median(ratios),
        spread=(min(ratios), max(ratios)),
        bounds=(4, 2, 1.3),
        better="less",
        figures={
            "cpu_us": round(best.ours.cpu_us, 1),
            "yardstick_cpu_us": round(best.yardstick.cpu_us, 1),
            "cpu_ratio": round(statistics.median(m.ours.cpu_s / m.yardstick.cpu_s for m in closed), 2),
            "resident_mb": closed[-1].rss_mb,
        },
    )


def _sharing_rows(*, shared: list[_Closed], alone: _Closed) -> list[Row]:
    drafts = -(-ACCOUNTS // (closing.CHUNK * closing.DRAFTED_AT_ONCE))
    shares = [100 * alone.steps_s[drafts + 1] / alone.ours.elapsed_s]
    gains = [alone.ours.elapsed_s / month.ours.elapsed_s for month in shared]
    numbering = Row(
        id="G10",
        operation="numbering's part of that close, %",
        ours=f"{statistics.median(shares):.1f} %",
        yardstick="the close",
        ratio=statistics.median(shares),
        spread=(min(shares), max(shares)),
        bounds=(5, 2, 0.5),
        better="less",
    )
    second = Row(
        id="G10-workers",
        operation="gain of a second lane",
        ours=f"{statistics.median(month.ours.elapsed_s for month in shared):.1f} s",
        yardstick=f"{alone.ours.elapsed_s:.1f} s",
        ratio=statistics.median(gains),
        spread=(min(gains), max(gains)),
        bounds=(1.3, 1.6, 1.9),
    )
    return [numbering, second]


async def _totals(world: World) -> Row:
    """What all accounts' open month comes to, rated from usage, as the operator is told it."""
    seconds: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        found = await totals.total_month(_database(world, OPEN_NOW), period=OPEN_MONTH)
        seconds.append(time.perf_counter() - started)
        if found.by_currency["USD"].accounts != ACCOUNTS:
            raise RuntimeError(f"totals of {found.by_currency['USD'].accounts} of {ACCOUNTS} accounts")
    return _timed("G13", f"totals of a month of {ACCOUNTS:,} accounts, s", seconds, (5, 2, 0.5), unit="s")


async def _alerts_tick(world: World) -> Row:
    """A tick with 1,000 touched accounts of those that a million rules watch; none is crossed."""
    async with world.owner() as owner:
        await owner.execute(
            """
            INSERT INTO alerts (account_id, alert_id, type, condition, threshold, currency, methods, revision, created_at)
            SELECT account_id, md5(number || '-' || rule)::uuid, CASE WHEN rule % 2 = 0 THEN 'budget' ELSE 'balance' END,
                CASE WHEN rule % 2 = 0 THEN 'greater_than' ELSE 'less_than' END, CASE WHEN rule % 2 = 0 THEN 100000000 ELSE 1 END,
                'USD', '{email}', 1, '2024-01-01Z'
            FROM bench_accounts
            CROSS JOIN generate_series(1, $1::integer) AS rule
            WHERE number % 2 = 0 OR rule % 2 = 0
            """,
            RULES_EACH,
        )
        await owner.execute("INSERT INTO watched_accounts (account_id) SELECT account_id FROM bench_accounts")
        await owner.execute("VACUUM ANALYZE")
        ms: list[float] = []
        for tick in range(TICKS + 1):
            await owner.execute(
                """
                SELECT touch_accounts(array_agg(account_id)) FROM bench_accounts WHERE number BETWEEN $1 AND $1 + $2 - 1
                """,
                tick * TOUCHED + 1,
                TOUCHED,
            )
            started = time.perf_counter()
            await alerts.evaluate_due(_database(world, OPEN_NOW), reserve=wallets.reserve_for_usage)
            ms.append((time.perf_counter() - started) * 1e3)
            await owner.execute("UPDATE watched_accounts SET next_due_at = NULL WHERE next_due_at IS NOT NULL")
    return _timed(
        "G14", f"alerts' tick: {TOUCHED:,} touched of {ACCOUNTS:,} watched, ms", ms[1:], (500, 100, 50), unit="ms"
    )


async def _reads(world: World) -> list[Row]:
    """A large account among the others: its costs by each group, its wallet with the live reserve."""
    async with world.owner() as owner:
        await estate.settle_large(owner, account_id=LARGE, resources=LARGE_RESOURCES)
        await estate.use_large(owner, account_id=LARGE, first=date(2024, 1, 1), last=date(2024, 12, 20))
        await owner.execute("VACUUM ANALYZE")
    for month in range(1, 12):
        database = _database(world, datetime(2024, month + 1, 2, tzinfo=UTC))
        async with database.transaction() as tx:
            run_id = (await invoices.request_run(tx, period=Period(2024, month), only_accounts=[LARGE])).run_id
        await closing.complete(database, run_id=run_id)
    database = _database(world, LARGE_NOW)
    await keeping.keep_closed(database)
    settle_memory()  # as a server does: the collector else stopped each 26th read, for three times as long as it takes
    async with world.owner() as owner:
        await owner.execute("VACUUM ANALYZE")
    year = DaySpan(date(2024, 1, 1), date(2025, 1, 1))

    def break_down(grouping: Grouping) -> Callable[[], Awaitable[Any]]:
        async def read() -> None:
            async with database.snapshot() as tx:
                await costs.break_down(tx.connection, account_id=LARGE, days=year, group_by=grouping, now=LARGE_NOW)

        return read

    async def wallet() -> None:
        async with database.snapshot() as tx:
            await wallets.list_wallets(
                tx.connection, account_id=LARGE, own_currency="USD", now=LARGE_NOW, reserve=wallets.reserve_for_usage
            )

    found = [
        await _read_row(
            database,
            f"G12-{grouping}",
            f"costs of 12 months by {grouping}, p99, ms",
            break_down(grouping),
            (100, 20, 5),
            target_is_of_database=True,
        )
        for grouping in GROUPINGS
    ]
    return [
        *found,
        await _read_row(
            database, "G12-wallet", f"wallet of {LARGE_RESOURCES} resources, rated, p99, ms", wallet, (20, 5, 2)
        ),
    ]


async def _read_row(
    database: Database,
    id: str,
    operation: str,
    read: Callable[[], Awaitable[Any]],
    bounds: tuple[float, float, float],
    *,
    target_is_of_database: bool = False,
) -> Row:
    """Times of a read, and of them what it waits for its statements, which G12's target is about."""
    ms: list[float] = []
    database_ms: list[float] = []
    statements: list[LoggedQuery] = []
    async with database.pool.acquire() as session:  # the one that was lent last is lent next
        session.add_query_logger(statements.append)
    for _ in range(3):
        await read()
    for _ in range(READS):
        statements.clear()
        started = time.perf_counter()
        await read()
        ms.append((time.perf_counter() - started) * 1e3)
        await asyncio.sleep(0)  # the driver tells later
        database_ms.append(sum(one.elapsed for one in statements) * 1e3)
    async with database.pool.acquire() as session:
        session.remove_query_logger(statements.append)
    p99, database_p99 = (sorted(found)[READS * 99 // 100 - 1] for found in (ms, database_ms))
    return Row(
        id=id,
        operation=operation,
        ours=f"{p99:.1f} ms",
        yardstick="none",
        ratio=p99,
        spread=(min(ms), max(ms)),
        bounds=bounds,
        better="less",
        target_by=database_p99 if target_is_of_database else None,
        figures={"median_ms": round(statistics.median(ms), 2), "database_p99_ms": round(database_p99, 2)},
    )


def _timed(id: str, operation: str, found: list[float], bounds: tuple[float, float, float], *, unit: str) -> Row:
    median = statistics.median(found)
    return Row(
        id=id,
        operation=operation,
        ours=f"{median:.2f} {unit}",
        yardstick="none",
        ratio=median,
        spread=(min(found), max(found)),
        bounds=bounds,
        better="less",
    )
