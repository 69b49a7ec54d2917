"""Mail over SMTP.

The message counts as handed over from just before DATA on. Every refusal names its stage by its answer: 5xx to the recipient or
the message is for ever, 4xx is for now; a server that cannot be reached, spoken to or logged in to fails what is due for now.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import aiosmtplib

from billing.notifications.adapters import mail
from billing.notifications.model import ANSWER_LOST, Message, Outcome

if TYPE_CHECKING:
    from email.message import EmailMessage

_DIALOGUE_MAX_S = 120.0
_REASON_MAX = 300
_QUIT_S = 2.0
_SERVICE_CLOSING = 421

Security = Literal["starttls", "implicit", "none"]
PORTS: dict[Security, int] = {"starttls": 587, "implicit": 465, "none": 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where mail goes, and as whom."""

    host: str
    port: int
    security: Security
    sender: str
    username: str | None = None
    password: str | None = None
    timeout_s: float = 30.0
    ca_file: Path | None = None


class SmtpChannel:
    """Mail through one server; a connection for each."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._tls = None if server.security == "none" else ssl.create_default_context(cafile=server.ca_file)

    @property
    def gateway(self) -> str:
        """SMTP, whoever's server it is."""
        return "smtp"

    async def send(self, message: Message, *, handing_over: Callable[[], Awaitable[None]]) -> Outcome:
        """Send a mail. See the module's docstring for what is handed over, and when."""
        try:
            composed = mail.compose(message, sender=self._server.sender)
        except mail.AddressNotUsable:
            return Outcome(kind="refused", reason="the address cannot be used in a mail")
        client = self._client()
        is_handed_over = False

        async def hand_over() -> None:
            nonlocal is_handed_over
            await handing_over()
            is_handed_over = True

        try:
            async with asyncio.timeout(_DIALOGUE_MAX_S):
                connected = await self._connect(client)
                return connected or await self._deliver(client, message, composed, hand_over)
        except (TimeoutError, aiosmtplib.SMTPException, OSError) as error:
            if is_handed_over:
                return Outcome(kind="unknown", reason=f"{ANSWER_LOST}: {type(error).__name__}")
            return Outcome(kind="failed", reason=_reason(error), is_gateway_down=True)
        finally:
            await _leave(client)

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            timeout=server.timeout_s,
            use_tls=server.security == "implicit",
            start_tls=server.security == "starttls",
            tls_context=self._tls,
            local_hostname=mail.envelope_address(server.sender).rpartition("@")[2],
        )

    async def _connect(self, client: aiosmtplib.SMTP) -> Outcome | None:
        """Connect, by TLS if that is asked for, and log in; the outcome if the server does not want us."""
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            if self._server.username is not None:
                await client.login(self._server.username, self._server.password or "")
        except (aiosmtplib.SMTPException, OSError) as error:
            return Outcome(kind="failed", reason=_reason(error), is_gateway_down=True)
        return None

    async def _deliver(
        self,
        client: aiosmtplib.SMTP,
        message: Message,
        composed: EmailMessage,
        hand_over: Callable[[], Awaitable[None]],
    ) -> Outcome:
        recipient = mail.envelope_address(message.recipient)
        is_utf8 = mail.needs_utf8(recipient)
        if is_utf8 and not client.supports_extension("smtputf8"):
            return Outcome(kind="refused", reason="the server does not take internationalised addresses")
        try:
            await client.mail(
                mail.envelope_address(self._server.sender),
                options=["SMTPUTF8", "BODY=8BITMIME"] if is_utf8 else None,
                encoding="utf-8" if is_utf8 else "ascii",
            )
        except aiosmtplib.SMTPSenderRefused as error:  # it refuses us, whoever the mail is for
            return Outcome(kind="failed", reason=_reason(error), is_gateway_down=True)
        try:
            await client.rcpt(recipient, encoding="utf-8" if is_utf8 else "ascii")
            await hand_over()
            answer = await client.data(composed.as_bytes())
        except aiosmtplib.SMTPResponseException as error:
            return _refusal(error)
        return Outcome(kind="sent", gateway_id=_bounded(answer.message))


def _refusal(error: aiosmtplib.SMTPResponseException) -> Outcome:
    """An answer that says no: the server does not have the message."""
    if error.code >= 500:
        return Outcome(kind="refused", reason=_reason(error))
    return Outcome(kind="failed", reason=_reason(error), is_gateway_down=error.code == _SERVICE_CLOSING)


def _reason(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _bounded(f"{error.code} {error.message}")
    return _bounded(f"{type(error).__name__}: {error}")


def _bounded(text: str) -> str:
    return " ".join("".join(symbol if symbol.isprintable() else " " for symbol in text).split())[:_REASON_MAX]


async def _leave(client: aiosmtplib.SMTP) -> None:
    """End the dialogue; what the server thinks of that changes nothing any more."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        if client.is_connected:
            await client.quit(timeout=_QUIT_S)
    client.close()
