"""Right bodies and queries made wrong in one place: what is sent, where the fault is, what may be answered."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from tests.support.house import Reply

Path = tuple[str | int, ...]

BAD = frozenset({400})
BAD_OR_REFUSED = frozenset({400, 404, 422})
ANY_ANSWER = frozenset({200, 201, 202, 204, 400, 404, 422})

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(T.*)?")
_ID = re.compile(r"[a-z]+_[0-9a-z]{26,34}")
OVERLONG = 100_000
HOSTILE_TEXTS = (
    "'; DROP TABLE accounts; --",
    "' OR '1'='1",
    "$1); CALL pg_sleep(10)--",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}} ${7*7} #include #sys.inputs",
    "../../etc/passwd",
    "=cmd|'/c calc'!A1",
    "\u202etxt.exe",
    "a\r\nSet-Cookie: x=1",
    "%s%n%x",
    "\ufffe\U000e0001",
)

CODES = {
    400: {"invalid_parameter", "idempotency_key_required"},
    401: {"unauthorized"},
    403: {"forbidden"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    413: {"payload_too_large"},
    415: {"unsupported_media_type"},
}
INSIDES = ("Traceback", "asyncpg", "SELECT ", "INSERT ", 'File "', "postgres", "litestar")


class Raw(str):
    """JSON text that is sent as it is."""

    __slots__ = ()


class Pairs(list[tuple[str, object]]):
    """An object's members, which may have a name twice."""


@dataclass(frozen=True)
class Attack:
    """A body with a fault at a path. `statuses` is what may be answered."""

    name: str
    path: str
    content: bytes
    statuses: frozenset[int] = BAD


def encode(value: object) -> str:
    """JSON of a tree that may hold Raw and Pairs."""
    match value:
        case Raw():
            return str(value)
        case Pairs():
            return "{" + ", ".join(f"{json.dumps(name)}: {encode(member)}" for name, member in value) + "}"
        case dict():
            return encode(Pairs(cast("dict[str, object]", value).items()))
        case list():
            return "[" + ", ".join(encode(member) for member in cast("list[object]", value)) + "]"
        case _:
            return json.dumps(value)


