"""A part along a cursor costs the same wherever it is: each large list is read from an index in its order, and nothing of it is
sorted or counted. Looked at in the plans of what the program sends, at the list's beginning and deep in it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from billing import ledger
from billing.accounts import store as accounts
from billing.analytics.store import transactions
from billing.api_keys import store as api_keys
from billing.core.page import Page, PageRequest
from billing.invoices.store import credit_notes, invoices, runs, worklist
from billing.kit import audit
from billing.metering.store import events, resources
from billing.notifications.store import listing as messages
from billing.payments.store import methods, payments, refunds
from billing.projects import store as projects
from billing.wallets import store as wallets
from billing.webhooks.store import log as webhook_log
from tests.http import test_lists
from tests.support import databases, postgres
from tests.support.plenty import grow

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 3_000
PER_PAGE = 25
BUFFERS_MOST = 700
NOW = datetime(2024, 2, 1, tzinfo=UTC)
ACCOUNT, PROJECT, INVOICE, PAYMENT, RUN, WEBHOOK = (UUID(int=number) for number in range(1, 7))

Read = Callable[[Any, PageRequest], Awaitable[Page[Any]]]


async def _transfers(connection: Any, page: PageRequest) -> Page[Any]:
    (after,) = page.key(int)
    found = await ledger.list_transfers(
        connection, account_id=ACCOUNT, limit=page.limit, before_number=after if isinstance(after, int) else None
    )
    return page.cut(found, total=None, key=lambda transfer: (transfer.number,))


LISTS: dict[str, Read] = {
    "history": lambda connection, page: transactions.list_transactions(
        connection, account_id=ACCOUNT, type=None, since=None, until=None, page=page
    ),
    "history of charges": lambda connection, page: transactions.list_transactions(
        connection, account_id=ACCOUNT, type="charge", since=None, until=None, page=page
    ),
    "history of payments": lambda connection, page: transactions.list_transactions(
        connection, account_id=ACCOUNT, type="payment", since=None, until=None, page=page
    ),
    "invoices": lambda connection, page: invoices.list_invoices(
        connection,
        account_id=ACCOUNT,
        statuses=("pending", "overdue", "paid"),
        since=None,
        until=None,
        now=NOW,
        page=page,
    ),
    "invoice lines": lambda connection, page: invoices.list_lines_page(
        connection, account_id=ACCOUNT, invoice_id=INVOICE, page=page
    ),
    "transfers": _transfers,
    "audit": lambda connection, page: audit.list_records(connection, page=page, wanted=audit.Filter()),
    "audit of an account": lambda connection, page: audit.list_records(
        connection, page=page, wanted=audit.Filter(account_id=ACCOUNT)
    ),
    "quarantine": lambda connection, page: events.list_quarantined(connection, page=page),
    "quarantine of an account": lambda connection, page: events.list_quarantined(
        connection, page=page, account_id=ACCOUNT
    ),
    "accounts": lambda connection, page: accounts.list_accounts(connection, page=page),
    "projects": lambda connection, page: projects.list_projects(connection, account_id=ACCOUNT, page=page),
    "resources": lambda connection, page: resources.list_resources_page(
        connection,
        account_id=ACCOUNT,
        at=NOW,
        project_id=PROJECT,
        service=None,
        statuses=("running", "stopped"),
        page=page,
    ),
    "deliveries": lambda connection, page: messages.list_deliveries(
        connection, account_id=None, status=None, page=page
    ),
    "webhook deliveries": lambda connection, page: webhook_log.list_deliveries(
        connection, account_id=ACCOUNT, endpoint_id=WEBHOOK, status=None, page=page
    ),
    "all webhook deliveries": lambda connection, page: webhook_log.list_all_deliveries(
        connection, account_id=None, status=None, page=page
    ),
    "payment methods": lambda connection, page: methods.list_methods(connection, account_id=ACCOUNT, page=page),
    "api keys": lambda connection, page: api_keys.list_keys(connection, account_id=ACCOUNT, page=page),
    "credits": lambda connection, page: wallets.list_credits_page(connection, account_id=ACCOUNT, page=page),
    "holds": lambda connection, page: wallets.list_holds_page(
        connection, account_id=ACCOUNT, status=None, now=NOW, page=page
    ),
    "notifications": lambda connection, page: messages.list_notifications(connection, account_id=ACCOUNT, page=page),
    "payments": lambda connection, page: payments.list_payments_page(
        connection, account_id=ACCOUNT, kind=None, status=None, page=page
    ),
    "refunds": lambda connection, page: refunds.list_refunds(
        connection, account_id=ACCOUNT, payment_id=PAYMENT, page=page
    ),
    "credit notes": lambda connection, page: credit_notes.list_credit_notes_page(
        connection, account_id=ACCOUNT, invoice_id=INVOICE, page=page
    ),
    "runs": lambda connection, page: runs.list_runs(connection, page=page),
    "parked": lambda connection, page: worklist.list_parked_page(connection, run_id=RUN, page=page),
}
# What each list route reads; of the others there are few, whatever is done.
OF_ROUTES = {
    "/v1/account/api-keys": "api keys",
    "/v1/account/credits": "credits",
    "/v1/account/notifications": "notifications",
    "/v1/account/webhooks/{webhook_id:str}/deliveries": "webhook deliveries",
    "/v1/account/payment-methods": "payment methods",
    "/v1/account/invoices": "invoices",
    "/v1/account/invoices/{invoice_id:str}/lines": "invoice lines",
    "/v1/account/billing/history": "history",
    "/v1/projects": "projects",
    "/v1/projects/{project_id:str}/resources": "resources",
    "/operator/v1/accounts": "accounts",
    "/operator/v1/accounts/{account_id:str}/api-keys": "api keys",
    "/operator/v1/accounts/{account_id:str}/resources": "resources",
    "/operator/v1/accounts/{account_id:str}/projects": "projects",
    "/operator/v1/accounts/{account_id:str}/credits": "credits",
    "/operator/v1/accounts/{account_id:str}/notifications": "notifications",
    "/operator/v1/deliveries": "deliveries",
    "/operator/v1/webhooks/deliveries": "all webhook deliveries",
    "/operator/v1/accounts/{account_id:str}/invoices": "invoices",
    "/operator/v1/invoices/{invoice_id:str}/lines": "invoice lines",
    "/operator/v1/accounts/{account_id:str}/holds": "holds",
    "/operator/v1/accounts/{account_id:str}/payments": "payments",
    "/operator/v1/accounts/{account_id:str}/ledger": "transfers",
    "/operator/v1/payments/{payment_id:str}/refunds": "refunds",
    "/operator/v1/invoices/{invoice_id:str}/credit-notes": "credit notes",
    "/operator/v1/events/quarantine": "quarantine",
    "/operator/v1/runs": "runs",
    "/operator/v1/runs/{run_id:str}/parked": "parked",
    "/operator/v1/audit": "audit",
}
OF_FEW = {
    "/v1/account/wallets",
    "/v1/account/alerts",
    "/v1/account/webhooks",
    "/operator/v1/accounts/{account_id:str}/wallets",
    "/operator/v1/accounts/{account_id:str}/alerts",
    "/operator/v1/accounts/{account_id:str}/webhooks",
    "/operator/v1/rate-cards",
    "/operator/v1/meters",
    "/operator/v1/tax-rates",
}


class Planned:
    """A connection that also keeps how the server went about each statement."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self.plans: list[dict[str, Any]] = []

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        told = await self._connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {query}", *arguments)
        self.plans.append(json.loads(told)[0]["Plan"])
        return await self._connection.fetch(query, *arguments)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(database_server: Path) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    name = await databases.clone(database_server)
    opened = await asyncpg.connect(postgres.dsn(database_server, name), server_settings={"jit": "off"})
    await _found(opened)
    await _found_webhook(opened)
    owners = {"account": ACCOUNT, "project": PROJECT, "invoice": INVOICE, "payment": PAYMENT, "run": RUN}
    owners["webhook"] = WEBHOOK
    await grow(opened, first=1, last=MANY, **{owner: str(value) for owner, value in owners.items()})
    await opened.execute("VACUUM ANALYZE")
    yield opened
    await opened.close()
    await databases.drop(database_server, name)


