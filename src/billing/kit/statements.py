r"""Long SQL statements as files beside the code that runs them.

A line `\ir file.sql` (as in psql) is replaced by that file, so that statements share their first part as text: nothing but
files of this package is ever put together, and each statement is read once, at import.
"""

from __future__ import annotations

from pathlib import Path

_INCLUDE = r"\ir "


def load_statement(path: Path) -> str:
    """The statement of a file with its includes, which are relative to the file that names them."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(_INCLUDE):
            lines.append(load_statement(path.parent / line.removeprefix(_INCLUDE).strip()))
        else:
            lines.append(line)
    return "\n".join(lines)
