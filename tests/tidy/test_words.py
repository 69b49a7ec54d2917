"""One word for one thing (GLOSSARY.md): the others do not appear in identifiers and tables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.sources import PACKAGE, parsed, python_files, shown, sql_files

# Word: what is said instead.
BANNED = {
    "customer": "account",
    "tenant": "account",
    "user": "account or operator",
    "entry": "transfer or point",
    "entries": "transfers or points",
    "posting_leg": "transfer",
    "deposit": "top-up",
    "recharge": "top-up",
    "provider": "gateway",
    "fee": "charge",
    "line_item": "line",
    "usage_record": "usage event or charge",
    "manager": "what it does",
    "helper": "what it does",
    "utils": "what it does",
    "process_data": "what it does",
    "service_suffix": "the verb",
}
# Adapters speak others' languages; so does what these names come from.
EXEMPT = {
    "aenter_contextmanager",
    "asynccontextmanager",
    "contextmanager",
    "expanduser",
    "current_user",
    "session_user",
    "run_as_user",
    "SUDO_USER",
    "getuser",
    "user",  # an argument of subprocess, and of database addresses
}
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SQL_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_SQL_TEXT = re.compile(r"'(?:[^']|'')*'")
_SQL_WORD = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)


def test_identifiers_use_the_glossary() -> None:
    wrong = [
        f"{shown(path, line)} {name}: say {BANNED[word]}"
        for path in python_files(PACKAGE)
        if "adapters" not in path.parts and "embedded_postgres" not in path.parts
        for name, line in _identifiers(path)
        for word in _banned_in(name)
    ]
    assert not wrong


def test_tables_and_columns_use_the_glossary() -> None:
    wrong = [
        f"{shown(path)} {name}: say {BANNED[word]}"
        for path in sql_files()
        if path.name not in {"schema.sql", "20261122000009_queue.sql"}
        for name in sorted(_sql_names(path))
        for word in _banned_in(name)
    ]
    assert not wrong


def test_no_class_is_a_service() -> None:
    wrong = [
        f"{shown(path, node.lineno)} {node.name}"
        for path in python_files(PACKAGE)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and re.search(r"(Service|Manager|Helper|Util|Utils)$", node.name)
    ]
    assert not wrong


def _identifiers(path: Path) -> Iterator[tuple[str, int]]:
    yield path.stem, 1
    for node in ast.walk(parsed(path)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case _:
                pass


def _sql_names(path: Path) -> set[str]:
    text = _SQL_TEXT.sub("''", _SQL_COMMENT.sub("", path.read_text(encoding="utf-8")))
    return set(_SQL_WORD.findall(text))


def _banned_in(name: str) -> list[str]:
    if name in EXEMPT:
        return []
    words = [part.lower() for part in _PARTS.findall(name)]
    joined = f"_{'_'.join(words)}_"
    return [banned for banned in BANNED if f"_{banned}_" in joined or f"_{banned}s_" in joined]
