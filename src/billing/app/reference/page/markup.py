"""HTML by functions: text is escaped, markup is not, and the type tells them apart."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import TypeAlias

import msgspec
from markdown_it import MarkdownIt

from billing.kit.web import encode


class Markup(str):
    """HTML that is ready."""

    __slots__ = ()


Content: TypeAlias = "str | Markup"

_JSON_TOKEN = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\b[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\b)|(?P<word>\b(?:true|false|null)\b)"
)


def element(name: str, /, *content: Content, **attributes: str) -> Markup:
    """An element. `class_` is class, `for_` is for, `data_x` is data-x; a text content is escaped."""
    return Markup(f"<{name}{_attributes(attributes)}>{joined(*content)}</{name}>")


def void(name: str, /, **attributes: str) -> Markup:
    """An element that has no content."""
    return Markup(f"<{name}{_attributes(attributes)}>")


def joined(*content: Content) -> Markup:
    """Pieces one after the other."""
    return Markup("".join(piece if isinstance(piece, Markup) else html.escape(piece, quote=False) for piece in content))


def markdown(text: str) -> Markup:
    """Markdown as HTML; HTML in it is shown, not taken."""
    return Markup(_markdown().render(text))


def inline(text: str) -> Markup:
    """Markdown within a line."""
    return Markup(_markdown().renderInline(text))


def json_block(text: str) -> Markup:
    """JSON with its parts marked."""
    pieces: list[str] = []
    end = 0
    for token in _JSON_TOKEN.finditer(text):
        pieces += [html.escape(text[end : token.start()], quote=False)]
        pieces += [f'<span class="json-{token.lastgroup}">{html.escape(token[0], quote=False)}</span>']
        end = token.end()
    return Markup("".join([*pieces, html.escape(text[end:], quote=False)]))


def compact(value: object) -> str:
    """A value as JSON within a line; a text as it is."""
    return value if isinstance(value, str) else encode(value).decode()


def pretty(value: object) -> str:
    """A value as JSON over several lines."""
    return msgspec.json.format(encode(value), indent=2).decode()


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _attributes(attributes: dict[str, str]) -> str:
    shown = ((name.rstrip("_").replace("_", "-"), html.escape(value)) for name, value in attributes.items())
    return "".join(f' {name}="{value}"' if value else f" {name}" for name, value in shown)
