"""The document of a plane: every operation with its parameters, bodies, answers, examples and links."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from billing.kit.web.openapi.described import Batch, Media
from billing.kit.web.openapi.operations import Operation
from billing.kit.web.openapi.responses import (
    ERROR,
    HEADERS,
    JSON,
    RATE_HEADERS,
    Failure,
    Failures,
    error_schema,
    header_references,
)
from billing.kit.web.openapi.shapes import Schema, Shapes, renamed
from billing.kit.web.openapi.words import NOTHING, Member, Words

VERSION = "3.1.1"
SCHEME = "apiKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the reference, under which operations stand."""

    name: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An example that is told rather than put together from the members' own."""

    request: Any = NOTHING
    response: Any = NOTHING
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What people have to say of a plane: words, sections, examples."""

    title: str
    version: str
    introduction: str
    base: str
    key_says: str
    sections: Sequence[Section]
    members: Mapping[str, Member]
    parameters: Mapping[str, Member]
    """Of paths."""
    failures: Mapping[str, Failure]
    examples: Mapping[str, Example]
    """By operation."""


@dataclass(frozen=True, slots=True)
class Description:
    """A document, and what it would still have to say: members, parameters and errors without a word."""

    document: dict[str, Any]
    missing: list[str]
    unused: list[str]


def describe(book: Book, operations: Sequence[Operation]) -> Description:
    """The OpenAPI document of a plane's operations."""
    return _Writer(book, operations).write()


class _Writer:
    def __init__(self, book: Book, operations: Sequence[Operation]) -> None:
        self._book = book
        self._operations = operations
        self._words = Words(book.members)
        self._shapes = Shapes(self._words)
        self._failures = Failures(book.failures)
        self._missing: set[str] = set()

    def write(self) -> Description:
        paths: dict[str, Schema] = {}
        for operation in self._operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = self._operation(operation)
        components, names = self._shapes.components()
        document: dict[str, Any] = {
            "openapi": VERSION,
            "info": {
                "title": self._book.title,
                "version": self._book.version,
                "description": self._book.introduction,
            },
            "servers": [{"url": self._book.base, "description": "This installation"}],
            "security": [{SCHEME: []}],
            "tags": [{"name": section.name, "description": section.says} for section in self._book.sections],
            "paths": paths,
            "components": {
                "securitySchemes": {SCHEME: {"type": "http", "scheme": "bearer", "description": self._book.key_says}},
                "headers": HEADERS,
                "parameters": _header_parameters(),
                "responses": dict(sorted(self._failures.shared.items())),
                "schemas": {ERROR: error_schema(), **components},
            },
        }
        return Description(renamed(document, names), self._all_missing(), self._unused())

    def _all_missing(self) -> list[str]:
        return sorted(self._missing | self._words.missing)

    def _unused(self) -> list[str]:
        return sorted(set(self._book.members) - self._words.used)

    def _operation(self, operation: Operation) -> Schema:
        about = operation.described
        if about.section not in {section.name for section in self._book.sections}:
            self._missing.add(f"the section {about.section!r} of {operation.id}")
        written: Schema = {
            "operationId": operation.id,
            "summary": about.summary,
            "description": operation.description,
            "tags": [about.section],
            "security": [{SCHEME: [operation.permission]}],
            "x-permission": operation.permission,
        }
        if operation.plane == "public":
            written["x-rate-classes"] = [*([operation.rate_class] if operation.rate_class else []), "general"]
        if about.is_extension:
            written["x-extension"] = True
        parameters = [*self._path_parameters(operation), *self._query_parameters(operation)]
        if operation.takes_key:
            name = "RequiredIdempotencyKey" if about.needs_key else "IdempotencyKey"
            parameters.append({"$ref": f"#/components/parameters/{name}"})
        if operation.has_tag:
            parameters.append({"$ref": "#/components/parameters/IfNoneMatch"})
        if parameters:
            written["parameters"] = parameters
        if about.body is not None:
            written["requestBody"] = self._body(operation)
        written["responses"] = self._responses(operation)
        return written

    def _path_parameters(self, operation: Operation) -> list[Schema]:
        found: list[Schema] = []
        for name in operation.parameters:
            word = self._book.parameters.get(name)
            if word is None:
                self._missing.add(f"the path parameter {name}")
                word = Member("")
            schema = {"type": "string", **word.keywords}
            found.append(_parameter(name, "path", schema, says=word.says, example=word.example, is_required=True))
        return found

    def _query_parameters(self, operation: Operation) -> list[Schema]:
        query = operation.described.query
        if query is None:
            return []
        told = self._book.examples.get(operation.id, Example()).query
        found: list[Schema] = []
        for name, (schema, is_required) in self._shapes.members(query, "in").items():
            word = self._words.of(query, name)
            shape = _of_text(schema)
            says = shape.pop("description", "")
            example = told.get(name, word.example)
            found.append(_parameter(name, "query", shape, says=says, example=example, is_required=is_required))
        return found

    def _body(self, operation: Operation) -> Schema:
        about, told = operation.described, self._book.examples.get(operation.id, Example()).request
        assert about.body_schema is not None
        schema = self._shapes.reference(about.body_schema, "in")
        example = self._shapes.example(about.body_schema, "in") if told is NOTHING else told
        media_type = JSON
        if isinstance(about.body, Batch):
            schema = {"type": "array", "items": schema, "maxItems": about.body.max_items}
            example = [example] if told is NOTHING else told
            media_type = about.body.media_type
        return {
            "required": not about.body_optional,
            "content": {media_type: {"schema": schema, "example": example}},
        }

    def _responses(self, operation: Operation) -> Schema:
        found = {str(status): self._success(operation, status) for status in operation.described.statuses}
        if operation.has_tag:
            headers = header_references("X-Request-Id", "ETag", *RATE_HEADERS)
            found["304"] = {"description": "What you have is what there is.", "headers": headers}
        for status, errors in operation.errors().items():
            found[str(status)] = self._failures.response(status, errors, is_shared=status != HTTPStatus(422))
        if operation.takes_key and "422" in found:  # what was refused after the intent is an answer, and replayed
            found["422"]["headers"] |= header_references("Idempotent-Replayed")
        if operation.takes_key and "422" in found:  # what is refused after the intent is an answer, and replayed
            found["422"]["headers"] = {**found["422"]["headers"], **header_references("Idempotent-Replayed")}
        return found

    def _success(self, operation: Operation, status: int) -> Schema:
        names = ["X-Request-Id", *RATE_HEADERS]
        names += ["ETag"] if operation.has_tag else []
        names += ["Location"] if operation.described.located else []
        names += ["Link"] if operation.is_paged else []
        names += ["Idempotent-Replayed"] if operation.takes_key else []
        answer = operation.answer
        written: Schema = {"description": f"{HTTPStatus(status).phrase}."}
        if isinstance(answer, Media):
            names += ["Content-Disposition"]
            written["description"] = answer.says
            written["content"] = {answer.media_type: {"schema": {"type": "string", "format": "binary"}}}
        elif answer is not None and status != HTTPStatus(204):
            told = self._book.examples.get(operation.id, Example()).response
            example = self._shapes.example(answer, "out") if told is NOTHING else told
            written["content"] = {JSON: {"schema": self._shapes.reference(answer, "out"), "example": example}}
            links = self._links(operation, answer)
            if links:
                written["links"] = links
        written["headers"] = header_references(*names)
        return written

    def _links(self, operation: Operation, answer: type[msgspec.Struct]) -> Schema:
        """To each operation whose path names what this answer shows: `project.id` is the `project_id` of another."""
        found: Schema = {}
        for parameter, pointer in _ids_of(answer).items():
            for other in self._operations:
                if parameter in other.parameters and other.id != operation.id:
                    shared = {
                        name: f"$request.path.{name}" for name in other.parameters if name in operation.parameters
                    }
                    if set(other.parameters) <= {*shared, parameter}:
                        found[other.id] = {
                            "operationId": other.id,
                            "parameters": {**shared, parameter: f"$response.body#{pointer}"},
                        }
        return found


