"""Small enough to be read: a function at a glance, a file at a sitting."""

from __future__ import annotations

from tests.tidy.sources import PACKAGE, ROOT, functions_of, python_files, shown

FUNCTION_LINES = 50
SOURCE_LINES = 400
TEST_LINES = 600


def test_functions_have_at_most_50_lines() -> None:
    long = [
        f"{shown(path, function.lineno)} {function.name}: {lines}"
        for path in python_files(ROOT)
        for function in functions_of(path)
        if (lines := (function.end_lineno or function.lineno) - function.lineno + 1) > FUNCTION_LINES
    ]
    assert not long


def test_source_files_have_at_most_400_lines() -> None:
    assert not _longer_than(SOURCE_LINES, PACKAGE)


def test_test_files_have_at_most_600_lines() -> None:
    assert not _longer_than(TEST_LINES, ROOT / "tests")


def _longer_than(limit, folder) -> list[str]:
    counted = ((path, len(path.read_text(encoding="utf-8").splitlines())) for path in python_files(folder))
    return [f"{shown(path)}: {lines}" for path, lines in counted if lines > limit]
