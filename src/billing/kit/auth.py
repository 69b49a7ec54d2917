"""Who is calling: the caller of the public API and the operator, read from a bearer key.

The slices that keep keys implement the two readers; this module knows only what a key looks like and which plane it is
for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

import structlog

from billing.core.errors import NotFound, Unauthorized

Permission = Literal["read", "write"]
Plane = Literal["public", "operator", "plain"]

OPERATOR_SCOPES = ("accounts", "catalog", "metering", "billing", "payments", "audit")
EVERY_SCOPE = "*"

# A key says by its first letters which plane it is for; with the other plane's key a path is not there.
PUBLIC_PREFIXES = ("ls_prod_", "ls_test_")
OPERATOR_PREFIX = "ls_op_"

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_log = structlog.get_logger("billing.auth")
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]{1,200}=*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated key of the public API with its account."""

    account_id: UUID
    key_id: UUID
    permissions: frozenset[str]
    account_status: str
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """An authenticated operator key with its scopes."""

    key_id: UUID
    name: str
    scopes: frozenset[str]

    def has_scope(self, scope: str) -> bool:
        """Whether the key opens this part of the operator API."""
        return EVERY_SCOPE in self.scopes or scope in self.scopes


class CallerReader(Protocol):
    """Reads the key of a public call."""

    async def __call__(self, *, token: str, ip: str) -> Caller:
        """The caller of a key.

        Raises Unauthorized for an unknown, expired or revoked key, IpNotAllowed for a wrong address.
        """
        ...


class OperatorReader(Protocol):
    """Reads the key of an operator call."""

    async def __call__(self, *, token: str, ip: str) -> Operator:
        """The operator of a key. Raises Unauthorized for an unknown, expired or revoked key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Reads the key of a call with the reader of its plane."""

    read_caller: CallerReader
    read_operator: OperatorReader

    async def caller(self, headers: Headers, *, ip: str) -> Caller:
        """The caller of a public call. Raises Unauthorized, IpNotAllowed; NotFound for an operator's key."""
        token = bearer_token(headers)
        if token.startswith(OPERATOR_PREFIX):
            raise _of_other_plane(ip)
        return await self.read_caller(token=token, ip=ip)

    async def operator(self, headers: Headers, *, ip: str) -> Operator:
        """The operator of an operator call. Raises Unauthorized; NotFound for a key of the public API."""
        token = bearer_token(headers)
        if token.startswith(PUBLIC_PREFIXES):
            raise _of_other_plane(ip)
        return await self.read_operator(token=token, ip=ip)


def _of_other_plane(ip: str) -> NotFound:
    """To its bearer the path is not there; who runs this may want to know who tried."""
    _log.warning("denied", code="key_of_other_plane", ip=ip)
    return NotFound()


def bearer_token(headers: Headers) -> str:
    """The key of the one Authorization header. Raises Unauthorized when there is none, several, or another scheme."""
    values = [value for name, value in headers if name == b"authorization"]
    if len(values) != 1:
        raise Unauthorized
    match = _BEARER.fullmatch(values[0])
    if match is None:
        raise Unauthorized
    return match[1].decode("ascii")


def client_address(peer: str, headers: Headers, *, trusted_proxies: Sequence[Network]) -> str:
    """The address that a call came from, IPv4-mapped IPv6 shown as IPv4.

    That is the direct peer, unless it is a trusted proxy: then X-Forwarded-For is walked from the right, over further
    trusted proxies, to the first address that is not one. What stands left of it was written by the client and is not
    believed.
    """
    if not trusted_proxies:
        return _shown_address(peer)
    address = _address(peer)
    if address is None:
        return ""
    forwarded = ",".join(value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for")
    for hop in reversed(forwarded.split(",")):
        if not any(address in network for network in trusted_proxies):
            break
        before = _address(hop)
        if before is None:
            break
        address = before
    return str(address)


@lru_cache(maxsize=10_000)  # the same peers call again and again
def _shown_address(peer: str) -> str:
    address = _address(peer)
    return "" if address is None else str(address)


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks of addresses and CIDR ranges. Raises ValueError."""
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts)


def _address(text: str) -> Address | None:
    """An address out of a peer or hop: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `fe80::1%eth0`."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
