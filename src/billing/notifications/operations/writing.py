"""Writing messages: words, the issuer's name and picture, and the document that belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.notifications.adapters import wording
from billing.notifications.model import ClaimedDelivery, Mailroom, Message

if TYPE_CHECKING:
    from uuid import UUID

    from billing.kit.db import Database, Tx

# Whose document goes with the mail.
_WITH_DOCUMENT = frozenset({"invoice.issued", "credit_note.issued"})


async def write(database: Database, delivery: ClaimedDelivery, *, mailroom: Mailroom) -> Message:
    """The message of a delivery. Of what may change it shows what is so now: the account's name, the issuer."""
    async with database.reading() as tx:
        issuer, now = await mailroom.find_issuer(tx), tx.now
    document = None
    if delivery.method == "email" and delivery.template in _WITH_DOCUMENT:
        document = await mailroom.find_document(database, account_id=delivery.account_id, object_id=delivery.object_id)
    return Message(
        message_id=delivery.delivery_id,
        recipient=delivery.recipient,
        recipient_name=delivery.contact.name if delivery.recipient_number == 0 else None,
        issuer=issuer,
        wording=wording.write(delivery, issuer=issuer),
        attachment=document,
        written_at=now,
    )


async def write_trial(tx: Tx, *, message_id: UUID, recipient: str, mailroom: Mailroom) -> Message:
    """A message that shows whether a channel works."""
    issuer = await mailroom.find_issuer(tx)
    words = wording.word(
        wording.TRIAL,
        payload={},
        object_id="",
        told_at=tx.now.isoformat(),
        account=recipient,
        timezone="UTC",
        issuer=issuer,
    )
    return Message(
        message_id=message_id,
        recipient=recipient,
        recipient_name=None,
        issuer=issuer,
        wording=words,
        attachment=None,
        written_at=tx.now,
    )
