"""The API's documents: what the code makes them, whole, valid, and true in themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from billing.app.http import OPERATOR, PUBLIC
from billing.app.reference import books
from billing.kit.web.endpoints import BASES
from billing.kit.web.openapi.operations import operations_of
from tests.support.contract import PLANES, Contract, document_of
from tests.support.documents import sections
from tests.support.every_route import routes

ROOT = Path(__file__).parents[2]
FILES: dict[books.ApiPlane, Path] = {
    "public": ROOT / "docs/api/openapi.json",
    "operator": ROOT / "docs/api/operator-openapi.json",
}
PUBLISHED = {
    f"{method} /v1{path}"
    for path, methods in {
        "/account": "GET PUT",
        "/account/wallets": "GET",
        "/account/wallets/topup": "POST",
        "/account/billing/history": "GET",
        "/account/usage": "GET",
        "/account/payment-methods": "GET POST",
        "/account/payment-methods/{payment_method_id}": "DELETE",
        "/account/invoices": "GET",
        "/account/invoices/{invoice_id}": "GET",
        "/account/invoices/{invoice_id}/pdf": "GET",
        "/projects": "GET POST",
        "/projects/{project_id}": "GET PUT DELETE",
        "/projects/{project_id}/resources": "GET",
        "/projects/{project_id}/usage": "GET",
        "/account/api-keys": "GET POST",
        "/account/api-keys/{key_id}": "DELETE",
        "/account/analytics/costs": "GET",
        "/account/analytics/trends": "GET",
        "/account/alerts": "GET POST",
    }.items()
    for method in methods.split()
}
ALWAYS = {"400", "401", "403", "404", "500", "503"}


def each_operation() -> Iterator[tuple[str, dict[str, Any]]]:
    for plane in PLANES:
        for path, methods in document_of(plane)["paths"].items():
            for method, operation in methods.items():
                yield f"{method.upper()} {BASES[plane]}{path}", operation


@pytest.mark.parametrize("plane", PLANES)
class TestDocument:
    @pytest.mark.golden
    def test_is_what_the_code_makes(self, plane: books.ApiPlane, golden: Callable[[Path, str], None]) -> None:
        handlers = PUBLIC if plane == "public" else OPERATOR
        golden(FILES[plane], books.as_json(books.description_of(plane, handlers)).decode())

    def test_is_openapi_3_1(self, plane: books.ApiPlane) -> None:
        validate(document_of(plane))
        assert document_of(plane)["openapi"].startswith("3.1.")

    def test_leaves_nothing_without_a_word(self, plane: books.ApiPlane) -> None:
        """What is missing here wants a line in src/billing/app/reference: members/, parameters.py or sections.py."""
        assert books.description_of(plane, PUBLIC if plane == "public" else OPERATOR).missing == []

    def test_has_examples_that_fit_their_schemas(self, plane: books.ApiPlane) -> None:
        assert list(Contract.of(plane).example_faults()) == []

    def test_links_to_operations_that_are_there(self, plane: books.ApiPlane) -> None:
        operations = {one["operationId"]: one for _, one in each_operation()}
        linked = {link["operationId"] for one in operations.values() for link in _links(one)}
        assert linked
        assert linked <= set(operations)


def _links(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for response in operation["responses"].values():
        yield from response.get("links", {}).values()


class TestOperations:
    def test_are_the_routes_of_the_code(self) -> None:
        in_code = {re.sub(r"{(\w+):\w+}", r"{\1}", route) for route in routes()}
        assert {name for name, _ in each_operation()} == in_code

    def test_tell_what_a_stranger_needs(self) -> None:
        for name, operation in each_operation():
            assert operation["summary"], name
            assert operation["description"].endswith((".", "`")), name
            assert set(operation["responses"]) >= ALWAYS, name
            for parameter in operation.get("parameters", ()):
                assert "$ref" in parameter or parameter["description"], (name, parameter)

    def test_refuse_unknown_members(self) -> None:
        bodies = [
            (plane, content["schema"])
            for plane in PLANES
            for methods in document_of(plane)["paths"].values()
            for operation in methods.values()
            for content in operation.get("requestBody", {}).get("content", {}).values()
        ]
        assert bodies
        for plane, schema in bodies:
            name = schema.get("items", schema)["$ref"].rpartition("/")[2]
            component = document_of(plane)["components"]["schemas"][name]
            assert component.get("additionalProperties") is False or name == "UsageEventIn", name

    def test_mark_what_is_beyond_the_published_contract(self) -> None:
        public = {name for name, _ in each_operation() if name.split(" ")[1].startswith("/v1/")}
        assert public >= PUBLISHED
        marked = {name for name, operation in each_operation() if operation.get("x-extension")}
        assert marked == public - PUBLISHED

    def test_have_codes_that_the_list_of_errors_explains(self) -> None:
        (table,) = [
            section.table("code", "status", "meaning")
            for section in sections((ROOT / "docs/errors.md").read_text(encoding="utf-8"))
            if section.title == "Errors"
        ]
        listed = {row["code"]: row["status"] for row in table}
        for plane in PLANES:
            for operation in operations_of(PUBLIC if plane == "public" else OPERATOR, plane=plane):
                for status, errors in operation.errors().items():
                    assert {listed[code] for code in Contract.codes(errors)} == {str(status)}, operation.id
