"""An operation as a section of the page: what it is to the left, how it looks to the right."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from billing.app.reference.page.markup import Markup, compact, element, inline, joined, json_block, markdown, pretty
from billing.app.reference.page.shapes import Shapes

_NOTHING = Markup("")
_KEYS = {"public": "YOUR_API_KEY", "operator": "YOUR_OPERATOR_KEY"}
ORIGINS = {"public": "https://api.lineserve.com", "operator": "https://operator.example.com"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One method of one path of a plane's document."""

    plane: str
    base: str
    method: str
    path: str
    operation: Mapping[str, Any]
    shapes: Shapes

    @property
    def anchor(self) -> str:
        """Where it stands on the page."""
        return str(self.operation["operationId"])

    def parameters(self, where: str) -> list[Mapping[str, Any]]:
        """Its parameters of the path, the query or the headers."""
        resolved = [self.shapes.resolved(one) for one in self.operation.get("parameters", ())]
        return [one for one in resolved if one["in"] == where]

    def body(self) -> tuple[str, Mapping[str, Any]] | None:
        """The media type and the content of its body."""
        contents = self.operation.get("requestBody", {}).get("content", {})
        return next(iter(contents.items()), None)

    def answers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Its answers by status."""
        for status, response in self.operation["responses"].items():
            yield status, self.shapes.resolved(response)


def section(shown: Shown) -> Markup:
    """The section of an operation."""
    operation = shown.operation
    told = [
        element("h3", element("a", operation["summary"], href=f"#{shown.anchor}"), *_marks(operation)),
        element("p", _badge(shown.method), " ", element("code", shown.base, shown.path), class_="endpoint"),
        markdown(operation["description"]),
        element("p", *_rights(operation), class_="rights"),
        _parameters("Path", shown.parameters("path"), shown.shapes),
        _parameters("Query", shown.parameters("query"), shown.shapes),
        _parameters("Headers", shown.parameters("header"), shown.shapes),
        _body(shown),
        _answers(shown),
        _errors(shown),
    ]
    return element(
        "section",
        element("div", *told, class_="told"),
        element("div", _request_sample(shown), *_answer_samples(shown), class_="samples"),
        id=shown.anchor,
        class_="operation",
        data_words=f"{shown.method} {shown.path} {operation['summary']}".lower(),
    )


def badge(method: str) -> Markup:
    """A method as a coloured word."""
    return element("span", method, class_=f"method {method.lower()}")


_badge = badge


def _marks(operation: Mapping[str, Any]) -> list[Markup]:
    return [element("span", "extension", class_="mark")] if operation.get("x-extension") else []


def _rights(operation: Mapping[str, Any]) -> list[Markup | str]:
    classes = operation.get("x-rate-classes")
    limited: list[Markup | str] = [" · counts in ", element("code", ", ".join(classes))] if classes else []
    return ["Needs ", element("code", operation["x-permission"]), *limited]


def _parameters(title: str, parameters: list[Mapping[str, Any]], shapes: Shapes) -> Markup:
    if not parameters:
        return _NOTHING
    rows = [
        element(
            "li",
            element(
                "div",
                element("code", one["name"], class_="name"),
                element("span", shapes.type_of(one["schema"]), class_="type"),
                element("span", "required", class_="required") if one["required"] else _NOTHING,
                class_="member",
            ),
            element("p", inline(one["description"])),
            shapes.bounds(one["schema"]),
        )
        for one in parameters
    ]
    return joined(element("h4", title), element("ul", *rows, class_="members"))


def _body(shown: Shown) -> Markup:
    body = shown.body()
    if body is None:
        return _NOTHING
    media_type, content = body
    optional = "" if shown.operation["requestBody"]["required"] else ", optional"
    title = element("h4", "Body ", element("span", f"{media_type}{optional}", class_="type"))
    return joined(title, shown.shapes.members(content["schema"], is_given=True))


def _answers(shown: Shown) -> Markup:
    pieces: list[Markup] = []
    for status, response in shown.answers():
        if int(status) >= 400:
            continue
        told = f"{status} {HTTPStatus(int(status)).phrase}"
        headers = ", ".join(name for name in response.get("headers", {}) if "RateLimit" not in name)
        pieces.append(element("h4", "Answer ", element("span", told, class_="type")))
        pieces.append(element("p", "Headers: ", element("code", headers), class_="bounds"))
        contents = response.get("content", {}).values()
        pieces += [shown.shapes.members(content["schema"], is_given=False) for content in contents]
    return joined(*pieces)


def _errors(shown: Shown) -> Markup:
    rows: list[Markup] = []
    for status, response in shown.answers():
        for content in response.get("content", {}).values() if int(status) >= 400 else ():
            for code, example in content["examples"].items():
                body = json_block(pretty(example["value"]))
                shown_body = element("details", element("summary", element("code", code)), element("pre", body))
                cells = (element("td", status), element("td", shown_body), element("td", inline(example["summary"])))
                rows.append(element("tr", *cells))
    head = element("tr", *(element("th", name, scope="col") for name in ("Status", "Code", "When")))
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("details", element("summary", f"Errors ({len(rows)})"), table, class_="errors")


def _request_sample(shown: Shown) -> Markup:
    lines = [["curl"] if shown.method == "GET" else ["curl", "-X", shown.method]]
    lines[0] += ["-H", f'"Authorization: Bearer {_KEYS[shown.plane]}"']
    lines += [["-H", f'"{one["name"]}: {one["example"]}"'] for one in shown.parameters("header") if "example" in one]
    body = shown.body()
    if body is not None:
        lines.append(["-H", f'"Content-Type: {body[0]}"'])
        lines.append(["-d", shlex.quote(pretty(body[1]["example"]))])
    is_file = any("application/pdf" in response.get("content", {}) for _, response in shown.answers())
    command = " \\\n  ".join(" ".join(line) for line in lines)
    end = " -o document.pdf" if is_file else ""
    origin = element("span", ORIGINS[shown.plane], class_="origin")
    address = joined(' \\\n  "', origin, f"{shown.base}{_path_example(shown)}{_query_example(shown)}", f'"{end}')
    return _sample("Request", joined(command, address), is_copied=True)


def _path_example(shown: Shown) -> str:
    path = shown.path
    for one in shown.parameters("path"):
        path = path.replace(f"{{{one['name']}}}", str(one["example"]))
    return path


def _query_example(shown: Shown) -> str:
    shown_ones = [(one["name"], compact(one["example"])) for one in shown.parameters("query") if _is_sampled(one)]
    return f"?{urlencode(shown_ones)}" if shown_ones else ""


def _is_sampled(parameter: Mapping[str, Any]) -> bool:
    return "example" in parameter and parameter["name"] not in {"page", "per_page"}


def _answer_samples(shown: Shown) -> Iterator[Markup]:
    for status, response in shown.answers():
        for content in response.get("content", {}).values() if int(status) < 400 else ():
            if "example" in content:
                text = pretty(content["example"])
                yield _sample(f"Answer {status}", json_block(text), is_copied=False)
                return


def _sample(title: str, content: Markup, *, is_copied: bool) -> Markup:
    button = element("button", "Copy", type="button", class_="copy", hidden="") if is_copied else _NOTHING
    return element(
        "figure", element("figcaption", title, button), element("pre", element("code", content), tabindex="0")
    )
