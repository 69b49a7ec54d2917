"""The API's own examples: each request as the contract writes it, and how an answer is held against the answer shown."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

EXAMPLES = Path(__file__).parents[1] / "golden" / "spec" / "examples.txt"
BASE = "https://api.lineserve.com/v1"
_BASH = shutil.which("bash") or "bash"
_MONEY = re.compile(r"^(amount|cost|total_cost|monthly_cost|\w+_balance)$")
_INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
_OWN_ID = re.compile(r"^(acc|txn|pm|inv|proj|key)_")
_MAY_BE_NULL = {
    *("service", "resource_id", "company", "region", "last_used", "expires_at", "paid_at", "description"),
    *("brand", "exp_month", "exp_year"),  # of a bank account
    "bandwidth_gb",  # of what has no traffic
}


@dataclass(frozen=True, slots=True)
class Example:
    """A request of the contract, and the answer that it shows, if it shows one."""

    operation: str
    command: str
    answer: Any


@dataclass(frozen=True, slots=True)
class Answered:
    """What an example's request was answered with."""

    status: int
    text: str

    @property
    def body(self) -> Any:
        """The body, numbers as they are written."""
        return json.loads(self.text, parse_float=Decimal)


def examples() -> list[Example]:
    """All of them, in the contract's order."""
    found: list[Example] = []
    for block in EXAMPLES.read_text(encoding="utf-8").split("# ")[1:]:
        operation, _, rest = block.partition("\n")
        command, brace, answer = rest.partition("\n{\n")
        found.append(Example(operation, command.strip(), json.loads("{" + answer) if brace else None))
    return found


def run(example: Example, *, base_url: str, key: str, names: Mapping[str, str], folder: Path) -> Answered:
    """Send the request as it is written, but for the host, the key, and the ids and dates that `names` replaces."""
    command = example.command.replace(BASE, base_url).replace("YOUR_API_KEY", key)
    for written, meant in names.items():
        command = command.replace(written, meant)
    shown = command.replace("curl ", "curl --silent --show-error --write-out '\\n%{http_code}' ", 1)
    done = subprocess.run([_BASH, "-c", shown], cwd=folder, capture_output=True, text=True, check=True, timeout=30)
    text, _, status = done.stdout.rpartition("\n")
    return Answered(int(status), text)


def differences(shown: Any, given: Any, path: str = "") -> Iterator[str]:
    """Where an answer is not as the contract shows it: members, their order, types, number formats, nesting."""
    match shown:
        case dict():
            yield from _of_objects(cast("dict[str, Any]", shown), given, path)
        case list():
            if not isinstance(given, list) or not given:
                yield f"{path} is not a filled list"
                return
            like = cast("list[Any]", shown)
            for index, item in enumerate(cast("list[Any]", given)):
                yield from differences(like[min(index, len(like) - 1)], item, f"{path}[{index}]")
        case str() | bool() | int() | float() | None:
            yield from _of_values(shown, given, path)
        case _:
            raise TypeError(f"{path} of an example is a {type(shown).__name__}")


def _of_objects(shown: dict[str, Any], given: Any, path: str) -> Iterator[str]:
    if not isinstance(given, dict):
        yield f"{path} is no object"
        return
    members = cast("dict[str, Any]", given)
    for name in shown.keys() - members.keys():
        yield f"{path}.{name} is missing"
    both = [name for name in members if name in shown]
    if both != [name for name in shown if name in members]:
        yield f"{path} has its members in the order {both}"
    for name in both:
        yield from differences(shown[name], members[name], f"{path}.{name}")


def _of_values(shown: Any, given: Any, path: str) -> Iterator[str]:
    name = path.rpartition(".")[2]
    match shown, given:
        case None, str() | None:
            pass
        case _, None if name in _MAY_BE_NULL:
            pass
        case (bool(), bool()) | (int() | float(), int() | Decimal()):
            yield from _of_numbers(name, given, path)
        case str(), str():
            yield from _of_texts(shown, given, path)
        case _:
            yield f"{path} is {given!r} where {shown!r} is shown"


def _of_numbers(name: str, given: bool | int | Decimal, path: str) -> Iterator[str]:
    decimals = 2 if _MONEY.match(name) else 1 if name == "percentage" else None
    if decimals is not None and not (isinstance(given, Decimal) and given.as_tuple().exponent == -decimals):
        yield f"{path} is {given}, not a number with {decimals} decimals"


def _of_texts(shown: str, given: str, path: str) -> Iterator[str]:
    prefix = _OWN_ID.match(shown)
    if _INSTANT.match(shown) and not _INSTANT.match(given):
        yield f"{path} is {given}, not an instant like {shown}"
    if prefix and not given.startswith(prefix[0]):
        yield f"{path} is {given}, not an id like {shown}"
