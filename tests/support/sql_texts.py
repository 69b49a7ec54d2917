"""The SQL of the program as parsed statements, each with where it stands: Python literals, files of slices, functions and views."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pglast
from pglast.ast import CreateFunctionStmt, ViewStmt

from billing.kit.statements import load_statement
from tests.support.tenancy import is_a
from tests.tidy.sources import PACKAGE, parsed, python_files, sql_files

_BEGINS = re.compile(r"(?:SELECT|INSERT\s+INTO|UPDATE\s+\w+|DELETE\s+FROM|WITH)\b(?!\s*$)", re.ASCII)
# What a part of a statement is set into, to be parsed.
_FRAMES = (
    "{}",
    "{}\nSELECT 1",
    "WITH {}\nSELECT 1",
    "WITH a AS (SELECT 1) {}",
    "WITH a AS (SELECT 1) {}\nSELECT 1",
    "SELECT 1 {}",
)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*\n)*")


@dataclass(frozen=True)
class Text:
    """A statement as it is written: the file, what holds it there, and its text."""

    file: str
    holder: str
    sql: str
    is_view: bool = False

    def __str__(self) -> str:
        return f"{self.file} {self.holder}"


def program_texts() -> Iterator[Text]:
    """Every statement of the program but its migrations and stories."""
    for path in python_files(PACKAGE):
        yield from _literals(path)
    for path in sql_files():
        parts = path.relative_to(PACKAGE).parts
        if parts[0] != "sql":
            yield Text("/".join(parts), "", _whole(load_statement(path)))
        elif parts[1] in {"functions", "views"}:
            yield from _code(path)


def _literals(path: Path) -> Iterator[Text]:
    """Texts that begin like a statement, with the function or constant that they stand in."""
    file = path.relative_to(PACKAGE).as_posix()
    for node in parsed(path).body:
        holder = _name_of(node)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and _begins(inner.value):
                yield Text(file, holder, _whole(inner.value))


def _name_of(node: ast.stmt) -> str:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return ""


def _begins(text: str) -> bool:
    return _BEGINS.match(_bare(text)) is not None


def _bare(text: str) -> str:
    """A text without the comments that it begins with."""
    found = _COMMENTS.match(text)
    return text if found is None else text[found.end() :]


def _whole(text: str) -> str:
    """A statement; what is a part of one, with as little around it as makes it a statement."""
    bare = _bare(text).rstrip().removesuffix(",")
    for frame in _FRAMES:
        whole = frame.replace("{}", bare)
        try:
            pglast.parse_sql(whole)
        except pglast.parser.ParseError:
            continue
        return whole
    return text


def _code(path: Path) -> Iterator[Text]:
    """Views, and the statements in the bodies of functions."""
    file = path.relative_to(PACKAGE).as_posix()
    for node, sql in _statements(path.read_text(encoding="utf-8")):
        if is_a(node, ViewStmt):
            yield Text(file, node.view.relname, sql[sql.index("SELECT") :], is_view=True)
        elif is_a(node, CreateFunctionStmt):
            for inner in _body(node, sql):
                yield Text(file, node.funcname[-1].sval, inner)


def _statements(text: str) -> Iterator[tuple[Any, str]]:
    """The statements of a text, parsed and as they are written."""
    written = text.encode()
    for one in pglast.parse_sql(text):
        start = one.stmt_location or 0
        end = start + one.stmt_len if one.stmt_len else len(written)
        yield one.stmt, written[start:end].decode()


def _body(node: Any, sql: str) -> list[str]:
    if node.sql_body is not None:
        return []  # an expression over its arguments
    options = {option.defname: option.arg for option in node.options}
    if options["language"].sval == "sql":
        return [inner for _, inner in _statements(options["as"][0].sval)]
    return [_statement(query) for query in _queries(pglast.parse_plpgsql(sql))]


def _queries(tree: object) -> Iterator[str]:
    """What a PL/pgSQL body hands to SQL, as it is written."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == "query" and isinstance(value, str):
                yield value
            else:
                yield from _queries(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _queries(value)


def _statement(query: str) -> str:
    """A query, or an expression made one."""
    if _begins(query):
        return query
    _, _, expression = query.rpartition(":=")
    return f"SELECT {expression}"