def _ids_of(answer: type[msgspec.Struct]) -> dict[str, str]:
    """The path parameters that an answer knows, with where they stand in it."""
    found: dict[str, str] = {}
    for name, kind in typing.get_type_hints(answer).items():
        (item,) = typing.get_args(kind) or (None,) if typing.get_origin(kind) is list else (kind,)
        if isinstance(item, type) and issubclass(item, msgspec.Struct) and "id" in item.__struct_fields__:
            is_list = item is not kind
            single = name.removesuffix("s") if is_list else name
            found[f"{single.removeprefix('api_')}_id"] = f"/{name}/0/id" if is_list else f"/{name}/id"
    return found


def _parameter(name: str, where: str, schema: Schema, *, says: str, example: object, is_required: bool) -> Schema:
    written: Schema = {"name": name, "in": where, "description": says, "required": is_required, "schema": schema}
    if example is not NOTHING and example is not None:
        written["example"] = example
    return written


def _of_text(schema: Schema) -> Schema:
    """The schema of a parameter: there is no null in a query, and a number is always its text."""
    shape = dict(schema)
    if isinstance(shape.get("type"), list):
        kinds = [kind for kind in shape["type"] if kind != "null"]
        shape["type"] = kinds[0] if len(kinds) == 1 else kinds
    alternatives = [one for one in shape.get("anyOf", ()) if one != {"type": "null"}]
    if len(alternatives) == 1:
        shape.pop("anyOf")
        shape = {**alternatives[0], **shape}
    return shape


def _header_parameters() -> dict[str, Schema]:
    says = (
        "A text of your own for this operation, new for each. Sent again with the same body it changes nothing and"
        " answers as before; with another body it is refused with `idempotency_key_reused`."
    )
    schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    shown = {"in": "header", "name": "Idempotency-Key", "description": says, "schema": schema}
    held = "The `ETag` of what you have: if it is still that, the answer is 304 without a body."
    return {
        "IfNoneMatch": {
            "in": "header",
            "name": "If-None-Match",
            "description": held,
            "schema": {"type": "string"},
            "required": False,
        },
        "IdempotencyKey": {**shown, "required": False, "example": "order-2024-0042"},
        "RequiredIdempotencyKey": {**shown, "required": True, "example": "order-2024-0042"},
    }
