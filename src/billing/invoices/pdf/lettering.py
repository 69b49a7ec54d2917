"""Which characters the vendored fonts can print, and text made printable.

PDF/A refuses a document with one missing glyph, so what no font has becomes U+FFFD, where a reader sees that something stood.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from functools import cache
from pathlib import Path

FONTS_FOLDER = Path(__file__).parent.parent / "assets" / "fonts"
FAMILIES = ("Noto Sans", "Noto Sans Arabic", "WenQuanYi Micro Hei")  # in the order in which a glyph is looked for
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_BREAK = "\N{ZERO WIDTH SPACE}"  # a mark for the template: as a character it would spoil the search for text in the PDF
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_STRAY_JOINERS = re.compile(f"(?<![\u0600-\u06ff])[{_JOINERS}]")  # Persian needs them inside words
_NEWLINES = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_SERVICE_KEY = re.compile("[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_ABBREVIATIONS = {"api", "cdn", "dns", "gpu", "ip", "sms", "vpn", "vps"}
_WINDOWS_UNICODE = (3, 1)
_SEGMENTS = 4  # the cmap format that all vendored fonts have: ranges of the Basic Multilingual Plane


@cache
def printable() -> frozenset[str]:
    """The characters that at least one vendored font has a glyph for."""
    found: set[str] = set()
    for path in sorted(FONTS_FOLDER.glob("*.tt[cf]")):
        found |= _characters_of(path.read_bytes())
    return frozenset(found)


def clean(text: str, *, keep_lines: bool = False, run_max: int | None = 16) -> str:
    """The text as it can be printed: composed, without hidden or direction-overriding characters, nothing missing in the fonts.

    Newlines become spaces unless `keep_lines`. A word longer than `run_max` is marked with U+200B where it may be broken:
    anywhere after that.
    """
    if not text.isascii():
        text = _STRAY_JOINERS.sub("", unicodedata.normalize("NFC", text))
    text = _NEWLINES.sub("\n", text)
    if not keep_lines:
        text = text.replace("\n", " ")
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_shown, text))
    return text if run_max is None else _breakable(text, run_max)


def service_name(name: str) -> str:
    """A service as a heading: `Object storage`, `CDN`. What is no plain key stays as it is."""
    if _SERVICE_KEY.fullmatch(name) is None:
        return name
    words = [word.upper() if word in _ABBREVIATIONS else word for word in re.split("[-_]", name)]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if character == "\n" or character in _JOINERS:
        return character
    if character == "\t" or category == "Zs":
        return " "
    if category == "Cf" or 0xFE00 <= ord(character) <= 0xFE0F:
        return ""  # direction marks and overrides, tags, variation selectors
    if category in ("Cc", "Co") or character not in printable():
        return REPLACEMENT
    return character


def _breakable(text: str, run_max: int) -> str:
    if len(text) <= run_max:
        return text
    runs = re.compile(rf"[^\s\-/\u2e80-\uffff]{{{run_max + 1},}}")  # ideographs break anywhere as they are
    return runs.sub(lambda run: _broken(run[0], run_max), text)


def _broken(run: str, run_max: int) -> str:
    head, tail = run[:run_max], run[run_max:]
    return head + "".join(c if unicodedata.combining(c) or c in _JOINERS else _BREAK + c for c in tail)


def _characters_of(font: bytes) -> set[str]:
    """What a font's Unicode character map lists (OpenType, tables `cmap` and, for a collection, its first font)."""
    start = struct.unpack_from(">I", font, 12)[0] if font.startswith(b"ttcf") else 0
    tables: dict[bytes, int] = {}
    for index in range(struct.unpack_from(">H", font, start + 4)[0]):
        tag, _, offset, _ = struct.unpack_from(">4sIII", font, start + 12 + 16 * index)
        tables[tag] = offset
    cmap = tables[b"cmap"]
    for index in range(struct.unpack_from(">H", font, cmap + 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHI", font, cmap + 4 + 8 * index)
        if (platform, encoding) == _WINDOWS_UNICODE and struct.unpack_from(">H", font, cmap + offset)[0] == _SEGMENTS:
            return _mapped(font, cmap + offset)
    raise ValueError("the font has no Unicode character map of format 4")


def _mapped(font: bytes, at: int) -> set[str]:
    count = struct.unpack_from(">H", font, at + 6)[0] // 2
    shape = f">{count}H"
    lasts, firsts, deltas, offsets = (
        struct.unpack_from(shape, font, at + start) for start in (14, 16 + 2 * count, 16 + 4 * count, 16 + 6 * count)
    )
    found: set[str] = set()
    for segment, (first, last, delta, offset) in enumerate(zip(firsts, lasts, deltas, offsets, strict=True)):
        row = at + 16 + 6 * count + 2 * segment + offset
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = code if offset == 0 else struct.unpack_from(">H", font, row + 2 * (code - first))[0]
            if (glyph or offset == 0) and (glyph + delta) & 0xFFFF:
                found.add(chr(code))
    return found
