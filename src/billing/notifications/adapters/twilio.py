"""Text messages by Twilio's Messages resource (API of 2010-04-01)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from billing.notifications.adapters import posting
from billing.notifications.model import ANSWER_LOST, Message, Outcome

_SERVICE_PREFIX = "MG"  # of a messaging service, which chooses the number


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioAccount:
    """Where Twilio is, and as whom messages are sent: from a number, or by a messaging service (`MG…`)."""

    base_url: str
    account_sid: str
    auth_token: str
    sender: str


class _Created(msgspec.Struct):
    sid: str
    status: str
    error_code: int | None = None


class _Refused(msgspec.Struct):
    code: int
    message: str


class TwilioChannel:
    """Text messages by Twilio."""

    def __init__(self, account: TwilioAccount) -> None:
        self._account = account

    @property
    def gateway(self) -> str:
        """Its name."""
        return "twilio"

    async def send(self, message: Message, *, handing_over: Callable[[], Awaitable[None]]) -> Outcome:
        """Send a text message. `sent` means that Twilio has queued it."""
        account = self._account
        sender = "MessagingServiceSid" if account.sender.startswith(_SERVICE_PREFIX) else "From"
        form = posting.Form(
            url=f"{account.base_url.rstrip('/')}/2010-04-01/Accounts/{account.account_sid}/Messages.json",
            fields={"To": message.recipient, sender: account.sender, "Body": message.wording.sms},
            headers={"Accept": "application/json"},
            auth=(account.account_sid, account.auth_token),
        )
        answered = await posting.post(form, handing_over=handing_over)
        return answered if isinstance(answered, Outcome) else _outcome(answered)


def _outcome(answered: posting.Answered) -> Outcome:
    if answered.status not in {200, 201}:
        return posting.outcome_of_status(answered, reason=_refusal(answered.body))
    try:
        created = msgspec.convert(answered.body, _Created)
    except msgspec.ValidationError:
        return Outcome(kind="unknown", reason=f"{ANSWER_LOST}: not understood")
    if created.status in {"failed", "undelivered"}:
        reason = f"{created.status} {created.error_code or ''}".strip()
        return Outcome(kind="refused", gateway_id=posting.bounded(created.sid), reason=posting.bounded(reason))
    return Outcome(kind="sent", gateway_id=posting.bounded(created.sid))


def _refusal(body: object) -> str | None:
    try:
        refused = msgspec.convert(body, _Refused)
    except msgspec.ValidationError:
        return None
    return f"{refused.code} {refused.message}"
