"""Text messages by Africa's Talking (bulk messaging, version1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from billing.notifications.adapters import posting
from billing.notifications.model import ANSWER_LOST, Message, Outcome

# What it says of a recipient: https://developers.africastalking.com/docs/sms/sending/bulk
_TAKEN = frozenset({100, 101, 102})
_NEVER = frozenset({403, 404, 406, 407, 409, 502})  # the number, its list of refusals, no route
_OURS = frozenset({402, 405})  # our sender's name, our balance
_FOR_NOW = frozenset({401})


@dataclass(frozen=True, slots=True, kw_only=True)
class AfricasTalkingAccount:
    """Where Africa's Talking is, and as whom messages are sent; without a sender by the shared one."""

    base_url: str
    username: str
    api_key: str
    sender: str | None = None


class _Recipient(msgspec.Struct, rename={"status_code": "statusCode", "message_id": "messageId"}):
    status_code: int
    status: str = ""
    message_id: str | None = None


class _Messages(msgspec.Struct, rename={"message": "Message", "recipients": "Recipients"}):
    message: str = ""
    recipients: list[_Recipient] = []


class _Answer(msgspec.Struct, rename={"data": "SMSMessageData"}):
    data: _Messages


class AfricasTalkingChannel:
    """Text messages by Africa's Talking."""

    def __init__(self, account: AfricasTalkingAccount) -> None:
        self._account = account

    @property
    def gateway(self) -> str:
        """Its name."""
        return "africas_talking"

    async def send(self, message: Message, *, handing_over: Callable[[], Awaitable[None]]) -> Outcome:
        """Send a text message. `sent` means that Africa's Talking has taken it."""
        account = self._account
        sender = {} if account.sender is None else {"from": account.sender}
        form = posting.Form(
            url=f"{account.base_url.rstrip('/')}/version1/messaging",
            fields={"username": account.username, "to": message.recipient, "message": message.wording.sms, **sender},
            headers={"Accept": "application/json", "apiKey": account.api_key},
        )
        answered = await posting.post(form, handing_over=handing_over)
        return answered if isinstance(answered, Outcome) else _outcome(answered)


def _outcome(answered: posting.Answered) -> Outcome:
    if answered.status not in {200, 201}:
        return posting.outcome_of_status(answered, reason=answered.body if isinstance(answered.body, str) else None)
    try:
        data = msgspec.convert(answered.body, _Answer).data
    except msgspec.ValidationError:
        return Outcome(kind="unknown", reason=f"{ANSWER_LOST}: not understood")
    if not data.recipients:  # it says why in words, such as InvalidSenderId
        return Outcome(kind="failed", reason=posting.bounded(data.message or "no recipient"), is_gateway_down=True)
    return _outcome_of_recipient(data.recipients[0])


def _outcome_of_recipient(recipient: _Recipient) -> Outcome:
    code = recipient.status_code
    if code in _TAKEN:
        return Outcome(kind="sent", gateway_id=posting.bounded(recipient.message_id or ""))
    reason = posting.bounded(f"{code} {recipient.status}".strip())
    if code in _NEVER:
        return Outcome(kind="refused", reason=reason)
    if code in _OURS | _FOR_NOW:
        return Outcome(kind="failed", reason=reason, is_gateway_down=code in _OURS)
    return Outcome(kind="unknown", reason=reason)
