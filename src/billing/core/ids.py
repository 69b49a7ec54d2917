"""Identifiers: UUIDv7 inside (RFC 9562), a typed prefix and 26 characters of base32 on the wire.

The alphabet is Crockford's in lower case, so that ids sort as text in the order of their creation.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from billing.core.errors import NotFound

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]  # of 10 bits: symbols come in pairs
_DIGITS = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # what int() reads to the base of 32
_SYMBOLS = frozenset(_ALPHABET)
_UUID_SYMBOLS = 26
_KEPT = 16_384  # ids at hand in each direction, a few megabytes: those of a call are written several times


def uuid7(now: datetime, random_bits: int) -> UUID:
    """A UUIDv7 of an aware instant and 74 random bits (more are ignored)."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    random_a = (random_bits >> 62) & 0xFFF
    random_b = random_bits & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)


@lru_cache(_KEPT)
def encode(prefix: str, identifier: UUID) -> str:
    """The wire form, such as `acc_01h2…`."""
    return f"{prefix}_{_to_base32(identifier.int, _UUID_SYMBOLS)}"


def decode(prefix: str, text: str) -> UUID | None:
    """The UUID of a wire form, or None if it is not one of this prefix."""
    return _decode(prefix, text) if len(text) == len(prefix) + 1 + _UUID_SYMBOLS else None


@lru_cache(_KEPT)
def _decode(prefix: str, text: str) -> UUID | None:
    value = _from_base32(prefix, text, _UUID_SYMBOLS)
    return UUID(int=value) if value is not None and value < 1 << 128 else None


def expect(prefix: str, text: str) -> UUID:
    """The UUID of a wire form that a caller sent. Raises NotFound for one that is not of this prefix: it names nothing."""
    identifier = decode(prefix, text)
    if identifier is None:
        raise NotFound
    return identifier


def encode_part(prefix: str, whole: UUID, kind: int, ordinal: int) -> str:
    """The wire form of the ordinal-th part of something: it holds the whole's id, so nothing is looked up to resolve it."""
    return f"{prefix}_{_to_base32(whole.int << 40 | kind << 32 | ordinal, 34)}"


def decode_part(prefix: str, text: str) -> tuple[UUID, int, int] | None:
    """(whole, kind, ordinal) of a wire form made by `encode_part`, or None."""
    value = _from_base32(prefix, text, 34)
    if value is None or value >= 1 << 168:
        return None
    return UUID(int=value >> 40), (value >> 32) & 0xFF, value & 0xFFFFFFFF


def _to_base32(value: int, symbols: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(5 * (symbols - 2), -1, -10)])


def _from_base32(prefix: str, text: str, symbols: int) -> int | None:
    head, separator, tail = text.rpartition("_")
    if head != prefix or not separator or len(tail) != symbols:
        return None
    return int(tail.translate(_DIGITS), 32) if _SYMBOLS.issuperset(tail) else None
