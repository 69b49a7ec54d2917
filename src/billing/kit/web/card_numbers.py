"""Payment card numbers in what callers send: they are refused, never kept, never shown back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from billing.core.errors import Refused
from billing.kit.web.reading import Members, NumberText

# Digit groups with single blanks or dashes between; not a part of a longer word such as `tok_4242…`.
_RUN = re.compile(r"(?<![\w])[0-9]+(?:[ -][0-9]+)*(?![\w])")
_MAYBE = re.compile(rb"[0-9](?:[ -]?[0-9]){12}")
_SCHEMES = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|65|64[4-9]"), (16, 17, 18, 19)),
    (re.compile(r"35"), (16, 17, 18, 19)),
    (re.compile(r"36|38|30"), (14, 15, 16, 17, 18, 19)),
)


class CardNumberRefused(Refused):
    """A field holds what looks like the number of a payment card."""

    def __init__(self, paths: list[str]) -> None:
        reason = "holds a payment card number; send the token that the gateway's form returned"
        super().__init__(
            "Card numbers are not accepted here",
            details={"faults": [{"in": "body", "path": path, "reason": reason} for path in paths]},
        )


def may_hold_card_number(content: bytes) -> bool:
    """A quick look at a whole body: most hold no 13 digits in a row. An escape may hide one."""
    return b"\\u" in content or _MAYBE.search(content) is not None


def is_card_number(digits: str) -> bool:
    """Whether digits have a card scheme's prefix and length, and a right Luhn sum."""
    if not any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _SCHEMES):
        return False
    doubled = (int(symbol) * 2 for symbol in digits[-2::-2])
    total = sum(map(int, digits[-1::-2])) + sum(value - 9 if value > 9 else value for value in doubled)
    return total % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether a text holds a card number, with blanks or dashes inside it or without."""
    return any(is_card_number(candidate) for run in _RUN.finditer(text) for candidate in _candidates(run[0]))


def _candidates(run: str) -> Iterator[str]:
    """Neighbouring groups put together, of 13 to 19 digits."""
    groups = re.split(r"[ -]", run)
    for first in range(len(groups)):
        digits = ""
        for group in groups[first : first + 19]:
            digits += group
            if len(digits) > 19:
                break
            if len(digits) >= 13:
                yield digits


def card_number_paths(tree: object, path: str = "") -> Iterator[str]:
    """Paths of all texts in a body that hold a card number."""
    if isinstance(tree, NumberText):
        return
    if isinstance(tree, str):
        if holds_card_number(tree):
            yield path
    elif isinstance(tree, Members):
        for name, member in tree.items():
            # A name may be the number itself: it is not shown back.
            shown = "(name)" if holds_card_number(name) else name
            if shown != name:
                yield f"{path}.{shown}".lstrip(".")
            yield from card_number_paths(member, f"{path}.{shown}".lstrip("."))
    elif isinstance(tree, list):
        for index, member in enumerate(cast("list[object]", tree)):
            yield from card_number_paths(member, f"{path}[{index}]")
