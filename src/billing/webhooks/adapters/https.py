"""Sending over HTTPS: the host's addresses are looked up and vetted for each connection, and one of those is connected to.

What is resolved here is what is dialled, so a name that answers otherwise the second time gains nothing. Redirects are not
followed, the environment's proxies not asked, and of an answer only status and Retry-After are looked at.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpcore2
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

from billing.kit.auth import Network
from billing.webhooks.model import messages
from billing.webhooks.model.messages import Outcome
from billing.webhooks.rules import addresses
from billing.webhooks.rules.urls import Target, read_url, url_reason

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Dial = Callable[[str, int, float | None], Awaitable[AsyncNetworkStream]]

TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
DIALLED_MAX = 3
ANSWER_READ_MAX = 64 * 1024
_LOOKUPS_AT_ONCE = 64


class AddressRefused(Exception):
    """The host has no address, or one that is not public."""


class _Lookup:
    """Names looked up by the system, in threads of their own: a slow name server holds up nobody else's."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=_LOOKUPS_AT_ONCE, thread_name_prefix="webhook-lookup")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        def look_up() -> list[str]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(str(address[0]) for *_, address in found))

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)


async def _dial(address: str, port: int, timeout_s: float | None) -> AsyncNetworkStream:
    return await AnyIOBackend().connect_tcp(address, port, timeout=timeout_s)


class _VettedBackend(AsyncNetworkBackend):
    """Connects to a host by its vetted addresses, the first that answers of the first three; it closes what it opened."""

    def __init__(self, resolve: Resolve, dial: Dial, allowed: Sequence[Network]) -> None:
        self._resolve = resolve
        self._dial = dial
        self._allowed = allowed
        self._opened: list[AsyncNetworkStream] = []

    async def vet(self, host: str, port: int) -> Sequence[str]:
        """The host's addresses. Raises AddressRefused when there are none, or any is not public; OSError."""
        literal = addresses.read_address(host)
        texts = [host] if literal is not None else await self._resolve(host, port)
        found = [addresses.read_address(text) for text in texts]
        vetted = [one for one in found if one is not None and addresses.is_public(one, allowed=self._allowed)]
        if not vetted or len(vetted) < len(found):
            raise AddressRefused
        return [str(one) for one in vetted]

    async def connect_tcp(  # the signature is httpcore's
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> AsyncNetworkStream:
        """Connect to one of the host's vetted addresses."""
        del local_address, socket_options
        error: Exception = AddressRefused()
        for address in (await self.vet(host, port))[:DIALLED_MAX]:
            try:
                stream = await self._dial(address, port, timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout, OSError) as failed:
                error = failed
            else:
                self._opened.append(stream)
                return stream
        raise error

    async def close(self) -> None:
        """Close what is still open, whatever the connections over it came to."""
        for stream in self._opened:
            await stream.aclose()


def trusted(ca_file: Path | None = None) -> ssl.SSLContext:
    """Whom connections trust: the system's authorities, and those of a file."""
    context = httpcore2.default_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


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
        self._dial = dial or _dial
        self._timeout_s = timeout_s

    async def is_allowed(self, url: str) -> bool:
        """Whether the URL's host has addresses now, all of them public."""
        target = read_url(url)
        if target is None or url_reason(url, allowed=self._allowed) is not None:
            return False
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return bool(await self._backend().vet(target.host, target.port))
        except (AddressRefused, OSError, UnicodeError):
            return False

    async def send(self, *, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Make one POST; whatever goes wrong is an outcome."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        target = read_url(url)
        if target is None or url_reason(url, allowed=self._allowed) is not None:
            return Outcome(reason=messages.URL_REFUSED)
        status_code, retry_after = None, None
        try:
            async with asyncio.timeout(self._timeout_s):
                status_code, retry_after = await self._post(target, headers, body)
            reason = _reason_of(status_code)
        except (TimeoutError, httpcore2.TimeoutException):
            reason = messages.TIMED_OUT
        except AddressRefused:
            reason = messages.URL_REFUSED
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError, UnicodeError) as error:
            reason = messages.NOT_TRUSTED if _is_of_trust(error) else messages.UNREACHABLE
        return Outcome(
            status_code=status_code,
            reason=reason,
            retry_after=retry_after,
            duration_ms=round((loop.time() - started_s) * 1000),
        )

    def _backend(self) -> _VettedBackend:
        return _VettedBackend(self._resolve, self._dial, self._allowed)

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> tuple[int, str | None]:
        if self._trust is None:
            self._trust = trusted(self._ca_file)
        host = f"[{target.host}]" if ":" in target.host else target.host
        url = httpcore2.URL(scheme=b"https", host=host.encode(), port=target.port, target=target.target.encode())
        sent = [
            ("Host", target.authority),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *headers.items(),
        ]
        request = httpcore2.Request(
            "POST",
            url,
            headers=[(name.encode(), value.encode()) for name, value in sent],
            content=body,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}, "sni_hostname": target.host},
        )
        backend = self._backend()  # a connection for each attempt, so that each has its address vetted
        try:
            async with httpcore2.AsyncHTTPConnection(
                origin=httpcore2.Origin(b"https", target.host.encode(), target.port),
                ssl_context=self._trust,
                network_backend=backend,
            ) as connection:
                answer = await connection.handle_async_request(request)
                headers_back = {name.lower(): value for name, value in answer.headers}
                await _read_away(answer)
        finally:
            await backend.close()
        retry_after = headers_back.get(b"retry-after")
        return answer.status, None if retry_after is None else retry_after.decode("latin-1")


async def _read_away(answer: httpcore2.Response) -> None:
    """Let the receiver finish an answer of ordinary length, so that it sees no broken connection; nothing is kept of it."""
    length = 0
    try:
        async for chunk in answer.aiter_stream():
            length += len(chunk)
            if length > ANSWER_READ_MAX:
                break
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError):
        pass  # its status has come, and that alone counts
    finally:
        await answer.aclose()


def _reason_of(status_code: int) -> str | None:
    if 200 <= status_code < 300:
        return None
    if status_code == 410:
        return messages.GONE
    return messages.REDIRECTED if 300 <= status_code < 400 else messages.STATUS


def _is_of_trust(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
