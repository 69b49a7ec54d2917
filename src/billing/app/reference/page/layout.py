"""The page as a whole: what stands to the left to find one's way, and the sections one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from billing.app.reference.page.markup import Markup, element, joined, markdown, void
from billing.app.reference.page.operations import Shown, badge, section
from billing.app.reference.page.shapes import Shapes

METHODS = ("get", "post", "put", "patch", "delete")


def render(document_text: bytes, *, plane: str, document_path: str, assets_path: str) -> bytes:
    """The page of a document. Amounts keep the decimals that they have in its text."""
    document: dict[str, Any] = json.loads(document_text, parse_float=Decimal)
    shapes = Shapes(document)
    base = document["servers"][0]["url"]
    shown = [
        Shown(plane, base, method.upper(), path, operations[method], shapes)
        for path, operations in document["paths"].items()
        for method in METHODS
        if method in operations
    ]
    title = document["info"]["title"]
    head = element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        element("title", title),
        void("link", rel="icon", href="data:,"),
        void("link", rel="stylesheet", href=f"{assets_path}/reference.css"),
        element("script", src=f"{assets_path}/reference.js", defer=""),
    )
    body = element(
        "body",
        element("a", "To the content", href="#content", class_="skip"),
        _top(title, document_path),
        element("div", _navigation(document, shown), _content(document, shown), class_="columns"),
    )
    return joined(Markup("<!doctype html>\n"), element("html", head, body, lang="en"), "\n").encode()


def _top(title: str, document_path: str) -> Markup:
    return element(
        "header",
        element(
            "button", "Menu", type="button", id="menu", aria_expanded="false", aria_controls="navigation", hidden=""
        ),
        element("a", title, href="#content", class_="title"),
        element("a", "OpenAPI document", href=document_path, class_="document"),
        element("button", "Dark", type="button", id="theme", hidden=""),
    )


def _navigation(document: Mapping[str, Any], shown: list[Shown]) -> Markup:
    groups = [
        element(
            "li",
            element("a", tag["name"], href=f"#{_slug(tag['name'])}", class_="group"),
            element("ul", *(_item(one) for one in shown if tag["name"] in one.operation["tags"])),
        )
        for tag in _used_tags(document, shown)
    ]
    search = element(
        "label",
        element("span", "Find an operation", class_="hidden-label"),
        void("input", type="search", id="search", placeholder="Find an operation ( / )", autocomplete="off"),
        id="search-box",
        hidden="",
    )
    nothing = element("p", "Nothing found.", id="nothing", class_="hint", hidden="")
    return element("nav", search, nothing, element("ul", *groups), id="navigation", aria_label="Operations")


def _item(one: Shown) -> Markup:
    return element(
        "li",
        element("a", badge(one.method), " ", one.operation["summary"], href=f"#{one.anchor}"),
        data_words=f"{one.method} {one.path} {one.operation['summary']}".lower(),
    )


def _content(document: Mapping[str, Any], shown: list[Shown]) -> Markup:
    info = document["info"]
    parts: list[Markup] = [
        element("h1", info["title"], " ", element("span", info["version"], class_="type")),
        element("div", markdown(info["description"]), class_="introduction"),
    ]
    for tag in _used_tags(document, shown):
        heading = element("h2", element("a", tag["name"], href=f"#{_slug(tag['name'])}"))
        operations = [section(one) for one in shown if tag["name"] in one.operation["tags"]]
        parts.append(
            element("div", heading, element("p", tag["description"]), *operations, id=_slug(tag["name"]), class_="part")
        )
    return element("main", *parts, id="content")


def _used_tags(document: Mapping[str, Any], shown: list[Shown]) -> list[Mapping[str, Any]]:
    used = {tag for one in shown for tag in one.operation["tags"]}
    return [tag for tag in document["tags"] if tag["name"] in used]


def _slug(name: str) -> str:
    return "part-" + name.lower().replace(" ", "-")
