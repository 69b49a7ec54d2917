"""Where a call comes from, and whose key it carries (quality.md X7)."""

from __future__ import annotations

import pytest

from billing.core.errors import Unauthorized
from billing.kit.auth import bearer_token, client_address, read_networks

PROXIES = read_networks(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"])


class TestClientAddress:
    @pytest.mark.parametrize(
        ("peer", "forwarded", "expected"),
        [
            ("192.0.2.1", [], "192.0.2.1"),
            ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", ["203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", ["198.51.100.7, not an address"], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
            ("2001:db8::1", ["[2001:470::5]:443"], "2001:470::5"),
            ("10.0.0.1", ["198.51.100.7:1234"], "198.51.100.7"),
            ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
            ("2001:DB8:0::1", [], "2001:db8::1"),
            ("", ["198.51.100.7"], ""),
        ],
    )
    def test_believes_trusted_proxies_alone(self, peer: str, forwarded: list[str], expected: str):
        headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
        assert client_address(peer, headers, trusted_proxies=PROXIES) == expected

    def test_is_the_peer_without_proxies(self):
        headers = [(b"x-forwarded-for", b"198.51.100.7")]
        assert client_address("10.0.0.1", headers, trusted_proxies=()) == "10.0.0.1"


class TestBearerToken:
    @pytest.mark.parametrize("value", [b"Bearer ls_test_a", b"bearer ls_test_a", b"BEARER   ls_test_a"])
    def test_is_what_follows_the_scheme(self, value: bytes):
        assert bearer_token([(b"accept", b"*/*"), (b"authorization", value)]) == "ls_test_a"

    @pytest.mark.parametrize(
        "values",
        [
            [],
            [b""],
            [b"Bearer"],
            [b"Bearer "],
            [b"Bearera"],
            [b"Basic a"],
            [b"Bearer a b"],
            [b"Bearer \xff"],
            [b"Bearer " + b"a" * 500],
            [b"Bearer a"] * 2,
        ],
    )
    def test_is_refused_otherwise(self, values: list[bytes]):
        with pytest.raises(Unauthorized):
            bearer_token([(b"authorization", value) for value in values])
