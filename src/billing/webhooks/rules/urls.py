"""URLs of endpoints: what may stand in one. The form is strict, so that nobody reads it in another way than we do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from billing.kit.auth import Network
from billing.webhooks.rules.addresses import is_public, read_address

URL_LONGEST = 500
_PORTS = "443, or from 1024 on"
_HTTPS = 443
_URL = re.compile(
    r"https://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?(?P<target>[/?][!-~]*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Names that only mean something inside a network.
_INNER = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa", "localdomain")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: the host in lower case (an IPv6 address without its brackets), and what is asked for there."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host as a request's Host header names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _HTTPS else f"{host}:{self.port}"


def read_url(text: str) -> Target | None:
    """The parts of a URL that has no fault in its form, or None."""
    match = _URL.fullmatch(text)
    if match is None or len(text) > URL_LONGEST or "#" in text or "\\" in text:
        return None
    port = int(match["port"] or _HTTPS)
    if not _is_port(port):
        return None
    target = match["target"] or "/"
    host = match["host"].lower().removeprefix("[").removesuffix("]")
    return Target(host, port, target if target.startswith("/") else f"/{target}")


def url_reason(text: str, *, allowed: Sequence[Network] = ()) -> str | None:
    """Why a URL cannot be an endpoint's, or None; its host's addresses are another question."""
    target = read_url(text)
    if target is None:
        return _form_reason(text)
    address = read_address(target.host)
    if address is not None:
        return None if is_public(address, allowed=allowed) else "must not name a private or reserved address"
    if ":" in target.host:
        return "must have a host that is a name or a plain address"
    return _name_reason(target.host)


def _form_reason(text: str) -> str:
    if len(text) > URL_LONGEST:
        return f"must have at most {URL_LONGEST} characters"
    if not text.lower().startswith("https://"):
        return "must begin with https://"
    if not text.isascii():
        return "must be ASCII: write a name in its xn-- form, and percent-encode the rest"
    authority = re.split(r"[/?#\\]", text[len("https://") :])[0]
    if "@" in authority:
        return "must not hold a name or password"
    port = re.fullmatch(r".*?:([0-9]+)", authority)
    if port is not None and not _is_port(int(port[1][:6])):
        return f"must have a port that is {_PORTS}"
    return "must be a URL such as https://example.com/hooks, without fragment, spaces or backslashes"


def _name_reason(host: str) -> str | None:
    labels = host.split(".")
    if len(host) > 253 or any(_LABEL.fullmatch(label) is None for label in labels):
        return "must have a host that is a name or a plain address"
    if _NUMBER.fullmatch(labels[-1]):  # what some read as an address: 127.1, 0x7f.1, 2130706433
        return "must have a host that is a name or a plain address"
    if len(labels) == 1 or host.endswith(tuple(f".{name}" for name in _INNER)):
        return "must have a public host"
    return None


def _is_port(port: int) -> bool:
    return port == _HTTPS or 1024 <= port <= 65535
