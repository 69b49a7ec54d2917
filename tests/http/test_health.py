"""Probes and metrics tell the truth: with the database away, the schema behind, jobs that nobody runs, and alarms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio
import structlog

from billing.app import health
from billing.app.metrics import Measured
from billing.kit import log
from billing.kit.web import ANSWERED
from tests.support import databases, postgres
from tests.support.house import House, open_house

JOBS = ("outbox.relay", "invoices.close")


@pytest_asyncio.fixture
async def name(database_server: Path) -> AsyncIterator[str]:
    made = await databases.clone(database_server)
    yield made
    await databases.drop(database_server, made)


@pytest_asyncio.fixture
async def dsn(database_server: Path, name: str) -> str:
    return postgres.dsn(database_server, name)


@pytest_asyncio.fixture
async def house(dsn: str) -> AsyncIterator[House]:
    async with open_house(dsn, plain=health.HANDLERS, values={"job_names": JOBS}) as opened:
        yield opened


@pytest_asyncio.fixture
async def owner(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def figures(house: House) -> dict[str, float]:
    """Every metric of ours with its labels."""
    text = (await house.call("GET", "/metrics")).text
    found = re.findall(r"^(lineserve_[^ ]+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


class TestReady:
    async def test_is_ok_where_all_is_well(self, house: House) -> None:
        assert (await house.call("GET", "/readyz")).text == '{"status":"ok"}'
        assert (await house.call("GET", "/livez")).text == '{"status":"ok"}'

    async def test_is_not_without_the_database(self, house: House, database_server: Path, name: str) -> None:
        outside = await asyncpg.connect(postgres.dsn(database_server, "postgres"))
        try:
            await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await outside.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            reply = await house.call("GET", "/readyz")
            assert (reply.status, reply.code) == (503, "unavailable")
            assert int(reply.headers["Retry-After"]) > 0
            assert (await house.call("GET", "/livez")).status == 200
            assert (await figures(house))["lineserve_database_up"] == 0
            await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert (await house.call("GET", "/readyz")).status == 200
            assert (await figures(house))["lineserve_database_up"] == 1
        finally:
            await outside.close()

    async def test_is_not_where_the_schema_lacks_a_migration(self, house: House, owner: asyncpg.Connection) -> None:
        version = await owner.fetchval(
            "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations) RETURNING version"
        )
        reply = await house.call("GET", "/readyz")
        assert (reply.status, reply.body["error"]["details"]) == (503, {"missing": [version]})

    async def test_names_the_jobs_that_nobody_runs(self, house: House, owner: asyncpg.Connection) -> None:
        await owner.execute(
            """
            INSERT INTO queue.pgqueuer_schedules (expression, entrypoint, next_run, heartbeat)
            VALUES ('* * * * *', 'outbox.relay', now() - interval '3 minutes', now() - interval '3 minutes'),
                   ('* * * * *', 'invoices.close', now() - interval '1 second', now() - interval '1 second'),
                   ('* * * * *', 'of.an.older.program', now() - interval '3 years', now() - interval '3 years')
            """
        )
        reply = await house.call("GET", "/readyz")
        assert (reply.status, reply.body) == (200, {"status": "degraded", "overdue_jobs": ["outbox.relay"]})
        seen = await figures(house)
        assert 179 < seen['lineserve_job_overdue_seconds{job="outbox.relay"}'] < 240
        assert seen['lineserve_job_overdue_seconds{job="invoices.close"}'] < 60


class TestMetrics:
    async def test_tell_what_waits_and_what_is_stuck(self, house: House, owner: asyncpg.Connection) -> None:
        await owner.execute(
            """
            INSERT INTO outbox_events (account_id, event_id, type, object_id, payload, created_at, relay_failures)
            SELECT gen_random_uuid(), gen_random_uuid(), 'x', 'x', '{}', $1::timestamptz - interval '90 seconds', 5 * (n % 2)
            FROM generate_series(1, 2) AS n
            """,
            house.clock(),
        )
        seen = await figures(house)
        assert seen['lineserve_waiting_seconds{work="events"}'] == 90
        assert seen['lineserve_stuck{work="refused_events"}'] == 1
        assert seen['lineserve_waiting_seconds{work="runs"}'] == 0
        assert seen['lineserve_database_connections{state="most"}'] == 4

    async def test_count_answers_by_route_and_not_by_path(self, house: House) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["path_template"] = "/v1/projects/{project_id}"
            scope[ANSWERED] = 201

        for method in ("GET", "GET", "EVIL"):
            await Measured(app)({"type": "http", "method": method}, None, None)
        seen = await figures(house)
        route = 'route="/v1/projects/{project_id}",status="201"'
        assert seen[f'lineserve_http_responses_total{{method="GET",{route}}}'] == 2
        assert seen[f'lineserve_http_responses_total{{method="other",{route}}}'] == 1
        assert seen["lineserve_http_response_seconds_count"] >= 3

    async def test_count_alarms_by_name_and_denials_by_code(self, house: House) -> None:
        before = await figures(house)
        for event, members in (("job_failed", {}), ("denied", {"code": "forbidden"}), ("said", {})):
            level = "info" if event == "said" else "warning"
            log.count_alarms(structlog.get_logger(), level, {"event": event, "level": level, **members})
        log.count_alarms(structlog.get_logger(), "error", {"event": "of a library", "level": "error", "logger": "x"})
        after = await figures(house)
        grown = {name for name, value in after.items() if value - before.get(name, 0) == 1 and "_total" in name}
        assert grown == {'lineserve_alarms_total{event="job_failed"}', 'lineserve_denied_total{code="forbidden"}'}
