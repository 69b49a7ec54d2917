"""What messages show: amounts, quantities, days and names out of a payload, which may lack any of them."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import cast
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, get_currency_symbol

LOCALE = "en"
TEXT_MAX = 500
LINE_WIDTH = 76
_MORE = "…"
# Invisible marks that turn the reading around, or hide; a name shows what it is without them.
_TURNING = frozenset("\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")
_NOT_TEXT = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})

Payload = Mapping[str, object]


def clean(value: object) -> object:
    """A payload without what is no printable text: each text one line, bounded."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {str(name): clean(member) for name, member in cast("Mapping[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [clean(member) for member in cast("Sequence[object]", value)]
    return value


def clean_text(text: str) -> str:
    """One line without controls and turning marks, at most 500 characters."""
    kept = "".join(
        " " if unicodedata.category(symbol) in _NOT_TEXT else symbol
        for symbol in text[: 2 * TEXT_MAX]
        if symbol not in _TURNING
    )
    return cut(" ".join(kept.split()), TEXT_MAX)


def cut(text: object, length: int) -> str:
    """A text, cut to at most so many characters."""
    shown = _text(text)
    return shown if len(shown) <= length else shown[: length - 1].rstrip() + _MORE


def quoted(text: object) -> str:
    """A name in quotes, so that it is not read as part of the sentence."""
    shown = cut(text, 80).replace("“", '"').replace("”", '"')
    return f"“{shown}”" if shown else ""


def words(code: object) -> str:
    """A code as words: `insufficient_funds` as `insufficient funds`."""
    return _text(code).replace("_", " ")


def capitalise(text: object) -> str:
    """The first letter as a capital, the others as they are."""
    shown = _text(text)
    return shown[:1].upper() + shown[1:]


def listed(values: object) -> str:
    """Some texts, parted by commas."""
    if not isinstance(values, (list, tuple)):
        return ""
    return cut(", ".join(_text(one) for one in cast("Sequence[object]", values)), 200)


def positive(amount: object) -> bool:
    """Whether an amount is there and above nothing."""
    value = _decimal(amount)
    return value is not None and value > 0


def money(amount: object, currency: object) -> str:
    """An amount with its currency's sign or code and all the digits that it has: `$1,234.50`, `KES 1,234.50`."""
    value, code = _decimal(amount), _text(currency)
    if value is None or not code:
        return ""
    sign = get_currency_symbol(code, locale=LOCALE)
    gap = "\N{NO-BREAK SPACE}" if sign[-1:].isalnum() else ""
    return f"{'-' if value < 0 else ''}{sign}{gap}{_grouped(abs(value))}"


def measured(value: object, payload: Payload) -> str:
    """What an alert compares: an amount in its currency, or a quantity of its metric."""
    if payload.get("currency"):
        return money(value, payload["currency"])
    number = _decimal(value)
    if number is None:
        return ""
    unit = _text(payload.get("unit") or payload.get("metric"))
    return f"{_grouped(number)} {unit}".rstrip()


def figure_name(payload: Payload) -> str:
    """What an alert looks at, in words."""
    match payload.get("figure"):
        case "net":
            project = payload.get("project_name")
            return f"the cost of {quoted(project)} this month" if project else "your cost this month"
        case "gross":
            return "your usage this month"
        case "metric":
            return f"your usage of {cut(payload.get('metric'), 40)} this month"
        case "available":
            return "your available balance"
        case _:
            return "a figure of yours"


def crossed(payload: Payload) -> str:
    """On which side of its threshold an alert tells."""
    return "below" if payload.get("condition") == "less_than" else "above"


def utc_day(instant: object) -> str:
    """The day of an instant in UTC, as documents print due dates: `1 February 2024`."""
    return _shown(instant, lambda at: format_date(at.date(), "d MMMM y", locale=LOCALE), zone=UTC)


def month(instant: object) -> str:
    """The UTC month of an instant: `January 2024`."""
    return _shown(instant, lambda at: format_date(at.date(), "MMMM y", locale=LOCALE), zone=UTC)


def day_in(timezone: str) -> Callable[[object], str]:
    """Shows the day of an instant in a zone."""
    return lambda instant: _shown(
        instant, lambda at: format_date(at.date(), "d MMMM y", locale=LOCALE), zone=ZoneInfo(timezone)
    )


def instant_in(timezone: str) -> Callable[[object], str]:
    """Shows an instant in a zone, with the zone: `1 February 2024, 13:05 (Africa/Nairobi)`."""
    zone = ZoneInfo(timezone)

    def show(at: datetime) -> str:
        return f"{format_datetime(at, 'd MMMM y, HH:mm', tzinfo=zone, locale=LOCALE)} ({timezone})"

    return lambda instant: _shown(instant, show, zone=zone)


def wrapped(paragraph: str) -> str:
    """A paragraph in lines of at most 76 characters; a longer word stays whole."""
    return textwrap.fill(paragraph, LINE_WIDTH, break_long_words=False, break_on_hyphens=False)


def padded(label: str, facts: Sequence[tuple[str, str]]) -> str:
    """A label as wide as the widest."""
    return f"{label}:".ljust(max(len(one) for one, _ in facts) + 1)


def _shown(instant: object, show: Callable[[datetime], str], *, zone: tzinfo) -> str:
    if not isinstance(instant, str):
        return ""
    try:
        at = datetime.fromisoformat(instant)
    except ValueError:
        return ""
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return show(aware.astimezone(zone))


def _grouped(value: Decimal) -> str:
    """A number in groups of three with the decimals that it has."""
    decimals = max(0, -cast("int", value.as_tuple().exponent))
    pattern = f"#,##0.{'0' * decimals}" if decimals else "#,##0"
    return format_decimal(value, format=pattern, locale=LOCALE)


def _decimal(value: object) -> Decimal | None:
    if not isinstance(value, (str, int, Decimal)) or isinstance(value, bool):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 40 else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None or value is False else str(value)
