"""A write: one transaction, one answer, once per Idempotency-Key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from billing.core.errors import (
    BillingError,
    IdempotencyInProgress,
    IdempotencyKeyRequired,
    Unavailable,
)
from billing.kit import audit, idempotency
from billing.kit.db import Database, Tx
from billing.kit.web.answers import Answer
from billing.kit.web.errors import answer_of_error

if TYPE_CHECKING:
    from billing.kit.held_keys import HeldKeys
    from billing.kit.idempotency import Attempt, Kept
    from billing.kit.web.turnstile import Turnstile

T = TypeVar("T")
Intent = dict[str, Any]
Work = Callable[[Tx], Awaitable[T]]

TRIES = 5
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.InvalidCachedStatementError)


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


@dataclass(frozen=True, slots=True)
class Keeping(Generic[T]):
    """The key of a staged call, if it carries one, and how its answer is shown: for who keeps intent and answer himself."""

    attempt: Attempt | None
    _shape: _Shape[T]

    def answer_of(self, result: T) -> Answer:
        """The answer to give, and to keep under the key."""
        return self._shape.answer(result)


Together = Callable[[Keeping[T]], Awaitable[Intent | None]]


class Command:
    """What a handler that writes runs its work with."""

    def __init__(
        self,
        database: Database,
        *,
        held_keys: HeldKeys,
        outward: Turnstile,
        key: str | None,
        make_attempt: Callable[[str], Attempt],
        make_action: Callable[[str | None], audit.Action] | None,
        base_path: str,
        ip: str,
        request_id: str,
    ) -> None:
        self._database = database
        self._held_keys = held_keys
        self._outward = outward
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
        The work is done again, up to 5 times in all, when PostgreSQL gives up for a deadlock or a serialization failure, or
        a migration has changed what the session's plans are made for.
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

        if attempt is None:
            return await self._transact(once)
        async with self._held_keys.hold(attempt) as held:
            answer = await self._transact(once) if held.kept is None else _replay(held.kept)
            held.is_answered = True
            return answer

    async def run_staged(
        self,
        *,
        start: Work[Intent],
        finish: Callable[[Intent], Awaitable[T | Answer]],
        together: Together[T] | None = None,
        status: int = 201,
        location: Callable[[T], str] | None = None,
        stored: Callable[[T], object] | None = None,
    ) -> Answer:
        """Commit the intent that `start` returns, then let `finish` call the outside world and make the answer.

        `finish` opens its own transactions and must bear being called again with the same intent: a retry does so when
        the first call died, or ended in Unavailable or an unexpected error. Any other error is an answer, and replayed.
        `together` may commit the intent, and keep it for the attempt it is given, in a transaction that other calls share; when
        it gives None it has done nothing. A `finish` that gives an Answer has kept it for that attempt, beside its effect. The
        audit trail holds the intent: its record has no status. Raises Unavailable when too many calls wait for the outside
        world already.
        """
        if not (self._outward.take() or await self._outward.wait()):
            raise Unavailable("Too many calls wait for a gateway; try again soon")
        try:
            return await self._stage(start, finish, together, _Shape(status, self._base_path, location, stored))
        finally:
            self._outward.leave()

    async def _stage(
        self,
        start: Work[Intent],
        finish: Callable[[Intent], Awaitable[T | Answer]],
        together: Together[T] | None,
        shape: _Shape[T],
    ) -> Answer:
        if self._key is None:
            result = await finish(await self._commit_intent(start, together, Keeping(None, shape)))
            return result if isinstance(result, Answer) else shape.answer(result)
        attempt = self._make_attempt(self._key)
        async with self._held_keys.hold(attempt) as held:
            if held.kept is not None and held.kept.status is not None:
                held.is_answered = True
                return _replay(held.kept)
            intent = None if held.kept is None else held.kept.intent
            if intent is None:
                intent = await self._commit_intent(start, together, Keeping(attempt, shape))
            answer, held.answer = await self._finish(finish, intent, shape)
            held.is_answered = held.answer is None
            return answer

    async def _commit_intent(self, start: Work[Intent], together: Together[T] | None, keeping: Keeping[T]) -> Intent:
        if together is not None and self._make_action is None and (intent := await together(keeping)) is not None:
            return intent

        async def once(tx: Tx) -> Intent:
            intent = await start(tx)
            if keeping.attempt is not None:
                await idempotency.insert_intents(tx.connection, [(keeping.attempt, intent)], now=tx.now)
            await self._audit(tx, None)
            return intent

        return await self._transact(once)

    async def _audit(self, tx: Tx, answer: Answer | None) -> None:
        """The last of a transaction: the head of the audit trail is locked from here to the commit."""
        if self._make_action is None:
            return
        action = self._make_action(None if answer is None else answer.headers.get("Location"))
        if self._account_id is not None:
            action = replace(action, account_id=self._account_id)
        await audit.write(tx, action, status=None if answer is None else answer.status)

    async def _finish(
        self, finish: Callable[[Intent], Awaitable[T | Answer]], intent: Intent, shape: _Shape[T]
    ) -> tuple[Answer, Answer | None]:
        """What is said now, and what is yet to be kept for a retry."""
        try:
            result = await finish(intent)
        except Unavailable:
            raise
        except BillingError as error:
            answer = answer_of_error(error, request_id=self.request_id)
            return answer, answer
        if isinstance(result, Answer):
            return result, None
        answer = shape.answer(result)
        return answer, shape.kept(result, answer)

    async def _transact(self, work: Work[T]) -> T:
        for tries_left in reversed(range(TRIES)):
            try:
                async with self._database.transaction() as tx:
                    return await work(tx)
            except _AGAIN:
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")


def _replay(kept: Kept) -> Answer:
    if kept.status is None:
        raise IdempotencyInProgress
    return Answer(status=kept.status, body=kept.body, headers={**kept.headers, "Idempotent-Replayed": "true"})
