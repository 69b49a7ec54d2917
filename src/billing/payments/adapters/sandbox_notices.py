"""The sandbox's webhooks: Standard Webhooks that say how a charge or a refund stands."""

from __future__ import annotations

import secrets as chance
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import msgspec

from billing.core import ids, standard_webhooks
from billing.payments.model import Charge, GivenBack, InvalidSignature, Notice, NoticeNotUnderstood

if TYPE_CHECKING:
    from billing.kit.auth import Headers


class _Data(msgspec.Struct):
    """What the sandbox says: a key that we gave, whose money it is in our words, and how it stands."""

    key: str
    account: str
    status: str


class _Message(msgspec.Struct):
    """`charge.…` or `refund.…`; more members may come."""

    type: str
    timestamp: datetime
    data: _Data


_decoder = msgspec.json.Decoder(_Message)
_CONCERNS: dict[str, Literal["payment", "refund"]] = {"charge": "payment", "refund": "refund"}


def write(
    told: Charge | GivenBack, *, account_reference: str, secrets: Sequence[bytes], now: datetime
) -> tuple[Headers, bytes]:
    """The headers and the body of a webhook, signed with each secret."""
    kind = "charge" if isinstance(told, Charge) else "refund"
    data = _Data(told.key, account_reference, told.status)
    body = msgspec.json.encode(_Message(f"{kind}.{told.status}", now.astimezone(UTC), data))
    message_id = f"sbx_{chance.token_hex(12)}"
    timestamp = int(now.timestamp())
    signature = standard_webhooks.sign(secrets, message_id=message_id, timestamp=timestamp, body=body)
    headers = [
        (b"content-type", b"application/json"),
        (b"webhook-id", message_id.encode()),
        (b"webhook-timestamp", str(timestamp).encode()),
        (b"webhook-signature", signature.encode()),
    ]
    return headers, body


def read(headers: Headers, body: bytes, *, secrets: Sequence[bytes], now: datetime) -> Notice:
    """What a webhook says, once its signature was found good. Raises InvalidSignature, NoticeNotUnderstood."""
    try:
        notice_id = standard_webhooks.verify(secrets, headers, body, now=now)
    except standard_webhooks.NotSigned as error:
        raise InvalidSignature(details={"reason": str(error)}) from None
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NoticeNotUnderstood(details={"reason": str(error)}) from None
    if not message.type.isprintable():
        raise NoticeNotUnderstood(details={"reason": "type is no printable text"})
    return Notice(
        notice_id=notice_id,
        type=message.type[:100],
        concerns=_CONCERNS.get(message.type.partition(".")[0]),
        account_id=ids.decode("acc", message.data.account),
        object_id=_uuid(message.data.key),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
