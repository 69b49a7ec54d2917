"""What is in the repository says nothing of the machine it was written on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGE, ROOT, parsed, python_files, shown, tracked_files

# Parts are joined here so that this file does not hold what it looks for.
MACHINE = re.compile("|".join(["/" + "work/", "/" + "root/", "/home/[a-z]+/", "/" + "Users/", "pyenv", "uv" + "env"]))
REGISTRY = re.compile(
    "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "index-" + "url", "find-" + "links", "mirror" + r"s?\."])
)
TODO = re.compile("|".join(["TO" + "DO", "FIX" + "ME"]))
BINARY = {".ttc", ".icc", ".ttf", ".otf", ".pdf", ".png", ".woff2", ".ico"}


def _lines(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{shown(path, number)}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


@pytest.fixture(scope="module")
def text_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix not in BINARY and path != Path(__file__)]


def test_no_machine_paths(text_files: list[Path]) -> None:
    assert not _lines(MACHINE, text_files)


def test_no_registry_is_named(text_files: list[Path]) -> None:
    assert not _lines(REGISTRY, text_files)


def test_nothing_is_left_to_do(text_files: list[Path]) -> None:
    assert not _lines(TODO, text_files)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_with_hashes_and_nothing_else(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.match(r"[a-z0-9]\S*==\S+|    --hash=sha256:[0-9a-f]{64}|\s+#", line)]
    assert not wrong


def test_advisory_locks_have_numbers_of_their_own() -> None:
    """Numbers of this series name locks: two that are the same would wait for each other."""
    numbers = [
        node.value
        for path in python_files(PACKAGE)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value // 1_000 == 7_302_646_011
    ]
    assert len(numbers) >= 4
    assert len(numbers) == len(set(numbers))
