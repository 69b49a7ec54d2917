"""Single values as they come over the wire: each reader returns the value or raises ValueError with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Self

from billing.core.errors import Fault, InvalidParameter
from billing.core.money import parse_decimal
from billing.kit.web.reading import NotANumber, NumberText

TEXT_LONGEST = 500
INTEGER_MAX = 2**63 - 1

_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
_CONTROLS_BUT_BREAKS = r"\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f"
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def read_text(value: object) -> str:
    """A text that PostgreSQL and JSON can both hold."""
    if not isinstance(value, str) or isinstance(value, (NumberText, NotANumber)):
        raise ValueError("must be a text")
    reason = text_fault(value)
    if reason is not None:
        raise ValueError(reason)
    return value


def text_fault(value: str) -> str | None:
    """Why a text can not be stored or sent back, or None."""
    if "\x00" in value:
        return "must not contain a NUL character"
    if not value.isascii() and any("\ud800" <= symbol <= "\udfff" for symbol in value):
        return "must be valid Unicode, without half of a surrogate pair"
    return None


def text_schema(*, longest: int, lines: bool = False) -> dict[str, object]:
    """How a description tells of a text that people read: not blank, bounded, without control characters."""
    controls = _CONTROLS_BUT_BREAKS if lines else _CONTROLS
    pattern = rf"^[^{controls}]*[^\s{controls}][^{controls}]*$"
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern}


def decimal_schema(**bounds: object) -> dict[str, object]:
    """How a description tells of a number above or from 0 that may come as a text too."""
    return {"type": ["number", "string"], "pattern": r"^(0|[1-9][0-9]{0,39})(\.[0-9]{1,40})?$", **bounds}


def read_integer(value: object) -> int:
    """A whole number of 64 bits; 5.0 is none."""
    if not isinstance(value, NumberText) or _WHOLE_NUMBER.fullmatch(value) is None:
        raise ValueError("must be a whole number")
    if len(value) > 20 or abs(int(value)) > INTEGER_MAX:
        raise ValueError("is out of range")
    return int(value)


def read_decimal(value: object) -> Decimal:
    """A number from its literal text, or from a text that holds one."""
    if isinstance(value, NotANumber) or not isinstance(value, str):
        raise ValueError("must be a number")
    if isinstance(value, NumberText) and len(value) > 100:
        raise ValueError("is out of range")
    return parse_decimal(value)


def read_boolean(value: object) -> bool:
    """True or false, not 1 or "yes"."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def read_day(value: object) -> date:
    """A calendar date such as 2024-01-31."""
    text = read_text(value) if isinstance(value, str) else ""
    if _DAY.fullmatch(text) is None:
        raise ValueError("must be a date such as 2024-01-31")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("is a date that does not exist") from None


def read_instant(value: object) -> datetime:
    """An instant of RFC 3339 with its zone, in UTC; finer digits than microseconds are cut off."""
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        raise ValueError("must be a time with its zone, such as 2024-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except ValueError:
        read_day(value[:10])
        raise ValueError("is a time that does not exist") from None
    except OverflowError:
        raise ValueError("is out of range") from None


@dataclass(frozen=True, slots=True)
class DateFilter:
    """One end of a span of time as a query names it: a whole UTC day, or an instant."""

    start: datetime
    """What `from` means: the first instant of the day, or the instant."""
    end: datetime
    """What `to` means, exclusive: the whole day, or the whole second that the instant names, is within."""

    wire_schema: ClassVar[Mapping[str, object]] = {
        "type": "string",
        "anyOf": [{"format": "date"}, {"format": "date-time"}],
    }

    @classmethod
    def read(cls, value: object) -> Self:
        """A plain date or an instant with its zone."""
        if isinstance(value, str) and _INSTANT.fullmatch(value):
            instant = read_instant(value)
            length = timedelta(microseconds=1) if instant.microsecond else timedelta(seconds=1)
        else:
            day = _day_or_instant(value)
            instant = datetime(day.year, day.month, day.day, tzinfo=UTC)
            length = timedelta(days=1)
        try:
            return cls(instant, instant + length)
        except OverflowError:
            raise ValueError("is out of range") from None


def window_faults(*, from_date: DateFilter | None, to_date: DateFilter | None) -> Iterator[Fault]:
    """What is wrong with two ends of a span beside each other: a check for the query of whatever takes them."""
    if from_date is not None and to_date is not None and from_date.start >= to_date.end:
        yield Fault("query", "from_date", "must not be after to_date")


def window_of(from_date: DateFilter | None, to_date: DateFilter | None) -> tuple[datetime | None, datetime | None]:
    """Start (inclusive) and end (exclusive) of two filters. Raises InvalidParameter for a wrong order."""
    faults = list(window_faults(from_date=from_date, to_date=to_date))
    if faults:
        raise InvalidParameter(faults)
    return (from_date and from_date.start, to_date and to_date.end)


def _day_or_instant(value: object) -> date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return read_day(value)
    raise ValueError("must be a date such as 2024-01-31, or a time with its zone such as 2024-01-31T12:00:00Z")
