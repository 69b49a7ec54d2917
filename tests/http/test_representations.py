"""ETags and compression, origins of browsers, and paths, through a real server."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from billing.kit.config import ConfigError, load_settings
from billing.kit.db import Database, open_pool
from billing.kit.web.representations import accepts_gzip, is_held
from tests.support.sample_api import make_app, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "https://console.example.com"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(module_dsn: str) -> AsyncIterator[httpx2.AsyncClient]:
    pool = await open_pool(module_dsn, size=4)
    async with served(make_app(Database(pool), cors_origins=[PAGE])) as opened:
        yield opened
    await pool.close()


async def ask(
    client: httpx2.AsyncClient, path: str = "/v1/things/t1", method: str = "GET", **headers: str
) -> httpx2.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.request(
        method, path, headers={"Authorization": "Bearer ls_test_one", "Accept-Encoding": "identity", **sent}
    )


class TestETag:
    async def test_of_one_thing_is_strong_and_steady(self, client: httpx2.AsyncClient):
        first, again, other = [await ask(client, f"/v1/things/{name}") for name in ("t1", "t1", "t2")]
        assert first.headers["etag"].startswith('"')
        assert first.headers["etag"] == again.headers["etag"] != other.headers["etag"]

    async def test_saves_the_body(self, client: httpx2.AsyncClient):
        etag = (await ask(client)).headers["etag"]
        for held in (etag, f"W/{etag}", f'"x", {etag}', "*", f'W/"a,b" ,\t{etag}'):
            answer = await ask(client, If_None_Match=held)
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag), held
            assert {"x-request-id", "cache-control"} <= answer.headers.keys()
            assert not {"content-type", "content-length"} & answer.headers.keys()
        for other in ('"x"', "x", etag.strip('"'), "", "'*'", f"{etag[:-1]}"):
            assert (await ask(client, If_None_Match=other)).status_code == 200, other

    async def test_is_the_same_for_head(self, client: httpx2.AsyncClient):
        whole, head = await ask(client), await ask(client, method="HEAD")
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", whole.headers["etag"])
        assert head.headers["content-length"] == whole.headers["content-length"]
        assert (await ask(client, method="HEAD", If_None_Match="*")).status_code == 304

    async def test_is_not_looked_at_where_there_is_nothing(self, client: httpx2.AsyncClient):
        assert (await ask(client, "/v1/nothing", If_None_Match="*")).status_code == 404
        answer = await client.get("/v1/things/t1", headers={"If-None-Match": "*"})
        assert answer.status_code == 401

    async def test_is_not_given_to_lists_and_errors(self, client: httpx2.AsyncClient):
        assert "etag" not in (await ask(client, "/v1/things")).headers
        assert "etag" not in (await ask(client, "/v1/things/t1?x=1")).headers

    @pytest.mark.parametrize(
        ("given", "is_it"), [(['"a"'], True), (['"b"', '"a"'], True), (['"b","a"'], True), (["*"], True), ([], False)]
    )
    async def test_is_compared_weakly(self, given: list[str], *, is_it: bool):
        assert is_held(given, '"a"') is is_it


class TestCompression:
    BIG = "/v1/big"

    async def test_is_for_who_takes_it(self, client: httpx2.AsyncClient):
        plain = await ask(client, self.BIG)
        assert "content-encoding" not in plain.headers
        small = await ask(client, self.BIG, Accept_Encoding="gzip")
        assert small.headers["content-encoding"] == "gzip"
        assert int(small.headers["content-length"]) < len(plain.content)
        assert small.content == plain.content
        assert {plain.headers["vary"], small.headers["vary"]} == {"Accept-Encoding, Origin"}

    async def test_leaves_small_answers_and_documents_alone(self, client: httpx2.AsyncClient):
        for path in ("/v1/things/t1", "/v1/document"):
            answer = await ask(client, path, Accept_Encoding="gzip")
            assert "content-encoding" not in answer.headers
            assert "Accept-Encoding" not in answer.headers["vary"]

    async def test_has_an_etag_of_its_own(self, client: httpx2.AsyncClient):
        plain, small = [await ask(client, self.BIG, Accept_Encoding=coding) for coding in ("identity", "gzip")]
        assert small.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'
        for held, coding, status in (
            (small, "gzip", 304),
            (plain, "identity", 304),
            (small, "identity", 200),
            (plain, "gzip", 200),
        ):
            answer = await ask(client, self.BIG, If_None_Match=held.headers["etag"], Accept_Encoding=coding)
            assert answer.status_code == status, (held.headers["etag"], coding)
            assert answer.headers["vary"] == "Accept-Encoding, Origin"

    async def test_shows_head_what_get_would_get(self, client: httpx2.AsyncClient):
        whole, head = [await ask(client, self.BIG, method, Accept_Encoding="gzip") for method in ("GET", "HEAD")]
        assert head.content == b""
        for name in ("content-encoding", "content-length", "etag", "vary"):
            assert head.headers[name] == whole.headers[name]

    async def test_is_for_long_errors_too(self, client: httpx2.AsyncClient):
        many = "&".join(f"x{number}=1" for number in range(90))
        answer = await ask(client, f"/v1/things?{many}", Accept_Encoding="gzip")
        assert (answer.status_code, answer.headers["content-encoding"]) == (400, "gzip")
        assert len(answer.json()["error"]["details"]["faults"]) == 90

    @pytest.mark.parametrize(
        ("values", "takes"),
        [
            (["gzip"], True),
            (["deflate, GZIP"], True),
            (["br", "gzip;q=0.5"], True),
            (["*"], True),
            (["x-gzip"], True),
            (["*;q=0.1, gzip;q=0"], False),
            (["gzip;q=0.000"], False),
            (["identity, gzip;q=0.5"], False),
            (["identity;q=0.5, gzip"], True),
            (["gzip;q=2"], False),
            (["gzip;q=x, \x00"], False),
            (["br, deflate"], False),
            ([""], False),
            ([], False),
        ],
    )
    async def test_reads_weights(self, values: list[str], *, takes: bool):
        assert accepts_gzip(values) is takes

    async def test_of_a_body_sent_is_refused_unread(self, client: httpx2.AsyncClient):
        bomb = gzip.compress(b" " * 50_000_000)
        answer = await client.put(
            "/v1/things/t1",
            content=bomb,
            headers={
                "Authorization": "Bearer ls_test_one",
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
            },
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


class TestOrigins:
    async def test_named_may_call_and_read(self, client: httpx2.AsyncClient):
        headers = (await ask(client, Origin=PAGE)).headers
        assert headers["access-control-allow-origin"] == PAGE
        assert "Origin" in headers["vary"]
        exposed = set(headers["access-control-expose-headers"].split(", "))
        assert {
            "X-Request-Id",
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "X-RateLimit-Reset",
            "Link",
            "Location",
            "ETag",
            "Retry-After",
            "Idempotent-Replayed",
        } <= exposed
        assert "access-control-allow-credentials" not in headers

    async def test_named_see_errors_too(self, client: httpx2.AsyncClient):
        for path, key in (("/v1/nothing", "ls_test_one"), ("/v1/things/t1", "wrong")):
            answer = await client.get(path, headers={"Authorization": f"Bearer {key}", "Origin": PAGE})
            assert answer.status_code >= 400
            assert answer.headers["access-control-allow-origin"] == PAGE

    @pytest.mark.parametrize(
        "origin", ["https://evil.example.com", f"{PAGE}.evil.example", PAGE.upper(), "null", f"{PAGE}:8443", "*", ""]
    )
    async def test_not_named_are_told_nothing(self, client: httpx2.AsyncClient, origin: str):
        for method in ("GET", "OPTIONS"):
            answer = await ask(client, method=method, Origin=origin, Access_Control_Request_Method="PUT")
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert "Origin" in answer.headers["vary"]

    async def test_ask_before_they_send_and_need_no_key(self, client: httpx2.AsyncClient):
        answer = await client.request(
            "OPTIONS", "/v1/things/t1", headers={"Origin": PAGE, "Access-Control-Request-Method": "PUT"}
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-methods"] == answer.headers["allow"]
        assert "PUT" in answer.headers["allow"]
        allowed = set(answer.headers["access-control-allow-headers"].split(", "))
        assert {"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match"} <= allowed
        assert answer.headers["access-control-max-age"] == "600"

    async def test_find_nothing_where_there_is_nothing(self, client: httpx2.AsyncClient):
        answer = await client.request(
            "OPTIONS", "/v1/nothing", headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"}
        )
        assert answer.status_code == 404
        assert "access-control-allow-methods" not in answer.headers

    @pytest.mark.parametrize(
        "origin", ["*", "console.example.com", f"{PAGE}/", f"{PAGE}/app", "null", "https://*.x.org"]
    )
    async def test_are_named_exactly_or_the_start_is_refused(self, monkeypatch: pytest.MonkeyPatch, origin: str):
        monkeypatch.setenv("LINESERVE_CORS_ORIGINS", f"http://localhost:3000, {origin}")
        with pytest.raises(ConfigError, match="LINESERVE_CORS_ORIGINS"):
            load_settings()

    async def test_are_none_unless_named(self, monkeypatch: pytest.MonkeyPatch):
        assert load_settings().cors_origins == ()
        monkeypatch.setenv("LINESERVE_CORS_ORIGINS", f"http://localhost:3000, {PAGE},http://[::1]:80")
        assert load_settings().cors_origins == ("http://localhost:3000", PAGE, "http://[::1]:80")


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "//v1/things",
            "/v1//things",
            "/v1/things/",
            "/v1/things//t1",
            "/v1/things/./t1",
            "/v1/things/%2e",
            "/v1/other/%2E%2e/things",
            "/v1%2Fthings",
            "/v1/things/a%EF%BF%BFb",
            "/v1/named/a//b",
            "/v1/named/a/",
            "/v1/named/..",
        ],
    )
    async def test_are_taken_as_they_are(self, client: httpx2.AsyncClient, path: str):
        reader, writer = await _connect(client)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ls_test_one\r\nConnection: close\r\n\r\n".encode()
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 404"), path
        writer.close()

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/v1/named/a", "/a"),
            ("/v1/named/a/b", "/a/b"),
            ("/v1/named/a%2Fb", "/a/b"),
            ("/v1/named/a%2F%2Fb", "/a//b"),
            ("/v1/named/a%2fb%2f", "/a/b/"),
            ("/v1/named/%2Fa", "//a"),
            ("/v1/named/a%3Fb%23c%25", "/a?b#c%"),
            ("/v1/named/%F0%9F%8C%8D", "/🌍"),
            ("/v1/named/a+b%20c", "/a+b c"),
        ],
    )
    async def test_may_hold_any_name(self, client: httpx2.AsyncClient, path: str, name: str):
        answer = await ask(client, path)
        assert (answer.status_code, answer.json()) == (200, {"name": name})

    async def test_do_not_part_an_id_at_a_slash(self, client: httpx2.AsyncClient):
        assert (await ask(client, "/v1/things/t1%2Fparts")).json()["id"] == "t1/parts"


async def _connect(client: httpx2.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = client.base_url
    return await asyncio.open_connection(url.host, url.port)
