"""Rate cards, meters and tax rates over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from billing import accounts, catalog
from billing.catalog.operator_routes import HANDLERS
from billing.core import ids
from billing.core.errors import Unauthorized
from billing.kit.auth import Caller, Operator
from billing.kit.db import Database, open_pool
from billing.kit.web import build_app
from tests.support.house import counted

NOW = datetime(2024, 2, 1, 10, 0, tzinfo=UTC)
BASE = "http://testserver/operator/v1"
SCOPES = {"catalog": {"catalog"}, "everything": {"*"}, "billing": {"billing"}}

PER_UNIT: dict[str, Any] = {"service": "messaging", "meter": "sms.sent", "model": "per_unit", "unit_price": 0.0035}
GRADUATED: dict[str, Any] = {
    "service": "storage",
    "meter": "storage.gb",
    "model": "graduated",
    "tiers": [{"up_to": 10, "unit_price": "0.10"}, {"up_to": None, "unit_price": 0.05}],
}
HOURLY: dict[str, Any] = {
    "service": "compute",
    "plan": "c2",
    "model": "hourly",
    "hourly_price": 0.01,
    "monthly_price": 5,
}
CARD: dict[str, Any] = {
    "name": "List prices",
    "currency": "USD",
    "valid_from": "2024-01-01",
    "prices": [HOURLY, GRADUATED, PER_UNIT],
}
METER = {"service": "storage", "name": "Storage", "unit": "GB-month", "aggregation": "time_weighted"}
VAT = {"country": "KE", "name": "VAT", "percent": 16, "valid_from": "2021-01-01"}


async def read_operator(*, token: str, ip: str) -> Operator:
    if token not in SCOPES:
        raise Unauthorized
    return Operator(key_id=UUID(int=7), name=token, scopes=frozenset(SCOPES[token]))


async def read_caller(*, token: str, ip: str) -> Caller:
    raise Unauthorized


@pytest_asyncio.fixture
async def database(module_dsn: str) -> AsyncIterator[Database]:
    pool = await open_pool(module_dsn, size=3)
    yield Database(pool, clock=lambda: NOW)
    await pool.close()
    owner = await asyncpg.connect(module_dsn)
    await owner.execute(
        "TRUNCATE rate_cards, prices, bands, meters, tax_rates, billed_items, idempotency_keys, accounts CASCADE"
    )
    await owner.close()


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    app = build_app(
        database=database,
        read_caller=read_caller,
        read_operator=read_operator,
        operator=HANDLERS,
        values={"currencies": accounts.CURRENCIES_DEFAULT},
    )
    transport = httpx2.ASGITransport(app=cast("Any", app))
    headers = {"Authorization": "Bearer catalog"}
    async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers) as opened:
        yield opened


def read(answer: httpx2.Response, *, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return json.loads(answer.text, parse_float=Decimal)


def faults(answer: httpx2.Response) -> dict[str, str]:
    error = read(answer, status=400)["error"]
    assert error["code"] == "invalid_parameter"
    return {fault["path"]: fault["reason"] for fault in error["details"]["faults"]}


def code(answer: httpx2.Response, *, status: int = 422) -> str:
    return read(answer, status=status)["error"]["code"]


async def count_rows(database: Database) -> int:
    async with database.reading() as reading:
        return await reading.connection.fetchval(
            "SELECT (SELECT count(*) FROM rate_cards) + (SELECT count(*) FROM prices) + (SELECT count(*) FROM meters)"
        )


async def bill(database: Database, *, period: date) -> None:
    async with database.transaction() as tx:
        await catalog.mark_billed(tx.connection, kinds=["plan"], items=["c2"], currencies=["USD"], period=period)


class TestEveryRoute:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/rate-cards"),
            ("GET", "/rate-cards"),
            ("GET", "/rate-cards/card_x"),
            ("PUT", "/rate-cards/card_x"),
            ("GET", "/meters"),
            ("GET", "/meters/m"),
            ("PUT", "/meters/m"),
            ("GET", "/tax-rates"),
            ("PUT", "/tax-rates"),
        ],
    )
    async def test_needs_a_key_with_the_scope(self, client: httpx2.AsyncClient, method: str, path: str):
        for token, status in (("unknown", 401), ("billing", 403)):
            answer = await client.request(method, path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status
        answer = await client.request(method, path, headers={"Authorization": "Bearer everything"})
        assert answer.status_code in {200, 400, 404}


class TestPublishRateCard:
    async def test_answers_with_the_card_as_it_was_given(self, client: httpx2.AsyncClient):
        answer = await client.post("/rate-cards", json=CARD)
        card = read(answer, status=201)["rate_card"]
        assert answer.headers["Location"] == f"/operator/v1/rate-cards/{card['id']}"
        prices = card.pop("prices")
        assert card == {
            "id": card["id"],
            "name": "List prices",
            "currency": "USD",
            "account_id": None,
            "valid_from": "2024-01-01T00:00:00Z",
            "valid_to": None,
            "created_at": "2024-02-01T10:00:00Z",
            "prices_total": 3,
        }
        assert [price.pop("id")[:6] for price in prices] == ["price_"] * 3
        assert prices == [
            {**HOURLY, "hourly_price": Decimal("0.01")},
            {
                **GRADUATED,
                "tiers": [{"up_to": 10, "unit_price": Decimal("0.10")}, {"up_to": None, "unit_price": Decimal("0.05")}],
            },
            {**PER_UNIT, "unit_price": Decimal("0.0035")},
        ]
        assert read(await client.get(f"/rate-cards/{card['id']}"))["rate_card"] == {
            **card,
            "prices": read(answer, status=201)["rate_card"]["prices"],
        }

    async def test_makes_the_meters(self, client: httpx2.AsyncClient):
        await client.post("/rate-cards", json=CARD)
        shown = read(await client.get("/meters"))
        assert [meter["meter"] for meter in shown["meters"]] == ["sms.sent", "storage.gb"]
        assert {meter["aggregation"] for meter in shown["meters"]} == {"sum"}

    @pytest.mark.parametrize("start", ["2024-01-01T00:00:00Z", "2024-01-01T03:00:00+03:00"])
    async def test_takes_an_instant_as_the_start(self, client: httpx2.AsyncClient, start: str):
        answer = await client.post("/rate-cards", json={**CARD, "valid_from": start})
        assert read(answer, status=201)["rate_card"]["valid_from"] == "2024-01-01T00:00:00Z"

    async def test_names_every_fault_of_every_price(self, client: httpx2.AsyncClient, database: Database):
        prices = [
            {**PER_UNIT, "unit_price": -1, "meter": "SMS"},
            {**HOURLY, "scope": "account", "tiers": []},
            {**GRADUATED, "tiers": [{"up_to": 10, "unit_price": 1}, {"up_to": 5, "unit_price": 1}, {"unit_price": 1}]},
            {
                **GRADUATED,
                "tiers": [
                    {"up_to": 10, "unit_price": 1},
                    {"up_to": 5, "unit_price": 1},
                    {"up_to": 20, "unit_price": 1},
                ],
            },
            {**PER_UNIT, "price": 1, "model": "per_hour"},
            "free",
        ]
        found = faults(await client.post("/rate-cards", json={**CARD, "prices": prices}))
        assert sorted(found) == [
            "prices[0].meter",
            "prices[0].unit_price",
            "prices[1].scope",
            "prices[1].tiers",
            "prices[2].tiers[2].up_to",
            "prices[3].tiers[1].up_to",
            "prices[3].tiers[2].up_to",
            "prices[4].model",
            "prices[4].price",
            "prices[5]",
        ]
        assert await count_rows(database) == 0

    @pytest.mark.parametrize(
        ("change", "paths"),
        [
            ({"name": ""}, ["name"]),
            ({"name": "a\x07", "currency": "usd"}, ["currency", "name"]),
            ({"valid_from": "2024-02-30"}, ["valid_from"]),
            ({"valid_from": "2024-01-01T00:00:00"}, ["valid_from"]),
            ({"valid_from": 20240101}, ["valid_from"]),
            ({"prices": []}, ["prices"]),
            ({"prices": [PER_UNIT, PER_UNIT]}, ["prices[1]"]),
            ({"valid_to": "2024-02-01"}, ["valid_to"]),
            ({"account_id": 5}, ["account_id"]),
        ],
    )
    async def test_names_the_faults_of_the_card(
        self, client: httpx2.AsyncClient, change: dict[str, object], paths: list[str]
    ):
        assert sorted(faults(await client.post("/rate-cards", json={**CARD, **change}))) == paths

    @pytest.mark.parametrize("number", ["1e400", "NaN", "-0.1", "1e-21", "1e30", '"1,5"', "true", "[]"])
    async def test_refuses_numbers_that_are_no_prices(self, client: httpx2.AsyncClient, number: str):
        body = json.dumps(CARD).replace("0.0035", number)
        answer = await client.post("/rate-cards", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400

    async def test_shows_twenty_decimals(self, client: httpx2.AsyncClient):
        price = {**PER_UNIT, "unit_price": "0.12345678901234567891"}
        card = read(await client.post("/rate-cards", json={**CARD, "prices": [price]}), status=201)["rate_card"]
        assert read(await client.get(f"/rate-cards/{card['id']}"))["rate_card"]["prices"][0]["unit_price"] == Decimal(
            "0.12345678901234567891"
        )

    @pytest.mark.parametrize("currency", ["EUR", "XXX"])
    async def test_refuses_a_currency_that_is_not_enabled(self, client: httpx2.AsyncClient, currency: str):
        answer = await client.post("/rate-cards", json={**CARD, "currency": currency})
        assert code(answer) == "currency_not_supported"

    @pytest.mark.parametrize("start", ["2024-01-02", "2024-01-01T00:00:00+03:00"])
    async def test_refuses_a_start_inside_a_month(self, client: httpx2.AsyncClient, start: str):
        assert (
            code(await client.post("/rate-cards", json={**CARD, "valid_from": start})) == "price_change_inside_period"
        )

    async def test_refuses_the_same_price_twice(self, client: httpx2.AsyncClient, database: Database):
        await client.post("/rate-cards", json=CARD)
        before = await count_rows(database)
        prices = [{**PER_UNIT, "meter": "new"}, HOURLY]
        assert code(await client.post("/rate-cards", json={**CARD, "prices": prices})) == "price_exists"
        assert await count_rows(database) == before

    async def test_refuses_to_change_a_finalised_month(self, client: httpx2.AsyncClient, database: Database):
        await bill(database, period=date(2024, 1, 1))
        assert code(await client.post("/rate-cards", json=CARD)) == "period_finalized"
        read(await client.post("/rate-cards", json={**CARD, "valid_from": "2024-02-01"}), status=201)

    async def test_refuses_a_meter_of_another_service(self, client: httpx2.AsyncClient):
        await client.put("/meters/sms.sent", json=METER)
        assert code(await client.post("/rate-cards", json=CARD)) == "meter_service_differs"

    @pytest.mark.parametrize("account_id", ["acc_00000000000000000000000000", "proj_1", "'; DROP TABLE prices"])
    async def test_does_not_find_the_account(self, client: httpx2.AsyncClient, account_id: str):
        answer = await client.post("/rate-cards", json={**CARD, "account_id": account_id})
        assert code(answer, status=404) == "not_found"

    async def test_makes_it_an_accounts_contract(self, client: httpx2.AsyncClient, database: Database):
        async with database.transaction() as tx:
            account = await accounts.open_account(tx, email="jane@example.com", name="Jane", currency="USD")
        account_id = ids.encode("acc", account.account_id)
        read(await client.post("/rate-cards", json=CARD), status=201)
        card = read(await client.post("/rate-cards", json={**CARD, "account_id": account_id}), status=201)["rate_card"]
        assert card["account_id"] == account_id
        listed = read(await client.get("/rate-cards", params={"account_id": account_id}))
        assert [found["id"] for found in listed["rate_cards"]] == [card["id"]]

    async def test_replays_with_a_key(self, client: httpx2.AsyncClient):
        first = await client.post("/rate-cards", json=CARD, headers={"Idempotency-Key": "card-1"})
        again = await client.post("/rate-cards", json=CARD, headers={"Idempotency-Key": "card-1"})
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content


class TestListRateCards:
    async def test_pages_them_without_prices(self, client: httpx2.AsyncClient):
        cards = [
            read(await client.post("/rate-cards", json={**CARD, "valid_from": start}), status=201)["rate_card"]
            for start in ("2024-01-01", "2024-02-01", "2024-03-01")
        ]
        for card in cards:
            del card["prices"]
        listed = read(await client.get("/rate-cards", params={"per_page": 2}))
        assert counted(listed["meta"]) == {"total": 3, "page": 1, "per_page": 2, "pages": 2}
        assert listed["rate_cards"] == sorted(cards, key=lambda card: card["id"], reverse=True)[:2]
        assert read(await client.get("/rate-cards", params={"currency": "KES"}))["rate_cards"] == []

    async def test_refuses_parameters_that_it_does_not_know(self, client: httpx2.AsyncClient):
        assert list(faults(await client.get("/rate-cards", params={"account": "x"}))) == ["account"]
        assert code(await client.get("/rate-cards", params={"account_id": "x"}), status=404) == "not_found"


class TestEndRateCard:
    async def test_sets_the_end_and_takes_it_back(self, client: httpx2.AsyncClient):
        card = read(await client.post("/rate-cards", json=CARD), status=201)["rate_card"]
        path = f"/rate-cards/{card['id']}"
        ended = read(await client.put(path, json={"valid_to": "2024-06-01"}))["rate_card"]
        assert ended == {**card, "valid_to": "2024-06-01T00:00:00Z"}
        assert read(await client.get(path))["rate_card"] == ended
        assert read(await client.put(path, json={"valid_to": None}))["rate_card"] == card

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({}, "valid_to"),
            ({"valid_to": "soon"}, "valid_to"),
            ({"valid_to": "2024-01-01"}, "valid_to"),
            ({"valid_to": "2024-06-01", "name": "x"}, "name"),
        ],
    )
    async def test_names_faults(self, client: httpx2.AsyncClient, body: dict[str, object], path: str):
        card = read(await client.post("/rate-cards", json=CARD), status=201)["rate_card"]
        assert list(faults(await client.put(f"/rate-cards/{card['id']}", json=body))) == [path]

    async def test_refuses_what_would_change_the_past(self, client: httpx2.AsyncClient, database: Database):
        card = read(await client.post("/rate-cards", json=CARD), status=201)["rate_card"]
        await bill(database, period=date(2024, 2, 1))
        path = f"/rate-cards/{card['id']}"
        assert code(await client.put(path, json={"valid_to": "2024-02-01"})) == "period_finalized"
        assert code(await client.put(path, json={"valid_to": "2024-03-02"})) == "price_change_inside_period"
        read(await client.put(path, json={"valid_to": "2024-03-01"}))

    @pytest.mark.parametrize("card_id", ["card_00000000000000000000000000", "acc_00000000000000000000000000", "x"])
    async def test_knows_no_other_cards(self, client: httpx2.AsyncClient, card_id: str):
        assert code(await client.get(f"/rate-cards/{card_id}"), status=404) == "not_found"
        assert code(await client.put(f"/rate-cards/{card_id}", json={"valid_to": None}), status=404) == "not_found"


class TestMeters:
    async def test_makes_and_changes_one(self, client: httpx2.AsyncClient):
        made = read(await client.put("/meters/storage.gb", json=METER))["meter"]
        assert made == {"meter": "storage.gb", **METER, "shows_as": None}
        changed = read(await client.put("/meters/storage.gb", json={**METER, "shows_as": "storage_gb"}))["meter"]
        assert changed == {**made, "shows_as": "storage_gb"}
        assert read(await client.get("/meters/storage.gb"))["meter"] == changed

    async def test_takes_names_with_slashes(self, client: httpx2.AsyncClient):
        read(await client.put("/meters/storage/requests:get", json=METER))
        assert read(await client.get("/meters/storage%2Frequests:get"))["meter"]["meter"] == "storage/requests:get"

    async def test_lists_them_by_name(self, client: httpx2.AsyncClient):
        for name in ("b", "c", "a"):
            await client.put(f"/meters/{name}", json=METER)
        listed = read(await client.get("/meters", params={"per_page": 2, "page": 2}))
        assert [meter["meter"] for meter in listed["meters"]] == ["c"]
        assert listed["meta"] == {"total": 3, "page": 2, "per_page": 2, "pages": 2, "next_cursor": None}

    async def test_names_faults(self, client: httpx2.AsyncClient):
        body = {"service": "S", "name": "", "unit": "x" * 51, "aggregation": "sum"}
        assert sorted(faults(await client.put("/meters/m", json=body))) == ["name", "service", "unit"]
        body = {"service": "s", "name": "n", "unit": "u", "aggregation": "average", "shows_as": "kb"}
        assert sorted(faults(await client.put("/meters/m", json=body))) == ["aggregation", "shows_as"]
        assert list(faults(await client.put("/meters/M", json=METER))) == ["meter"]

    async def test_keeps_the_service_of_a_priced_meter(self, client: httpx2.AsyncClient):
        await client.post("/rate-cards", json=CARD)
        read(await client.put("/meters/storage.gb", json=METER))
        assert code(await client.put("/meters/storage.gb", json={**METER, "service": "compute"})) == "meter_in_use"

    async def test_knows_no_other_meters(self, client: httpx2.AsyncClient):
        assert code(await client.get("/meters/unknown"), status=404) == "not_found"


class TestTaxRates:
    async def test_adds_and_changes_them(self, client: httpx2.AsyncClient):
        levy = {"country": "KE", "name": "Levy", "percent": Decimal("1.5"), "valid_from": "2023-01-01"}
        set_to = read(await client.put("/tax-rates", json=[VAT, {**levy, "percent": 1.5}]))
        assert set_to == {"tax_rates": [levy, VAT]}
        read(await client.put("/tax-rates", json=[{**VAT, "percent": 18, "valid_from": "2025-01-01"}]))
        listed = read(await client.get("/tax-rates"))["tax_rates"]
        assert [(rate["name"], rate["percent"], rate["valid_from"]) for rate in listed] == [
            ("Levy", Decimal("1.5"), "2023-01-01"),
            ("VAT", 16, "2021-01-01"),
            ("VAT", 18, "2025-01-01"),
        ]

    async def test_takes_none_for_no_change(self, client: httpx2.AsyncClient):
        await client.put("/tax-rates", json=[VAT])
        assert read(await client.put("/tax-rates", json=[])) == {"tax_rates": [VAT]}

    async def test_names_the_faults_of_each(self, client: httpx2.AsyncClient):
        rates = [
            {**VAT, "country": "Kenya", "percent": 101},
            {**VAT, "valid_from": "2024-02-30", "rate": 5},
            VAT,
            {**VAT, "percent": "16.00001", "name": " "},
            5,
        ]
        assert sorted(faults(await client.put("/tax-rates", json=rates))) == [
            "[0].country",
            "[0].percent",
            "[1].rate",
            "[1].valid_from",
            "[3].name",
            "[3].percent",
            "[4]",
        ]
        assert list(faults(await client.put("/tax-rates", json=[VAT, VAT]))) == ["[1]"]
        assert list(faults(await client.put("/tax-rates", json={"tax_rates": [VAT]}))) == [""]
        assert read(await client.get("/tax-rates"))["tax_rates"] == []
