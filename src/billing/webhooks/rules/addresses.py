"""Which addresses webhooks may be sent to: public ones alone, so that nobody reaches our own network through us.

After the IANA special-purpose registries, and stricter than `is_global` of the standard library, whose answers differ by version:
what wraps an IPv4 address (mapped, NAT64, 6to4, Teredo) is refused whatever it wraps.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from billing.kit.auth import Network

Address: TypeAlias = "IPv4Address | IPv6Address"

_NOT_PUBLIC_4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # behind a carrier's NAT; also where some clouds have their metadata
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # a cloud's host, from within
            "169.254.0.0/16",  # link-local; the metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_PUBLIC_6 = IPv6Network(
    "2000::/3"
)  # all else is loopback, mapped, NAT64, unique local, link-local, multicast or reserved
_NOT_PUBLIC_6 = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
# Never reached, whatever an installation allows: no receiver lives there, and credentials do.
_NEVER = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "100.100.100.200/32",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "192.0.0.0/24",
            "224.0.0.0/3",
            "::/128",
            "fd00:ec2::/32",
            "fe80::/10",
            "ff00::/8",
        ),
    )
)


def is_public(address: Address, *, allowed: Sequence[Network] = ()) -> bool:
    """Whether webhooks may be sent to an address: a public one, or one in the networks that the installation allows."""
    if any(address in network for network in allowed):
        return not any(address in network for network in _NEVER)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def read_address(text: str) -> Address | None:
    """The address that a text is in its one plain form, or None: no zone, no octal, no shortened IPv4."""
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
