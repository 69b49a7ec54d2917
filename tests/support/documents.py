"""Markdown as the tests of documents read it: tables, fenced blocks, sections, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

Row = dict[str, str]

_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Section:
    """The text from one heading to the next."""

    title: str
    text: str

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of a language."""
        return [match["text"] for match in _FENCE.finditer(self.text) if match["language"] == language]

    def table(self, *names: str) -> list[Row]:
        """The rows of the one table with these columns."""
        (found,) = [rows for columns, rows in tables(self.text) if columns == names]
        return found


def sections(text: str) -> list[Section]:
    """Every section of a document, in order; headings of all levels part them."""
    plain = _FENCE.sub(lambda fence: " " * len(fence[0]), text)  # a comment in a script is no heading
    headings = list(_HEADING.finditer(plain))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return [
        Section(heading["title"].strip(), text[heading.end() : end])
        for heading, end in zip(headings, ends, strict=True)
    ]


def tables(text: str) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    """(columns, rows) of every table; a cell is its text without backticks."""
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        header, _, *rows = [_cells(line) for line in block.splitlines()]
        yield tuple(header), [dict(zip(header, row, strict=True)) for row in rows]


def relative_links(text: str) -> list[str]:
    """Targets of links within the repository, without their anchors."""
    plain = _FENCE.sub("", text)
    targets = [match["target"] for match in _LINK.finditer(plain)]
    return [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
