"""The form of keys, their ranges, and what a key may mint."""

from __future__ import annotations

import ipaddress
import random
import re
import secrets
import sys
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.api_keys import rules
from billing.api_keys.model import OPERATOR_PREFIX, PUBLIC_PREFIX

NOW = datetime(2024, 2, 1, 10, 0, tzinfo=UTC)
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM = re.compile(r"ls_prod_[0-9A-Za-z]{30}[0-9A-Za-z]{6}")
ROUNDS, ROUNDS_NIGHTLY = 20_000, 1_000_000


def base62_value(text: str) -> int:
    value = 0
    for symbol in text:
        value = value * 62 + ALPHABET.index(symbol)
    return value


def ranges(*texts: str) -> list[rules.IPNetwork]:
    return [rules.parse_range(text) for text in texts]


class TestNewSecret:
    def test_has_form_and_checksum_and_never_repeats(self, pytestconfig: pytest.Config):
        rounds = ROUNDS_NIGHTLY if pytestconfig.getoption("--nightly") else ROUNDS
        made = {rules.new_secret(PUBLIC_PREFIX, secrets.randbits) for _ in range(rounds)}
        assert len(made) == rounds
        for secret in made:
            assert FORM.fullmatch(secret)
            assert base62_value(secret[-6:]) == zlib.crc32(secret[8:38].encode())
            assert rules.is_well_formed(secret, prefix=PUBLIC_PREFIX)
        sys.stdout.write(f"{rounds} keys, none twice\n")

    def test_uses_every_symbol_in_every_place(self):
        rng = random.Random(7)
        bodies = [rules.new_secret(PUBLIC_PREFIX, rng.getrandbits)[8:38] for _ in range(3_000)]
        for place in range(30):
            assert {body[place] for body in bodies} == set(ALPHABET)

    def test_pads_small_values(self):
        secret = rules.new_secret(PUBLIC_PREFIX, lambda _: 0)
        assert secret[:38] == "ls_prod_" + "0" * 30
        assert rules.is_well_formed(secret, prefix=PUBLIC_PREFIX)

    def test_has_at_least_160_random_bits(self):
        assert 62**30 >= 2**160


class TestIsWellFormed:
    SECRET = rules.new_secret(PUBLIC_PREFIX, random.Random(1).getrandbits)

    @given(place=st.integers(8, 43), symbol=st.sampled_from(ALPHABET))
    def test_refuses_any_changed_symbol(self, place: int, symbol: str):
        changed = self.SECRET[:place] + symbol + self.SECRET[place + 1 :]
        assert rules.is_well_formed(changed, prefix=PUBLIC_PREFIX) == (changed == self.SECRET)

    @given(text=st.text())
    def test_refuses_other_texts(self, text: str):
        assert not rules.is_well_formed(text, prefix=PUBLIC_PREFIX)
        assert not rules.is_well_formed(PUBLIC_PREFIX + text, prefix=PUBLIC_PREFIX)

    def test_refuses_the_other_kind(self):
        operator = rules.new_secret(OPERATOR_PREFIX, secrets.randbits)
        assert rules.is_well_formed(operator, prefix=OPERATOR_PREFIX)
        assert not rules.is_well_formed(operator, prefix=PUBLIC_PREFIX)
        assert not rules.is_well_formed(self.SECRET, prefix=OPERATOR_PREFIX)


class TestParseRange:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("192.168.1.100", "192.168.1.100"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::/0", "::/0"),
        ],
    )
    def test_reads_addresses_and_ranges(self, text: str, shown: str):
        assert rules.show_range(rules.parse_range(text)) == shown

    @pytest.mark.parametrize(
        "text",
        ["", " ", "10.0.0.1/8", "10.0.0.0/33", "256.0.0.1", "010.0.0.1", "10.0.0", "10", "fe80::1%eth0", "example.com",
         "10.0.0.0/255.0.0.0x", "10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "2001:db8::1/32",
         "10.0.0.0/-1", "1.2.3.4 ", "١.2.3.4"],
    )  # fmt: skip
    def test_refuses_other_texts(self, text: str):
        with pytest.raises(ValueError):
            rules.parse_range(text)


