"""The two documents: what the public API is, and what the operator's is."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

import msgspec

from billing.app.reference.examples import OPERATOR_EXAMPLES, PUBLIC_EXAMPLES
from billing.app.reference.failures import FAILURES
from billing.app.reference.members import MEMBERS
from billing.app.reference.parameters import PARAMETERS
from billing.app.reference.sections import OPERATOR_SECTIONS, PUBLIC_SECTIONS
from billing.kit.web import encode
from billing.kit.web.openapi.document import Book, Description, describe
from billing.kit.web.openapi.operations import operations_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.handlers import HTTPRouteHandler

ApiPlane = Literal["public", "operator"]
VERSION = "1.0.0"


def asset(name: str) -> bytes:
    """A file of this package's assets."""
    return (resources.files("billing.app.reference") / "assets" / name).read_bytes()


@cache
def book_of(plane: ApiPlane) -> Book:
    """What people say of a plane."""
    introduction = asset(f"{plane}.md").decode()
    is_public = plane == "public"
    return Book(
        title="Lineserve Billing & Projects API" if is_public else "Lineserve Billing operator API",
        version=VERSION,
        introduction=introduction,
        base="/v1" if is_public else "/operator/v1",
        key_says=(
            "An API key: `Authorization: Bearer ls_prod_…`. Make one with `POST /account/api-keys`."
            if is_public
            else "An operator's key: `Authorization: Bearer ls_op_…`. Make one with `billing keys create-operator`."
        ),
        sections=PUBLIC_SECTIONS if is_public else OPERATOR_SECTIONS,
        members=MEMBERS,
        parameters=PARAMETERS,
        failures=FAILURES,
        examples=PUBLIC_EXAMPLES if is_public else OPERATOR_EXAMPLES,
    )


def description_of(plane: ApiPlane, handlers: Sequence[HTTPRouteHandler]) -> Description:
    """The document of a plane's handlers."""
    return describe(book_of(plane), operations_of(handlers, plane=plane))


def as_json(description: Description) -> bytes:
    """A document as text, for people too: two spaces a level, numbers as answers write them."""
    return msgspec.json.format(encode(description.document), indent=2) + b"\n"
