"""Where messages leave the house: the channels that are configured, and what invoices give to a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.core import ids
from billing.core.errors import NotFound
from billing.invoices.model import DEFAULT_ISSUER, UNNAMED_ISSUER
from billing.invoices.operations import documents
from billing.invoices.store import closing
from billing.notifications.adapters.africas_talking import AfricasTalkingAccount, AfricasTalkingChannel
from billing.notifications.adapters.smtp import PORTS, SmtpChannel, SmtpServer
from billing.notifications.adapters.twilio import TwilioAccount, TwilioChannel
from billing.notifications.model import Attachment, Issuer, Mailroom, Outlet

if TYPE_CHECKING:
    from uuid import UUID

    from billing.kit.config import Settings
    from billing.kit.db import Database, Tx

_DOCUMENTS = {"inv": documents.get_invoice_pdf, "cn": documents.get_credit_note_pdf}


def make_mailroom(settings: Settings) -> Mailroom:
    """The channels that the settings configure; without them messages are suppressed."""
    at_once = settings.messages_at_once
    return Mailroom(
        email=None if settings.smtp_host is None else Outlet(channel=_smtp(settings), at_once=at_once),
        sms=_sms(settings, at_once=at_once),
        find_issuer=find_issuer,
        find_document=find_document,
    )


async def find_issuer(tx: Tx) -> Issuer:
    """In whose name messages are written."""
    issuer = await closing.find_issuer(tx.connection, name=DEFAULT_ISSUER) or UNNAMED_ISSUER
    digest = issuer.logo_sha256
    logo = None if digest is None else await closing.get_logo(tx.connection, sha256=bytes.fromhex(digest))
    return Issuer(name=issuer.name, support_email=issuer.support_email, logo=logo)


async def find_document(database: Database, *, account_id: UUID, object_id: str) -> Attachment | None:
    """The PDF of an invoice or a credit note."""
    prefix = object_id.partition("_")[0]
    if prefix not in _DOCUMENTS:
        return None
    identifier = ids.expect(prefix, object_id)
    name = "invoice_id" if prefix == "inv" else "credit_note_id"
    try:
        pdf = await _DOCUMENTS[prefix](database, account_id=account_id, **{name: identifier})
    except NotFound:
        return None
    return Attachment(name=f"{pdf.number}.pdf", content=pdf.content)


def _smtp(settings: Settings) -> SmtpChannel:
    assert settings.smtp_host is not None
    assert settings.smtp_from is not None
    password = settings.smtp_password
    return SmtpChannel(
        SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port or PORTS[settings.smtp_tls],
            security=settings.smtp_tls,
            sender=settings.smtp_from,
            username=settings.smtp_username,
            password=None if password is None else password.get_secret_value(),
            timeout_s=settings.smtp_timeout_s,
            ca_file=settings.smtp_ca_file,
        )
    )


def _sms(settings: Settings, *, at_once: int) -> Outlet | None:
    key = settings.sms_secret
    if settings.sms_gateway is None or settings.sms_account is None or key is None:
        return None
    secret = key.get_secret_value()
    match settings.sms_gateway:
        case "twilio":
            assert settings.sms_from is not None
            account = TwilioAccount(
                base_url=settings.sms_base_url or "https://api.twilio.com",
                account_sid=settings.sms_account,
                auth_token=secret,
                sender=settings.sms_from,
            )
            return Outlet(channel=TwilioChannel(account), at_once=at_once)
        case "africas_talking":
            talking = AfricasTalkingAccount(
                base_url=settings.sms_base_url or "https://api.africastalking.com",
                username=settings.sms_account,
                api_key=secret,
                sender=settings.sms_from,
            )
            return Outlet(channel=AfricasTalkingChannel(talking), at_once=at_once)
