"""The picture of the layers: a row for each layer of the import contract, a box for each slice."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _ROW, _GAP, _NAMES = 880, 34, 8, 330
_SLICES = "#e8eff6"
_FRAME = "#1f4e79"
_FONT = "font-family='system-ui, sans-serif'"


def draw(layers: Sequence[tuple[Sequence[str], str]]) -> str:
    """The layers as SVG, top to bottom: the slices of each, and what is said of them. Imports go down."""
    height = len(layers) * (_ROW + _GAP) + _GAP
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' role='img' {_FONT} font-size='13'>",
        "<title>The layers of the program: each imports only what stands below it</title>",
        f"<rect width='{_WIDTH}' height='{height}' fill='#ffffff'/>",
        f"<path d='M14 {_GAP + 4} V{height - _GAP - 6} m-5 -8 l5 8 l5 -8' fill='none' stroke='{_FRAME}' stroke-width='1.5'/>",
    ]
    for place, (layer, said) in enumerate(layers):
        top = _GAP + place * (_ROW + _GAP)
        width = (_NAMES - _GAP * (len(layer) - 1)) / len(layer)
        parts_said = said.split(" · ") if len(layer) > 1 else [said]
        for column, name in enumerate(layer):
            left = 32 + column * (width + _GAP)
            dashes = " stroke-dasharray='5 4'" if "(later)" in parts_said[column] else ""
            parts += [
                (
                    f"<rect x='{left:.0f}' y='{top}' width='{width:.0f}' height='{_ROW}' rx='4'"
                    f" fill='{_SLICES}' stroke='{_FRAME}'{dashes}/>"
                ),
                f"<text x='{left + width / 2:.0f}' y='{top + 22}' text-anchor='middle' fill='#1c2733'>{escape(name)}</text>",
            ]
        parts.append(f"<text x='{32 + _NAMES + 14}' y='{top + 22}' fill='#5d6875' font-size='12'>{escape(said)}</text>")
    return "\n".join([*parts, "</svg>", ""])
