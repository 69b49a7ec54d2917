"""What gateways say unasked. It is believed so far that the gateway is asked: what it answers is what counts."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from billing.kit import worker
from billing.payments import store
from billing.payments.model import Notice, NoticeIdReused

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

CHECK_JOB = "payments.check"
KEPT_FOR = timedelta(days=30)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def take_notice(tx: Tx, *, gateway_name: str, notice: Notice, body: bytes) -> bool:
    """Take down what a gateway said, and have it asked now about what is pending; False for what was taken before.

    So notices may come in any order, late or again: none of them ends a payment or a refund. Raises NoticeIdReused when the id
    came with another body.
    """
    digest = hashlib.sha256(body).digest()
    kept = await store.insert_notice(
        tx.connection, gateway=gateway_name, notice=notice, digest=digest, received_at=tx.now
    )
    if kept is not None:
        if kept != digest:
            log.warning("notice_id_reused", gateway=gateway_name, notice_id=notice.notice_id)
            raise NoticeIdReused(details={"id": notice.notice_id})
        return False
    if notice.account_id is None or notice.object_id is None or notice.concerns is None:
        log.warning("notice_of_nothing", gateway=gateway_name, notice_id=notice.notice_id, type=notice.type)
        return True
    update = store.make_payment_due if notice.concerns == "payment" else store.make_refund_due
    found = await update(
        tx.connection, account_id=notice.account_id, object_id=notice.object_id, gateway=gateway_name, now=tx.now
    )
    if found is None:
        log.warning("notice_of_nothing", gateway=gateway_name, notice_id=notice.notice_id, type=notice.type)
    elif found == "pending":
        await worker.wake(tx.connection, job=CHECK_JOB)
    return True


async def prune_notices(database: Database) -> None:
    """Forget notices after 30 days: their signatures are too old to be taken again since the sixth minute."""
    async with database.transaction() as tx:
        await store.delete_notices(tx.connection, before=tx.now - KEPT_FOR)
