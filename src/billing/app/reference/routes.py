"""The routes of the reference: the OpenAPI document of a plane and its page, both without a key.

The public listener has the public API's alone; the operator's stand on the operator plane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from litestar import get

from billing.app.reference import books, page
from billing.kit.web import Answer

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from billing.app.reference.books import ApiPlane

ROOTS: dict[ApiPlane, str] = {"public": "", "operator": "/operator"}
ASSETS_PATH = "/docs/assets"
# Nothing but the page's own style and script runs; no other page frames it.
SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def reference_of(plane: ApiPlane, handlers: Sequence[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """The routes of a plane's document and page, which are made when they are first asked for."""
    root = ROOTS[plane]

    @cache
    def document() -> bytes:
        return books.as_json(books.description_of(plane, handlers))

    @cache
    def rendered() -> bytes:
        return page.render(document(), plane=plane, document_path=f"{root}/openapi.json", assets_path=ASSETS_PATH)

    return [
        _file(f"{root}/openapi.json", document, media_type="application/json"),
        _file(f"{root}/docs", rendered, media_type="text/html; charset=utf-8"),
    ]


def _file(path: str, content: Callable[[], bytes], *, media_type: str) -> HTTPRouteHandler:
    async def show() -> Answer:
        headers = {"Content-Security-Policy": SECURITY, "Referrer-Policy": "no-referrer"}
        return Answer(body=content(), media_type=media_type, headers=headers)

    return get(path)(show)


@cache
def _asset(name: str) -> bytes:
    return books.asset(name)


ASSETS = [
    _file(f"{ASSETS_PATH}/reference.css", lambda: _asset("reference.css"), media_type="text/css; charset=utf-8"),
    _file(f"{ASSETS_PATH}/reference.js", lambda: _asset("reference.js"), media_type="text/javascript; charset=utf-8"),
]