async def _found(opened: asyncpg.Connection[asyncpg.Record]) -> None:
    """What the rows belong to."""
    await opened.execute(
        """
        INSERT INTO accounts (account_id, email, name, status, verified, currency, timezone, tax_exempt, terms_days, created_at)
        VALUES ($1, 'a@plans.example', 'A', 'active', false, 'USD', 'UTC', false, 14, $2)
        """,
        ACCOUNT,
        NOW,
    )
    await opened.execute(
        "INSERT INTO projects (account_id, project_id, name, is_default, created_at) VALUES ($1, $2, 'P', true, $3)",
        ACCOUNT,
        PROJECT,
        NOW,
    )
    await opened.execute(
        """
        INSERT INTO payments (account_id, payment_id, kind, gateway, currency, amount_minor, status, description, created_at,
            completed_at)
        VALUES ($1, $2, 'topup', 'sandbox', 'USD', 1, 'completed', 'Top-up', $3, $3)
        """,
        ACCOUNT,
        PAYMENT,
        NOW,
    )
    await opened.execute(
        """
        INSERT INTO invoices (account_id, invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor,
            paid_at_issue_minor, issued_at, due_at, parties)
        VALUES ($1, $2, 'invoice', 'I-1', '1800-01-01', 'USD', 0, 0, 0, 0, $3, $3, '{}')
        """,
        ACCOUNT,
        INVOICE,
        NOW,
    )
    await opened.execute(
        """
        INSERT INTO runs (run_id, kind, period, dry_run, status, created_at)
        VALUES ($1, 'close', '2023-01-01', true, 'completed', $2)
        """,
        RUN,
        NOW,
    )


