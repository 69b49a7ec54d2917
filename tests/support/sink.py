"""Receivers of webhooks: one that is only pretended, and one that speaks HTTPS on this machine.

A sender of the tests looks names up with `Names` and dials what it has vetted with `Wire`: the last step alone, the connection
to an address, leads here instead of into the world.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import trustme
from httpcore2 import AnyIOBackend

from billing.kit.secret_key import SecretKey
from billing.webhooks import HttpsSender, Outcome, WebhookSettings
from billing.webhooks.adapters import wire

if TYPE_CHECKING:
    from httpcore2 import AsyncNetworkStream

PUBLIC_ADDRESS = "93.184.216.34"
HOST = "hooks.example.com"
SECRET_KEY = SecretKey(bytes(range(32)))


@dataclass
class StubSender:
    """A sender that sends nothing: it notes what it was given and answers as it is told."""

    answer: Callable[[str], Outcome] = field(default=lambda _: Outcome(status_code=200))
    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list[tuple[str, Mapping[str, str], bytes]])
    refused: set[str] = field(default_factory=set[str])

    async def send(self, *, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        self.sent.append((url, headers, body))
        return self.answer(url)

    async def is_allowed(self, url: str) -> bool:
        return url not in self.refused

    @property
    def settings(self) -> WebhookSettings:
        return WebhookSettings(sender=self, secret_key=SECRET_KEY)


@dataclass(frozen=True)
class Request:
    """What came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes


Respond = Callable[[Request], bytes]


def response(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An answer of a receiver."""
    lines = [
        f"{name.replace('_', '-')}: {value}" for name, value in {**headers, "Content-Length": str(len(body))}.items()
    ]
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} Whatever", *lines, ""))
    return head.encode() + body


@cache
def authority() -> trustme.CA:
    """A certificate authority of the tests' own."""
    return trustme.CA()


@cache
def trust() -> ssl.SSLContext:
    """Whom a sender of the tests trusts."""
    context = wire.trusted()
    authority().configure_trust(context)
    return context


@dataclass
class Sink:
    """A receiver that speaks HTTPS: what it got, and how it answers."""

    port: int = 0
    connections: int = 0
    requests: list[Request] = field(default_factory=list[Request])
    respond: Respond = field(default=lambda _: response())
    hold_s: float = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(head[0].split(" ")[1], headers, body)
            self.requests.append(request)
            await asyncio.sleep(self.hold_s)
            writer.write(self.respond(request))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def open_sink(*names: str, is_tls: bool = True) -> AsyncIterator[Sink]:
    """A receiver on this machine, with a certificate for its names."""
    sink = Sink()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*(names or (HOST,))).configure_cert(context)
    server = await asyncio.start_server(sink._serve, "127.0.0.1", 0, ssl=context if is_tls else None)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        await asyncio.sleep(0)


@dataclass
class Names:
    """A name server: names with the addresses that each look-up answers, the last of them for ever."""

    answers: dict[str, list[Sequence[str]]] = field(default_factory=dict[str, list[Sequence[str]]])
    asked: list[str] = field(default_factory=list[str])

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host, [[PUBLIC_ADDRESS]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@dataclass
class Wire:
    """What addresses are dialled; each leads to a port of this machine."""

    port: int
    dialled: list[str] = field(default_factory=list[str])

    async def __call__(self, address: str, port: int, timeout_s: float | None) -> AsyncNetworkStream:
        self.dialled.append(address)
        return await AnyIOBackend().connect_tcp("127.0.0.1", self.port, timeout=timeout_s)


def sender_to(sink: Sink, *, names: Names | None = None, timeout_s: float = 15) -> HttpsSender:
    """A sender for which every vetted address is the sink's."""
    return HttpsSender(resolve=names or Names(), dial=Wire(sink.port), trust=trust(), timeout_s=timeout_s)
