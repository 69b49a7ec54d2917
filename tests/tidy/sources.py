"""The tracked sources as the tidy tests look at them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "billing"
NOT_SLICES = {"core", "kit", "sql", "app"}


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that git keeps or would keep."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(sorted({path for name in names if name and (path := ROOT / name).is_file()}))


def python_files(folder: Path) -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py" and path.is_relative_to(folder)]


def sql_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".sql" and path.is_relative_to(PACKAGE)]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports_of(path: Path) -> Iterator[tuple[str, str | None, int]]:
    """(module, name or None, line) of every import, those for types included."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                yield node.module, alias.name, node.lineno


def slice_of(path: Path) -> str:
    """The slice (or core, kit, sql, app) that a file of the package belongs to."""
    return path.relative_to(PACKAGE).parts[0]


def slices() -> list[Path]:
    return sorted({PACKAGE / slice_of(path) for path in python_files(PACKAGE)} - _rest())


def _rest() -> set[Path]:
    return {PACKAGE / name for name in (*NOT_SLICES, "__init__.py")}


def shown(path: Path, line: int | None = None) -> str:
    """A path for a message, from the root."""
    return f"{path.relative_to(ROOT)}{'' if line is None else f':{line}'}"
