"""Text messages by gateways as real HTTP servers: what is sent, and what each answer means."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from billing.notifications.adapters import posting
from billing.notifications.adapters.africas_talking import AfricasTalkingAccount, AfricasTalkingChannel
from billing.notifications.adapters.twilio import TwilioAccount, TwilioChannel
from billing.notifications.model import Channel, Message, Outcome
from tests.support.messages import ISSUER, worded
from tests.support.post_office import SILENCE, Gateway, open_gateway

MESSAGE = Message(
    message_id=UUID(int=1),
    recipient="+254700000001",
    recipient_name=None,
    issuer=ISSUER,
    wording=worded("payment.failed"),
    attachment=None,
    written_at=datetime(2024, 2, 1, tzinfo=UTC),
)


def twilio(gateway: Gateway, sender: str = "+15005550006") -> Channel:
    return TwilioChannel(TwilioAccount(base_url=gateway.base_url, account_sid="AC1", auth_token="token", sender=sender))


def africas_talking(gateway: Gateway, sender: str | None = "LINESERVE") -> Channel:
    return AfricasTalkingChannel(
        AfricasTalkingAccount(base_url=f"{gateway.base_url}/", username="acme", api_key="key", sender=sender)
    )


def body(**members: Any) -> bytes:
    return json.dumps(members).encode()


def told(*recipients: dict[str, Any], message: str = "Sent to 1/1") -> bytes:
    return body(SMSMessageData={"Message": message, "Recipients": list(recipients)})


def of_recipient(code: int, **members: Any) -> bytes:
    return told({"statusCode": code, "number": "+254700000001", "status": "Status", **members})


async def send(make: Callable[[Gateway], Channel], answer: tuple[int, bytes] | None) -> tuple[Outcome, Gateway]:
    async def hand_over() -> None:
        """Nobody else wants it."""

    async with open_gateway(answer) as gateway:
        return await make(gateway).send(MESSAGE, handing_over=hand_over), gateway


class TestTwilio:
    async def test_is_asked_as_its_manual_says(self) -> None:
        outcome, gateway = await send(twilio, (201, body(sid="SM123", status="queued", error_code=None)))
        assert outcome == Outcome(kind="sent", gateway_id="SM123")
        assert gateway.paths == ["/2010-04-01/Accounts/AC1/Messages.json"]
        assert gateway.forms == [{"To": "+254700000001", "From": "+15005550006", "Body": MESSAGE.wording.sms}]
        assert gateway.headers[0]["authorization"] == f"Basic {b64encode(b'AC1:token').decode()}"
        _, gateway = await send(lambda one: twilio(one, "MG42"), (201, body(sid="SM124", status="accepted")))
        assert gateway.forms[0]["MessagingServiceSid"] == "MG42"

    @pytest.mark.parametrize(
        ("status", "content", "kind", "is_gateway_down"),
        [
            (201, body(sid="SM1", status="failed", error_code=30003), "refused", False),
            (400, body(code=21211, message="Invalid 'To' number", status=400), "refused", False),
            (401, body(code=20003, message="Authenticate", status=401), "failed", True),
            (403, body(code=21408, message="Region not enabled", status=403), "failed", False),
            (429, body(code=20429, message="Too many requests", status=429), "failed", True),
            (500, body(code=20500, message="Internal", status=500), "unknown", False),
            (503, b"<html>", "unknown", False),
            (201, b"<html>", "unknown", False),
            (201, b"{}", "unknown", False),
            (201, b"[" * 40_000, "unknown", False),
            (201, b" " * 70_000 + b"{}", "unknown", False),
        ],
    )
    async def test_may_answer(self, status: int, content: bytes, kind: str, is_gateway_down: bool) -> None:
        outcome, _ = await send(twilio, (status, content))
        assert (outcome.kind, outcome.is_gateway_down) == (kind, is_gateway_down)
        assert outcome.reason


class TestAfricasTalking:
    async def test_is_asked_as_its_manual_says(self) -> None:
        outcome, gateway = await send(africas_talking, (201, of_recipient(101, messageId="ATPid_1")))
        assert outcome == Outcome(kind="sent", gateway_id="ATPid_1")
        assert gateway.paths == ["/version1/messaging"]
        assert gateway.forms == [
            {"username": "acme", "to": "+254700000001", "message": MESSAGE.wording.sms, "from": "LINESERVE"}
        ]
        assert gateway.headers[0]["apikey"] == "key"
        _, gateway = await send(lambda one: africas_talking(one, None), (201, of_recipient(102)))
        assert "from" not in gateway.forms[0]

    @pytest.mark.parametrize(
        ("status", "content", "kind", "is_gateway_down"),
        [
            (201, of_recipient(403), "refused", False),
            (201, of_recipient(406), "refused", False),
            (201, of_recipient(401), "failed", False),
            (201, of_recipient(405), "failed", True),
            (201, of_recipient(500), "unknown", False),
            (201, of_recipient(999), "unknown", False),
            (201, told(message="InvalidSenderId"), "failed", True),
            (401, b"The supplied authentication is invalid", "failed", True),
            (400, b"", "refused", False),
            (502, b"", "unknown", False),
            (201, b"not json", "unknown", False),
        ],
    )
    async def test_may_answer(self, status: int, content: bytes, kind: str, is_gateway_down: bool) -> None:
        outcome, _ = await send(africas_talking, (status, content))
        assert (outcome.kind, outcome.is_gateway_down) == (kind, is_gateway_down)
        assert outcome.reason


@pytest.mark.parametrize("make", [twilio, africas_talking])
class TestLine:
    async def test_that_is_cut_after_the_request_leaves_it_unknown(self, make: Callable[[Gateway], Channel]) -> None:
        outcome, gateway = await send(make, None)
        assert (outcome.kind, len(gateway.forms)) == ("unknown", 1)

    async def test_that_is_silent_leaves_it_unknown(
        self, make: Callable[[Gateway], Channel], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(posting, "_CALL_MAX_S", 0.05)

        outcome, _ = await send(make, SILENCE)
        assert outcome.kind == "unknown"

    async def test_that_is_not_there_fails_for_now(self, make: Callable[[Gateway], Channel]) -> None:
        async def hand_over() -> None:
            """Nobody else wants it."""

        outcome = await make(Gateway(port=1)).send(MESSAGE, handing_over=hand_over)
        assert (outcome.kind, outcome.is_gateway_down) == ("failed", True)
