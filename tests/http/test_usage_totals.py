"""GET /operator/v1/usage-totals: what a month comes to over all accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from billing.analytics import operator_routes
from tests.support.house import House, open_house
from tests.support.shop import Shop

PATH = "/usage-totals"


@pytest_asyncio.fixture
async def house(database_dsn: str) -> AsyncIterator[House]:
    async with open_house(database_dsn, operator=operator_routes.HANDLERS) as opened:
        yield opened


class TestTotalUsage:
    async def test_needs_a_key_of_its_scope(self, house: House) -> None:
        path = f"/operator/v1{PATH}"
        jane = await house.open_account()
        assert (await house.call("GET", path)).status == 401
        assert (await house.call("GET", path, key=jane.key)).status == 404
        assert (await house.call("GET", path, key=await house.issue_operator("audit"))).status == 403
        assert (await house.call("GET", path, key=await house.issue_operator("billing"))).status == 200

    async def test_refuses_what_is_no_month_or_lies_ahead(self, house: House) -> None:
        for query in ("period=january", "period=2024-13", "period=2024-03", "month=2024-01"):
            reply = await house.operate("GET", f"{PATH}?{query}")
            assert (reply.status, reply.faults) == (400, [query.partition("=")[0]])

    async def test_sums_documents_and_what_runs_by_currency_and_service(self, house: House) -> None:
        shop = Shop(house)
        await shop.stock()
        closed, running, _ = [await house.open_account() for _ in range(3)]
        for account in (closed, running):
            await shop.fill(account)
        before = await house.operate("GET", PATH)
        assert (before.body["period"], before.body["counted_until"]) == ("2024-01", "2024-01-31T23:59:59Z")
        assert _texts(before.body["usage_totals"]) == [_total(accounts_billed="0", amount_billed="0.00")]
        await shop.close(closed)
        after = await house.operate("GET", f"{PATH}?period=2024-01")
        assert after.body["counted_until"] == "2024-02-01T00:00:00Z"
        assert _texts(after.body["usage_totals"]) == [_total(accounts_billed="1", amount_billed="125.75")]
        assert (await house.operate("GET", f"{PATH}?period=2023-12")).body["usage_totals"] == []


def _total(**billed: str) -> dict[str, object]:
    """Twice the usage of the API's documentation, 125.75 a month."""
    services = {"compute": "160.00", "messaging": "40.00", "storage": "51.50"}
    shown = [{"service": name, "accounts": "2", "amount": amount} for name, amount in services.items()]
    return {"currency": "USD", "accounts": "2", "amount": "251.50", **billed, "services": shown}


def _texts(value: Any) -> Any:
    """Numbers as they are written, all their digits with them."""
    if isinstance(value, dict):
        return {name: _texts(member) for name, member in value.items()}
    return [_texts(member) for member in value] if isinstance(value, list) else str(value)
