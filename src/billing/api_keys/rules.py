"""The form of keys, and who may use or mint what.

A key is its prefix, 30 base62 characters (178 random bits) and 6 base62 characters of the CRC32 of those 30, so that a
mistyped or invented key is refused without a look-up.
"""

from __future__ import annotations

import hashlib
import ipaddress
import zlib
from collections.abc import Callable, Iterable, Sequence, Set
from datetime import datetime
from functools import lru_cache
from typing import get_args

from billing.api_keys.model import Scope
from billing.kit.auth import Permission

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
SCOPES: tuple[Scope, ...] = get_args(Scope)
IP_RANGES_MAX = 100

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SYMBOLS = frozenset(_ALPHABET)
_BODY_LENGTH = 30
_CHECKSUM_LENGTH = 6
_RANDOM_BITS = 256  # reduced to 62**30 values: the bias is below 2**-76


def new_secret(prefix: str, random_bits: Callable[[int], int]) -> str:
    """A new key of a kind, from a source of random bits fit for secrets."""
    body = _base62(random_bits(_RANDOM_BITS) % 62**_BODY_LENGTH, _BODY_LENGTH)
    return f"{prefix}{body}{_checksum(body)}"


def is_well_formed(secret: str, *, prefix: str) -> bool:
    """Whether a text has the form of a key of this kind and its checksum."""
    if not secret.startswith(prefix) or len(secret) != len(prefix) + _BODY_LENGTH + _CHECKSUM_LENGTH:
        return False
    body = secret[len(prefix) : -_CHECKSUM_LENGTH]
    return _SYMBOLS.issuperset(body) and _checksum(body) == secret[-_CHECKSUM_LENGTH:]


def digest_of(secret: str) -> bytes:
    """What is stored of a key: its SHA-256. With 178 random bits nothing slower is needed."""
    return hashlib.sha256(secret.encode()).digest()


def has_expired(expires_at: datetime | None, *, now: datetime) -> bool:
    """Whether a key's time is over: from its expiry on."""
    return expires_at is not None and expires_at <= now


def parse_range(text: str) -> IPNetwork:
    """An address or CIDR range; IPv4 inside IPv6 becomes IPv4. Raises ValueError for others and for host bits set."""
    if "%" in text:
        raise ValueError("has a zone")
    if "." in text.partition("/")[2]:
        raise ValueError("has a mask in place of a length")
    return _unmapped(ipaddress.ip_network(text))


def range_reason(text: str) -> str | None:
    """Why a text is no address or range, or None."""
    try:
        parse_range(text)
    except ValueError:
        return "must be an IP address, or a CIDR range without host bits, such as 10.0.0.0/8"
    return None


def show_range(network: IPNetwork) -> str:
    """As it is shown: a single address without its length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def is_ip_allowed(address: str, *, ranges: Sequence[str]) -> bool:
    """Whether an address is in one of the ranges; no ranges allow any. An unreadable address is in none."""
    return not ranges or _is_in_one(address, tuple(ranges))


@lru_cache(maxsize=10_000)  # the same addresses call again and again
def _is_in_one(address: str, ranges: tuple[str, ...]) -> bool:
    try:
        host = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return any(host in parse_range(own) for own in ranges)


def widens(
    *,
    permissions: Set[str],
    expires_at: datetime | None,
    ranges: Sequence[IPNetwork],
    own_permissions: Set[str],
    own_expires_at: datetime | None,
    own_ranges: Sequence[IPNetwork],
) -> str | None:
    """The member in which a new key would go beyond the key that mints it, or None."""
    if not permissions <= own_permissions:
        return "permissions"
    if own_expires_at is not None and (expires_at is None or expires_at > own_expires_at):
        return "expires_at"
    if own_ranges and not ranges:
        return "ip_whitelist"
    if own_ranges and not all(_is_covered(network, own_ranges) for network in ranges):
        return "ip_whitelist"
    return None


def _is_covered(network: IPNetwork, ranges: Iterable[IPNetwork]) -> bool:
    if isinstance(network, ipaddress.IPv4Network):
        fours = ipaddress.collapse_addresses(own for own in ranges if isinstance(own, ipaddress.IPv4Network))
        return any(network.subnet_of(own) for own in fours)
    sixes = ipaddress.collapse_addresses(own for own in ranges if isinstance(own, ipaddress.IPv6Network))
    return any(network.subnet_of(own) for own in sixes)


def _unmapped(network: IPNetwork) -> IPNetwork:
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        inside = network.network_address.ipv4_mapped
        if inside is not None:
            return ipaddress.IPv4Network((inside, network.prefixlen - 96))
    return network


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECKSUM_LENGTH)


def _base62(value: int, length: int) -> str:
    symbols: list[str] = []
    for _ in range(length):
        value, digit = divmod(value, 62)
        symbols.append(_ALPHABET[digit])
    return "".join(reversed(symbols))
