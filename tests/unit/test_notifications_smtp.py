"""Mail by a real SMTP server: read back and parsed, over TLS, refused, dropped."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import trustme

from billing.notifications.model import Attachment, ClaimLost, Issuer, Message, Outcome
from tests.support.messages import ISSUER, worded
from tests.support.pictures import png
from tests.support.post_office import PASSWORD, PostOffice, open_post_office

DELIVERY = UUID("0190f3a2-1111-7222-8333-444455556666")
HEADERS = {
    *("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"),
    *("MIME-Version", "Content-Type"),
}


def message(**members: Any) -> Message:
    given: dict[str, Any] = {
        "message_id": DELIVERY,
        "recipient": "jane@example.com",
        "recipient_name": "Jane Doe",
        "issuer": ISSUER,
        "wording": worded("invoice.issued"),
        "attachment": Attachment(name="INV-1.pdf", content=b"%PDF-1.7 ..."),
        "written_at": datetime(2024, 2, 1, 10, tzinfo=UTC),
        **members,
    }
    return Message(**given)


@pytest_asyncio.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with open_post_office() as opened:
        yield opened


async def hand_over() -> None:
    """Nobody else wants the message."""


async def send(office: PostOffice, given: Message, **server: object) -> Outcome:
    return await office.channel(**server).send(given, handing_over=hand_over)


class TestMail:
    async def test_says_what_it_is_and_whose(self, office: PostOffice) -> None:
        outcome = await send(office, message())
        assert outcome == Outcome(kind="sent", gateway_id="2.0.0 OK queued as 4711")
        [mail], [envelope] = office.mails, office.envelopes
        assert {
            name: str(mail[name]) for name in ("From", "To", "Reply-To", "Subject", "Message-ID", "Auto-Submitted")
        } == {
            "From": "Lineserve Cloud <billing@lineserve.example>",
            "To": "Jane Doe <jane@example.com>",
            "Reply-To": "billing@lineserve.example",
            "Subject": "Invoice INV-2024-000042: KES 130,500.00",
            "Message-ID": f"<{DELIVERY.hex}@lineserve.example>",
            "Auto-Submitted": "auto-generated",
        }
        assert parsedate_to_datetime(str(mail["Date"])) == datetime(2024, 2, 1, 10, tzinfo=UTC)
        assert (envelope.mail_from, envelope.rcpt_tos) == ("billing@lineserve.example", ["jane@example.com"])

    async def test_holds_both_texts_and_the_document(self, office: PostOffice) -> None:
        await send(office, message())
        [mail], [raw] = office.mails, office.raw
        assert [part.get_content_type() for part in mail.walk()] == [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "text/html",
            "application/pdf",
        ]
        plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
        assert plain is not None
        assert html is not None
        assert plain.get_content().split() == worded("invoice.issued").plain.split()
        assert html.get_content().split() == worded("invoice.issued").html.split()
        [document] = mail.iter_attachments()
        assert (document.get_filename(), document.get_content()) == ("INV-1.pdf", b"%PDF-1.7 ...")
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        assert b"\n" not in raw.replace(b"\r\n", b"")

    async def test_shows_the_issuers_picture_beside_the_html(self, office: PostOffice) -> None:
        issuer = Issuer(name="Lineserve", logo=png(40, 20))
        await send(office, message(issuer=issuer, wording=worded("api_key.created", issuer=issuer), attachment=None))
        [mail] = office.mails
        types = [part.get_content_type() for part in mail.walk()]
        assert types == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
        [picture] = [part for part in mail.walk() if part.get_content_type() == "image/png"]
        html = mail.get_body(("html",))
        assert html is not None
        assert f"cid:{str(picture['Content-ID']).strip('<>')}" in html.get_content()
        assert mail["Reply-To"] is None

    async def test_has_none_where_mail_programs_would_show_none(self, office: PostOffice) -> None:
        issuer = Issuer(name="Lineserve", logo=b"<svg/>")
        await send(office, message(issuer=issuer, wording=worded("api_key.created", issuer=issuer), attachment=None))
        assert [part.get_content_type() for part in office.mails[0].walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]

    @pytest.mark.parametrize(
        "name",
        [
            "Jane\r\nBcc: eve@example.com",
            "Jane\nX-Spam: no\n\nbody",
            'Jane" <eve@example.com>, "x',
            "\u202eenaJ eoD\u0000",
            "شركة المثال",
            "Jane, Doe; (x) <y@z>",
            "n" * 500,
        ],
    )
    async def test_has_no_header_that_a_name_wrote(self, office: PostOffice, name: str) -> None:
        issuer = Issuer(name=name, support_email="help@example.com")
        given = message(
            recipient_name=name,
            issuer=issuer,
            wording=worded("api_key.created", payload={"name": name}, account=name, issuer=issuer),
            attachment=Attachment(name=f"{name}.pdf", content=b"x"),
        )
        assert (await send(office, given)).kind == "sent"
        [mail], [envelope] = office.mails, office.envelopes
        assert set(mail.keys()) == HEADERS
        assert len(mail.keys()) == len(HEADERS)
        assert envelope.rcpt_tos == ["jane@example.com"]
        assert [one.addr_spec for one in mail["To"].addresses] == ["jane@example.com"]
        assert [one.addr_spec for one in mail["From"].addresses] == ["billing@lineserve.example"]
        assert not mail.defects

    async def test_reaches_internationalised_addresses(self, office: PostOffice) -> None:
        assert (await send(office, message(recipient="jane@bücher.example"))).kind == "sent"
        assert (await send(office, message(recipient="дженни@example.com"))).kind == "sent"
        assert [envelope.rcpt_tos for envelope in office.envelopes] == [
            ["jane@xn--bcher-kva.example"],
            ["дженни@example.com"],
        ]

    async def test_is_refused_for_an_address_that_cannot_be(self, office: PostOffice) -> None:
        outcome = await send(office, message(recipient=f"jane@{'x' * 70}.example"))
        assert outcome.kind == "refused"
        assert office.connections == 0


class TestServer:
    @pytest.mark.parametrize(
        ("answer", "kind"),
        [("550 5.1.1 no such mailbox", "refused"), ("450 4.2.1 try later", "failed"), ("421 4.3.2 closing", "failed")],
    )
    async def test_may_refuse_the_recipient(self, office: PostOffice, answer: str, kind: str) -> None:
        office.on_rcpt = lambda _: answer
        outcome = await send(office, message())
        assert (outcome.kind, outcome.reason) == (kind, answer)
        assert outcome.is_gateway_down == answer.startswith("421")
        assert office.mails == []

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [("554 5.7.1 looks like spam", "refused"), ("452 4.3.1 no room", "failed"), ("drop", "unknown")],
    )
    async def test_may_refuse_the_message_or_fall_silent(self, office: PostOffice, answer: str, kind: str) -> None:
        async def on_data(_: PostOffice) -> str:
            return answer

        office.on_data = on_data
        outcome = await send(office, message())
        assert (outcome.kind, outcome.is_gateway_down) == (kind, False)

    async def test_that_never_answers_is_not_waited_for(self, office: PostOffice) -> None:
        outcome = await send(office, message(), timeout_s=0.000001)
        assert (outcome.kind, outcome.is_gateway_down) == ("failed", True)

    async def test_that_is_not_there_fails_for_now(self, office: PostOffice) -> None:
        outcome = await send(office, message(), port=1)
        assert (outcome.kind, outcome.is_gateway_down) == ("failed", True)

    async def test_gets_nothing_once_the_message_is_somebody_elses(self, office: PostOffice) -> None:
        async def lost() -> None:
            raise ClaimLost

        with pytest.raises(ClaimLost):
            await office.channel().send(message(), handing_over=lost)
        assert office.mails == []


class TestTls:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def context(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        return context

    @pytest.fixture
    def ca_file(self, authority: trustme.CA, tmp_path: Path) -> Path:
        path = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(path)
        return path

    @pytest.mark.parametrize("security", ["starttls", "implicit"])
    async def test_guards_the_password(self, context: ssl.SSLContext, ca_file: Path, security: str) -> None:
        async with open_post_office(tls=context, is_implicit=security == "implicit", login=True) as office:
            server = {"security": security, "ca_file": ca_file, "username": "billing"}
            assert await send(office, message(), **server, password=PASSWORD) == Outcome(
                kind="sent", gateway_id="2.0.0 OK queued as 4711"
            )
            wrong = await send(office, message(), **server, password="wrong")
            assert (wrong.kind, wrong.is_gateway_down) == ("failed", True)
            assert wrong.reason is not None
            assert "wrong" not in wrong.reason
            unknown = await send(office, message(), security=security, username="billing", password=PASSWORD)
            assert (unknown.kind, unknown.is_gateway_down) == ("failed", True), "a certificate of nobody we trust"
            assert len(office.mails) == 1

    async def test_is_not_done_without(self, office: PostOffice) -> None:
        outcome = await send(office, message(), security="starttls", username="billing", password=PASSWORD)
        assert (outcome.kind, outcome.is_gateway_down) == ("failed", True)
        assert office.mails == []
