"""A write: one transaction, one answer, once per Idempotency-Key."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from billing.core.errors import (
    BillingError,
    IdempotencyInProgress,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    Unavailable,
)
from billing.kit import audit, idempotency
from billing.kit.db import Database, Tx
from billing.kit.web.answers import Answer
from billing.kit.web.errors import answer_of_error

if TYPE_CHECKING:
    from billing.kit.db import Connection
    from billing.kit.idempotency import Attempt, Kept

T = TypeVar("T")
Intent = dict[str, Any]
Work = Callable[[Tx], Awaitable[T]]

TRIES = 5
ACQUIRE_TIMEOUT_S = 5
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class Slots:
    """How many requests may hold a lock's connection while they wait for the outside world, and need a second one then.

    Half of the pool: however many come, the other half is there to finish with.
    """

    def __init__(self, database: Database) -> None:
        size = database.pool.get_max_size()
        if size < 2:
            raise ValueError("the pool needs at least 2 connections")
        self._free = asyncio.Semaphore(size // 2)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a slot. Raises Unavailable when none becomes free in time."""
        try:
            await asyncio.wait_for(self._free.acquire(), ACQUIRE_TIMEOUT_S)
        except TimeoutError:
            raise Unavailable from None
        try:
            yield
        finally:
            self._free.release()


@dataclass(frozen=True, slots=True)
class _Shape(Generic[T]):
    """How what the work returns is shown: now, and when it is replayed."""

    status: int
    base_path: str
    location: Callable[[T], str] | None
    stored: Callable[[T], object] | None

    def answer(self, result: T) -> Answer:
        headers = {} if self.location is None else {"Location": f"{self.base_path}{self.location(result)}"}
        return Answer.of(result, status=self.status, headers=headers)

    def kept(self, result: T, answer: Answer) -> Answer:
        return (
            answer
            if self.stored is None
            else Answer.of(self.stored(result), status=self.status, headers=answer.headers)
        )


