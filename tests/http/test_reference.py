"""The reference as it is served: of each plane on its listener alone, and safe under a strict policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser

import httpx2
import pytest
import pytest_asyncio

from billing.app.http import OPERATOR, PUBLIC, plain_of
from billing.app.reference.routes import SECURITY
from billing.kit.config import Plane
from tests.support.contract import PLANES, document_of
from tests.support.every_route import routes
from tests.support.house import House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILES = {
    "/docs/assets/reference.css": "text/css; charset=utf-8",
    "/docs/assets/reference.js": "text/javascript; charset=utf-8",
}
OF_PLANE = {"public": ("/openapi.json", "/docs"), "operator": ("/operator/openapi.json", "/operator/docs")}


class Elements(HTMLParser):
    """The elements of a page, and the texts of those that run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.found if name == tag)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["all", "public", "operator"])
async def listener(request: pytest.FixtureRequest, module_dsn: str) -> AsyncIterator[tuple[Plane, House]]:
    """A listener of some planes."""
    plane: Plane = request.param
    async with open_house(
        module_dsn, plain=plain_of(plane), values={"job_names": (), "payment_settings": None}
    ) as house:
        yield plane, house


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(module_dsn: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_house(
        module_dsn, plain=plain_of("all"), values={"job_names": (), "payment_settings": None}
    ) as house:
        yield house.client


class TestListener:
    async def test_shows_the_reference_of_its_planes_alone(self, listener: tuple[Plane, House]):
        plane, house = listener
        for of, paths in OF_PLANE.items():
            for path in paths:
                reply = await house.client.get(path)
                assert reply.status_code == (200 if plane in {"all", of} else 404), path
                assert plane != "public" or "/operator/v1" not in reply.text, path
        for path in FILES:
            assert (await house.client.get(path)).status_code == 200


@pytest.mark.parametrize("plane", PLANES)
class TestDocument:
    async def test_is_that_of_the_code(self, client: httpx2.AsyncClient, plane: str):
        reply = await client.get(OF_PLANE[plane][0])
        assert reply.headers["content-type"] == "application/json"
        assert reply.json() == document_of("public" if plane == "public" else "operator")


@pytest.mark.parametrize("path", ["/docs", "/operator/docs"])
class TestPage:
    async def test_runs_nothing_but_its_own_script(self, client: httpx2.AsyncClient, path: str):
        reply = await client.get(path)
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.headers["content-security-policy"] == SECURITY
        assert not {"unsafe-inline", "unsafe-eval"} & set(re.findall(r"[\w-]+", SECURITY))
        page = Elements(reply.text)
        assert [one["src"] for one in page.of("script")] == ["/docs/assets/reference.js"]
        assert not list(page.of("style"))
        for tag, attributes in page.found:
            assert not [name for name in attributes if name == "style" or name.startswith("on")], (tag, attributes)

    async def test_needs_nothing_from_elsewhere(self, client: httpx2.AsyncClient, path: str):
        page = Elements((await client.get(path)).text)
        targets = [attributes.get("src") or attributes.get("href") or "" for _, attributes in page.found]
        assert not [one for one in targets if re.match(r"(https?:)?//", one)]
        for target in {one for one in targets if one.startswith("/")}:
            assert (await client.get(target)).status_code == 200, target

    async def test_links_to_what_is_on_it(self, client: httpx2.AsyncClient, path: str):
        page = Elements((await client.get(path)).text)
        anchors = [attributes["id"] for _, attributes in page.found if "id" in attributes]
        assert len(anchors) == len(set(anchors))
        assert {str(one["href"])[1:] for one in page.of("a") if str(one["href"]).startswith("#")} <= set(anchors)


class TestInventory:
    async def test_routes_of_the_code_are_those_of_the_documents_and_of_the_pages(self, client: httpx2.AsyncClient):
        in_code = sorted(re.sub(r"{(\w+):\w+}", r"{\1}", route) for route in routes())
        assert len(in_code) == len(PUBLIC) + len(OPERATOR)
        on_pages: list[str] = []
        for path in ("/docs", "/operator/docs"):
            text = (await client.get(path)).text
            on_pages += [
                f"{one[0]} {one[1]}"
                for one in re.findall(r'class="endpoint"><span[^>]*>(\w+)</span> <code>([^<]+)', text)
            ]
        in_documents = [
            f"{method.upper()} {document['servers'][0]['url']}{path}"
            for document in map(document_of, PLANES)
            for path, methods in document["paths"].items()
            for method in methods
        ]
        assert sorted(on_pages) == sorted(in_documents) == in_code


@pytest.mark.parametrize("path", FILES)
class TestFile:
    async def test_is_not_sent_to_whom_has_it(self, client: httpx2.AsyncClient, path: str):
        reply = await client.get(path)
        assert reply.headers["content-type"] == FILES[path]
        again = await client.get(path, headers={"If-None-Match": reply.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
