"""docs/operator-api.md lists every route of the operator API as the code has it; `make golden` writes its tables."""

from __future__ import annotations

import inspect
import re
import typing
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from billing.app.http import OPERATOR
from billing.kit.web import DESCRIBED, Batch, Described, Media
from billing.kit.web.guards import GUARDS, SCOPES
from tests.tidy.sources import ROOT

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

PAGE = ROOT / "docs" / "operator-api.md"
HEADER = ["| call | scope | takes | answers |", "|---|---|---|---|"]
PAGING = {"page", "per_page", "cursor"}


class TestOperatorApi:
    @pytest.mark.golden
    def test_has_a_table_of_every_route(self, golden: Callable[[Path, str], None]) -> None:
        golden(PAGE, "".join(_with_tables(PAGE.read_text(encoding="utf-8"))))

    def test_has_a_part_for_each_section(self) -> None:
        parts = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        assert sorted(parts) == sorted(_rows())


def _with_tables(document: str) -> Iterator[str]:
    """The document with each part's table as it must be; a part without one gets it at its end."""
    rows = _rows()
    for place, part in enumerate(re.split(r"^(?=## )", document, flags=re.MULTILINE)):
        title = part.partition("\n")[0].removeprefix("## ")
        words = "\n".join(line for line in part.splitlines() if not line.startswith("|")).rstrip()
        table = "\n".join([*HEADER, *rows[title]]) if title in rows else ""
        yield ("\n" if place else "") + "\n\n".join(filter(None, [words, table])) + "\n"


def _rows() -> dict[str, list[str]]:
    """The rows of each section, in the order of the routes."""
    rows: dict[str, list[str]] = defaultdict(list)
    for handler in OPERATOR:
        described: Described = handler.opt[DESCRIBED]
        for path in sorted(handler.paths):
            for method in sorted(handler.http_methods):
                call = f"`{method} {re.sub(r':[a-z]+}', '}', path)}`"
                cells = [call, _scope(handler), _taken(described), _answered(handler, described)]
                rows[described.section].append(f"| {' | '.join(cells)} |")
    return dict(rows)


def _scope(handler: HTTPRouteHandler) -> str:
    (guard,) = [name for name in inspect.signature(handler.fn).parameters if name in GUARDS["operator"]]
    return SCOPES[guard]


def _taken(described: Described) -> str:
    """The members of the body or the query, `?` where one may be left out, `*` where an Idempotency-Key is required."""
    key = " \\*" if described.needs_key else ""
    match described.body:
        case Batch(item=item):
            body = f"`[{_shape(item)}]`"
        case None:
            body = ""
        case schema:
            body = f"`{_shape(schema)}`"
    if described.query is None:
        return body + key
    names = [field.encode_name for field in msgspec.structs.fields(described.query)]
    query = [f"`{name}`" for name in names if name not in PAGING]
    pages = ["a page"] if PAGING & set(names) else []
    return " · ".join([*([body] if body else []), ", ".join([*query, *pages])]) + key


def _answered(handler: HTTPRouteHandler, described: Described) -> str:
    """The status of success and the members of the answer."""
    statuses = ", ".join(str(status) for status in described.statuses)
    answer: Any = described.answer or typing.get_type_hints(handler.fn)["return"]
    if isinstance(answer, Media):
        return f"{statuses} `{answer.media_type}`"
    if isinstance(answer, type) and issubclass(answer, msgspec.Struct):
        names = [field.encode_name for field in msgspec.structs.fields(answer)]
        return f"{statuses} `{{{', '.join(names)}}}`"
    return statuses


def _shape(schema: type[msgspec.Struct]) -> str:
    names = [one.encode_name + ("" if one.required else "?") for one in msgspec.structs.fields(schema)]
    return f"{{{', '.join(names)}}}"
