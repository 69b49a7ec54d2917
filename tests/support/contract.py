"""The API's documents as a contract: every answer of a test is held to what its operation promises, member by member.

Strictly: an answer may not have a member that the document does not show, though a client has to bear one.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jsonschema_rs

from billing.app.http import OPERATOR, PUBLIC
from billing.app.reference import books
from billing.core.errors import BillingError, wire_code
from billing.kit.web.endpoints import BASES

PLANES: tuple[books.ApiPlane, ...] = ("public", "operator")
ANYWHERE = {404, 405, 429}  # for a path that is not there, a method that is not, a key that called too often
UNTOLD_HEADERS = {
    *("content-type", "content-length", "content-encoding", "cache-control", "vary"),
    *("x-content-type-options", "allow"),
}


@cache
def document_of(plane: books.ApiPlane) -> dict[str, Any]:
    """A plane's document as a client reads it."""
    handlers = PUBLIC if plane == "public" else OPERATOR
    return json.loads(books.as_json(books.description_of(plane, handlers)))


@dataclass
class Contract:
    """What a plane promises."""

    plane: books.ApiPlane
    document: dict[str, Any]
    paths: list[tuple[re.Pattern[str], str]]
    validators: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    @cache
    def of(cls, plane: books.ApiPlane) -> Contract:
        """The contract of a plane."""
        document = document_of(plane)
        paths = [(_pattern(BASES[plane] + path), path) for path in document["paths"]]
        # What is spelled out goes before what a parameter may be.
        return cls(plane, document, sorted(paths, key=lambda one: one[1].count("{")))

    @staticmethod
    def codes(errors: Iterable[type[BillingError]]) -> list[str]:
        """The wire codes of errors."""
        return [wire_code(error) for error in errors]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation of a call, or None."""
        for pattern, template in self.paths:
            if pattern.fullmatch(path) and method.lower() in self.document["paths"][template]:
                return self.document["paths"][template][method.lower()]
        return None

    def faults(self, operation: dict[str, Any], status: int, headers: Mapping[str, str], text: str) -> list[str]:
        """Where an answer is not what the operation promises."""
        response = operation["responses"].get(str(status))
        if response is None:
            return [] if status in ANYWHERE else [f"the status {status} is not described"]
        response = self._resolved(response)
        found = list(self._header_faults(response, headers))
        media_type = headers.get("content-type", "").partition(";")[0]
        content = response.get("content", {})
        if not content:
            return [*found, *(["there is a body"] if text else [])]
        if media_type not in content:
            return [*found, f"the type {media_type} is not described"]
        if media_type == "application/json":
            found += self._body_faults(content[media_type]["schema"], json.loads(text), is_closed=True)
        return found

    def example_faults(self) -> Iterator[str]:
        """Where examples do not fit their schemas."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                body = operation.get("requestBody", {"content": {}})
                for response in (body, *map(self._resolved, operation["responses"].values())):
                    for content in response.get("content", {}).values():
                        shown = [one["value"] for one in content.get("examples", {}).values()]
                        shown += [content["example"]] if "example" in content else []
                        for example in shown:
                            for fault in self._body_faults(content["schema"], example, is_closed=response is not body):
                                yield f"{method} {path}: {fault}"

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/")
        return self.document["components"][kind][name]

    def _header_faults(self, response: dict[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
        described = {name.lower(): self._resolved(one) for name, one in response.get("headers", {}).items()}
        for name, about in described.items():
            if name not in headers:
                if about.get("required"):
                    yield f"the header {name} is missing"
                continue
            for fault in self._body_faults(about["schema"], headers[name], is_closed=False):
                yield f"the header {name}: {fault}"
        for name in headers:
            if name.lower() not in described and name.lower() not in UNTOLD_HEADERS:
                yield f"the header {name} is not described"

    def _body_faults(self, schema: dict[str, Any], value: object, *, is_closed: bool) -> list[str]:
        key = json.dumps([schema, is_closed], sort_keys=True)
        if key not in self.validators:
            self.validators[key] = jsonschema_rs.Draft202012Validator(self._whole(schema, is_closed=is_closed))
        return [
            f"{list(fault.instance_path)}: {fault.message}"[:500] for fault in self.validators[key].iter_errors(value)
        ]

    def _whole(self, schema: dict[str, Any], *, is_closed: bool) -> dict[str, Any]:
        schemas = copy.deepcopy(self.document["components"]["schemas"])
        if is_closed:
            for name, one in schemas.items():
                if name != "Error":
                    one.setdefault("additionalProperties", False)
        return {**schema, "components": {"schemas": schemas}}


def check(method: str, path: str, *, status: int, headers: Mapping[str, str], text: str) -> None:
    """Hold an answer to the document of its plane; other paths promise nothing."""
    path = path.partition("?")[0]
    for plane in PLANES:
        if path.startswith(f"{BASES[plane]}/"):
            contract = Contract.of(plane)
            operation = contract.operation(method, path)
            if operation is not None:
                faults = contract.faults(operation, status, headers, text)
                assert not faults, f"{method} {path} is not answered as its document says: {faults} {text[:500]}"


def _pattern(template: str) -> re.Pattern[str]:
    """What a path is matched with; a meter or resource may hold slashes."""
    parts = re.split(r"({\w+})", template)
    texts = {"{meter}": ".+", "{resource_id}": ".+"}
    return re.compile("".join(texts.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts))
