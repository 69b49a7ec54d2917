"""What is the same for every path, through a real server: reading, errors, headers, permissions."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import httpx2
import msgspec
import pytest
import pytest_asyncio
import structlog

from billing.core.errors import Fault, Unavailable
from billing.kit import log
from billing.kit.db import Database, open_pool
from billing.kit.web import Check, unguarded_routes
from billing.kit.web.errors import translate
from billing.kit.web.schemas import struct_reader
from tests.support.house import counted
from tests.support.sample_api import make_app, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}


def key(name: str = "ls_test_one", **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}", **headers}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(module_dsn: str) -> AsyncIterator[Database]:
    pool = await open_pool(module_dsn, size=4)
    yield Database(pool)
    await pool.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(make_app(database)) as opened:
        yield opened


async def send(client: httpx2.AsyncClient, content: bytes | dict[str, Any], **headers: str) -> httpx2.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await client.put("/v1/things/t1", content=body, headers=key(**{**JSON, **headers}))


def faults(answer: httpx2.Response) -> dict[str, str]:
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_parameter"
    return {fault["path"]: fault["reason"] for fault in answer.json()["error"]["details"]["faults"]}


BEYOND = "reaches beyond item 10000 of the list; go on with cursor, which meta.next_cursor holds"
GOOD = {"name": "A thing", "amount": 1}


class TestBodies:
    async def test_keeps_every_digit(self, client: httpx2.AsyncClient):
        answer = await send(client, b'{"name": "a", "amount": 12345678901234567.890}')
        assert (answer.status_code, answer.text) == (200, '{"id":"t1","amount":12345678901234567.890,"labels":{}}')

    async def test_takes_amounts_as_text(self, client: httpx2.AsyncClient):
        assert '"amount":100.00' in (await send(client, {**GOOD, "amount": "100.00"})).text

    async def test_shows_instants_in_whole_seconds_of_utc(self, client: httpx2.AsyncClient):
        answer = await send(client, {**GOOD, "starts_at": "2024-01-01T02:30:00.999+02:30"})
        assert answer.json()["starts_at"] == "2024-01-01T00:00:00Z"

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"  ",
            b"{",
            b"[1,",
            b"nonsense",
            b'{"name": "a" "amount": 1}',
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            b'{"name": "\xc3"}',
            b"[" * 10_000,
            b"[" * 10_000 + b"]" * 10_000,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            b"1" * 900_000,
            b"NaN",
            b"null",
            b"[]",
            b'"text"',
        ],
    )
    async def test_refuses_what_is_no_object(self, client: httpx2.AsyncClient, content: bytes):
        assert list(faults(await send(client, content))) == [""]

    @pytest.mark.parametrize(
        ("member", "value", "reason"),
        [
            ("name", 1, "must be a text"),
            ("name", None, "must not be null"),
            ("name", "", "must not be empty"),
            ("name", "x" * 51, "must not be longer than 50 characters"),
            ("note", "x" * 501, "must not be longer than 500 characters"),
            ("note", ["a"], "must be a text"),
            ("amount", True, "must be a number"),
            ("amount", None, "must not be null"),
            ("amount", "", "must be a number"),
            ("amount", "NaN", "must be a number"),
            ("amount", "Infinity", "must be a number"),
            ("amount", " 1", "must be a number"),
            ("amount", "1,5", "must be a number"),
            ("amount", "0x10", "must be a number"),
            ("amount", "1e400", "is out of range"),
            ("amount", {}, "must be a number"),
            ("is_default", 1, "must be true or false"),
            ("is_default", "true", "must be true or false"),
            ("kind", "cash", "must be one of: bank_account, card"),
            ("kind", 3, "must be one of: bank_account, card"),
            ("starts_at", "2024-01-01T00:00:00", "must be a time with its zone, such as 2024-01-31T12:00:00Z"),
            ("starts_at", 5, "must be a time with its zone, such as 2024-01-31T12:00:00Z"),
            ("starts_at", "2023-02-29T00:00:00Z", "is a date that does not exist"),
            ("starts_at", "2024-01-01T25:00:00Z", "is a time that does not exist"),
            ("starts_at", "0001-01-01T00:00:00+14:00", "is out of range"),
            ("starts_at", None, "must not be null"),
            ("day", "2024-02-30", "is a date that does not exist"),
            ("day", "01/02/2024", "must be a date such as 2024-01-31"),
            ("lines", {}, "must be a list"),
            ("lines", [{"quantity": 1}] * 4, "must not have more than 3 items"),
            ("labels", [], "must be an object"),
            ("unknown", 1, "is not a known field"),
        ],
    )
    async def test_names_a_faulty_member(self, client: httpx2.AsyncClient, member: str, value: object, reason: str):
        assert faults(await send(client, {**GOOD, member: value})) == {member: reason}

    @pytest.mark.parametrize(
        ("literal", "reason"),
        [
            (b"NaN", "must be a number"),
            (b"-Infinity", "must be a number"),
            (b"1e400", "is out of range"),
            (b"1e999999999999", "is out of range"),
            (b"9" * 900_000, "is out of range"),
            (b"0." + b"1" * 900_000, "is out of range"),
        ],
    )
    async def test_refuses_literals_that_are_no_amounts(self, client: httpx2.AsyncClient, literal: bytes, reason: str):
        assert faults(await send(client, b'{"name": "a", "amount": ' + literal + b"}")) == {"amount": reason}

    async def test_names_all_faults_with_their_paths(self, client: httpx2.AsyncClient):
        content = b"""{"amount": "x", "amount": "y", "lines": [{"quantity": 1}, {"units": 0}, {"quantity": [], "q": 1}],
            "labels": {"a": 1}, "is_default": 5.0}"""
        assert faults(await send(client, content)) == {
            "amount": "must be a number",
            "is_default": "must be true or false",
            "labels.a": "must be a text",
            "lines[1].quantity": "is required",
            "lines[1].units": "must be at least 1",
            "lines[2].q": "is not a known field",
            "lines[2].quantity": "must be a number",
            "name": "is required",
        }

    async def test_refuses_a_doubled_member(self, client: httpx2.AsyncClient):
        answer = await send(client, b'{"name": "a", "name": "b", "amount": 1, "labels": {"x": "1", "x": "1"}}')
        assert faults(answer) == {"name": "is given more than once", "labels.x": "is given more than once"}

    @pytest.mark.parametrize("escape", [r"\u0000", r"\ud800", r"\udc00x"])
    async def test_refuses_text_that_nothing_can_hold(self, client: httpx2.AsyncClient, escape: str):
        content = f'{{"name": "a{escape}", "amount": 1, "labels": {{"b{escape}": "c"}}, "{escape}": 1}}'
        answer = await send(client, content.encode())
        assert {"name"} < set(faults(answer))
        assert len(faults(answer)) == 3

    async def test_keeps_markup_and_other_scripts_as_they_are(self, client: httpx2.AsyncClient):
        labels = {"sql": "'; DROP TABLE accounts; --", "markup": "<script>alert(1)</script>", "kiswahili": "Habari 🌍"}
        assert (await send(client, {**GOOD, "labels": labels})).json()["labels"] == labels

    async def test_lists_a_hundred_faults_and_counts_the_rest(self, client: httpx2.AsyncClient):
        answer = await send(client, {**GOOD, **{f"m{number}": 1 for number in range(5000)}})
        assert len(faults(answer)) == 101
        assert faults(answer)[""] == "has 4900 more faults"

    @pytest.mark.parametrize(
        "content_type",
        [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
            "application/jsonx",
        ],
    )
    async def test_refuses_other_types(self, client: httpx2.AsyncClient, content_type: str):
        answer = await send(client, GOOD, **{"Content-Type": content_type})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")

    async def test_refuses_compressed_bodies(self, client: httpx2.AsyncClient):
        assert (await send(client, GOOD, **{"Content-Encoding": "gzip"})).status_code == 415

    async def test_takes_a_charset(self, client: httpx2.AsyncClient):
        assert (await send(client, GOOD, **{"Content-Type": "Application/JSON; charset=UTF-8"})).status_code == 200

    async def test_refuses_more_than_a_megabyte(self, client: httpx2.AsyncClient):
        answer = await send(client, b'{"name": "' + b"x" * 2_000_000 + b'"}')
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")

    async def test_refuses_more_than_a_megabyte_in_chunks(self, client: httpx2.AsyncClient):
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(30):
                yield b" " * 100_000

        answer = await client.put("/v1/things/t1", content=chunks(), headers=key(**JSON))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
        assert (await client.get("/v1/things/t1", headers=key())).status_code == 200


class TestCardNumbers:
    @pytest.mark.parametrize(
        ("member", "value", "path"),
        [
            ("note", "4111111111111111", "note"),
            ("note", "my card is 5555 5555 5555 4444, thanks", "note"),
            ("name", "3782-822463-10005", "name"),
            ("labels", {"card": "6011111111111117"}, "labels.card"),
            ("unknown", ["x", "30569309025904"], "unknown[1]"),
            ("starts_at", "2223003122003222", "starts_at"),
            ("4242424242424242", 1, "(name)"),
        ],
    )
    async def test_are_refused_and_not_shown_back(
        self, client: httpx2.AsyncClient, member: str, value: object, path: str, capfd: pytest.CaptureFixture[str]
    ):
        answer = await send(client, {**GOOD, member: value})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "card_number_refused")
        assert [fault["path"] for fault in answer.json()["error"]["details"]["faults"]] == [path]
        assert not any(
            digits in answer.text + "".join(capfd.readouterr()) for digits in ("4111", "5555", "3782", "4242")
        )

    async def test_are_found_behind_escapes(self, client: httpx2.AsyncClient):
        content = b'{"name": "a", "amount": 1, "note": "\\u0034111111111111111"}'
        assert (await send(client, content)).status_code == 422

    @pytest.mark.parametrize("text", ["4111111111111112", "tok_4111111111111111", "1234567890123456", "+254700000000"])
    async def test_leaves_other_digits_alone(self, client: httpx2.AsyncClient, text: str):
        assert (await send(client, {**GOOD, "note": text})).status_code == 200


class TestQueries:
    async def test_reads_text_by_type(self, client: httpx2.AsyncClient):
        query = "from_date=2024-01-01&to_date=2024-01-31&kind=card&detailed=true&page=2&per_page=10"
        answer = await client.get(f"/v1/things?{query}", headers=key())
        assert answer.json()["things"] == [
            {"kind": "card", "detailed": True, "start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"}
        ]
        assert answer.json()["numbers"] == list(range(11, 21))
        assert counted(answer.json()["meta"]) == {"total": 60, "page": 2, "per_page": 10, "pages": 6}

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("page=0", {"page": "must be at least 1"}),
            ("page=1.5", {"page": "must be a whole number"}),
            ("page=", {"page": "must be a whole number"}),
            ("page=" + "9" * 5000, {"page": "is out of range"}),
            ("per_page=101", {"per_page": "must be at most 100"}),
            ("page=101&per_page=100", {"page": BEYOND}),
            ("page=1&page=1", {"page": "is given more than once"}),
            ("detailed=1", {"detailed": "must be true or false"}),
            ("kind=cash&x=1", {"kind": "must be one of: bank_account, card", "x": "is not a known field"}),
            ("from_date=2024-02-30", {"from_date": "is a date that does not exist"}),
            ("from_date=2024-02-02&to_date=2024-02-01", {"from_date": "must not be after to_date"}),
            ("to_date=9999-12-31", {"to_date": "is out of range"}),
            ("kind=%00", {"kind": "must be one of: bank_account, card"}),
            ("kind=%ff", {"": "must be percent-encoded UTF-8"}),
        ],
    )
    async def test_names_every_fault(self, client: httpx2.AsyncClient, query: str, expected: dict[str, str]):
        assert faults(await client.get(f"/v1/things?{query}", headers=key())) == expected

    async def test_refuses_parameters_of_a_path_without(self, client: httpx2.AsyncClient):
        answer = await client.get("/v1/things/t1?api_key=x", headers=key())
        assert faults(answer) == {
            "api_key": "is not a known field: a key is sent in the Authorization header alone, and is in no address"
        }

    async def test_links_to_other_pages(self, client: httpx2.AsyncClient):
        answer = await client.get("/v1/things?kind=card&page=2&per_page=25", headers=key())
        base = "/v1/things?kind=card&page={}&per_page=25"
        assert {name: link["url"] for name, link in answer.links.items()} == {
            "first": base.format(1),
            "prev": base.format(1),
            "next": base.format(3),
            "last": base.format(3),
        }


class TestBatches:
    async def send(self, client: httpx2.AsyncClient, content: bytes) -> httpx2.Response:
        headers = key("ls_op_all", **{"Content-Type": "application/cloudevents-batch+json"})
        return await client.post("/operator/v1/events", content=content, headers=headers)

    async def test_reads_each_item_by_itself(self, client: httpx2.AsyncClient):
        answer = await self.send(client, b'[{"id": "a", "quantity": 1}, 5, {"id": 1, "x": 2}]')
        assert answer.json()["results"] == [
            {"id": "a", "reasons": []},
            {"id": None, "reasons": [" must be an object"]},
            {"id": None, "reasons": ["id must be a text", "x is not a known field", "quantity is required"]},
        ]

    async def test_refuses_too_many(self, client: httpx2.AsyncClient):
        assert faults(await self.send(client, b"[1,2,3,4]")) == {"": "must not have more than 3 items"}

    async def test_refuses_what_is_no_list(self, client: httpx2.AsyncClient):
        assert faults(await self.send(client, b"{}")) == {"": "must be a list"}


class TestPermissions:
    @pytest.mark.parametrize(
        ("method", "path", "token", "expected"),
        [
            ("GET", "/v1/things/t1", None, (401, "unauthorized")),
            ("GET", "/v1/things/t1", "ls_test_nobody", (401, "unauthorized")),
            ("GET", "/v1/things/t1", "ls_op_all", (404, "not_found")),
            ("GET", "/v1/nothing", None, (404, "not_found")),
            ("PUT", "/v1/things/t1", None, (401, "unauthorized")),
            ("PUT", "/v1/things/t1", "ls_test_reads", (403, "forbidden")),
            ("POST", "/v1/things", "ls_test_suspended", (403, "account_suspended")),
            ("PUT", "/v1/things/t1", "ls_test_suspended", (400, "invalid_parameter")),
            ("POST", "/operator/v1/events", None, (401, "unauthorized")),
            ("POST", "/operator/v1/events", "ls_test_one", (404, "not_found")),
            ("POST", "/operator/v1/events", "ls_op_nobody", (401, "unauthorized")),
            ("POST", "/operator/v1/events", "ls_op_audit", (403, "forbidden")),
        ],
    )
    async def test_comes_before_the_body(
        self, client: httpx2.AsyncClient, method: str, path: str, token: str | None, expected: tuple[int, str]
    ):
        headers = {**JSON, **(key(token) if token else {})}
        answer = await client.request(method, path, content=b"" if method == "GET" else b"{", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == expected
        assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)

    @pytest.mark.parametrize("value", ["", "Bearer", "Basic abc", "ls_test_one", "Bearer ls_test_one x", "Bearer \xe9"])
    async def test_needs_one_bearer_key(self, client: httpx2.AsyncClient, value: str):
        headers = [(b"authorization", value.encode("latin-1"))]
        assert (await client.get("/v1/things/t1", headers=headers)).status_code == 401

    async def test_refuses_two_keys(self, client: httpx2.AsyncClient):
        headers = [("Authorization", "Bearer ls_test_one")] * 2
        assert (await client.get("/v1/things/t1", headers=headers)).status_code == 401

    async def test_takes_the_scheme_in_any_case(self, client: httpx2.AsyncClient):
        answer = await client.get("/v1/things/t1", headers={"Authorization": "bEARER ls_test_one"})
        assert answer.status_code == 200

    async def test_leaves_a_line_when_it_is_denied(self, client: httpx2.AsyncClient):
        with structlog.testing.capture_logs([log.merge_context]) as lines:
            await client.put("/v1/things/secret-id", headers=key("ls_test_reads", **{"X-Request-Id": "r1"}))
        assert lines == [
            {
                "event": "denied",
                "log_level": "warning",
                "code": "forbidden",
                "request_id": "r1",
                "method": "PUT",
                "route": "/v1/things/{thing_id}",
                "ip": "127.0.0.1",
            }
        ]

    async def test_is_asked_for_by_every_route(self, database: Database):
        assert unguarded_routes(make_app(database)) == []


class TestAnswers:
    @pytest.mark.parametrize("path", ["/v1/things/t1", "/v1/things/t1?x=1", "/nowhere", "/v1/failures/bug"])
    async def test_have_the_same_headers(self, client: httpx2.AsyncClient, path: str):
        answer = await client.get(path, headers=key(**{"X-Request-Id": "my-Request_1"}))
        assert answer.headers["X-Request-Id"] == "my-Request_1"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "{}"])
    async def test_replace_a_request_id_that_is_none(self, client: httpx2.AsyncClient, given: str):
        answer = await client.get("/livez", headers={"X-Request-Id": given})
        assert len(answer.headers["X-Request-Id"]) == 32

    async def test_to_head_have_no_body(self, client: httpx2.AsyncClient):
        whole = await client.get("/v1/things/t1", headers=key())
        head = await client.head("/v1/things/t1", headers=key())
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == whole.headers["Content-Length"] == str(len(whole.content))
        assert (await client.head("/v1/things/t1")).status_code == 401
        assert (await client.head("/livez")).status_code == 200

    async def test_to_options_name_the_methods(self, client: httpx2.AsyncClient):
        answer = await client.options("/v1/things/t1")
        assert (answer.status_code, answer.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PUT")

    @pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND"])
    async def test_to_other_methods_name_the_right_ones(self, client: httpx2.AsyncClient, method: str):
        answer = await client.request(method, "/v1/things/t1", headers=key())
        assert (answer.status_code, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PUT")
        assert answer.json()["error"]["code"] == "method_not_allowed"

    @pytest.mark.parametrize("kind", ["bug", "sql"])
    async def test_hide_what_went_wrong(self, client: httpx2.AsyncClient, kind: str):
        with structlog.testing.capture_logs() as lines:
            answer = await client.get(f"/v1/failures/{kind}", headers=key(**{"X-Request-Id": "r1"}))
        assert [(line["event"], isinstance(line["exc_info"], Exception)) for line in lines] == [
            ("unexpected_error", True)
        ]
        assert answer.status_code == 500
        assert answer.json() == {
            "error": {
                "code": "internal_error",
                "message": "Something went wrong on our side; quote the request id to support",
                "details": {"request_id": "r1"},
            }
        }

    @pytest.mark.parametrize("kind", ["slow", "torn", "away"])
    async def test_ask_to_come_again_when_the_database_is_away(self, client: httpx2.AsyncClient, kind: str):
        answer = await client.get(f"/v1/failures/{kind}", headers=key())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "2"
        assert (await client.get("/v1/things/t1", headers=key())).status_code == 200

    async def test_know_a_pool_without_a_free_connection(self, database: Database):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(database.pool.get_max_size()):
                await stack.enter_async_context(database.pool.acquire())
            with pytest.raises(OSError) as caught:
                await database.pool.acquire(timeout=0.01)
        assert isinstance(translate(caught.value), Unavailable)

    @pytest.mark.parametrize("kind", ["overflow", "unencodable"])
    async def test_blame_a_value_that_the_database_refuses(self, client: httpx2.AsyncClient, kind: str):
        assert (await client.get(f"/v1/failures/{kind}", headers=key())).status_code == 400

    @pytest.mark.parametrize("thing_id", ["%00", "a%00b", "x" * 600])
    async def test_know_no_impossible_ids(self, client: httpx2.AsyncClient, thing_id: str):
        assert (await client.get(f"/v1/things/{thing_id}", headers=key())).status_code == 404

    async def test_stay_apart_under_load(self, client: httpx2.AsyncClient):
        asked = [
            client.get(f"/v1/things/t{number}", headers=key(**{"X-Request-Id": f"r{number}"})) for number in range(50)
        ]
        for number, answer in enumerate(await asyncio.gather(*asked)):
            assert (answer.json()["id"], answer.headers["X-Request-Id"]) == (f"t{number}", f"r{number}")


class TestChecks:
    async def test_are_asked_beside_other_faults(self, client: httpx2.AsyncClient):
        assert faults(await send(client, {"name": "checked", "amount": "x", "labels": {"a": "b"}})) == {
            "amount": "must be a number",
            "labels": "must be empty for checked",
        }

    async def test_wait_for_members_that_are_well_read(self, client: httpx2.AsyncClient):
        assert faults(await send(client, {"name": "checked", "amount": 1, "labels": {"a": 1}})) == {
            "labels.a": "must be a text"
        }

    async def test_see_what_was_not_given_as_its_default(self, client: httpx2.AsyncClient):
        assert (await send(client, {"name": "checked", "amount": 1})).status_code == 200

    async def test_know_their_members(self):
        def other_faults(*, other: str) -> list[Fault]:
            return [Fault("body", "other", other)]

        class Wrong(msgspec.Struct):
            name: str
            checks: ClassVar[tuple[Check, ...]] = (other_faults,)

        with pytest.raises(TypeError, match="Wrong has no other to check"):
            struct_reader(Wrong)
