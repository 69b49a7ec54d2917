"""Runs an SQL script as a reader would in psql and shows each statement with its answer.

Every statement is a transaction of its own within the caller's: one that is refused leaves the rest to go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from billing.kit.db import Connection

_INCLUDE = "\\ir "
_NUMBERS = {"int2", "int4", "int8", "numeric"}


@dataclass(frozen=True)
class Story:
    """A script; what it includes (`\\ir file.sql`) runs before it, unseen."""

    prelude: str
    script: str

    @classmethod
    def read(cls, path: Path) -> Story:
        """A script of a file."""
        lines = path.read_text(encoding="utf-8").splitlines()
        included = [line.removeprefix(_INCLUDE) for line in lines if line.startswith(_INCLUDE)]
        return cls(
            "\n".join((path.parent / name).read_text(encoding="utf-8") for name in included),
            "\n".join(line for line in lines if not line.startswith(_INCLUDE)),
        )


async def tell(connection: Connection, story: Story) -> str:
    """The script with the answers that the database gives."""
    await connection.execute(story.prelude)
    told: list[str] = []
    for statement in statements(story.script):
        told += [statement, *await _answer(connection, statement), ""]
    return "\n".join(told)


def statements(script: str) -> Iterator[str]:
    """The statements of a script with the comments before them. A statement ends where a line ends in a semicolon."""
    lines: list[str] = []
    for line in script.splitlines():
        if not (line or lines):
            continue
        lines.append(line)
        if line.endswith(";") and not line.startswith("--"):
            yield "\n".join(lines)
            lines = []
    assert not lines, f"no semicolon ends: {lines}"


async def _answer(connection: Connection, statement: str) -> list[str]:
    try:
        async with connection.transaction():
            prepared = await connection.prepare(statement)
            rows = await prepared.fetch()
    except asyncpg.PostgresError as error:
        return [f"ERROR:  {error.sqlstate}: {error.args[0]}"]
    columns = [(column.name, column.type.name in _NUMBERS) for column in prepared.get_attributes()]
    return _table(columns, [[_shown(value) for value in row.values()] for row in rows])


def _table(columns: list[tuple[str, bool]], rows: list[list[str]]) -> list[str]:
    widths = [max(len(name), *(len(row[n]) for row in rows), 0) for n, (name, _) in enumerate(columns)]
    lines = [
        " | ".join(name.center(width) for (name, _), width in zip(columns, widths, strict=True)).rstrip(),
        "-+-".join("-" * width for width in widths),
    ]
    for row in rows:
        cells = zip(row, columns, widths, strict=True)
        lines.append(" | ".join(text.rjust(w) if right else text.ljust(w) for text, (_, right), w in cells).rstrip())
    return [
        *(f" {line}" if n != 1 else f"-{line}-" for n, line in enumerate(lines)),
        f"({len(rows)} row{'s' if len(rows) != 1 else ''})",
    ]


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bytes():
            return "\\x" + value.hex()
        case datetime():
            return value.isoformat(sep=" ")
        case _:
            return str(value)