def shown(path: Path) -> str:
    """A path as faults name it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def members(tree: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every member and item of a tree with its path, the inner ones too."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(tree, dict):
        inner = list(cast("dict[str | int, object]", tree).items())
    elif isinstance(tree, list):
        inner = list(enumerate(cast("list[object]", tree)))
    for name, value in inner:
        yield (*path, name), value
        yield from members(value, (*path, name))


def replaced(tree: Any, path: Path, value: object) -> Any:
    """The tree with another value at a path."""
    if not path:
        return value
    first, *rest = path
    copied: Any = copy.copy(tree)
    copied[first] = replaced(copied[first], tuple(rest), value)
    return copied


def without(tree: Any, path: Path) -> Any:
    """The tree without a member."""
    inside = at(tree, path[:-1])
    return replaced(tree, path[:-1], {name: value for name, value in inside.items() if name != path[-1]})


def at(tree: Any, path: Path) -> Any:
    """What is at a path."""
    found = tree
    for part in path:
        found = found[part]
    return found


def wrong_bodies(tree: Any) -> Iterator[Attack]:
    """Bodies that must be refused, each wrong in one place."""
    yield from _wrong_objects(tree)
    for path, value in members(tree):
        for name, wrong, statuses in _wrong_values(path, value):
            yield Attack(name, shown(path), encode(replaced(tree, path, wrong)).encode(), statuses)


def odd_bodies(tree: Any) -> Iterator[Attack]:
    """Bodies that may be right or wrong, by what the member means: no answer may be an error of the server."""
    for path, value in members(tree):
        for name, odd in _odd_values(value):
            yield Attack(name, shown(path), encode(replaced(tree, path, odd)).encode(), ANY_ANSWER)
        if isinstance(path[-1], str):
            yield Attack("missing", shown(path), encode(without(tree, path)).encode(), ANY_ANSWER)


def _wrong_objects(tree: Any) -> Iterator[Attack]:
    objects = [(path, value) for path, value in [((), tree), *members(tree)] if isinstance(value, dict)]
    for path, value in objects:
        known = cast("dict[str, object]", value)
        surplus = encode(replaced(tree, path, {**known, "surplus": 1}))
        yield Attack("unknown", shown((*path, "surplus")), surplus.encode())
        for name, member in known.items():
            doubled = encode(replaced(tree, path, Pairs([*known.items(), (name, member)])))
            yield Attack("doubled", shown((*path, name)), doubled.encode())


def _wrong_values(path: Path, value: object) -> Iterator[tuple[str, object, frozenset[int]]]:
    match value:
        case bool():
            for wrong in (0, 1, "true", "", [], {}):
                yield "wrong type", wrong, BAD
        case int() | float():
            yield from _wrong_numbers(value)
        case str():
            yield from _wrong_texts(path, value)
        case list():
            for wrong in (1, "a", True, {}):
                yield "wrong type", wrong, BAD
        case dict():
            for wrong in (1, "a", True, [], [value]):
                yield "wrong type", wrong, BAD
        case _:
            pass


def _wrong_numbers(value: float) -> Iterator[tuple[str, object, frozenset[int]]]:
    for wrong in ("", "abc", "1 USD", "1,5", True, [], {}, [value]):
        yield "wrong type", wrong, BAD
    for literal in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "1" * 5_000):
        yield literal[:9], Raw(literal), BAD
    for text in ("NaN", "Infinity", "-inf", "1e400", "0x10", "٣", " 1"):
        yield f"text {text}", text, BAD
    for literal in (f"0.{'0' * 30}1", f"1.{'1' * 25}"):
        yield "too many decimals", Raw(literal), BAD
    for literal in ("-1", "-0.01", "1" + "0" * 30):
        yield literal[:5], Raw(literal), BAD_OR_REFUSED


def _wrong_texts(path: Path, value: str) -> Iterator[tuple[str, object, frozenset[int]]]:
    is_id = _ID.fullmatch(value) is not None
    for wrong in (7, 1.5, True, [], {}, [value], {"a": value}):
        yield "wrong type", wrong, BAD
    text_statuses = BAD_OR_REFUSED if is_id else BAD
    for wrong in (f"{value}\x00", "\ud800", f"a\udfff{value}"):
        yield "not storable", wrong, text_statuses
    yield "overlong", "x" * OVERLONG, text_statuses
    yield "empty", "", text_statuses
    if _INSTANT.fullmatch(value):
        for wrong in (
            *("2024-02-30T00:00:00Z", "2023-02-29", "2024-01-01T25:00:00Z", "2024-13-01T00:00:00Z", "0000-00-00"),
            *("2024-01-01 00:00:00", "2024-01-01T00:00:00", "yesterday", "99999-01-01T00:00:00Z", "2024-1-1"),
        ):
            yield "no date", wrong, BAD
    if path[-1] == "currency":
        for wrong in ("XYZ", "usd", "US", "USDUSD", "BTC", "💰💰💰"):
            yield "no currency", wrong, BAD_OR_REFUSED
    if is_id:
        prefix = value.rpartition("_")[0]
        for wrong in ("1", f"{prefix}_1", value.upper(), f"zzz{value}", f"{prefix}_{'0' * 26}", "' OR 1=1--"):
            yield "no id", wrong, BAD_OR_REFUSED


def _odd_values(value: object) -> Iterator[tuple[str, object]]:
    yield "null", None
    match value:
        case bool():
            yield "other", not value
        case int() | float():
            for odd in (
                Raw("0"),
                Raw("0.00"),
                Raw("-0"),
                Raw("1e2"),
                Raw("1E-2"),
                "1",
                Raw("0.005"),
                Raw("1" + "0" * 15),
            ):
                yield "number", odd
        case str():
            for text in HOSTILE_TEXTS:
                yield "hostile text", text
        case list():
            yield "empty", []
            yield "doubled", [*cast("list[object]", value), *cast("list[object]", value)]
        case _:
            pass


def unreadable_bodies() -> Iterator[Attack]:
    """Bodies that are no JSON object or array of any schema."""
    deep = 10_000
    for content in (
        b"",
        b"   ",
        b"\x0b\x0c",  # white space to Python, and none to JSON
        b"{",
        b"[",
        b'{"a": 1,}',
        b"{'a': 1}",
        b"nonsense",
        b"\xff\xfe\x00",
        b'{"name": "\xc3"}',
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"[" * deep,
        b"[" * deep + b"]" * deep,
        b'{"a":' * deep + b"1" + b"}" * deep,
        b"1" * 900_000,
        b'"text"',
        b"7",
        b"null",
        b"true",
    ):
        yield Attack("unreadable", "", content)
    yield Attack("too large", "", b'{"a": "' + b"x" * 2_000_000 + b'"}', frozenset({413}))


def wrong_queries(query: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Query strings that must be refused: the parameter at fault, and the string."""
    yield "surplus", "surplus=1"
    yield "", "%ff=1"
    yield "", "&".join(f"p{number}=1" for number in range(200))
    for name, value in query.items():
        yield name, f"{name}={value}&{name}={value}"
        for wrong in _wrong_parameters(name, value):
            yield name, f"{name}={wrong}"
    if "page" in query:
        yield "page", "page=200&per_page=100"
        yield "per_page", "per_page=101"
    if "to_date" in query:
        yield "from_date", "from_date=2024-02-01&to_date=2024-01-01"


def _wrong_parameters(name: str, value: str) -> Iterator[str]:
    yield from ("%00", "a%00b", "x" * 10_000)
    if value.isdigit():
        yield from ("0", "-1", "1.5", "1e3", "x", "", "%20", "9" * 40, "+1", "NaN", "1%27%20OR%201=1")
    elif _INSTANT.fullmatch(value):
        yield from ("2024-02-30", "2023-02-29T00:00:00Z", "soon", "", "0", "2024-01-01T00:00:00", "99999-01-01")
    elif value in {"true", "false"}:
        yield from ("1", "yes", "", "True", "null")
    elif name in {"status", "service", "type", "period"}:
        yield from ("nope", "", "PAID", "%27%20OR%201=1--", "%3Cscript%3E")


def refused(reply: Reply, statuses: frozenset[int], about: object) -> None:
    """The answer is an error of the documented shape."""
    assert reply.status in statuses, (about, reply.status, reply.text[:500])
    error = reply.body["error"]
    assert list(reply.body) == ["error"]
    assert list(error) == ["code", "message", "details"], about
    assert isinstance(error["details"], dict)
    assert error["message"]
    assert not any(word in reply.text for word in INSIDES), reply.text
    assert reply.headers["x-request-id"]
    if reply.status in CODES:
        assert error["code"] in CODES[reply.status], about
    for fault in error["details"].get("faults", []):
        assert list(fault) == ["in", "path", "reason"]
        assert fault["reason"]
