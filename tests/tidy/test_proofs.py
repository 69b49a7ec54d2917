"""The pages that promise name tests that exist: `docs/quality.md` for every row, `docs/security.md` for every wall."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.documents import tables
from tests.tidy.sources import ROOT, parsed

PAGES = ("docs/quality.md", "docs/security.md")
ROWS = {"L": 10, "K": 14, "D": 6, "M": 7, "V": 7, "P": 6, "S": 8, "X": 30}
_NAMED = re.compile(r"`(tests/[\w/.]+\.py)((?:::\w+)*)`")


def exists(file: str, names: list[str]) -> bool:
    """Whether a file has a class or function, or a class of it a method."""
    path = ROOT / file
    if not path.is_file():
        return False
    body = parsed(path).body
    for name in names:
        found = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
        body = next((node.body for node in found if node.name == name), None)
        if body is None:
            return False
    return True


@pytest.mark.parametrize("page", PAGES)
def test_names_only_tests_that_exist(page: str) -> None:
    named = _NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(named) > 15
    assert not [f"{file}{names}" for file, names in named if not exists(file, names.split("::")[1:])]


def test_every_row_is_told_with_its_proof_or_what_is_missing() -> None:
    text = (ROOT / "docs/quality.md").read_text(encoding="utf-8")
    rows = [row for columns, found in tables(text) if columns[0] == "row" for row in found]
    assert [row["row"] for row in rows] == [
        f"{letter}{n}" for letter, count in ROWS.items() for n in range(1, count + 1)
    ]
    assert not [row["row"] for row in rows if not row["proven by"] and "not yet" not in row["how much"]]
