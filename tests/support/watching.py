"""What the program sends to its database, as it is carried out: each statement with its plan and the pages that it read.

The server tells the plans itself (auto_explain), also of what functions and foreign keys run inside a statement: nothing is sent
twice, and a plan is the one that the program's own session had. A statement is one round trip.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing.kit.db import Pool

_SET = """
SET ROLE NONE;
LOAD 'auto_explain';
SET auto_explain.log_min_duration = {least};
SET auto_explain.log_level = 'notice';
SET auto_explain.log_format = 'json';
SET auto_explain.log_analyze = on;
SET auto_explain.log_buffers = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_nested_statements = on;
SET ROLE lineserve_app;
"""
_PLANLESS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "LISTEN", "NOTIFY")


@dataclass(eq=False)
class Statement:
    """A statement as it was sent, and the plans of all that ran in it."""

    query: str
    plans: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def is_planned(self) -> bool:
        """Whether it is more than the beginning or the end of a transaction, or a setting."""
        return not self.query.lstrip().upper().startswith(_PLANLESS)

    @property
    def pages(self) -> int:
        """Pages read: by its plan, in which are those of functions, and by the foreign keys that are looked at when it ends."""
        *inner, whole = self.plans or [{}]
        pages = _pages(whole)
        for plan in reversed(inner):
            if not _is_foreign_key(plan):
                break
            pages += _pages(plan)
        return pages

    @property
    def rows(self) -> float:
        """Rows that the steps of its plans looked at, and how often each step was begun: what they cost the processor, nearly."""
        return sum(
            (
                1
                + node.get("Actual Rows", 0)
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Join Filter", 0)
            )
            * node.get("Actual Loops", 0)
            for node in self.nodes
        )

    @property
    def nodes(self) -> Iterator[dict[str, Any]]:
        """Every step of every plan that was made for it."""
        for plan in self.plans:
            yield from _nodes(plan["Plan"])

    @property
    def name(self) -> str:
        """Its beginning, on one line."""
        return re.sub(r"\s+", " ", self.query).strip()[:100]


def _pages(plan: dict[str, Any]) -> int:
    root = plan.get("Plan", {})
    return root.get("Shared Hit Blocks", 0) + root.get("Shared Read Blocks", 0)


def _is_foreign_key(plan: dict[str, Any]) -> bool:
    return plan["Query Text"].startswith("SELECT 1 FROM ONLY ")


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@dataclass
class Watch:
    """What some sessions sent, and what the server told of it: both in the order in which it came, by session."""

    _sent: list[tuple[int, Statement]] = field(default_factory=list[tuple[int, Statement]])
    _told: list[tuple[int, dict[str, Any], bool]] = field(default_factory=list[tuple[int, dict[str, Any], bool]])

    async def see(self, do: Callable[[], Awaitable[object]]) -> list[Statement]:
        """What was sent while something was done, in order."""
        await _settle()
        self._sent.clear()
        self._told.clear()
        await do()
        await _settle()
        for session in {session for session, _ in self._sent}:
            self._match(session)
        return [statement for _, statement in self._sent]

    def _match(self, session: int) -> None:
        """A plan is told when its statement is put away (a SELECT's by the next one, in a transaction); inner plans before.

        What asyncpg does not tell of, because it was prepared by hand, is put in.
        """
        waiting = [statement for sender, statement in self._sent if sender == session]
        inner: list[dict[str, Any]] = []
        for plan, is_inner in ((plan, is_inner) for sender, plan, is_inner in self._told if sender == session):
            inner.append(plan)
            if is_inner:
                continue
            place = next((at for at, one in enumerate(waiting) if one.query == plan["Query Text"]), None)
            if place is None:
                at = self._sent.index((session, waiting[0])) if waiting else len(self._sent)
                self._sent.insert(at, (session, Statement(plan["Query Text"], inner)))
            else:
                waiting[place].plans = inner
                waiting = waiting[place + 1 :]
            inner = []

    def take_plan(self, session: int, message: Any) -> None:
        """The server says how it went about a statement or, in the context of one, about a part of it."""
        _, is_plan, plan = message.message.partition("  plan:\n")
        if is_plan:
            self._told.append((session, json.loads(plan), bool(message.context)))

    def take_statement(self, session: int, query: str) -> None:
        """A session sent a statement and has its answer."""
        self._sent.append((session, Statement(query)))


async def until_idle(pool: Pool) -> None:
    """Wait until no session of a pool is lent: what calls left to be done after their answers is done, such as giving back keys."""
    while pool.get_idle_size() < pool.get_size():  # noqa: ASYNC110  the pool tells nobody
        await asyncio.sleep(0)


async def _settle() -> None:
    for _ in range(3):  # what asyncpg tells is told in the loop's next rounds
        await asyncio.sleep(0)


@asynccontextmanager
async def watching(pool: Pool, *, is_planning: bool = True) -> AsyncIterator[Watch]:
    """Take down what all sessions of a pool send, for the length of the block; nobody may be using one at its ends."""
    async with _all_of(pool) as sessions:
        watch = Watch()
        undone: list[Callable[[], None]] = []
        for session in sessions:
            connection = session._con  # the one that is lent again and again
            if is_planning:
                await connection.execute(_SET.format(least=0))
            undone.append(_listen(watch, connection))
    try:
        yield watch
    finally:
        for undo in undone:
            undo()
        async with _all_of(pool) as sessions:
            for session in sessions:
                if is_planning:
                    await session.execute(_SET.format(least=-1))


@asynccontextmanager
async def _all_of(pool: Pool) -> AsyncIterator[list[Any]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(pool.acquire()) for _ in range(pool.get_max_size())]


def _listen(watch: Watch, connection: Any) -> Callable[[], None]:
    def take_plan(_: object, message: Any) -> None:
        watch.take_plan(id(connection), message)

    def take_statement(record: Any) -> None:
        watch.take_statement(id(connection), record.query)

    connection.add_log_listener(take_plan)
    connection.add_query_logger(take_statement)

    def undo() -> None:
        connection.remove_log_listener(take_plan)
        connection.remove_query_logger(take_statement)

    return undo
