"""Numbers in answers: exact, as people write them, never with an exponent."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kit.web import encode


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    price: Decimal
    note: str | None = None
    at: datetime | None = None


class TestEncode:
    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("25.00", "25.00"),
            ("0.00", "0.00"),
            ("0.000001", "0.000001"),
            ("0.0000001", "0.0000001"),
            ("1E-12", "0.000000000001"),
            ("-1.5E-9", "-0.0000000015"),
            ("0E-12", "0.000000000000"),
            ("1E+2", "100"),
            ("7.44E+2", "744"),
            ("1E+29", "1" + "0" * 29),
            ("12345678901234567.89", "12345678901234567.89"),
            ("99999999999999999999999999999.123456789012", "99999999999999999999999999999.123456789012"),
        ],
    )
    def test_writes_a_number_in_full(self, value: str, written: str):
        assert encode({"price": Decimal(value)}) == f'{{"price":{written}}}'.encode()
        assert encode([[Decimal(value)]]) == f"[[{written}]]".encode()
        assert encode(Answered(price=Decimal(value))) == f'{{"price":{written},"note":null,"at":null}}'.encode()

    @pytest.mark.parametrize("note", ["1E-7", "SITE-A", "0E+1", '"price":1E-7', "2024-01-01T00:00:00+02:00"])
    def test_leaves_texts_alone(self, note: str):
        assert json.loads(encode(Answered(price=Decimal("1E-7"), note=note)))["note"] == note
        assert json.loads(encode(Answered(price=Decimal(1), note=note)))["note"] == note

    def test_writes_numbers_in_full_beside_times_with_fractions(self):
        at = datetime(2024, 1, 1, 2, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
        shown = b'{"price":0.0000001,"note":null,"at":"2024-01-01T00:00:00Z"}'
        assert encode(Answered(price=Decimal("1E-7"), at=at)) == shown
        assert encode(Answered(price=Decimal("0.10"), at=datetime(2024, 1, 1, tzinfo=UTC))) == (
            b'{"price":0.10,"note":null,"at":"2024-01-01T00:00:00Z"}'
        )

    @given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**29), max_value=10**29))
    def test_writes_every_decimal_exactly(self, value: Decimal):
        encoded = encode({"value": value})
        assert re.fullmatch(rb'\{"value":-?\d+(\.\d+)?\}', encoded)
        assert json.loads(encoded, parse_float=Decimal, parse_int=Decimal)["value"] == value
