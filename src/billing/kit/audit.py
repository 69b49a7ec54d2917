"""The audit trail: who did what to what, when and from where.

A record is written in the transaction of its action, last of all, so that both commit together and the head, which numbers
the records and carries the end of their hash chain, is locked only from there to the commit. No secret is ever in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import msgspec

from billing.core.page import Page, PageRequest
from billing.kit import checks
from billing.kit.auth import Caller, Operator
from billing.kit.checks import EVERYTHING, Check, Scope

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection, Tx

ActorKind = Literal["operator", "account_key", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted: an operator's key, an account's key, or this program itself (`name` is the command)."""

    kind: ActorKind
    id: UUID | None = None
    name: str | None = None

    @classmethod
    def of(cls, who: Caller | Operator) -> Actor:
        """The actor of a call."""
        return cls("operator", who.key_id, who.name) if isinstance(who, Operator) else cls("account_key", who.key_id)

    @classmethod
    def program(cls, command: str) -> Actor:
        """A command that somebody runs on the machine itself."""
        return cls("system", name=command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is done, on which objects (their names on the wire), and what may be told of it."""

    actor: Actor
    action: str
    """Method and path template of an operator's call, or a dotted code such as `key.created`."""
    objects: Mapping[str, str] = field(default_factory=dict[str, str])
    account_id: UUID | None = None
    ip: str | None = None
    request_id: str | None = None
    body_digest: bytes | None = None
    details: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An action as the trail holds it. `status` is None where the action was recorded before its outcome was known."""

    number: int
    occurred_at: datetime
    action: Action
    status: int | None
    chain_hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """How many records there are, and the hash of the newest: kept elsewhere, it proves that none was changed since."""

    number: int
    chain_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records are asked for; `action` is how their actions begin, `start` inclusive, `end` exclusive."""

    account_id: UUID | None = None
    actor_kind: ActorKind | None = None
    actor_id: UUID | None = None
    action: str | None = None
    start: datetime | None = None
    end: datetime | None = None


async def write(tx: Tx, action: Action, *, status: int | None = None) -> int:
    """Append a record and return its number. To be called last in a transaction: the head stays locked until its end."""
    return await tx.connection.fetchval(
        "SELECT write_audit_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        action.actor.kind,
        action.actor.id,
        action.actor.name,
        action.action,
        _json(action.objects),
        action.account_id,
        tx.now,
        action.ip,
        action.request_id,
        status,
        action.body_digest,
        _json(action.details),
    )


async def list_records(connection: Connection, *, page: PageRequest, wanted: Filter) -> Page[AuditRecord]:
    """One page of the records that a filter lets through, newest first."""
    rows = await connection.fetch(
        """
        WITH matching AS NOT MATERIALIZED (
            SELECT *
            FROM audit_records
            WHERE ($1::uuid IS NULL OR account_id = $1)
              AND ($2::text IS NULL OR actor_kind = $2)
              AND ($3::uuid IS NULL OR actor_id = $3)
              AND ($4::text IS NULL OR starts_with(action, $4))
              AND ($5::timestamptz IS NULL OR occurred_at >= $5)
              AND ($6::timestamptz IS NULL OR occurred_at < $6)
        )
        SELECT page.*, counted.total
        FROM (SELECT CASE WHEN $7::boolean THEN (SELECT count(*) FROM matching) END AS total) AS counted
        LEFT JOIN (
            SELECT * FROM matching
            WHERE number < coalesce($10::bigint, 9223372036854775807)
            ORDER BY number DESC
            LIMIT $8 OFFSET $9
        ) AS page ON true
        ORDER BY page.number DESC
        """,
        wanted.account_id,
        wanted.actor_kind,
        wanted.actor_id,
        wanted.action,
        wanted.start,
        wanted.end,
        page.is_counted,
        page.limit,
        page.offset,
        *page.key(int),
    )
    found = [_record(row) for row in rows if row["number"] is not None]
    return page.cut(found, total=rows[0]["total"], key=lambda record: (record.number,))


async def get_head(connection: Connection) -> Head:
    """The end of the chain."""
    row = await connection.fetchrow("SELECT last_number, chain_hash FROM audit_head")
    assert row is not None
    return Head(row["last_number"], row["chain_hash"])


async def list_broken(connection: Connection, *, limit: int) -> Sequence[int]:
    """The numbers of the first records at which the chain does not hold."""
    rows = await connection.fetch("SELECT number FROM broken_audit_records() ORDER BY number LIMIT $1", limit)
    return [row["number"] for row in rows]


async def run_checks(connection: Connection, scope: Scope = EVERYTHING) -> list[Check]:
    """The invariants of the trail."""
    return await checks.run_checks(
        connection,
        """
        SELECT 'audit chain holds' AS name, count(*) AS violations
        FROM (
            SELECT FROM broken_audit_records($1)
            UNION ALL
            SELECT FROM audit_head
            WHERE chain_hash <> coalesce(
                (SELECT chain_hash FROM audit_records ORDER BY number DESC LIMIT 1), audit_start())
        ) AS broken
        UNION ALL
        SELECT 'audit entries are numbered without holes', count(*)
        FROM (
            SELECT FROM (SELECT max(last_number) AS last_number FROM audit_head) AS head
            LEFT JOIN audit_records ON true
            GROUP BY last_number
            HAVING last_number IS NULL OR count(number) <> last_number OR coalesce(max(number), 0) <> last_number
        ) AS broken
        """,
        scope,
    )


def _record(row: asyncpg.Record) -> AuditRecord:
    action = Action(
        actor=Actor(row["actor_kind"], row["actor_id"], row["actor_name"]),
        action=row["action"],
        objects=msgspec.json.decode(row["objects"]),
        account_id=row["account_id"],
        ip=row["ip"],
        request_id=row["request_id"],
        body_digest=row["body_digest"],
        details=msgspec.json.decode(row["details"]),
    )
    return AuditRecord(row["number"], row["occurred_at"], action, row["status"], row["chain_hash"])


def _json(value: Mapping[str, object]) -> str:
    return msgspec.json.encode(value).decode()
