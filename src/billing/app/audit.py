"""GET /audit: who did what to what, when, from where."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, get_args
from uuid import UUID

import msgspec
from litestar import get

from billing.core import ids
from billing.core.errors import InvalidParameter, NotFound
from billing.kit import audit
from billing.kit.audit import ActorKind, AuditRecord, Head
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import (
    DESCRIBED,
    Check,
    DateFilter,
    Described,
    Meta,
    PageQuery,
    RawQuery,
    meta,
    window_faults,
    window_of,
)

_ACTOR_PREFIXES: dict[ActorKind, str] = {"operator": "op", "account_key": "key"}
_KINDS: tuple[ActorKind, ...] = get_args(ActorKind)


class AuditQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /audit. `actor` is a key's id or a kind of actors, `action` how actions begin."""

    account_id: str | None = None
    actor: str | None = None
    action: str | None = None
    from_date: DateFilter | None = None
    to_date: DateFilter | None = None

    checks: ClassVar[tuple[Check, ...]] = (window_faults,)


class ActorShown(msgspec.Struct, frozen=True, kw_only=True):
    """Who acted."""

    kind: ActorKind
    id: str | None
    name: str | None


class RecordShown(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the trail."""

    number: int
    occurred_at: datetime
    actor: ActorShown
    action: str
    objects: dict[str, str]
    account_id: str | None
    status: int | None
    ip: str | None
    request_id: str | None
    body_digest: str | None
    details: dict[str, object]
    hash: str


class HeadShown(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the chain: number and hash of the newest record."""

    number: int
    hash: str


class AuditAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /audit."""

    records: list[RecordShown] = msgspec.field(name="entries")
    head: HeadShown
    meta: Meta


@get("/audit", opt={DESCRIBED: Described(summary="List the audit trail", section="Checks and audit", query=AuditQuery)})
async def list_audit(audit_operator: Operator, query: RawQuery, db: Database) -> AuditAnswer:  # noqa: ARG001  the permission
    """Who did what to what, when and from where, newest first, with the end of its chain of hashes."""
    wanted, page = query.read_page(AuditQuery)
    chosen = read_filter(wanted)
    async with db.snapshot() as tx:
        found = await audit.list_records(tx.connection, page=page, wanted=chosen)
        head = await audit.get_head(tx.connection)
    return AuditAnswer(records=[_show(one) for one in found.items], head=_show_head(head), meta=meta(page, found))


def read_filter(wanted: AuditQuery) -> audit.Filter:
    """What a query asks for. Raises InvalidParameter for what is no actor, NotFound for what cannot be an account's id."""
    account_id = None if wanted.account_id is None else ids.decode("acc", wanted.account_id)
    if wanted.account_id is not None and account_id is None:
        raise NotFound
    kind, actor_id = (None, None) if wanted.actor is None else _read_actor(wanted.actor)
    start, end = window_of(wanted.from_date, wanted.to_date)
    return audit.Filter(
        account_id=account_id, actor_kind=kind, actor_id=actor_id, action=wanted.action, start=start, end=end
    )


def _read_actor(text: str) -> tuple[ActorKind, UUID | None]:
    for kind in _KINDS:
        if text == kind:
            return kind, None
    for kind, prefix in _ACTOR_PREFIXES.items():
        identifier = ids.decode(prefix, text)
        if identifier is not None:
            return kind, identifier
    raise InvalidParameter.one("query", "actor", f"must be a key's id or one of {', '.join(_KINDS)}")


def _show(record: AuditRecord) -> RecordShown:
    action = record.action
    return RecordShown(
        number=record.number,
        occurred_at=record.occurred_at,
        actor=ActorShown(
            kind=action.actor.kind,
            id=None if action.actor.id is None else ids.encode(_ACTOR_PREFIXES[action.actor.kind], action.actor.id),
            name=action.actor.name,
        ),
        action=action.action,
        objects=dict(action.objects),
        account_id=None if action.account_id is None else ids.encode("acc", action.account_id),
        status=record.status,
        ip=action.ip,
        request_id=action.request_id,
        body_digest=None if action.body_digest is None else action.body_digest.hex(),
        details=dict(action.details),
        hash=record.chain_hash.hex(),
    )


def _show_head(head: Head) -> HeadShown:
    return HeadShown(number=head.number, hash=head.chain_hash.hex())


HANDLERS = [list_audit]
