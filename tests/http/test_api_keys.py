"""The calls about keys, and what a key opens."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from billing.accounts import routes as account_routes
from billing.api_keys import operations, routes, rules
from tests.support.house import START, House, Resident, open_house

LISTED = ["id", "name", "prefix", "permissions", "last_used", "created_at", "expires_at", "ip_whitelist"]
CREATED = ["id", "name", "key", "permissions", "expires_at", "created_at", "prefix", "ip_whitelist"]
BODY = {"name": "CI/CD Pipeline Key", "permissions": ["read", "write"]}
UNKNOWN = "key_" + "0" * 26


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[House]:
    async with open_house(module_dsn, public=[*routes.HANDLERS, *account_routes.HANDLERS]) as opened:
        yield opened


async def create(house: House, resident: Resident, *, key: str | None = None, **members: object):
    return await house.call("POST", "/v1/account/api-keys", key=key or resident.key, body={**BODY, **members})


class TestListKeys:
    async def test_needs_a_key(self, house: House):
        assert (await house.call("GET", "/v1/account/api-keys")).status == 401

    async def test_needs_the_read_permission(self, house: House):
        key = await house.issue(await house.open_account(), "write")
        answer = await house.call("GET", "/v1/account/api-keys", key=key)
        assert (answer.status, answer.code) == (403, "forbidden")

    async def test_shows_the_accounts_keys_without_secrets(self, house: House):
        resident, stranger = await house.open_account(), await house.open_account()
        house.clock.advance(timedelta(seconds=1))
        made = await create(
            house, resident, expires_at="2024-12-31T23:59:59Z", ip_whitelist=["192.168.1.100", "10.0.0.0/8"]
        )
        answer = await house.call("GET", "/v1/account/api-keys", key=resident.key)
        assert answer.status == 200
        assert answer.body["meta"] == {"total": 2, "page": 1, "per_page": 25, "pages": 1, "next_cursor": None}
        newest = answer.body["api_keys"][0]
        assert list(newest) == LISTED
        assert newest["id"] == made.body["api_key"]["id"]
        assert newest["expires_at"] == "2024-12-31T23:59:59Z"
        assert newest["ip_whitelist"] == ["192.168.1.100", "10.0.0.0/8"]
        assert made.body["api_key"]["key"] not in answer.text
        assert (await house.call("GET", "/v1/account/api-keys", key=stranger.key)).body["meta"]["total"] == 1

    async def test_pages(self, house: House):
        resident = await house.open_account()
        for number in range(4):
            await create(house, resident, name=f"Key {number}")
        pages = [
            await house.call("GET", f"/v1/account/api-keys?page={page}&per_page=2", key=resident.key)
            for page in (1, 2, 3, 4)
        ]
        shown = [key["id"] for page in pages for key in page.body["api_keys"]]
        assert len(shown) == len(set(shown)) == 5
        assert [len(page.body["api_keys"]) for page in pages] == [2, 2, 1, 0]
        assert {page.body["meta"]["total"] for page in pages} == {5}


class TestShowKey:
    async def test_shows_one(self, house: House):
        resident = await house.open_account()
        made = (await create(house, resident)).body["api_key"]
        answer = await house.call("GET", f"/v1/account/api-keys/{made['id']}", key=resident.key)
        assert (answer.status, list(answer.body["api_key"])) == (200, LISTED)

    async def test_does_not_find_unknown_or_foreign_ids(self, house: House):
        resident, stranger = await house.open_account(), await house.open_account()
        foreign = (await create(house, stranger)).body["api_key"]["id"]
        answers = [
            await house.call("GET", f"/v1/account/api-keys/{key_id}", key=resident.key)
            for key_id in (foreign, UNKNOWN, "x", "acc_" + "0" * 26)
        ]
        assert {answer.status for answer in answers} == {404}
        assert len({answer.text for answer in answers}) == 1


class TestCreateKey:
    async def test_needs_a_key(self, house: House):
        assert (await house.call("POST", "/v1/account/api-keys", body=BODY)).status == 401

    async def test_needs_the_write_permission(self, house: House):
        resident = await house.open_account()
        answer = await create(house, resident, key=await house.issue(resident, "read"), permissions=["read"])
        assert (answer.status, answer.code) == (403, "forbidden")

    async def test_shows_the_secret_once(self, house: House):
        resident = await house.open_account()
        answer = await create(house, resident)
        made = answer.body["api_key"]
        assert (answer.status, list(made)) == (201, CREATED)
        assert answer.headers["Location"].endswith(f"/v1/account/api-keys/{made['id']}")
        assert (made["prefix"], made["permissions"], made["expires_at"]) == ("ls_prod_", ["read", "write"], None)
        assert (made["created_at"], made["ip_whitelist"]) == ("2024-02-01T10:00:00Z", [])
        assert (await house.call("GET", "/v1/account", key=made["key"])).status == 200

    async def test_has_form_and_checksum(self, house: House):
        secret = (await create(house, await house.open_account())).body["api_key"]["key"]
        body, tail = secret[8:38], secret[38:]
        value = 0
        for symbol in tail:
            value = value * 62 + rules._ALPHABET.index(symbol)
        assert (len(secret), secret[:8], value) == (44, "ls_prod_", zlib.crc32(body.encode()))

    async def test_replays_without_the_secret(self, house: House):
        resident = await house.open_account()
        headers = {"Idempotency-Key": "once"}
        first, again = [
            await house.call("POST", "/v1/account/api-keys", key=resident.key, body=BODY, headers=headers)
            for _ in range(2)
        ]
        expected = first.body
        expected["api_key"]["key"] = None
        assert (again.status, again.body) == (201, expected)
        total = (await house.call("GET", "/v1/account/api-keys", key=resident.key)).body["meta"]["total"]
        assert total == 2

    @pytest.mark.parametrize(
        ("members", "faults"),
        [
            ({"name": ""}, ["name"]),
            ({"name": None}, ["name"]),
            ({"name": "x" * 201}, ["name"]),
            ({"permissions": []}, ["permissions"]),
            ({"permissions": "read"}, ["permissions"]),
            ({"permissions": ["read", "admin"]}, ["permissions[1]"]),
            ({"permissions": ["*"]}, ["permissions[0]"]),
            ({"expires_at": "2024-02-01T10:00:00Z"}, ["expires_at"]),
            ({"expires_at": "2020-01-01T00:00:00Z"}, ["expires_at"]),
            ({"expires_at": "2024-12-31T23:59:59"}, ["expires_at"]),
            ({"expires_at": "2024-02-30T00:00:00Z"}, ["expires_at"]),
            ({"expires_at": "tomorrow"}, ["expires_at"]),
            ({"expires_at": 1735689599}, ["expires_at"]),
            ({"expires_at": "9999-12-31T23:59:59-23:59"}, ["expires_at"]),
            ({"ip_whitelist": "10.0.0.0/8"}, ["ip_whitelist"]),
            (
                {"ip_whitelist": ["10.0.0.0/8", "10.0.0.1/8", "example.com", 5]},
                [f"ip_whitelist[{n}]" for n in (1, 2, 3)],
            ),
            ({"ip_whitelist": ["10.0.0.1"] * 101}, ["ip_whitelist"]),
            ({"prefix": "ls_live_", "account_id": "acc_1"}, ["account_id", "prefix"]),
            ({"name": 1, "permissions": 2, "expires_at": 3, "x": 4}, ["expires_at", "name", "permissions", "x"]),
        ],
    )
    async def test_names_every_fault_and_makes_nothing(self, house: House, members, faults: list[str]):
        resident = await house.open_account()
        answer = await create(house, resident, **members)
        assert (answer.status, answer.code, answer.faults) == (400, "invalid_parameter", faults)
        total = (await house.call("GET", "/v1/account/api-keys", key=resident.key)).body["meta"]["total"]
        assert total == 1

    async def test_names_what_is_missing(self, house: House):
        resident = await house.open_account()
        answer = await house.call("POST", "/v1/account/api-keys", key=resident.key, body={})
        assert (answer.status, answer.faults) == (400, ["name", "permissions"])

    @pytest.mark.parametrize(
        "members",
        [
            {"permissions": ["read", "write"]},
            {"permissions": ["read"]},
            {"expires_at": None},
            {"expires_at": "2024-02-01T12:00:01Z"},
            {"ip_whitelist": None},
            {"ip_whitelist": []},
            {"ip_whitelist": ["127.0.0.1", "10.0.0.1"]},
            {"ip_whitelist": ["126.0.0.0/7"]},
            {"ip_whitelist": ["::/0"]},
        ],
    )
    async def test_refuses_more_than_its_own_key_has(self, house: House, members):
        resident = await house.open_account()
        own = await house.issue(resident, "write", expires_at=START + timedelta(hours=2), ip_whitelist=["127.0.0.0/8"])
        allowed = {"permissions": ["write"], "expires_at": "2024-02-01T12:00:00Z", "ip_whitelist": ["127.0.0.1"]}
        assert (await create(house, resident, key=own, **allowed)).status == 201
        answer = await create(house, resident, key=own, **{**allowed, **members})
        assert (answer.status, answer.code) == (403, "forbidden")

    async def test_allows_two_hundred_at_a_time(self, house: House):
        jane = await house.open_account()
        month = (house.clock.now + timedelta(days=30)).isoformat()
        async with house.database.transaction() as tx:
            for _ in range(196):
                await operations.issue(tx, account_id=jane.account_id, name="k", permissions=["read"])
        members = [{"expires_at": month}, *[{}] * 4]
        replies = await asyncio.gather(*(create(house, jane, **one) for one in members))
        assert sorted(reply.status for reply in replies) == [201] * 3 + [422] * 2
        refused = next(reply for reply in replies if reply.status == 422)
        assert (refused.code, refused.body["error"]["details"]) == ("too_many_keys", {"limit": 200})
        made = next(reply.body["api_key"]["id"] for reply in replies if reply.status == 201)
        assert (await house.call("DELETE", f"/v1/account/api-keys/{made}", key=jane.key)).status == 204
        assert [(await create(house, jane)).status for _ in range(2)] == [201, 422]
        assert (await create(house, await house.open_account())).status == 201

    async def test_is_closed_to_a_suspended_account(self, house: House):
        resident = await house.open_account()
        await house.suspend(resident)
        answer = await create(house, resident)
        assert (answer.status, answer.code) == (403, "account_suspended")


class TestRevokeKey:
    async def test_needs_the_write_permission(self, house: House):
        resident = await house.open_account()
        made = (await create(house, resident)).body["api_key"]
        reading = await house.issue(resident, "read")
        assert (await house.call("DELETE", f"/v1/account/api-keys/{made['id']}")).status == 401
        assert (await house.call("DELETE", f"/v1/account/api-keys/{made['id']}", key=reading)).status == 403

    async def test_is_effective_at_once_and_not_found_again(self, house: House):
        resident = await house.open_account()
        made = (await create(house, resident)).body["api_key"]
        path = f"/v1/account/api-keys/{made['id']}"
        answer = await house.call("DELETE", path, key=resident.key)
        assert (answer.status, answer.text) == (204, "")
        calls = [house.call("GET", "/v1/account", key=made["key"]) for _ in range(50)]
        assert {reply.status for reply in await asyncio.gather(*calls)} == {401}
        assert (await house.call("DELETE", path, key=resident.key)).status == 404
        assert (await house.call("GET", path, key=resident.key)).status == 404
        assert made["id"] not in (await house.call("GET", "/v1/account/api-keys", key=resident.key)).text

    async def test_does_not_reach_another_accounts_key(self, house: House):
        resident, stranger = await house.open_account(), await house.open_account()
        foreign = (await create(house, stranger)).body["api_key"]
        answers = [
            await house.call("DELETE", f"/v1/account/api-keys/{key_id}", key=resident.key)
            for key_id in (foreign["id"], UNKNOWN)
        ]
        assert {answer.status for answer in answers} == {404}
        assert len({answer.text for answer in answers}) == 1
        assert (await house.call("GET", "/v1/account", key=foreign["key"])).status == 200

    async def test_stays_open_to_a_suspended_account(self, house: House):
        resident = await house.open_account()
        made = (await create(house, resident)).body["api_key"]
        await house.suspend(resident)
        assert (await house.call("DELETE", f"/v1/account/api-keys/{made['id']}", key=resident.key)).status == 204


class TestAuthentication:
    async def test_refuses_other_texts_alike(self, house: House):
        resident = await house.open_account()
        wrong = [
            "x", "ls_prod_", resident.key[:-1], resident.key + "0", resident.key.swapcase(),
            resident.key[:20] + ("0" if resident.key[20] != "0" else "1") + resident.key[21:],
            rules.new_secret("ls_prod_", lambda _: 7), "ls_prod_" + "0" * 36,
        ]  # fmt: skip
        answers = [await house.call("GET", "/v1/account", key=key) for key in wrong]
        assert {(answer.status, answer.code) for answer in answers} == {(401, "unauthorized")}

    async def test_refuses_a_wrong_checksum_without_the_database(self, house: House):
        await house.database.pool.close()
        assert (await house.call("GET", "/v1/account", key="ls_prod_" + "0" * 35 + "1")).status == 401

    async def test_ends_at_the_millisecond_of_expiry(self, house: House):
        key = await house.issue(await house.open_account(), "read", expires_at=START + timedelta(hours=1))
        house.clock.now = START + timedelta(hours=1) - timedelta(milliseconds=1)
        assert (await house.call("GET", "/v1/account", key=key)).status == 200
        house.clock.now = START + timedelta(hours=1)
        assert (await house.call("GET", "/v1/account", key=key)).status == 401

    @pytest.mark.parametrize(
        ("ranges", "status"),
        [
            (["127.0.0.1"], 200),
            (["127.0.0.0/8", "::1"], 200),
            (["::ffff:127.0.0.1"], 200),
            (["10.0.0.0/8"], 403),
            (["::/0"], 403),
        ],
    )
    async def test_holds_to_the_ip_list(self, house: House, ranges: list[str], status: int):
        key = await house.issue(await house.open_account(), "read", ip_whitelist=ranges)
        answer = await house.call("GET", "/v1/account", key=key)
        assert answer.status == status
        assert status == 200 or answer.code == "ip_not_allowed"

    async def test_notes_its_use_at_most_once_a_minute(self, house: House):
        resident = await house.open_account()
        used: list[str] = []
        for seconds in (0, 59, 60):
            house.clock.now = START + timedelta(seconds=seconds)
            await asyncio.gather(*(house.call("GET", "/v1/account", key=resident.key) for _ in range(5)))
            await house.keyring.close()
            shown = await house.call("GET", "/v1/account/api-keys", key=resident.key)
            used.append(shown.body["api_keys"][0]["last_used"])
        assert used == ["2024-02-01T10:00:00Z", "2024-02-01T10:00:00Z", "2024-02-01T10:01:00Z"]

    async def test_keeps_no_secret(self, house: House):
        resident = await house.open_account()
        secret = (await create(house, resident)).body["api_key"]["key"]
        async with house.database.reading() as reading:
            rows = await reading.connection.fetch(
                "SELECT api_keys::text AS row FROM api_keys UNION ALL SELECT idempotency_keys::text FROM idempotency_keys"
            )
        assert rows
        assert not [row for row in rows if secret in row["row"] or secret[8:38] in row["row"]]