class TestIsIpAllowed:
    @pytest.mark.parametrize(
        ("address", "allowed", "expected"),
        [
            ("10.1.2.3", [], True),
            ("anything", [], True),
            ("10.1.2.3", ["10.0.0.0/8"], True),
            ("11.1.2.3", ["10.0.0.0/8"], False),
            ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
            ("10.1.2.3", ["::ffff:10.0.0.0/104"], True),
            ("::ffff:10.1.2.3", ["::/0"], False),
            ("2001:db8::5", ["2001:db8::/32"], True),
            ("2001:db9::5", ["2001:db8::/32", "10.0.0.0/8"], False),
            ("fe80::1%eth0", ["fe80::/10"], True),
            ("192.168.1.100", ["192.168.1.100"], True),
            ("192.168.1.101", ["192.168.1.100"], False),
            ("not an address", ["0.0.0.0/0", "::/0"], False),
            ("10.0.0.0/8", ["10.0.0.0/8"], False),
            ("", ["0.0.0.0/0"], False),
        ],
    )
    def test_decides(self, address: str, allowed: list[str], expected: bool):
        assert rules.is_ip_allowed(address, ranges=allowed) == expected

    @given(host=st.ip_addresses(v=4), own=st.ip_addresses(v=4), length=st.integers(0, 32))
    def test_agrees_with_bits(self, host: ipaddress.IPv4Address, own: ipaddress.IPv4Address, length: int):
        network = ipaddress.IPv4Network((int(own) >> (32 - length) << (32 - length), length))
        expected = int(host) >> (32 - length) == int(own) >> (32 - length)
        assert rules.is_ip_allowed(str(host), ranges=[str(network)]) == expected
        assert rules.is_ip_allowed(f"::ffff:{host}", ranges=[str(network)]) == expected


def excess(
    *,
    permissions: str = "r",
    hours: int | None = None,
    allowed: tuple[str, ...] = (),
    own_permissions: str = "rw",
    own_hours: int | None = None,
    own_allowed: tuple[str, ...] = (),
) -> str | None:
    words = {"r": "read", "w": "write"}

    def instant(after: int | None) -> datetime | None:
        return None if after is None else NOW + timedelta(hours=after)

    return rules.widens(
        permissions={words[letter] for letter in permissions},
        expires_at=instant(hours),
        ranges=ranges(*allowed),
        own_permissions={words[letter] for letter in own_permissions},
        own_expires_at=instant(own_hours),
        own_ranges=ranges(*own_allowed),
    )


class TestWidens:
    @pytest.mark.parametrize("own", ["r", "w", "rw"])
    @pytest.mark.parametrize("new", ["r", "w", "rw"])
    def test_holds_permissions_to_its_own(self, own: str, new: str):
        expected = None if set(new) <= set(own) else "permissions"
        assert excess(permissions=new, own_permissions=own) == expected

    @pytest.mark.parametrize(
        ("hours", "own_hours", "expected"),
        [
            (None, None, None),
            (5, None, None),
            (5, 5, None),
            (4, 5, None),
            (6, 5, "expires_at"),
            (None, 5, "expires_at"),
        ],
    )
    def test_holds_lifetime_to_its_own(self, hours: int | None, own_hours: int | None, expected: str | None):
        assert excess(hours=hours, own_hours=own_hours) == expected

    @pytest.mark.parametrize(
        ("allowed", "own_allowed", "expected"),
        [
            ((), (), None),
            (("10.0.0.1",), (), None),
            ((), ("10.0.0.0/8",), "ip_whitelist"),
            (("10.1.0.0/16", "10.0.0.1"), ("10.0.0.0/8",), None),
            (("10.0.0.0/7",), ("10.0.0.0/8",), "ip_whitelist"),
            (("10.0.0.0/8",), ("10.0.0.0/9", "10.128.0.0/9"), None),
            (("10.0.0.1", "2001:db8::1"), ("10.0.0.0/8",), "ip_whitelist"),
            (("2001:db8::1",), ("10.0.0.0/8", "2001:db8::/32"), None),
            (("::ffff:10.0.0.1",), ("10.0.0.0/8",), None),
            (("0.0.0.0/0",), ("::/0",), "ip_whitelist"),
        ],
    )
    def test_holds_ranges_to_its_own(self, allowed, own_allowed, expected: str | None):
        assert excess(allowed=allowed, own_allowed=own_allowed) == expected


class TestHasExpired:
    def test_begins_at_the_instant_itself(self):
        assert not rules.has_expired(None, now=NOW)
        assert not rules.has_expired(NOW + timedelta(milliseconds=1), now=NOW)
        assert rules.has_expired(NOW, now=NOW)
