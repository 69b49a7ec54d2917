"""Sending over HTTPS: the host's addresses are looked up and vetted for each connection, and one of those is connected to.

What is resolved here is what is dialled, so a name that answers otherwise the second time gains nothing. Redirects are not
followed, the environment's proxies not asked, and of an answer only status and Retry-After are looked at.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from billing.kit.auth import Network
from billing.webhooks.model import messages
from billing.webhooks.model.errors import AddressRefused
from billing.webhooks.model.messages import Outcome
from billing.webhooks.rules import addresses
from billing.webhooks.rules.urls import read_url, url_reason

if TYPE_CHECKING:
    import ssl

    from httpcore2 import AsyncNetworkStream

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Dial = Callable[[str, int, float | None], "Awaitable[AsyncNetworkStream]"]

TIMEOUT_S = 15.0
LOOKUP_TIMEOUT_S = 5.0
_LOOKUPS_AT_ONCE = 64


class _Lookup:
    """Names looked up by the system, in threads of their own: a slow name server holds up nobody else's."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=_LOOKUPS_AT_ONCE, thread_name_prefix="webhook-lookup")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        def look_up() -> list[str]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(str(address[0]) for *_, address in found))

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)


class HttpsSender:
    """Sends webhooks. Tests give it a name server, a wire and authorities of their own; what is vetted stays the same."""

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        trust: ssl.SSLContext | None = None,
        ca_file: Path | None = None,
        resolve: Resolve | None = None,
        dial: Dial | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._allowed = allowed
        self._trust = trust
        self._ca_file = ca_file
        self._resolve = resolve or _Lookup()
        self._dial = dial
        self._timeout_s = timeout_s

    async def is_allowed(self, url: str) -> bool:
        """Whether the URL's host has addresses now, all of them public."""
        target = read_url(url)
        if target is None or url_reason(url, allowed=self._allowed) is not None:
            return False
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                return bool(await self._vet(target.host, target.port))
        except (AddressRefused, OSError, UnicodeError):
            return False

    async def send(self, *, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Make one POST; whatever goes wrong is an outcome."""
        # Heavy, and not needed to start: a process that sends nothing never loads it.
        from billing.webhooks.adapters import wire  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        started_s = loop.time()
        target = read_url(url)
        if target is None or url_reason(url, allowed=self._allowed) is not None:
            return Outcome(reason=messages.URL_REFUSED)
        if self._trust is None:
            self._trust = wire.trusted(self._ca_file)
        status_code, retry_after = None, None
        try:
            async with asyncio.timeout(self._timeout_s):
                status_code, retry_after = await wire.post(
                    target, headers, body, trust=self._trust, vet=self._vet, dial=self._dial or wire.dial
                )
            reason = _reason_of(status_code)
        except (
            Exception
        ) as error:  # what a receiver does ends its own attempt alone; `reason_of` raises mistakes of ours
            reason = wire.reason_of(error)
        duration_ms = round((loop.time() - started_s) * 1000)
        return Outcome(status_code=status_code, reason=reason, retry_after=retry_after, duration_ms=duration_ms)

    async def _vet(self, host: str, port: int) -> Sequence[str]:
        """The host's addresses. Raises AddressRefused when there are none, or any is not public; OSError."""
        literal = addresses.read_address(host)
        texts = [host] if literal is not None else await self._resolve(host, port)
        found = [addresses.read_address(text) for text in texts]
        vetted = [one for one in found if one is not None and addresses.is_public(one, allowed=self._allowed)]
        if not vetted or len(vetted) < len(found):
            raise AddressRefused
        return [str(one) for one in vetted]


def _reason_of(status_code: int) -> str | None:
    if 200 <= status_code < 300:
        return None
    if status_code == 410:
        return messages.GONE
    return messages.REDIRECTED if 300 <= status_code < 400 else messages.STATUS
