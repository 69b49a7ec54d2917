"""Tables and progress for people: rich on a terminal, plain aligned text and no progress when piped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
    alarming: Collection[int] = (),
) -> None:
    """Print rows in aligned columns; those in `right` are numbers. On a terminal the rows in `alarming` are red."""
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415  slow to import, and only for terminals
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table()
        for index, header in enumerate(headers):
            table.add_column(header, justify="right" if index in right else "left", overflow="fold")
        for place, row in enumerate(rows):
            table.add_row(*map(Text, row), style="bold red" if place in alarming else None)
        Console().print(table)
        return
    widths = [max(len(row[index]) for row in [headers, *rows]) for index in range(len(headers))]
    for row in [headers, *rows]:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


@dataclass(frozen=True, slots=True)
class Bar:
    """What moves a bar of progress on. `is_seen` is False when nobody looks, and then nothing needs to be counted."""

    is_seen: bool
    advance: Callable[[], None]
    show: Callable[[int, int], None]
    """How much is done, and of how much."""


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Bar]:
    """A bar on a terminal for the length of the block; nothing when piped."""
    if not sys.stderr.isatty():
        yield Bar(is_seen=False, advance=lambda: None, show=lambda _done, _total: None)
        return
    from rich.console import Console  # noqa: PLC0415  slow to import, and only for terminals
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(description, total=total)

        def show(done: int, of: int) -> None:
            shown.update(task, completed=done, total=of)

        yield Bar(is_seen=True, advance=lambda: shown.advance(task), show=show)


def hint(text: str) -> None:
    """Tell whoever sits at the terminal what to do next; nothing when piped."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
