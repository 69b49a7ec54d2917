"""What /metrics tells: calls as they are answered, and what waits in the database, read when asked for. Alarms: kit/log.py."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import REGISTRY, Gauge
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from billing.kit.web import ANSWERED

if TYPE_CHECKING:
    from litestar.types import LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send
    from prometheus_client.metrics_core import Metric

    from billing.kit.db import Connection, Pool

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DATABASE_UP = Gauge("lineserve_database_up", "Whether the database answered when this was read")
_POOL = Gauge("lineserve_database_connections", "Connections of this process's pool", ["state"])
_WAITING = Gauge("lineserve_waiting_seconds", "How long the oldest piece of work of a kind has been due", ["work"])
_STUCK = Gauge("lineserve_stuck", "Pieces of work that somebody has to look at", ["work"])
_OVERDUE = Gauge("lineserve_job_overdue_seconds", "How long ago a job should have run", ["job"])

# Each kind of work with the age of its oldest piece that is due; indexes hold only what waits, so that this is cheap.
_WAITING_SQL = """
    SELECT 'events' AS work, min(greatest(created_at, relay_due_at)) AS since FROM outbox_events WHERE relayed_at IS NULL
    UNION ALL
    SELECT 'payments', min(next_check_at) FROM payments WHERE status = 'pending' AND next_check_at < $1
    UNION ALL
    SELECT 'refunds', min(next_check_at) FROM refunds WHERE status = 'pending' AND next_check_at < $1
    UNION ALL
    SELECT 'runs', min(created_at) FROM runs WHERE status IN ('queued', 'running')
"""
_STUCK_SQL = """
    SELECT 'refused_events' AS work, count(*) AS pieces FROM outbox_events WHERE relayed_at IS NULL AND relay_failures >= 5
    UNION ALL
    SELECT 'quarantined_events', count(*)
    FROM (SELECT FROM quarantined_events WHERE resolved_at IS NULL LIMIT 10000) AS first_ones
"""
_OVERDUE_SQL = """
    SELECT entrypoint, extract(epoch FROM now() - max(greatest(next_run, heartbeat)))::float8 AS overdue_s
    FROM queue.pgqueuer_schedules
    WHERE entrypoint = ANY ($1)
    GROUP BY entrypoint
"""


class Served(Protocol):
    """An ASGI application."""

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """Serve."""
        ...


class _Answers(Collector):
    """The answers so far: the library's own counters, each with its lock, cost a read the twentieth of its time."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._within = [0] * (len(_BOUNDS_S) + 1)  # by bound, the last by none
        self._took_s = 0.0

    def note(self, labels: tuple[str, str, int], took_s: float) -> None:
        """Count an answer, and how long it took."""
        self._counts[labels] = self._counts.get(labels, 0) + 1
        self._within[bisect_left(_BOUNDS_S, took_s)] += 1
        self._took_s += took_s

    def collect(self) -> Iterator[Metric]:
        """What the library shows."""
        answers = CounterMetricFamily(
            "lineserve_http_responses", "Answers by method, route and status", labels=("method", "route", "status")
        )
        for labels, count in self._counts.items():
            answers.add_metric([str(label) for label in labels], count)
        yield answers
        seconds = HistogramMetricFamily(
            "lineserve_http_response_seconds", "Time from a call's first byte to its answer's last"
        )
        bounds = [*map(str, _BOUNDS_S), "+Inf"]
        seconds.add_metric([], [*zip(bounds, accumulate(self._within), strict=True)], self._took_s)
        yield seconds


_ANSWERS = _Answers()
REGISTRY.register(_ANSWERS)


class Measured:
    """An application whose answers are counted and timed, by route and not by path, so that no caller makes up labels."""

    def __init__(self, app: Served) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            labels = (method, scope.get("path_template", ""), scope.get(ANSWERED, 500))
            _ANSWERS.note(labels, time.perf_counter() - start)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def read_pool(pool: Pool) -> None:
    """How many connections there are, and how many of them wait for work."""
    _POOL.labels("open").set(pool.get_size())
    _POOL.labels("idle").set(pool.get_idle_size())
    _POOL.labels("most").set(pool.get_max_size())


def note_database(*, is_up: bool) -> None:
    """Whether it answered."""
    _DATABASE_UP.set(is_up)


async def read_waiting(connection: Connection, *, now: datetime, jobs: tuple[str, ...]) -> None:
    """Read what waits, and since when."""
    for row in await connection.fetch(_WAITING_SQL, now):
        waited_s = 0.0 if row["since"] is None else (now - row["since"]).total_seconds()
        _WAITING.labels(row["work"]).set(max(0.0, waited_s))
    for row in await connection.fetch(_STUCK_SQL):
        _STUCK.labels(row["work"]).set(row["pieces"])
    for job, overdue_s in (await read_overdue(connection, jobs=jobs)).items():
        _OVERDUE.labels(job).set(overdue_s)


async def read_overdue(connection: Connection, *, jobs: tuple[str, ...]) -> dict[str, float]:
    """How many seconds ago each job should have run; 0 for one that is on time, none for one that never ran."""
    rows = await connection.fetch(_OVERDUE_SQL, list(jobs))
    return {row["entrypoint"]: max(0.0, row["overdue_s"]) for row in rows}
