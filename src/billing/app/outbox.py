"""GET /outbox: the log of what happened, for platforms that pull."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get

from billing import accounts, webhooks
from billing.core import ids
from billing.core.errors import InvalidParameter
from billing.core.page import write_key
from billing.kit import outbox
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.outbox import LoggedEvent
from billing.kit.web import DESCRIBED, Described, RawQuery
from billing.kit.web.paging import CURSOR_LONGEST, read_cursor, write_cursor

EVENTS_MAX = 1_000
EVENT_PREFIX = "evt"
_PLACE = "the log of events"
_LAST_VERSION = 2**63 - 1


class OutboxQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /outbox. `after` is the cursor of the answer before; without it the log begins."""

    after: Annotated[str, msgspec.Meta(max_length=CURSOR_LONGEST)] | None = None
    type: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    account_id: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=EVENTS_MAX)] = 100


class LoggedEventOut(msgspec.Struct, frozen=True, kw_only=True):
    """One event: what a webhook message says of it, and whose it is."""

    id: str
    type: str
    timestamp: datetime
    account_id: str
    data: dict[str, object]


class OutboxAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /outbox."""

    events: list[LoggedEventOut]
    cursor: str
    has_more: bool


@get(
    "/outbox",
    opt={DESCRIBED: Described(summary="Read the log of events", section="Events and webhooks", query=OutboxQuery)},
)
async def read_outbox(audit_operator: Operator, query: RawQuery, db: Database) -> OutboxAnswer:  # noqa: ARG001  the permission
    """What happened to all accounts, in an order in which nothing appears late: who goes on with `cursor` misses nothing.

    Ask again with `after` set to the cursor of the last answer: at once while `has_more`, else after a few seconds. An event may
    be missing from an answer while a transaction that began before it is still open; it never appears behind a cursor that was
    given out. Filters may change from call to call. Events are kept.
    """
    wanted = query.read(OutboxQuery)
    account_id = None if wanted.account_id is None else ids.expect(accounts.ACCOUNT_PREFIX, wanted.account_id)
    after = _read(wanted.after)
    if wanted.type is not None and wanted.type not in webhooks.EVENT_TYPES:
        raise InvalidParameter.one("query", "type", "must be a type of events")
    async with db.snapshot() as snapshot:
        horizon = await outbox.get_horizon(snapshot.connection)
        found = await outbox.list_events(
            snapshot.connection,
            after=after,
            limit=wanted.limit + 1,
            types=() if wanted.type is None else (wanted.type,),
            account_id=account_id,
        )
    shown, has_more = found[: wanted.limit], len(found) > wanted.limit
    # All that is below the horizon was looked at, also what a filter leaves out.
    last = (shown[-1].transaction_id, shown[-1].event.version) if has_more else max(after, (horizon - 1, _LAST_VERSION))
    return OutboxAnswer(
        events=list(map(_show, shown)), cursor=write_cursor(write_key(last), place=_PLACE), has_more=has_more
    )


def _read(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return (0, 0)
    try:
        transaction_id, version = map(int, read_cursor(cursor, place=_PLACE))
    except (InvalidParameter, ValueError):
        raise InvalidParameter.one("query", "after", "is not a cursor of this log; begin again without one") from None
    return transaction_id, version


def _show(logged: LoggedEvent) -> LoggedEventOut:
    event = logged.event
    return LoggedEventOut(
        id=ids.encode(EVENT_PREFIX, event.event_id),
        type=event.type,
        timestamp=event.created_at,
        account_id=ids.encode(accounts.ACCOUNT_PREFIX, event.account_id),
        data={"id": event.object_id, "version": event.version, **event.payload},
    )


HANDLERS = [read_outbox]
