"""How figures, units and services are put on documents."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billing.invoices.pdf.figures import amount, headline, number, quantity, unit, unit_price
from billing.invoices.pdf.lettering import service_name


class TestFigures:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [("744", "744"), ("776.533356995", "776.533"), ("0.000123456", "0.000123456"), ("-2.0005", "−2.001")],
    )
    def test_quantity(self, value: str, expected: str) -> None:
        assert quantity(Decimal(value)) == expected

    @pytest.mark.parametrize(
        ("value", "currency", "expected"),
        [
            ("12", "USD", "12.00"),
            ("0.5", "USD", "0.50"),
            ("0.0179", "USD", "0.0179"),
            ("3", "JPY", "3"),
            ("0.1", "KWD", "0.100"),
            ("1E-15", "USD", "1.000000E-15"),
        ],
    )
    def test_unit_price(self, value: str, currency: str, expected: str) -> None:
        assert unit_price(Decimal(value), currency) == expected

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("hour", "744", "hours"),
            ("hour", "1", "hour"),
            ("message", "0.5", "messages"),
            ("GB", "7", "GB"),
            ("GB-month", "7", "GB-month"),
            ("millions", "7", "millions"),
        ],
    )
    def test_unit(self, name: str, value: str, expected: str) -> None:
        assert unit(name, Decimal(value)) == expected

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("compute", "Compute"), ("object_storage", "Object storage"), ("cdn", "CDN"), ("iOS push", "iOS push")],
    )
    def test_service_name(self, name: str, expected: str) -> None:
        assert service_name(name) == expected

    @pytest.mark.parametrize(
        ("minor", "currency", "expected"),
        [
            (0, "USD", "$0.00 USD"),
            (123_456_789, "KES", "KSh 1,234,567.89"),
            (123_456_789, "NGN", "₦1,234,567.89"),
            (-5, "EUR", "−€0.05"),
            (1500, "JPY", "¥1,500 JPY"),
            (1500, "KWD", "1.500 KWD"),
            (10**15, "UGX", "USh 1,000,000,000,000,000"),
        ],
    )
    def test_headline(self, minor: int, currency: str, expected: str) -> None:
        assert headline(minor, currency) == expected

    def test_amount_below_zero_has_a_minus(self) -> None:
        assert amount(-123456, "USD") == "−1,234.56"

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("744.000", "744"),
            ("0", "0"),
            ("0.0000166667", "0.0000166667"),
            ("1234567.5", "1,234,567.5"),
            ("-0.50", "−0.5"),
            ("1E+3", "1,000"),
            ("0.12345678901250", "0.123456789013"),
            ("0.000000000000123456789", "1.234568E-13"),
            ("12345678901234567890", "1.234568E+19"),
        ],
    )
    def test_number(self, value: str, expected: str) -> None:
        assert number(Decimal(value)) == expected
