"""Slices look alike, and see only each other's face."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGE, ROOT, imports_of, parsed, python_files, shown, slice_of, slices

MODULES = {
    "__init__",
    "model",
    "rules",
    "store",
    "adapters",
    "operations",
    "schemas",
    "routes",
    "operator_routes",
    "jobs",
}
FOLDERS = {"sql", "templates", "assets"}
# Parts of a slice that are neither of these, each with its reason.
MORE = {
    ("invoices", "pdf"): "a plain record to bytes, without a database (style.md 11)",
    ("metering", "plain_batches"): "bytes to the events of a batch, without a database",
}
README_LINES = 60
# core, model and rules decide; clocks, chance and the outside world come in from the edge.
PURE_MODULES = {"model", "rules"}
IMPURE_CALLS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "monotonic"),
    ("uuid", "uuid4"),
    ("random", "random"),
}
CLOCK = PACKAGE / "kit" / "db.py"


@pytest.mark.parametrize("folder", slices(), ids=lambda folder: folder.name)
class TestSlice:
    def test_has_the_same_few_modules_as_the_others(self, folder: Path) -> None:
        parts = {path.stem if path.is_file() else path.name for path in folder.iterdir()} - {"__pycache__", "README"}
        allowed = MODULES | FOLDERS | {name for slice_, name in MORE if slice_ == folder.name}
        assert parts <= allowed

    def test_has_a_short_readme(self, folder: Path) -> None:
        readme = folder / "README.md"
        assert readme.exists()
        assert len(readme.read_text(encoding="utf-8").splitlines()) <= README_LINES

    def test_shows_a_face(self, folder: Path) -> None:
        assert (folder / "__init__.py").exists()


def test_the_order_inside_slices_is_held_for_all_of_them() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (inside,) = [contract for contract in contracts if contract["name"] == "Inside a slice, top to bottom"]
    assert inside["containers"] == [f"billing.{folder.name}" for folder in slices()]


def test_slices_see_only_each_others_face() -> None:
    names = {folder.name for folder in slices()}
    wrong = [
        f"{shown(path, line)} imports {module}"
        for path in python_files(PACKAGE)
        if slice_of(path) not in {"app", "core", "kit"}
        for module, _, line in imports_of(path)
        if (parts := module.split("."))[0] == "billing"
        and len(parts) > 2
        and parts[1] in names
        and parts[1] != slice_of(path)
    ]
    assert not wrong


def test_no_clock_is_read_below_the_edge() -> None:
    wrong = [
        f"{shown(path, node.lineno)} {node.func.value.id}.{node.func.attr}()"
        for path in python_files(PACKAGE)
        if path != CLOCK and slice_of(path) not in {"app", "kit"}
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in IMPURE_CALLS
    ]
    assert not wrong


def test_core_models_and_rules_await_nothing() -> None:
    wrong = [
        f"{shown(path, node.lineno)}"
        for path in python_files(PACKAGE)
        if slice_of(path) == "core" or path.relative_to(PACKAGE).parts[1:2] in {("rules.py",), ("rules",)}
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ]
    assert not wrong


def test_every_handler_is_served() -> None:
    """`HANDLERS` of each routes module is named in app/http.py."""
    wired = (PACKAGE / "app" / "http.py").read_text(encoding="utf-8")
    missing = [
        shown(path)
        for path in python_files(PACKAGE)
        if path.stem in {"routes", "operator_routes"} or path.parent.name in {"routes", "operator_routes"}
        if "HANDLERS" in path.read_text(encoding="utf-8")
        if not any(
            f"from billing.{slice_of(path)}{dotted} import" in wired
            or f"billing.{slice_of(path)} import {name}" in wired
            for name in ("routes", "operator_routes")
            for dotted in (f".{name}", "")
            if name in path.relative_to(ROOT).as_posix().replace(".py", "").split("/")
        )
    ]
    assert not missing
