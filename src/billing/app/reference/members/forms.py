"""Forms that members share: ids, amounts, texts, days and instants."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billing.kit.web.openapi.words import NOTHING, Member
from billing.kit.web.values import decimal_schema, text_schema

D = Decimal
M = Member
_TAIL = "01hkx3w6f8m2n4p6q8r0s2t4v6"
_PART_TAIL = "00hkx3w6f8m2n4p6q8r0s2t4v602000001"
_SYMBOL = "[0-9a-hjkmnp-tv-z]"
AMOUNT = decimal_schema(exclusiveMinimum=0, maximum=10**13)
MONTH = {"pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])$"}
CURRENCY = {"pattern": "^[A-Z]{3}$"}


def example_id(prefix: str) -> str:
    """An id of a kind."""
    return f"{prefix}_{_TAIL}"


def id_of(prefix: str, says: str, *, example: Any = None) -> Member:
    """An id of a kind."""
    return M(says, example_id(prefix) if example is None else example, {"pattern": f"^{prefix}_[0-7]{_SYMBOL}{{25}}$"})


def part_id(prefix: str, says: str, *, whole_too: bool = False) -> Member:
    """The id of a part, such as a line; with `whole_too` the id of a whole may stand there as well."""
    pattern = f"^{prefix}_{_SYMBOL}{{34}}$"
    if whole_too:
        pattern = f"^{prefix}_([0-7]{_SYMBOL}{{25}}|{_SYMBOL}{{34}})$"
    return M(says, example_id(prefix) if whole_too else f"{prefix}_{_PART_TAIL}", {"pattern": pattern})


def one_of(says: str, *values: str, example: Any = NOTHING) -> Member:
    """A text that is one of a few."""
    return M(says, values[0] if example is NOTHING else example, {"enum": list(values)})


def text(says: str, example: str, *, longest: int) -> Member:
    """A text that a body holds and people read."""
    return M(says, example, text_schema(longest=longest))


def amount(says: str, example: str, *, is_given: bool = False) -> Member:
    """An amount of money; one that is given in a body is above 0."""
    return M(says, D(example), AMOUNT if is_given else {})
