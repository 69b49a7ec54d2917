"""Text messages as networks count them: segments of GSM 7-bit septets, or of UTF-16 units (3GPP TS 23.038, 23.040)."""

from __future__ import annotations

import unicodedata

SEGMENTS_MAX = 2

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # two septets each
# What has the same look in the alphabet of 7 bits: one dash must not halve the room of a message.
_ALIKE = str.maketrans(
    {
        "\N{NO-BREAK SPACE}": " ",
        "\N{NARROW NO-BREAK SPACE}": " ",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{MINUS SIGN}": "-",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{HORIZONTAL ELLIPSIS}": "...",
        "`": "'",
    }
)
_MORE = "..."


def is_gsm(text: str) -> bool:
    """Whether a text is written in the alphabet of 7 bits."""
    return all(symbol in _BASIC or symbol in _EXTENDED for symbol in text)


def segments_of(text: str) -> int:
    """How many segments a text takes: of 160 septets or 70 units alone, of 153 or 67 when there are several.

    A symbol of two is not torn apart between segments.
    """
    if is_gsm(text):
        sizes, alone, joined = [2 if symbol in _EXTENDED else 1 for symbol in text], 160, 153
    else:
        sizes, alone, joined = [len(symbol.encode("utf-16-be")) // 2 for symbol in text], 70, 67
    if sum(sizes) <= alone:
        return 1
    segments, filled = 1, 0
    for size in sizes:
        if filled + size > joined:
            segments, filled = segments + 1, 0
        filled += size
    return segments


def fit(text: str) -> str:
    """A text as it is sent: in the 7-bit alphabet if that loses nothing but looks, and cut to at most two segments."""
    plain = " ".join(text.translate(_ALIKE).split())
    plain = plain if is_gsm(plain) else _without_marks(plain)
    if segments_of(plain) <= SEGMENTS_MAX:
        return plain
    return next(
        cut for end in range(len(plain) - 1, -1, -1) if segments_of(cut := plain[:end].rstrip() + _MORE) <= SEGMENTS_MAX
    )


def _without_marks(text: str) -> str:
    """The same in the 7-bit alphabet where only accents stand in the way (ş, ế); else as it was."""
    bare = "".join(
        symbol if symbol in _BASIC or symbol in _EXTENDED else unicodedata.normalize("NFD", symbol)[0]
        for symbol in unicodedata.normalize("NFC", text)
    )
    return bare if is_gsm(bare) else text