async def _found_webhook(opened: asyncpg.Connection[asyncpg.Record]) -> None:
    await opened.execute(
        """
        INSERT INTO webhook_endpoints (account_id, endpoint_id, url, events, status, secret_number, failures, is_slow, created_at)
        VALUES ($1, $2, 'https://hooks.example.com/', '{*}', 'enabled', 1, 0, false, $3)
        """,
        ACCOUNT,
        WEBHOOK,
        NOW,
    )


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *[node for child in plan.get("Plans", []) for node in nodes(child)]]


def buffers(plan: dict[str, Any]) -> int:
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def part(
    connection: asyncpg.Connection[asyncpg.Record], read: Read, after: tuple[str, ...]
) -> tuple[Page[Any], dict[str, Any]]:
    planned = Planned(connection)
    found = await read(planned, PageRequest(per_page=PER_PAGE, after=after))
    return found, planned.plans[0]  # others look up what belongs to the rows of this one


async def test_every_list_of_many_is_looked_at() -> None:
    assert {*OF_ROUTES, *OF_FEW} == set(test_lists.LISTS)
    assert set(OF_ROUTES.values()) <= set(LISTS)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", sorted(LISTS))
class TestPlan:
    async def test_reads_a_part_from_an_index_and_no_more(
        self, connection: asyncpg.Connection[asyncpg.Record], name: str, mode: str
    ):
        if mode == "force_generic_plan" and "of an account" in name:
            pytest.skip("a filter that may be absent is only seen in a plan made for its values")
        await connection.execute(f"SET plan_cache_mode = {mode}")
        read = LISTS[name]
        found, first = await part(connection, read, ())
        assert found.next_key is not None
        key = found.next_key
        for _ in range(20):
            following = await read(connection, PageRequest(per_page=100, after=key))
            if following.next_key is None:
                break
            key = following.next_key
        _, deep = await part(connection, read, key)
        for plan in (first, deep):
            assert buffers(plan) <= BUFFERS_MOST
            for node in nodes(plan):
                rows = node["Actual Rows"] * node["Actual Loops"]
                assert not (node["Node Type"] == "Seq Scan" and rows > 200), node
                assert not (node["Node Type"] in {"Sort", "Incremental Sort"} and _read(node) > 40 * PER_PAGE), node
                assert node["Node Type"] != "Aggregate" or node["Actual Loops"] == 0, node
        assert buffers(deep) <= 2 * buffers(first) + 100


def _read(node: dict[str, Any]) -> float:
    """Rows that a sort was given."""
    return sum(child["Actual Rows"] * child["Actual Loops"] for child in node["Plans"])
