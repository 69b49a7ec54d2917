"""A message as a mail: multipart/alternative of plain text and HTML, the issuer's logo beside it, a document attached.

Of what is given no character can begin a header or a line of its own: controls are taken out before they get here, and the
library's policy refuses them once more.
"""

from __future__ import annotations

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

from billing.notifications.model import Message

LOGO_ID = "logo@message"
_NAME_MAX = 60
_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class AddressNotUsable(ValueError):
    """An address that no mail can carry."""


def picture_type(content: bytes) -> str | None:
    """The kind of a picture that mail programs show, or None."""
    return next((kind for start, kind in _PICTURES.items() if content.startswith(start)), None)


def envelope_address(address: str) -> str:
    """An address as SMTP transports it: the domain in ASCII, by IDNA. Raises AddressNotUsable."""
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError as error:
        raise AddressNotUsable(address) from error


def needs_utf8(address: str) -> bool:
    """Whether an address has a local part that only SMTPUTF8 can carry."""
    return not address.rpartition("@")[0].isascii()


def message_id(message: Message, *, sender: str) -> str:
    """The Message-ID: of one delivery always the same."""
    return f"<{message.message_id.hex}@{envelope_address(sender).rpartition('@')[2]}>"


def compose(message: Message, *, sender: str) -> EmailMessage:
    """The mail of a message. Raises AddressNotUsable."""
    recipient = envelope_address(message.recipient)
    policy = SMTPUTF8 if needs_utf8(recipient) else SMTP
    mail = EmailMessage(policy=policy.clone(max_line_length=78))
    mail["From"] = _address(message.issuer.name, envelope_address(sender))
    mail["To"] = _address(message.recipient_name, recipient)
    if message.issuer.support_email is not None:
        mail["Reply-To"] = _address(None, envelope_address(message.issuer.support_email))
    mail["Subject"] = _one_line(message.wording.subject)
    mail["Date"] = format_datetime(message.written_at)
    mail["Message-ID"] = message_id(message, sender=sender)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(message.wording.plain, cte="quoted-printable")
    mail.add_alternative(message.wording.html, subtype="html", cte="quoted-printable")
    _add_logo(mail, message.issuer.logo)
    if message.attachment is not None:
        mail.add_attachment(
            message.attachment.content,
            maintype="application",
            subtype="pdf",
            filename=_one_line(message.attachment.name),
        )
    return mail


def _add_logo(mail: EmailMessage, logo: bytes | None) -> None:
    kind = None if logo is None else picture_type(logo)
    if logo is None or kind is None:
        return
    (html,) = [part for part in mail.iter_parts() if part.get_content_subtype() == "html"]
    assert isinstance(html, EmailMessage)
    html.add_related(logo, maintype="image", subtype=kind, cid=f"<{LOGO_ID}>", disposition="inline")


def _address(name: str | None, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    try:
        return Address(_one_line(name or "")[:_NAME_MAX], local, domain)
    except (ValueError, IndexError) as error:
        raise AddressNotUsable(address) from error


def _one_line(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text).strip()
