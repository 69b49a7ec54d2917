"""Events that are committed with their cause and acted on afterwards, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import msgspec

from billing.kit.checks import EVERYTHING, Check, Scope

if TYPE_CHECKING:
    from billing.kit.db import Connection, Tx


NewEvent: TypeAlias = tuple[UUID, str, Mapping[str, object]]  # account, object, payload


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """Something that happened to an object of an account."""

    account_id: UUID
    event_id: UUID
    type: str
    object_id: str


async def publish(tx: Tx, *, account_id: UUID, type: str, object_id: str, payload: Mapping[str, object]) -> None:
    """Store an event: it is there if and only if this transaction commits."""
    await publish_all(tx, type=type, events=[(account_id, object_id, payload)])


async def publish_all(tx: Tx, *, type: str, events: Sequence[NewEvent]) -> None:
    """Store events of one type, given as (account, object, payload), in one round trip."""
    await tx.connection.execute(
        """
        INSERT INTO outbox_events (account_id, event_id, type, object_id, payload, created_at)
        SELECT account_id, event_id, $5, object_id, payload::jsonb, $6
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS given (account_id, event_id, object_id, payload)
        """,
        [account_id for account_id, _, _ in events],
        [tx.new_id() for _ in events],
        [object_id for _, object_id, _ in events],
        [msgspec.json.encode(payload).decode() for _, _, payload in events],
        type,
        tx.now,
    )


async def claim(tx: Tx, *, types: Sequence[str]) -> OutboxEvent | None:
    """The oldest event of some types that nobody has acted on, held until the transaction ends and then done, or None."""
    row = await tx.connection.fetchrow(
        """
        UPDATE outbox_events SET dispatched_at = $2
        WHERE (account_id, event_id) = (
            SELECT account_id, event_id FROM outbox_events
            WHERE dispatched_at IS NULL AND type = ANY ($1)
            ORDER BY created_at, event_id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        RETURNING account_id, event_id, type, object_id
        """,
        list(types),
        tx.now,
    )
    return None if row is None else OutboxEvent(**dict(row))


async def run_checks(connection: Connection, scope: Scope = EVERYTHING, *, types: Sequence[str]) -> list[Check]:
    """Events of the types that somebody acts on must not lie there for a day."""
    stuck = await connection.fetchval(
        """
        SELECT count(*) FROM outbox_events
        WHERE dispatched_at IS NULL AND type = ANY ($1) AND created_at < $2::timestamptz - interval '1 day'
        """,
        list(types),
        scope.now,
    )
    return [Check("outbox events are acted on within a day", stuck)]
