"""The demo: a year of an account's life, the same again from the same day, on any day of a month."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from billing.app.demo.playing import seed
from billing.app.runtime import Installation, installation
from billing.kit.config import load_settings
from billing.kit.db import Database
from tests.support import databases, postgres
from tests.support.serving import Serving, run


@pytest_asyncio.fixture
async def other_database_dsn(database_server: Path) -> AsyncIterator[str]:
    """Another empty database."""
    name = await databases.clone(database_server)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


@asynccontextmanager
async def installed_at(dsn: str, now: datetime, *, months: int) -> AsyncIterator[Installation]:
    """An installation over an empty database, on another day."""
    async with installation(
        load_settings(database_url=dsn, demo_months=months, allow_unsafe_database=True)
    ) as installed:
        yield replace(installed, database=Database(installed.database.pool, lambda: now))


@pytest.fixture(scope="module")
def callers(demo: Serving) -> Iterator[tuple[httpx2.Client, httpx2.Client]]:
    """The account and the operator of the whole demo."""
    with demo.public() as account, demo.operator() as operator:
        yield account, operator


class TestStory:
    @pytest.mark.parametrize("now", ["2024-03-01T02:59:00", "2024-02-29T23:59:59", "2025-01-01T06:00:00"])
    async def test_ends_on_any_day(self, database_dsn: str, now: str) -> None:
        async with installed_at(database_dsn, datetime.fromisoformat(now).replace(tzinfo=UTC), months=2) as installed:
            await seed(installed)
            async with installed.database.snapshot() as tx:
                periods = await tx.connection.fetch("SELECT period FROM invoices ORDER BY number, period")
                ahead = await tx.connection.fetchval("SELECT count(*) FROM usage_events WHERE occurred_at > $1", tx.now)
        assert len(periods) == 2
        assert ahead == 0

    async def test_is_the_same_again(self, database_dsn: str, other_database_dsn: str) -> None:
        now = datetime(2024, 3, 20, 12, tzinfo=UTC)
        told: list[list[Any]] = []
        for dsn in (database_dsn, other_database_dsn):
            async with installed_at(dsn, now, months=3) as installed:
                await seed(installed)
                async with installed.database.snapshot() as tx:
                    query = "SELECT template, amount_minor, currency, recorded_at FROM transfers ORDER BY number"
                    told.append([tuple(row) for row in await tx.connection.fetch(query)])
        assert told[0] == told[1]


class TestYear:
    """The whole demo, as `billing serve --demo` shows it."""

    def test_has_what_happens_to_real_accounts(self, callers: tuple[httpx2.Client, httpx2.Client]) -> None:
        account, _ = callers
        invoices = account.get("/account/invoices").json()["invoices"]
        lines = [
            line
            for invoice in invoices
            for line in account.get(f"/account/invoices/{invoice['id']}").json()["invoice"]["lines"]
        ]
        history: list[dict[str, Any]] = []
        for page in range(1, 9):
            history += account.get(f"/account/billing/history?per_page=100&page={page}").json()["transactions"]
        assert len(invoices) == 12
        assert any(invoice["paid_at"] > invoice["due_date"] for invoice in invoices), "one was paid late"
        assert {"usage", "correction"} <= {line["kind"] for line in lines}
        assert {row["type"] for row in history} >= {"charge", "payment", "refund", "credit", "adjustment"}
        assert {row["status"] for row in history} >= {"completed", "failed"}
        assert {row["currency"] for row in history} == {"USD", "KES"}
        assert {line["region"] for line in lines} == {"nairobi", "lagos"}

    def test_tells_the_account_and_sends_nothing(self, callers: tuple[httpx2.Client, httpx2.Client]) -> None:
        _, operator = callers
        listed = {
            status: operator.get(f"/deliveries?status={status}&per_page=100").json()["deliveries"]
            for status in ("sent", "failed", "unknown", "suppressed")
        }
        assert {row["newest_attempts"][-1]["gateway"] for row in listed.pop("sent")} == {"sandbox"}
        assert listed == {"failed": [], "unknown": [], "suppressed": []}

    def test_leaves_money_that_can_be_spent(self, callers: tuple[httpx2.Client, httpx2.Client]) -> None:
        wallets = callers[0].get("/account/wallets").json()["wallets"]
        assert [wallet["currency"] for wallet in wallets] == ["USD", "KES"]
        assert all(wallet["available_balance"] > 0 for wallet in wallets)
        assert wallets[0]["reserved_balance"] > 0

    def test_keeps_every_invariant(self, callers: tuple[httpx2.Client, httpx2.Client]) -> None:
        assert callers[1].get("/check").json()["ok"]


def test_goes_into_an_empty_database_alone(database_dsn: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path), "LINESERVE_DEMO_MONTHS": "1"}
    made, again = run("demo", **settings), run("demo", **settings)
    assert (made.returncode, made.stderr) == (0, ""), "no progress in a pipe"
    assert [line.split("  ")[0] for line in made.stdout.splitlines()] == ["API key", "Operator key"]
    assert again.returncode == 1
    assert again.stderr == (
        "billing: the demo goes into an empty database, and this one has accounts: "
        "name another with LINESERVE_HOME or DATABASE_URL\n"
    )
