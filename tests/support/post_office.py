"""Real servers on loopback that take messages: SMTP by aiosmtpd, and gateways of text messages over HTTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from urllib.parse import parse_qs

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from billing.notifications.adapters.smtp import Security, SmtpChannel, SmtpServer

SENDER = "billing@lineserve.example"
PASSWORD = "correct horse"
SILENCE = (0, b"")


@dataclass
class PostOffice:
    """Takes mail. `on_rcpt` and `on_data` may answer otherwise, or wait; what was taken is in `mails`."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    on_rcpt: Callable[[str], str | None] = lambda _: None
    on_data: Callable[[PostOffice], Awaitable[str | None]] | None = None
    connections: int = 0

    async def handle_EHLO(  # noqa: N802  as the library calls it
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.on_rcpt(address)
        if answer is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = None if self.on_data is None else await self.on_data(self)
        if answer == "drop":
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return "451 gone"
        if answer is None or answer.startswith("2"):
            assert isinstance(envelope.content, bytes)
            self.envelopes.append(envelope)
            self.raw.append(envelope.content)
            parsed = BytesParser(policy=policy.default).parsebytes(envelope.content)
            assert isinstance(parsed, EmailMessage)
            self.mails.append(parsed)
        return answer or "250 2.0.0 OK queued as 4711"

    def server(self, *, security: Security = "none", **members: object) -> SmtpServer:
        """How it is reached."""
        given = {"host": "localhost", "port": self.port, "security": security, "sender": SENDER, "timeout_s": 5.0}
        return SmtpServer(**{**given, **members})  # pyright: ignore[reportArgumentType]  # as given

    def channel(self, **members: object) -> SmtpChannel:
        """A channel to it."""
        return SmtpChannel(self.server(**members))  # pyright: ignore[reportArgumentType]  # as given


@asynccontextmanager
async def open_post_office(
    *, tls: ssl.SSLContext | None = None, is_implicit: bool = False, login: bool = False
) -> AsyncIterator[PostOffice]:
    """A server in this loop: in the clear, with STARTTLS, or by TLS from the first byte; `login` asks for a password."""
    office = PostOffice()

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    def made() -> SMTP:
        return SMTP(
            office,
            hostname="mail.example",
            enable_SMTPUTF8=True,
            tls_context=None if is_implicit else tls,
            require_starttls=tls is not None and not is_implicit,
            authenticator=authenticate if login else None,
            auth_required=login and not is_implicit,  # it does not see that TLS is there already
            auth_require_tls=not is_implicit,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(made, "localhost", 0, ssl=tls if is_implicit else None)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()


@dataclass
class Gateway:
    """Takes forms. `answers` are given one after the other, the last one for ever: (status, body), SILENCE, or None: the line
    is cut."""

    port: int = 0
    answers: list[tuple[int, bytes] | None] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    under_way: set[asyncio.Task[object]] = field(default_factory=set)

    @property
    def base_url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        task = asyncio.current_task()
        assert task is not None
        self.under_way.add(task)
        with suppress(OSError):  # a caller may have had enough
            await self._answer(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.paths.append(head[0].split(" ")[1])
        self.headers.append(headers)
        self.forms.append({name: values[0] for name, values in parse_qs(body.decode()).items()})
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if answer == SILENCE:
            await reader.read()  # until the caller has had enough
        elif answer is not None:
            status, content = answer
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode())
            writer.write(content)
            await writer.drain()


@asynccontextmanager
async def open_gateway(*answers: tuple[int, bytes] | None) -> AsyncIterator[Gateway]:
    """A gateway in this loop."""
    gateway = Gateway(answers=list(answers))
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    gateway.port = server.sockets[0].getsockname()[1]
    try:
        yield gateway
    finally:
        server.close()
        await asyncio.gather(*gateway.under_way)
