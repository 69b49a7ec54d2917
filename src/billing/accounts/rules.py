"""What an account's members may hold. Each check yields the reason for refusal, ready for a fault, or None."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Set
from functools import cache
from typing import Literal

from billing.accounts.model import CurrencyNotSupported
from billing.core import money

CURRENCIES_DEFAULT = frozenset({"USD", "KES", "ZAR", "NGN", "GHS", "TZS"})
TIMEZONE_DEFAULT = "UTC"
TERMS_DAYS_DEFAULT = 14
TERMS_DAYS_MAX = 365
SHORT_LONGEST = 200
LONG_LONGEST = 2_000

# ISO 3166-1 alpha-2, officially assigned.
_COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW "
    "BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI "
    "FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN "
    "IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME "
    "MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF "
    "PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
    "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE "
    "YT ZA ZM ZW"
)
COUNTRIES = frozenset(_COUNTRIES.split())

EMAIL_LONGEST = 254
EMAIL_PATTERN = (
    r"^(?!\.)(?![^@]*\.[.@])"
    r"[^\s\u0000-\u001f\u007f-\u009f@\"(),:;<>\[\\\]]{1,64}"
    r"@(?:[^\s\u0000-\u001f\u007f-\u009f@.\"(),:;<>\[\\\]]{1,63}\.)+"
    r"[^\s\u0000-\u001f\u007f-\u009f@.\"(),:;<>\[\\\]]{2,63}$"
)
PHONE_PATTERN = r"^\+[1-9][0-9]{6,14}$"
CURRENCY_PATTERN = r"^[A-Z]{3}$"
_EMAIL = re.compile(EMAIL_PATTERN)
_PHONE = re.compile(PHONE_PATTERN)
_CURRENCY = re.compile(CURRENCY_PATTERN)
_NOT_TEXT = frozenset({"Cc", "Cs"})
_NOT_PLACES = frozenset({"Factory", "localtime", "posixrules"})


def text_reason(text: str, *, longest: int, lines: bool = False) -> str | None:
    """Text that people read: not blank, bounded, without control characters but for line breaks with `lines`."""
    if not text.strip():
        return "must not be empty"
    if len(text) > longest:
        return f"must have at most {longest} characters"
    allowed = "\n\r" if lines else ""
    if any(unicodedata.category(symbol) in _NOT_TEXT and symbol not in allowed for symbol in text):
        return "must not contain control characters"
    return None


def email_reason(text: str) -> str | None:
    """An e-mail address: one @, a dotted domain, at most 254 characters (RFC 5321), no comments or quotes."""
    control = text_reason(text, longest=EMAIL_LONGEST)
    if control is not None:
        return control
    return "must be an e-mail address" if _EMAIL.fullmatch(text) is None else None


def country_reason(text: str) -> str | None:
    """A country: two capital letters of ISO 3166-1."""
    return None if text in COUNTRIES else "must be an ISO 3166-1 country code such as KE"


def phone_reason(text: str) -> str | None:
    """A phone number as E.164: +, country code, at most 15 digits."""
    return None if _PHONE.fullmatch(text) else "must be an E.164 number such as +254700000000"


def timezone_reason(text: str) -> str | None:
    """An IANA time zone by its exact name."""
    return None if text in _timezones() else "must be an IANA time zone such as Africa/Nairobi"


def currency_reason(text: str) -> str | None:
    """The shape of a currency code; whether it is supported is `require_currency`'s to say."""
    return None if _CURRENCY.fullmatch(text) else "must be a currency code such as USD"


def require_currency(currency: str, *, enabled: Set[str] = CURRENCIES_DEFAULT) -> None:
    """Raises CurrencyNotSupported unless ISO 4217 lists the currency and this installation has enabled it."""
    if currency not in money.DECIMALS or currency not in enabled:
        raise CurrencyNotSupported(currency)


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "email": email_reason,
    "country": country_reason,
    "currency": currency_reason,
    "phone": phone_reason,
    "timezone": timezone_reason,
}


def member_reason(member: Literal["email", "country", "currency", "phone", "timezone"], text: str) -> str | None:
    """Why an account's member may not have this text, or None."""
    return _CHECKS[member](text)


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NOT_PLACES
