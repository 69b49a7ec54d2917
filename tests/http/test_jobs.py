"""GET /operator/v1/jobs: whether the work that nobody calls for is done, and what waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest_asyncio

from billing.app import check
from billing.app.jobs import list_jobs
from billing.kit import jobs
from tests.support.house import House, open_house

WORKER = UUID(int=1)


@pytest_asyncio.fixture
async def house(database_dsn: str) -> AsyncIterator[House]:
    async with open_house(database_dsn, operator=[list_jobs]) as opened:
        yield opened


async def run(house: House, job: str, *, failure: str | None = None) -> None:
    """A run of a job in the present period."""
    async with house.database.reading() as tx:
        period_at = jobs.period_of(await tx.connection.fetchval("SELECT now()"), every_s=10)
        assert await jobs.begin(tx.connection, job=job, period_at=period_at, worker_id=WORKER)
        await jobs.end(tx.connection, job=job, period_at=period_at, worker_id=WORKER, failure=failure)


async def age(house: House, job: str, minutes: int) -> None:
    """Let a job have stood as it does since some minutes ago."""
    async with house.database.reading() as tx:
        await tx.connection.execute(
            """
            UPDATE jobs SET registered_at = registered_at - span, started_at = started_at - span,
                succeeded_at = succeeded_at - span, period_at = period_at - span
            FROM make_interval(mins => $2) AS span
            WHERE job = $1
            """,
            job,
            minutes,
        )


async def shown(house: House) -> dict[str, dict[str, Any]]:
    reply = await house.operate("GET", "/jobs")
    assert reply.status == 200, reply.text
    return {one["name"]: one for one in reply.body["jobs"]}


async def violations(house: House) -> int:
    async with house.database.snapshot() as tx:
        [found] = await check.GROUPS["jobs"](tx.connection, check.Scope(tx.now))
    return found.violations


class TestListJobs:
    async def test_is_for_operators_who_audit(self, house: House) -> None:
        assert (await house.call("GET", "/operator/v1/jobs")).status == 401
        key = await house.issue_operator("metering")
        assert (await house.call("GET", "/operator/v1/jobs", key=key)).code == "forbidden"
        resident = await house.open_account()
        assert (await house.call("GET", "/operator/v1/jobs", key=resident.key)).status == 404

    async def test_shows_how_each_job_stands(self, house: House) -> None:
        assert await shown(house) == {}
        async with house.database.reading() as tx:
            periods_s = [("good", 10), ("bad", 10), ("new", 10), ("under.way", 10)]
            await jobs.register(tx.connection, periods_s=periods_s)
            await jobs.begin(tx.connection, job="under.way", period_at=house.clock.now, worker_id=WORKER)
        await run(house, "good")
        await run(house, "bad", failure="RuntimeError('no')")
        found = await shown(house)
        assert {name: one["status"] for name, one in found.items()} == {
            "bad": "failing",
            "good": "ok",
            "new": "waiting",
            "under.way": "running",
        }
        assert found["good"]["last_succeeded_at"] is not None
        assert found["good"]["last_duration_ms"] >= 0
        assert [found["bad"][name] for name in ("failures", "failure_reason", "last_succeeded_at")] == [
            1,
            "RuntimeError('no')",
            None,
        ]
        assert await violations(house) == 0

    async def test_shows_what_has_not_succeeded_for_long_and_so_does_the_check(self, house: House) -> None:
        async with house.database.reading() as tx:
            await jobs.register(tx.connection, periods_s=[("good", 10), ("bad", 10), ("hourly", 3600)])
        await run(house, "bad")
        await age(house, "bad", 6)
        await age(house, "hourly", 179)
        await run(house, "bad", failure="x" * 1000)
        await run(house, "good")
        found = await shown(house)
        assert {name: one["status"] for name, one in found.items()} == {
            "bad": "late",
            "good": "ok",
            "hourly": "waiting",
        }
        assert len(found["bad"]["failure_reason"]) == 500
        assert await violations(house) == 1
        await age(house, "hourly", 2)
        assert await violations(house) == 2

    async def test_breaks_no_check_while_no_worker_runs(self, house: House) -> None:
        async with house.database.reading() as tx:
            await jobs.register(tx.connection, periods_s=[("good", 10)])
        await run(house, "good")
        await age(house, "good", 60)
        assert (await shown(house))["good"]["status"] == "late"
        assert await violations(house) == 0

    async def test_forgets_what_is_no_job_any_more(self, house: House) -> None:
        async with house.database.reading() as tx:
            await jobs.register(tx.connection, periods_s=[("old", 10), ("new", 10)])
            await jobs.register(tx.connection, periods_s=[("new", 10)])
            assert list(await shown(house)) == ["new", "old"]
            await age(house, "old", 24 * 60 + 1)
            await jobs.register(tx.connection, periods_s=[("new", 20)])
        found = await shown(house)
        assert {name: one["every_s"] for name, one in found.items()} == {"new": 20}

    async def test_shows_what_waits(self, house: House) -> None:
        await house.open_account()  # its key is an event that nobody has relayed
        async with house.database.reading() as tx:
            await tx.connection.execute("UPDATE outbox_events SET created_at = $1", house.clock.now)
        reply = await house.operate("GET", "/jobs")
        waiting = {one["work"]: (one["pieces"], one["since"]) for one in reply.body["waiting"]}
        assert waiting.pop("events") == (1, "2024-02-01T10:00:00Z")
        assert set(waiting.values()) == {(0, None)}
        assert set(waiting) == {"deliveries", "webhook_messages", "payments", "refunds", "runs"}
