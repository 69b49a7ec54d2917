"""Batches of usage events as they nearly always come, read by what C does at once; everything else is left to the reader that
names every fault (`kit/web/schemas.py`), so what is accepted here is exactly what that one would accept.

A batch is plain when each event has all of its members and no other, none of them twice, and nothing in it is escaped. msgspec
sees all of that but doubled members, of which it keeps the last; they give themselves away by their quotation marks.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from billing.core.money import parse_decimal
from billing.kit.web import values
from billing.metering.schemas import MeterName, Name, UsageData, UsageEventIn


class _Data(Struct, forbid_unknown_fields=True):
    account_id: Name
    meter: MeterName
    quantity: Raw  # as it was written: to a number by the one door for decimals


class _Event(Struct, forbid_unknown_fields=True):
    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Literal["usage"]
    subject: Name
    time: str
    data: _Data


_decode = msgspec.json.Decoder(list[_Event]).decode
# Of an event with each member once: those of ten names and of eight texts. Its quantity is no text.
_QUOTES = 2 * (10 + 8)


def read_plain(content: bytes) -> list[UsageEventIn] | None:
    """The events of a plain batch without a fault; None for any other."""
    try:
        sent = _decode(content)
        if b"\\" in content or content.count(b'"') != _QUOTES * len(sent):
            return None
        return [_event(one) for one in sent]
    except ValueError:  # msgspec's errors are such, too
        return None


def _event(sent: _Event) -> UsageEventIn:
    data = sent.data
    return UsageEventIn(
        specversion=sent.specversion,
        id=sent.id,
        source=sent.source,
        type=sent.type,
        subject=sent.subject,
        time=values.read_instant(sent.time),
        data=UsageData(
            account_id=data.account_id,
            meter=data.meter,
            quantity=parse_decimal(bytes(data.quantity).decode("ascii")),
        ),
    )
