"""Answers as the description tells them: the headers that all have, and errors with their codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from billing.core.errors import BillingError, Unauthorized, Unavailable, wire_code
from billing.kit.web.errors import RateLimited

Schema = dict[str, Any]
ERROR = "Error"
JSON = "application/json"

HEADERS: dict[str, Schema] = {
    "X-Request-Id": {
        "description": "The id of this call: the one that was sent, or a new one. Quote it to support.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
        "example": "5f2b0c9e7d1a4e3f8b6c2d9a0e4f7b1c",
    },
    "Location": {
        "description": "The path of what was made.",
        "schema": {"type": "string"},
        "example": "/v1/projects/proj_01hkx3w6f8m2n4p6q8r0s2t4v6",
    },
    "Link": {
        "description": "The other pages of the list (RFC 8288): `first`, `prev`, `next`, `last`.",
        "schema": {"type": "string"},
        "example": '</v1/projects?page=2&per_page=25>; rel="next"',
    },
    "Idempotent-Replayed": {
        "description": "`true` when this is the stored answer of an earlier call with the same Idempotency-Key.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
    "X-RateLimit-Limit": {
        "description": "How many calls an hour the class with the least remaining allows.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "100",
    },
    "X-RateLimit-Remaining": {
        "description": "How many calls are left in that class.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "99",
    },
    "X-RateLimit-Reset": {
        "description": "When that class has more again, in seconds since 1970.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1705314600",
    },
    "RateLimit": {
        "description": "What is left in each class of the call (draft 10 of the IETF's RateLimit header fields).",
        "schema": {"type": "string"},
        "example": '"billing";r=99;t=3600, "general";r=999;t=3600',
    },
    "RateLimit-Policy": {
        "description": "How many calls (q) within how many seconds (w) each class of the call allows.",
        "schema": {"type": "string"},
        "example": '"billing";q=100;w=3600, "general";q=1000;w=3600',
    },
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "2",
    },
    "WWW-Authenticate": {
        "description": "The scheme that is asked for.",
        "schema": {"type": "string", "enum": ["Bearer"]},
        "example": "Bearer",
    },
    "ETag": {
        "description": "What this content is known by; it changes when the content does.",
        "schema": {"type": "string"},
        "example": '"9f86d081884c7d659a2feaa0c55ad015"',
    },
    "Content-Disposition": {
        "description": "The name under which to keep the file.",
        "schema": {"type": "string"},
        "example": 'attachment; filename="INV-2024-001.pdf"',
    },
}

RATE_HEADERS = tuple(name for name in HEADERS if "RateLimit" in name)
_ERROR_SCHEMA: Schema = {
    "type": "object",
    "description": "Every error has this shape. The code is a promise, the message is for people.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {"type": "string", "description": "What went wrong, for programs.", "examples": ["not_found"]},
                "message": {"type": "string", "description": "What went wrong, for people."},
                "details": {"type": "object", "description": "What belongs to the code: see its example."},
            },
        }
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An example of an error whose class does not say it all: its message and details."""

    message: str | None = None
    details: Mapping[str, Any] | None = None


class Failures:
    """The answers of errors. Those that several operations share become components."""

    def __init__(self, told: Mapping[str, Failure]) -> None:
        self._told = told
        self.shared: dict[str, Schema] = {}

    def response(self, status: int, errors: Sequence[type[BillingError]], *, is_shared: bool) -> Schema:
        """The answer of a status with one or more codes."""
        if not is_shared:
            return self._response(status, errors)
        name = "Or".join(error.__name__ for error in errors)
        if name not in self.shared:
            self.shared[name] = self._response(status, errors)
        return {"$ref": f"#/components/responses/{name}"}

    def _response(self, status: int, errors: Sequence[type[BillingError]]) -> Schema:
        when = {wire_code(error): _when(error) for error in errors}
        narrowed = {"properties": {"error": {"properties": {"code": {"enum": list(when)}}}}}
        return {
            "description": "\n".join(
                [f"{HTTPStatus(status).phrase}.", "", *(f"- `{code}`: {text}" for code, text in when.items())]
            ),
            "headers": _headers_of(errors),
            "content": {
                JSON: {
                    "schema": {"allOf": [{"$ref": f"#/components/schemas/{ERROR}"}, narrowed]},
                    "examples": {
                        wire_code(error): {"summary": _when(error), "value": self._example(error)} for error in errors
                    },
                }
            },
        }

    def _example(self, error: type[BillingError]) -> Schema:
        told = self._told.get(wire_code(error), Failure())
        return {
            "error": {
                "code": wire_code(error),
                "message": told.message or error.message,
                "details": dict(told.details or {}),
            }
        }


def _when(error: type[BillingError]) -> str:
    """When an error comes, as its class says."""
    return (error.__doc__ or "").strip().partition("\n")[0]


def error_schema() -> Schema:
    """The component of every error."""
    return _ERROR_SCHEMA


def header_references(*names: str) -> Schema:
    """References to the components of headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _headers_of(errors: Sequence[type[BillingError]]) -> Schema:
    names = ["X-Request-Id", *RATE_HEADERS]
    if any(issubclass(error, Unauthorized) for error in errors):
        names.append("WWW-Authenticate")
    if any(issubclass(error, Unavailable | RateLimited) for error in errors):
        names.append("Retry-After")
    return header_references(*names)
