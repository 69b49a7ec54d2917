"""The Idempotency-Keys of calls under way in this process: locked, answered and given back together, on one session.

A staged call that waits for the outside world so holds no session meanwhile. The session is lent while any key is held. If it ends,
its locks end with it: a retry may go on from an intent beside the call that made it, and both do what bears being done twice; of
two that began at once, the table's key lets one commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from billing.core.errors import IdempotencyInProgress, IdempotencyKeyReused
from billing.kit import idempotency
from billing.kit.gathering import Gathered
from billing.kit.sessions import is_open

if TYPE_CHECKING:
    from billing.kit.db import Connection, Database
    from billing.kit.idempotency import Attempt, Kept, KeptAnswer

_LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@dataclass(slots=True, eq=False)
class HeldKey:
    """A call's key: what was kept under it, and the answer to keep when the call ends, unless its answer is kept already."""

    attempt: Attempt
    kept: Kept | None = None
    answer: KeptAnswer | None = None
    is_answered: bool = False
    is_mine: bool = False

    def require_usable(self) -> None:
        """Raise IdempotencyKeyReused for another request's key, IdempotencyInProgress while a request with it is running."""
        if self.kept is not None and self.kept.fingerprint != self.attempt.fingerprint:
            raise IdempotencyKeyReused
        if not self.is_mine and (self.kept is None or self.kept.status is None):
            raise IdempotencyInProgress


@dataclass(frozen=True, slots=True, eq=False)
class _Taking:
    held: HeldKey


@dataclass(frozen=True, slots=True, eq=False)
class _Ending:
    held: HeldKey


class HeldKeys:
    """Takes keys for calls, keeps their answers and gives the keys back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns: Gathered[_Taking | _Ending, None] = Gathered(self._do, limit_s=2 * database.wait_s)
        self._locked: dict[int, HeldKey] = {}
        self._session: Connection | None = None
        self._lease = AsyncExitStack()
        self._late: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def hold(self, attempt: Attempt) -> AsyncIterator[HeldKey]:
        """Hold a key for the block; its answer, if the block sets one, is kept before the lock is given back.

        A call whose answer is kept already does not wait until the lock is given back: a retry is answered beside it.

        Raises IdempotencyKeyReused, IdempotencyInProgress, and what keeps the session from being used.
        """
        held = HeldKey(attempt)
        try:
            await self._turns.get(_Taking(held))
            held.require_usable()
            yield held
        except asyncio.CancelledError:
            task = asyncio.create_task(self._end(held))  # whatever turn it was waiting for
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            raise
        except BaseException:
            await self._end(held)
            raise
        if held.is_answered:
            self._turns.leave(_Ending(held))
        else:
            await self._turns.get(_Ending(held))

    async def _end(self, held: HeldKey) -> None:
        with suppress(*_LOST):  # what cannot be given back has gone with its session
            await self._turns.get(_Ending(held))

    async def _do(self, turns: Sequence[_Taking | _Ending]) -> dict[_Taking | _Ending, None]:
        """Answers first, for a lock is given back after its answer is kept."""
        try:
            session = await self._get_session()
            answers = [
                (turn.held.attempt, turn.held.answer)
                for turn in turns
                if isinstance(turn, _Ending) and turn.held.answer is not None
            ]
            if answers:
                await idempotency.update_answers(session, answers)
            await self._change_locks(session, turns)
        except BaseException:
            await self._lose_session()
            raise
        if not self._locked:
            await self._give_session_back()
        return {}

    async def _change_locks(self, session: Connection, turns: Sequence[_Taking | _Ending]) -> None:
        """In their order. PostgreSQL would give a lock to its session again, so that two calls of ours are told apart here."""
        taken: dict[HeldKey, bool] = {}
        given_back: list[int] = []
        for turn in turns:
            held, lock_id = turn.held, turn.held.attempt.lock_id
            if isinstance(turn, _Taking):
                taken[held] = self._locked.setdefault(lock_id, held) is held
            elif self._locked.get(lock_id) is held:
                del self._locked[lock_id]
                if taken.pop(held, None) is None:  # else it is neither taken nor given back
                    given_back.append(lock_id)
        if not (taken or given_back):
            return
        found = await idempotency.hold(
            session,
            [(held.attempt, is_lock_wanted) for held, is_lock_wanted in taken.items()],
            given_back=given_back,
        )
        for held, (held.is_mine, held.kept) in zip(taken, found, strict=True):
            if taken[held] and not held.is_mine:
                del self._locked[held.attempt.lock_id]

    async def _get_session(self) -> Connection:
        if self._session is None or not is_open(self._session):
            await self._lose_session()
            self._session = await self._lease.enter_async_context(
                self._database.pool.acquire(timeout=self._database.wait_s)
            )
        return self._session

    async def _give_session_back(self) -> None:
        self._session = None
        await self._lease.aclose()

    async def _lose_session(self) -> None:
        if self._session is not None and is_open(self._session):
            self._session.terminate()
        self._locked.clear()
        await self._give_session_back()
