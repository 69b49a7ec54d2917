"""JSON text to a tree in which numbers keep their literal text and doubled members are remembered."""

from __future__ import annotations

import json
import re

from billing.core.errors import Fault, InvalidParameter

DEPTH_MAX = 32

# A string that is not closed runs to the end, so that each byte is looked at once.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class NumberText(str):
    """A JSON number as it was written."""

    __slots__ = ()


class NotANumber(str):
    """NaN, Infinity or -Infinity, which JSON does not have."""

    __slots__ = ()


class Members(dict[str, object]):
    """The members of an object, and the names that were given more than once."""

    doubled: tuple[str, ...] = ()


def members_of(pairs: list[tuple[str, object]]) -> Members:
    """The members of an object, in the order of their first names; of doubled ones the last value."""
    members = Members(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        members.doubled = tuple(dict.fromkeys(name for name, _ in pairs if name in seen or seen.add(name)))
    return members


_decoder = json.JSONDecoder(
    object_pairs_hook=members_of, parse_float=NumberText, parse_int=NumberText, parse_constant=NotANumber
)


def is_blank(content: bytes) -> bool:
    """Whether there is nothing in a body, or nothing but what JSON takes for white space: fewer bytes than Python does."""
    return not content.strip(b" \t\r\n")


def read_json(content: bytes) -> object:
    """The tree of a JSON text. Raises InvalidParameter for anything that is not one, or is nested deeper than 32."""
    if is_blank(content):
        raise _unreadable("must be JSON, but the body is empty")
    if is_too_deep(content):
        raise _unreadable(f"is nested deeper than {DEPTH_MAX} levels")
    try:
        return _decoder.decode(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _unreadable(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _unreadable(
            f"is not JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise _unreadable(f"is nested deeper than {DEPTH_MAX} levels") from None


def is_too_deep(content: bytes) -> bool:
    """Whether a JSON text is nested deeper than the limit. Each round takes away the innermost brackets."""
    if content.count(b"[") + content.count(b"{") <= DEPTH_MAX:
        return False
    # Without a backslash each quote begins or ends a string.
    outside = _STRING.sub(b"", content) if b"\\" in content else b"".join(content.split(b'"')[::2])
    brackets = outside.translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(DEPTH_MAX):
        inner = brackets.replace(b"[]", b"")
        if len(inner) == len(brackets):
            break
        brackets = inner
    return brackets.count(b"[") > DEPTH_MAX or b"[]" in brackets


def _unreadable(reason: str) -> InvalidParameter:
    return InvalidParameter([Fault("body", "", reason)])