class Command:
    """What a handler that writes runs its work with."""

    def __init__(
        self,
        database: Database,
        *,
        slots: Slots,
        key: str | None,
        make_attempt: Callable[[str], Attempt],
        make_action: Callable[[str | None], audit.Action] | None,
        base_path: str,
        ip: str,
        request_id: str,
    ) -> None:
        self._database = database
        self._slots = slots
        self._key = key
        self._make_attempt = make_attempt
        self._make_action = make_action
        self._account_id: UUID | None = None
        self._base_path = base_path
        self.ip = ip
        self.request_id = request_id

    @property
    def is_keyed(self) -> bool:
        """Whether the call carries an Idempotency-Key."""
        return self._key is not None

    def require_key(self) -> None:
        """Refuse the call unless it carries an Idempotency-Key. Raises IdempotencyKeyRequired."""
        if self._key is None:
            raise IdempotencyKeyRequired

    def concerns(self, account_id: UUID) -> None:
        """Say whose object the work changes, for the audit trail, where neither path, body nor Location names the account."""
        self._account_id = account_id

    async def run(
        self,
        work: Work[T],
        *,
        status: int = 200,
        location: Callable[[T], str] | None = None,
        stored: Callable[[T], object] | None = None,
    ) -> Answer:
        """Do the work in one transaction and answer with what it returns.

        `location` makes the Location header, a path below the API's base. `stored` makes what a replay shows instead of
        the answer (a key's secret is shown once). An error rolls everything back and leaves the Idempotency-Key unused.
        The work is done again, up to 5 times in all, when PostgreSQL gives up for a deadlock or a serialization failure.
        """
        shape = _Shape(status, self._base_path, location, stored)
        attempt = None if self._key is None else self._make_attempt(self._key)

        async def once(tx: Tx) -> Answer:
            result = await work(tx)
            answer = shape.answer(result)
            if attempt is not None:
                kept = shape.kept(result, answer)
                inserted = await idempotency.insert_answer(
                    tx.connection, attempt=attempt, status=kept.status, body=kept.body, headers=kept.headers, now=tx.now
                )
                if not inserted:
                    raise IdempotencyInProgress
            await self._audit(tx, answer)
            return answer

        async with self._database.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            if attempt is None:
                return await self._transact(connection, once)
            async with _locked(connection, attempt) as earlier:
                if earlier is None:
                    return await self._transact(connection, once)
                return _replay(earlier)

    async def run_staged(
        self,
        *,
        start: Work[Intent],
        finish: Callable[[Intent], Awaitable[T]],
        status: int = 201,
        location: Callable[[T], str] | None = None,
        stored: Callable[[T], object] | None = None,
    ) -> Answer:
        """Commit the intent that `start` returns, then let `finish` call the outside world and make the answer.

        `finish` opens its own transactions and must bear being called again with the same intent: a retry does so when
        the first call died, or ended in Unavailable or an unexpected error. Any other error is an answer, and replayed.
        The audit trail holds the intent: its record has no status.
        """
        shape = _Shape(status, self._base_path, location, stored)
        if self._key is None:
            async with self._database.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                intent = await self._transact(connection, self._audited(start))
            return shape.answer(await finish(intent))
        attempt = self._make_attempt(self._key)
        async with (
            self._slots.one(),
            self._database.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection,
            _locked(connection, attempt) as earlier,
        ):
            if earlier is not None and earlier.status is not None:
                return _replay(earlier)
            intent = earlier.intent if earlier is not None else None
            if intent is None:
                intent = await self._commit_intent(connection, start, attempt)
            return await self._finish(connection, finish, intent, shape, attempt)

    async def _commit_intent(self, connection: Connection, start: Work[Intent], attempt: Attempt) -> Intent:
        async def once(tx: Tx) -> Intent:
            intent = await start(tx)
            if not await idempotency.insert_intent(connection, attempt=attempt, intent=intent, now=tx.now):
                raise IdempotencyInProgress
            return intent

        return await self._transact(connection, self._audited(once))

    def _audited(self, start: Work[Intent]) -> Work[Intent]:
        async def work(tx: Tx) -> Intent:
            intent = await start(tx)
            await self._audit(tx, None)
            return intent

        return work

    async def _audit(self, tx: Tx, answer: Answer | None) -> None:
        """The last of a transaction: the head of the audit trail is locked from here to the commit."""
        if self._make_action is None:
            return
        action = self._make_action(None if answer is None else answer.headers.get("Location"))
        if self._account_id is not None:
            action = replace(action, account_id=self._account_id)
        await audit.write(tx, action, status=None if answer is None else answer.status)

    async def _finish(
        self,
        connection: Connection,
        finish: Callable[[Intent], Awaitable[T]],
        intent: Intent,
        shape: _Shape[T],
        attempt: Attempt,
    ) -> Answer:
        try:
            result = await finish(intent)
        except Unavailable:
            raise
        except BillingError as error:
            answer = kept = answer_of_error(error, request_id=self.request_id)
        else:
            answer = shape.answer(result)
            kept = shape.kept(result, answer)
        await idempotency.update_answer(
            connection, attempt=attempt, status=kept.status, body=kept.body, headers=kept.headers
        )
        return answer

    async def _transact(self, connection: Connection, work: Work[T]) -> T:
        for tries_left in reversed(range(TRIES)):
            try:
                async with connection.transaction():
                    return await work(Tx(connection, self._database.clock(), self._database.random_bits))
            except _AGAIN:
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")


@asynccontextmanager
async def _locked(connection: Connection, attempt: Attempt) -> AsyncIterator[Kept | None]:
    """Hold a key's lock and see what is kept under it.

    Raises IdempotencyKeyReused for another request's key, IdempotencyInProgress while a request with it is running.
    """
    is_locked = await idempotency.try_lock(connection, attempt=attempt)
    try:
        earlier = await idempotency.find(connection, attempt=attempt)
        if earlier is not None and earlier.fingerprint != attempt.fingerprint:
            raise IdempotencyKeyReused
        if not is_locked and (earlier is None or earlier.status is None):
            raise IdempotencyInProgress
        yield earlier
    finally:
        if is_locked:
            with contextlib.suppress(*_LOST):  # what cannot be unlocked goes with its connection
                await idempotency.unlock(connection, attempt=attempt)


def _replay(kept: Kept) -> Answer:
    if kept.status is None:
        raise IdempotencyInProgress
    return Answer(status=kept.status, body=kept.body, headers={**kept.headers, "Idempotent-Replayed": "true"})
