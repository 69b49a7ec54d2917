"""What every route has in common, held to every route of the table: ids, caching, HEAD, OPTIONS, 405, ETags, keys in addresses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from billing.kit.web.representations import etag_of
from tests.support.every_route import TABLE, fresh
from tests.support.house import Reply
from tests.support.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

READS = sorted(name for name, route in TABLE.items() if route.method == "GET")
TEMPLATES = sorted({route.template for route in TABLE.values()})
METHODS = {template: {route.method for route in TABLE.values() if route.template == template} for template in TEMPLATES}
STATE = {
    "type": "vps",
    "service": "compute",
    "name": "w",
    "region": "nairobi",
    "status": "running",
    "plan": "small",
    "effective_at": "2024-01-20T00:00:00Z",
}
KEYS_IN_ADDRESSES = ("api_key", "access_token")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(module_dsn: str) -> AsyncIterator[World]:
    async with open_world(module_dsn) as opened:
        yield opened


async def ask(world: World, name: str, *, method: str | None = None, query: str = "", **headers: str) -> Reply:
    """A right call of a route but for what is told."""
    route = TABLE[name]
    key = world.jane.key if route.is_public else world.house.operator_key
    path = route.path(world.mine)
    told = {part: value for part, value in route.query.items() if part not in {"page", "per_page", "cursor"}}
    query = "&".join([*(f"{part}={value}" for part, value in told.items()), *([query] if query else [])])
    body = None if route.body is None or method else json.dumps(route.body(world.mine)).encode()
    sent = {"Content-Type": route.media_type, "Accept-Encoding": "identity", **headers}
    return await world.house.call(
        method or route.method, f"{path}?{query}" if query else path, key=key, headers=sent, body=body
    )


def is_common(reply: Reply, request_id: str) -> None:
    assert reply.headers["x-request-id"] == request_id
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", READS)
class TestRead:
    async def test_answers_head_with_the_same_headers(self, world: World, name: str):
        whole, head = await ask(world, name), await ask(world, name, method="HEAD")
        assert (whole.status, head.status, head.text) == (200, 200, "")
        for header in ("content-type", "content-length", "link"):
            assert head.headers.get(header) == whole.headers.get(header)

    async def test_has_links_or_an_etag(self, world: World, name: str):
        reply = await ask(world, name)
        is_list = "meta" in (reply.body if reply.headers["content-type"] == "application/json" else {})
        assert ("link" in reply.headers, "etag" in reply.headers) == (is_list, not is_list)
        if is_list:
            assert list(reply.body["meta"]) == ["total", "page", "per_page", "pages", "next_cursor"]
            return
        same = await ask(world, name, **{"If-None-Match": reply.headers["etag"]})
        changed = same.status == 200 and same.headers["etag"] != reply.headers["etag"]  # the body tells the instant
        assert changed or (same.status, same.text, same.headers["etag"]) == (304, "", reply.headers["etag"])
        if reply.headers["content-type"] == "application/json":
            assert reply.headers["etag"] == etag_of(reply.text.encode())

    async def test_refuses_a_key_in_the_address(self, world: World, name: str):
        for parameter in KEYS_IN_ADDRESSES:
            reply = await ask(world, name, query=f"{parameter}=x")
            assert reply.status == 400
            (fault,) = reply.body["error"]["details"]["faults"]
            assert (fault["in"], fault["path"]) == ("query", parameter)
            assert "Authorization header" in fault["reason"]


@pytest.mark.parametrize("name", sorted(TABLE))
class TestAnswer:
    async def test_has_the_callers_id_and_is_never_kept(self, world: World, name: str):
        request_id = fresh()
        is_common(await ask(world, name, query="surplus=1", **{"X-Request-Id": request_id}), request_id)
        given = (await ask(world, name, query="surplus=1", **{"X-Request-Id": "not an id!"})).headers["x-request-id"]
        assert len(given) == 32

    async def test_takes_no_other_method_from_a_header(self, world: World, name: str):
        other = "DELETE" if TABLE[name].method != "DELETE" else "GET"
        overrides = {"X-HTTP-Method-Override": other, "X-HTTP-Method": other, "X-Method-Override": other}
        plain = await ask(world, name, query="surplus=1")
        tried = await ask(world, name, query="surplus=1", **overrides)
        assert (tried.status, tried.code) == (plain.status, plain.code)


@pytest.mark.parametrize("template", TEMPLATES)
class TestMethods:
    async def test_are_told_and_no_others_taken(self, world: World, template: str):
        route = next(route for route in TABLE.values() if route.template == template)
        path = route.path(world.mine)
        there = METHODS[template]
        allowed = ", ".join(sorted({*there, "OPTIONS", *(["HEAD"] if "GET" in there else [])}))
        for key in (None, world.jane.key):
            reply = await world.house.call("OPTIONS", path, key=key)
            assert (reply.status, reply.text, reply.headers["allow"]) == (204, "", allowed)
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - set(allowed.split(", ")):
            reply = await world.house.call(method, path, key=world.jane.key)
            assert (reply.status, reply.headers["allow"]) == (405, allowed), method
            if method != "HEAD":
                assert reply.code == "method_not_allowed"


class TestResourceNames:
    async def test_with_slashes_are_names_of_their_own(self, world: World):
        base = f"/operator/v1/accounts/{world.bob.id}/resources"
        for sent, name in (
            ("a/b", "a/b"),
            ("a%2F%2Fb", "a//b"),
            ("a%2Fc", "a/c"),
            ("a%2F", "a/"),
            ("a%252Fb", "a%2Fb"),
        ):
            reply = await world.house.call("PUT", f"{base}/{sent}", body=STATE, key=world.house.operator_key)
            assert (reply.status, reply.body["resource"]["id"]) == (201, name)

    async def test_are_not_folded(self, world: World):
        base = f"/operator/v1/accounts/{world.bob.id}/resources"
        for sent in ("a//b", "a/b/", "%2e%2e"):
            reply = await world.house.call("PUT", f"{base}/{sent}", body=STATE, key=world.house.operator_key)
            assert reply.status == 404, sent
