"""One POST over a connection of our own making."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpcore2
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

from billing.webhooks.model import messages
from billing.webhooks.model.errors import AddressRefused

if TYPE_CHECKING:
    from billing.webhooks.adapters.https import Dial
    from billing.webhooks.rules.urls import Target

Vet = Callable[[str, int], Awaitable[Sequence[str]]]

CONNECT_TIMEOUT_S = 5.0
DIALLED_MAX = 3
ANSWER_READ_MAX = 64 * 1024


class _VettedBackend(AsyncNetworkBackend):
    """Connects to a host by its vetted addresses, the first that answers of the first three; it closes what it opened."""

    def __init__(self, vet: Vet, dial: Dial) -> None:
        self._vet = vet
        self._dial = dial
        self._opened: list[AsyncNetworkStream] = []

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
        for address in (await self._vet(host, port))[:DIALLED_MAX]:
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


async def dial(address: str, port: int, timeout_s: float | None) -> AsyncNetworkStream:
    """Connect to an address; nothing is looked up."""
    return await AnyIOBackend().connect_tcp(address, port, timeout=timeout_s)


def trusted(ca_file: Path | None = None) -> ssl.SSLContext:
    """Whom connections trust: the system's authorities, and those of a file."""
    context = httpcore2.default_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


async def post(
    target: Target, headers: Mapping[str, str], body: bytes, *, trust: ssl.SSLContext, vet: Vet, dial: Dial
) -> tuple[int, str | None]:
    """The status of the answer, and its Retry-After."""
    host = target.host.encode()
    url = httpcore2.URL(scheme=b"https", host=host, port=target.port, target=target.target.encode())
    sent = [("Host", target.authority), ("Content-Length", str(len(body))), ("Connection", "close"), *headers.items()]
    request = httpcore2.Request(
        "POST",
        url,
        headers=[(name.encode(), value.encode()) for name, value in sent],
        content=body,
        extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}, "sni_hostname": target.host},
    )
    backend = _VettedBackend(vet, dial)  # a connection for each attempt, so that each has its address vetted
    try:
        async with httpcore2.AsyncHTTPConnection(
            origin=httpcore2.Origin(b"https", host, target.port), ssl_context=trust, network_backend=backend
        ) as connection:
            answer = await connection.handle_async_request(request)
            headers_back = {name.lower(): value for name, value in answer.headers}
            await _read_away(answer)
    finally:
        await backend.close()
    retry_after = headers_back.get(b"retry-after")
    return answer.status, None if retry_after is None else retry_after.decode("latin-1")


def reason_of(error: Exception) -> str:
    """Why an attempt came to nothing. Raises the error again if it is a mistake of ours."""
    match error:
        case TimeoutError() | httpcore2.TimeoutException():
            return messages.TIMED_OUT
        case AddressRefused():
            return messages.URL_REFUSED
        case httpcore2.NetworkError() | httpcore2.ProtocolError() | OSError() | UnicodeError():
            return messages.NOT_TRUSTED if _is_of_trust(error) else messages.UNREACHABLE
        case _:
            raise error


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


def _is_of_trust(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
