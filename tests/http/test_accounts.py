"""GET and PUT /account, and the operator's calls about accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from billing import accounts, wallets
from billing.accounts import operator_routes, routes
from billing.onboarding import operator_routes as opening_routes
from tests.support.house import STRANGER, House, counted, open_house

SHOWN = ["id", "email", "name", "company", "status", "created_at", "verified", "currency", "timezone"]
DETAILS = [*SHOWN, "phone", "address", "tax_id"]
OPERATOR_MEMBERS = [*DETAILS, "country", "tax_exempt", "terms_days", "billing_paused"]


OPENING = {
    "email": "new@example.com",
    "name": "Acme Corp",
    "company": "Acme Corp Ltd",
    "currency": "KES",
    "timezone": "Africa/Nairobi",
    "country": "KE",
    "phone": "+254700000000",
}


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[House]:
    operator = [*operator_routes.HANDLERS, *opening_routes.HANDLERS]
    values = {
        "wallet_settings": wallets.WalletSettings(
            reserve=wallets.nothing_reserved, currencies=accounts.CURRENCIES_DEFAULT
        )
    }
    async with open_house(module_dsn, public=routes.HANDLERS, operator=operator, values=values) as opened:
        yield opened


class TestShowAccount:
    async def test_needs_a_key(self, house: House):
        answer = await house.call("GET", "/v1/account")
        assert (answer.status, answer.code) == (401, "unauthorized")

    async def test_needs_the_read_permission(self, house: House):
        key = await house.issue(await house.open_account(), "write")
        answer = await house.call("GET", "/v1/account", key=key)
        assert (answer.status, answer.code) == (403, "forbidden")

    async def test_is_not_for_operator_keys(self, house: House):
        answer = await house.call("GET", "/v1/account", key=house.operator_key)
        assert answer.status == 404

    async def test_shows_what_the_spec_shows(self, house: House):
        resident = await house.open_account(email="show@example.com")
        answer = await house.call("GET", "/v1/account", key=resident.key)
        assert answer.status == 200
        assert list(answer.body) == ["account"]
        assert list(answer.body["account"]) == SHOWN
        assert answer.body["account"] == {
            "id": resident.id,
            "email": "show@example.com",
            "name": "Jane Doe",
            "company": None,
            "status": "active",
            "created_at": "2024-02-01T10:00:00Z",
            "verified": True,
            "currency": "USD",
            "timezone": "UTC",
        }

    async def test_shows_the_keys_own_account_alone(self, house: House):
        one, other = await house.open_account(), await house.open_account()
        assert (await house.call("GET", "/v1/account", key=one.key)).body["account"]["id"] == one.id
        assert (await house.call("GET", "/v1/account", key=other.key)).body["account"]["id"] == other.id

    async def test_stays_open_when_suspended(self, house: House):
        resident = await house.open_account()
        await house.suspend(resident)
        answer = await house.call("GET", "/v1/account", key=resident.key)
        assert (answer.status, answer.body["account"]["status"]) == (200, "suspended")


class TestUpdateAccount:
    async def test_needs_a_key(self, house: House):
        assert (await house.call("PUT", "/v1/account", body={})).status == 401

    async def test_needs_the_write_permission(self, house: House):
        key = await house.issue(await house.open_account(), "read")
        answer = await house.call("PUT", "/v1/account", key=key, body={"name": "Eve"})
        assert (answer.status, answer.code) == (403, "forbidden")

    async def test_sets_what_is_named(self, house: House):
        resident = await house.open_account()
        sent = {
            "name": "John Smith",
            "company": "New Company Ltd",
            "timezone": "Africa/Lagos",
            "phone": "+254700000000",
            "address": "1 Moi Avenue\nNairobi",
            "tax_id": "P051234567X",
        }
        answer = await house.call("PUT", "/v1/account", key=resident.key, body=sent)
        assert answer.status == 200
        assert list(answer.body["account"]) == DETAILS
        assert {name: answer.body["account"][name] for name in sent} == sent
        shown = (await house.call("GET", "/v1/account", key=resident.key)).body["account"]
        assert (shown["name"], shown["company"], shown["timezone"]) == ("John Smith", "New Company Ltd", "Africa/Lagos")

    async def test_changes_nothing_with_an_empty_object(self, house: House):
        resident = await house.open_account()
        before = (await house.call("GET", "/v1/account", key=resident.key)).body["account"]
        answer = await house.call("PUT", "/v1/account", key=resident.key, body={})
        assert answer.status == 200
        assert {name: answer.body["account"][name] for name in SHOWN} == before

    async def test_clears_with_null(self, house: House):
        resident = await house.open_account()
        await house.call("PUT", "/v1/account", key=resident.key, body={"company": "Acme", "phone": "+254700000000"})
        answer = await house.call("PUT", "/v1/account", key=resident.key, body={"company": None})
        assert (answer.body["account"]["company"], answer.body["account"]["phone"]) == (None, "+254700000000")

    async def test_stores_markup_and_sql_as_text(self, house: House):
        resident = await house.open_account()
        name = "<script>'; DROP TABLE accounts; -- \u202eمرحبا 你好"
        answer = await house.call("PUT", "/v1/account", key=resident.key, body={"name": name})
        assert (answer.status, answer.body["account"]["name"]) == (200, name)

    @pytest.mark.parametrize(
        ("sent", "faults"),
        [
            ({"name": None}, ["name"]),
            ({"name": ""}, ["name"]),
            ({"name": " \t"}, ["name"]),
            ({"name": 5}, ["name"]),
            ({"name": ["x"]}, ["name"]),
            ({"name": "x" * 201}, ["name"]),
            ({"name": "a\u0000b"}, ["name"]),
            ({"name": "a\nb"}, ["name"]),
            ({"name": "a\ud800b"}, ["name"]),
            ({"company": ""}, ["company"]),
            ({"timezone": "Mars/Phobos"}, ["timezone"]),
            ({"timezone": "africa/nairobi"}, ["timezone"]),
            ({"timezone": "../../etc/passwd"}, ["timezone"]),
            ({"timezone": "localtime"}, ["timezone"]),
            ({"timezone": None}, ["timezone"]),
            ({"phone": "0700000000"}, ["phone"]),
            ({"phone": "+0700000000"}, ["phone"]),
            ({"phone": "+2547000000001234"}, ["phone"]),
            ({"phone": "+254 700 000 000"}, ["phone"]),
            ({"address": "x" * 2001}, ["address"]),
            ({"tax_id": "x" * 201}, ["tax_id"]),
            ({"email": "new@example.com"}, ["email"]),
            ({"status": "active", "verified": True, "currency": "KES"}, ["currency", "status", "verified"]),
            ({"name": "", "timezone": 1, "phone": "x", "id": "acc_1"}, ["id", "name", "phone", "timezone"]),
        ],
    )
    async def test_names_every_fault_and_writes_nothing(self, house: House, sent, faults: list[str]):
        resident = await house.open_account()
        before = await house.call("GET", "/v1/account", key=resident.key)
        answer = await house.call("PUT", "/v1/account", key=resident.key, body=sent)
        assert (answer.status, answer.code, answer.faults) == (400, "invalid_parameter", faults)
        assert (await house.call("GET", "/v1/account", key=resident.key)).body == before.body

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"name": NaN}', b'{"name":"a","name":"b"}'])
    async def test_refuses_what_is_no_object(self, house: House, content: bytes):
        resident = await house.open_account()
        headers = {"Content-Type": "application/json"}
        answer = await house.call("PUT", "/v1/account", key=resident.key, body=content, headers=headers)
        assert (answer.status, answer.code) == (400, "invalid_parameter")

    async def test_is_closed_to_a_suspended_account(self, house: House):
        resident = await house.open_account()
        await house.suspend(resident)
        answer = await house.call("PUT", "/v1/account", key=resident.key, body={"name": "Eve"})
        assert (answer.status, answer.code) == (403, "account_suspended")


class TestOperatorListAccounts:
    async def test_is_unknown_to_an_accounts_key(self, house: House):
        resident = await house.open_account()
        answer = await house.call("GET", "/operator/v1/accounts", key=resident.key)
        assert (answer.status, answer.code) == (404, "not_found")

    async def test_needs_the_scope(self, house: House):
        key = await house.issue_operator("billing", "audit")
        answer = await house.call("GET", "/operator/v1/accounts", key=key)
        assert (answer.status, answer.code) == (403, "forbidden")

    async def test_pages_and_filters(self, house: House):
        residents = [await house.open_account(email=f"p{number}@list.example") for number in range(3)]
        await house.suspend(residents[1])
        page = await house.operate("GET", "/accounts?q=@LIST.example&per_page=2")
        assert page.status == 200
        assert counted(page.body["meta"]) == {"total": 3, "page": 1, "per_page": 2, "pages": 2}
        assert len(page.body["accounts"]) == 2
        assert list(page.body["accounts"][0]) == OPERATOR_MEMBERS
        suspended = await house.operate("GET", "/accounts?q=@list.example&status=suspended")
        assert [account["id"] for account in suspended.body["accounts"]] == [residents[1].id]

    @pytest.mark.parametrize(
        ("query", "faults"),
        [("status=gone", ["status"]), ("page=0", ["page"]), ("per_page=101", ["per_page"]), ("x=1", ["x"]),
         ("page=101&per_page=100", ["page"]), ("page=x", ["page"]), ("status=active&status=active", ["status"])],
    )  # fmt: skip
    async def test_names_the_faults_of_its_query(self, house: House, query: str, faults: list[str]):
        answer = await house.operate("GET", f"/accounts?{query}")
        assert (answer.status, answer.faults) == (400, faults)


class TestOperatorShowAccount:
    async def test_shows_all_members(self, house: House):
        resident = await house.open_account()
        answer = await house.operate("GET", f"/accounts/{resident.id}")
        assert (answer.status, list(answer.body["account"])) == (200, OPERATOR_MEMBERS)

    @pytest.mark.parametrize("account_id", [STRANGER, "acc_1", "proj_" + "0" * 26, "x", "acc_" + "z" * 26])
    async def test_does_not_find_unknown_ids(self, house: House, account_id: str):
        answer = await house.operate("GET", f"/accounts/{account_id}")
        assert (answer.status, answer.code) == (404, "not_found")


class TestOperatorUpdateAccount:
    async def test_sets_what_is_named(self, house: House):
        resident = await house.open_account()
        sent = {
            "email": "o@example.com",
            "country": "KE",
            "tax_exempt": True,
            "terms_days": 30,
            "tax_id": "P05",
            "billing_paused": True,
        }
        answer = await house.operate("PUT", f"/accounts/{resident.id}", body=sent)
        assert answer.status == 200
        assert {name: answer.body["account"][name] for name in sent} == sent
        assert (await house.operate("GET", f"/accounts/{resident.id}")).body == answer.body

    async def test_changes_nothing_with_an_empty_object(self, house: House):
        resident = await house.open_account()
        before = await house.operate("GET", f"/accounts/{resident.id}")
        assert (await house.operate("PUT", f"/accounts/{resident.id}", body={})).body == before.body

    @pytest.mark.parametrize(
        ("sent", "faults"),
        [
            ({"email": "no address"}, ["email"]),
            ({"email": "a@b"}, ["email"]),
            ({"email": "a..b@example.com"}, ["email"]),
            ({"email": "a@example.com\r\nBcc: x@example.com"}, ["email"]),
            ({"email": None}, ["email"]),
            ({"country": "ke"}, ["country"]),
            ({"country": "XX"}, ["country"]),
            ({"country": "KEN"}, ["country"]),
            ({"tax_exempt": "yes"}, ["tax_exempt"]),
            ({"tax_exempt": 1}, ["tax_exempt"]),
            ({"terms_days": -1}, ["terms_days"]),
            ({"terms_days": 366}, ["terms_days"]),
            ({"terms_days": 1.5}, ["terms_days"]),
            ({"terms_days": "30"}, ["terms_days"]),
            ({"billing_paused": "yes"}, ["billing_paused"]),
            ({"currency": "KES", "status": "closed"}, ["currency", "status"]),
        ],
    )
    async def test_names_every_fault(self, house: House, sent, faults: list[str]):
        resident = await house.open_account()
        answer = await house.operate("PUT", f"/accounts/{resident.id}", body=sent)
        assert (answer.status, answer.faults) == (400, faults)

    async def test_does_not_find_unknown_ids(self, house: House):
        assert (await house.operate("PUT", f"/accounts/{STRANGER}", body={})).status == 404


class TestSuspendAndRestore:
    async def test_close_and_open_the_accounts_writes(self, house: House):
        resident = await house.open_account()
        for verb, status, written in (("suspend", "suspended", 403), ("restore", "active", 200)):
            for _ in range(2):
                answer = await house.operate("POST", f"/accounts/{resident.id}/{verb}")
                assert (answer.status, answer.body["account"]["status"]) == (200, status)
            assert (await house.call("PUT", "/v1/account", key=resident.key, body={})).status == written

    @pytest.mark.parametrize("verb", ["suspend", "restore"])
    async def test_do_not_find_unknown_ids(self, house: House, verb: str):
        assert (await house.operate("POST", f"/accounts/{STRANGER}/{verb}")).status == 404

    @pytest.mark.parametrize("verb", ["suspend", "restore"])
    async def test_need_the_scope(self, house: House, verb: str):
        resident = await house.open_account()
        key = await house.issue_operator("catalog")
        assert (await house.call("POST", f"/operator/v1/accounts/{resident.id}/{verb}", key=key)).status == 403


class TestOpenAccount:
    async def test_needs_an_idempotency_key(self, house: House):
        answer = await house.operate("POST", "/accounts", body=OPENING)
        assert (answer.status, answer.code) == (400, "idempotency_key_required")

    async def test_makes_account_books_project_and_key(self, house: House):
        answer = await house.operate("POST", "/accounts", body=OPENING, headers={"Idempotency-Key": "make"})
        account, api_key = answer.body["account"], answer.body["api_key"]
        assert answer.status == 201
        assert answer.headers["Location"].endswith(f"/operator/v1/accounts/{account['id']}")
        assert {name: account[name] for name in OPENING} == OPENING
        assert (api_key["permissions"], api_key["prefix"], api_key["expires_at"]) == (
            ["read", "write"],
            "ls_prod_",
            None,
        )
        shown = await house.call("GET", "/v1/account", key=api_key["key"])
        assert shown.body["account"]["id"] == account["id"]
        async with house.database.reading() as reading:
            made = await reading.connection.fetchrow(
                """
                SELECT (SELECT count(*) FROM heads) AS heads, (SELECT count(*) FROM accounts) AS accounts,
                       (SELECT count(*) FROM projects WHERE is_default) AS projects
                """
            )
        assert made is not None
        assert made["heads"] == made["accounts"] == made["projects"]

    async def test_replays_without_the_secret(self, house: House):
        first = await house.operate("POST", "/accounts", body=OPENING, headers={"Idempotency-Key": "replay"})
        again = await house.operate("POST", "/accounts", body=OPENING, headers={"Idempotency-Key": "replay"})
        expected = first.body
        expected["api_key"]["key"] = None
        assert (again.status, again.body) == (201, expected)
        assert again.headers["Idempotent-Replayed"] == "true"

    async def test_refuses_another_body_under_the_same_key(self, house: House):
        await house.operate("POST", "/accounts", body=OPENING, headers={"Idempotency-Key": "other"})
        other = {**OPENING, "name": "Another"}
        answer = await house.operate("POST", "/accounts", body=other, headers={"Idempotency-Key": "other"})
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")

    @pytest.mark.parametrize("currency", ["EUR", "XXX", "ABC"])
    async def test_refuses_a_currency_that_is_not_enabled(self, house: House, currency: str):
        body = {**OPENING, "currency": currency}
        answer = await house.operate("POST", "/accounts", body=body, headers={"Idempotency-Key": f"c-{currency}"})
        assert (answer.status, answer.code) == (422, "currency_not_supported")

    @pytest.mark.parametrize(
        ("change", "faults"),
        [
            ({"currency": "usd"}, ["currency"]),
            ({"currency": 5, "email": "x", "country": "XX"}, ["country", "currency", "email"]),
            ({"name": " ", "timezone": "Nowhere", "phone": "12"}, ["name", "phone", "timezone"]),
            ({"tax_exempt": True}, ["tax_exempt"]),
        ],
    )
    async def test_names_every_fault(self, house: House, change, faults: list[str]):
        body = {**OPENING, **change}
        answer = await house.operate("POST", "/accounts", body=body, headers={"Idempotency-Key": "faults"})
        assert (answer.status, answer.faults) == (400, faults)

    async def test_names_what_is_missing(self, house: House):
        answer = await house.operate("POST", "/accounts", body={}, headers={"Idempotency-Key": "missing"})
        assert (answer.status, answer.faults) == (400, ["currency", "email", "name"])

    async def test_needs_the_scope(self, house: House):
        key = await house.issue_operator("payments")
        headers = {"Idempotency-Key": "scope"}
        answer = await house.call("POST", "/operator/v1/accounts", key=key, body=OPENING, headers=headers)
        assert (answer.status, answer.code) == (403, "forbidden")
