"""Money: whole minor units of an ISO 4217 currency; Decimal at the edges, never a float."""

from __future__ import annotations

import re
from decimal import Context, Decimal

# ISO 4217 list one: decimals of each active currency (CLDR's differ for 13 of them, so Babel is not asked).
_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK "
    "DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD "
    "KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH "
    "USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
DECIMALS: dict[str, int] = (
    dict.fromkeys(_TWO.split(), 2)
    | dict.fromkeys(_NONE.split(), 0)
    | dict.fromkeys(_THREE.split(), 3)
    | {"CLF": 4, "UYW": 4}
)

MINOR_MAX = 10**15  # the largest amount that any single field may carry, in minor units
_EXACT = Context(prec=100)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class NotAnAmount(ValueError):
    """A value that is no amount of its currency; the text says why, ready for a fault's reason."""


def decimals_of(currency: str) -> int:
    """Decimals of a currency. Raises KeyError for a code that ISO 4217 does not list."""
    return DECIMALS[currency]


def parse_decimal(text: str) -> Decimal:
    """The one door for decimals that arrive as text. Refuses NaN, infinity, huge exponents and anything but plain numbers."""
    if len(text) > 100 or _NUMBER.fullmatch(text) is None:
        raise NotAnAmount("must be a number")
    value = Decimal(text)
    if not value.is_finite() or abs(value.adjusted()) > 60:
        raise NotAnAmount("is out of range")
    return value


def to_minor(value: Decimal, currency: str) -> int:
    """Minor units of a positive amount. Raises NotAnAmount for zero, negative, too many decimals or too large."""
    if not value.is_finite():
        raise NotAnAmount("must be a number")
    if value <= 0:
        raise NotAnAmount("must be greater than 0")
    if value.adjusted() > 20:
        raise NotAnAmount("is too large")
    decimals = decimals_of(currency)
    minor = _EXACT.scaleb(value, decimals)
    if minor != minor.to_integral_value():
        raise NotAnAmount(f"has more decimals than {currency} allows ({decimals})")
    if minor > MINOR_MAX:
        raise NotAnAmount("is too large")
    return int(minor)


def to_major(minor: int, currency: str) -> Decimal:
    """The amount with exactly the currency's decimals, such as Decimal('25.00')."""
    return _EXACT.scaleb(Decimal(minor), -decimals_of(currency))


def to_text(minor: int, currency: str) -> str:
    """The same as text with all its digits, such as '25.00': how messages and events say amounts."""
    decimals = decimals_of(currency)
    if not decimals:
        return str(minor)
    whole, part = divmod(abs(minor), 10**decimals)
    return f"{'-' if minor < 0 else ''}{whole}.{part:0{decimals}d}"
