"""A pool whose sessions stay at hand between uses: nothing waits, no timer is set and no task made to lend an idle one.

asyncpg's pool opens, watches and ends them. A session that was used to the end of its block without an error is lent again as
it is, so what is left behind on it is its block's affair (`db.Session`); any other goes back through asyncpg, which rolls back
what was left open, waits for what was cancelled, and ends it if it must.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import asyncpg

from billing.kit import patience

if TYPE_CHECKING:
    from types import TracebackType

    from asyncpg.pool import PoolConnectionProxy

    Lent = PoolConnectionProxy[asyncpg.Record]
    _Pool = asyncpg.Pool[asyncpg.Record]
else:
    _Pool = asyncpg.Pool  # it takes no parameter at run time

_IN_LINE = 0.8  # of what a call has left: one that got a session late would have to give it up in its middle
_LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class NoSession(OSError):
    """No session came free in the time that the caller has, or none could be opened: the cause says why."""


class NoAnswer(OSError):
    """The session ended under its user, or the database did not answer in the time that the call has: whether it did what it was
    asked last is not known.
    """


OUT_OF_REACH = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # a lock that cannot be had, also on a standby
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process stood still
    asyncpg.TransactionTimeoutError,
    asyncpg.InvalidCachedStatementError,  # a migration went by
    asyncpg.PostgresSystemError,
    asyncpg.InternalClientError,  # what the driver says when the server dies under a statement
    NoSession,
    NoAnswer,
)
"""What a caller did not bring about, and who comes again may be spared: the database is away, busy, or takes no writes."""


class SessionPool(_Pool):
    """Sessions, lent one at a time; who finds none waits in line."""

    def __init__(self, dsn: str, **settings: Any) -> None:
        super().__init__(dsn, **settings)
        self._kept: list[Lent] = []
        self._taken = 0  # from asyncpg: lent ones and kept ones
        self._line: deque[_Place] = deque()
        self.watch = patience.Watch()

    def acquire(self, *, timeout: float | None = None) -> _Lease:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Borrow a session, by `await` or for an `async with` block. Raises NoSession after `timeout` seconds."""
        return _Lease(self, timeout)

    async def release(self, connection: Lent, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 asyncpg's name
        """Give a session back through asyncpg."""
        try:
            await super().release(connection, timeout=timeout)
        finally:
            self._untake()

    async def close(self) -> None:
        """End all sessions, as soon as they are back."""
        while self._kept:
            await self.release(self._kept.pop())
        await super().close()

    def get_idle_size(self) -> int:
        """How many sessions wait for work."""
        return super().get_idle_size() + len(self._kept)

    async def borrow(self, timeout_s: float | None) -> Lent:
        """A session: one that is at hand, else a new one while there may be more, else the next that comes back."""
        while self._kept and not self._line:
            session = self._kept.pop()
            if is_open(session):
                return session
            await self.release(session)
        until_s = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        while self._taken >= self.get_max_size():
            session = await self._wait_in_line(until_s)
            if session is not None and is_open(session):
                return session
            if session is not None:
                await self.release(session)
        return await self._open(until_s)

    def bring_back(self, session: Lent) -> bool:
        """Hand a session that was used without an error to the next in line, or keep it; False if it must be released."""
        if self.is_closing() or not is_open(session) or session.is_in_transaction():
            return False
        while self._line:
            place = self._line.popleft()
            if not place.turn.done():
                place.turn.set_result(session)
                return True
        self._kept.append(session)
        return True

    async def _open(self, until_s: float | None) -> Lent:
        self._taken += 1
        try:
            async with asyncio.timeout_at(until_s):
                return await super().acquire()
        except (asyncpg.PostgresError, OSError) as error:  # of the server, as long as there is no session
            self._untake()
            raise NoSession from error
        except BaseException:
            self._untake()
            raise

    async def _wait_in_line(self, until_s: float | None) -> Lent | None:
        """The session that somebody brings back, or None when another may be opened."""
        place = _Place(asyncio.get_running_loop().create_future())
        self._line.append(place)
        if until_s is not None:
            self.watch.add(place, until_s=until_s)
        try:
            return await place.turn
        except asyncio.CancelledError:
            if place.turn.done() and not place.turn.cancelled() and place.turn.exception() is None:
                session = place.turn.result()
                if session is None:
                    self._wake_one()
                elif not self.bring_back(session):
                    await self.release(session)
            raise
        finally:
            self.watch.discard(place)

    def _untake(self) -> None:
        self._taken -= 1
        self._wake_one()

    def _wake_one(self) -> None:
        while self._line:
            place = self._line.popleft()
            if not place.turn.done():
                place.turn.set_result(None)
                return


class _Place:
    """One in line."""

    __slots__ = ("turn",)

    def __init__(self, turn: asyncio.Future[Lent | None]) -> None:
        self.turn = turn

    def give_up(self) -> None:
        """Go without a session."""
        if not self.turn.done():
            self.turn.set_exception(NoSession())


class _Lease:
    """A session for the length of a block, or for good when awaited. A call's ends, with its session, when its patience does."""

    __slots__ = ("_is_late", "_patience", "_pool", "_session", "_timeout_s")

    def __init__(self, pool: SessionPool, timeout_s: float | None) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._session: Lent | None = None
        self._patience = patience.current()
        self._is_late = False

    async def __aenter__(self) -> Lent:
        if self._patience is None:
            self._session = await self._pool.borrow(self._timeout_s)
            return self._session
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        until_s = self._patience.begin(now_s)
        try:
            if until_s <= now_s:
                raise NoSession
            self._session = await self._pool.borrow(_least(self._timeout_s, (until_s - now_s) * _IN_LINE))
        except BaseException:
            self._patience.end(loop.time())
            raise
        self._pool.watch.add(self, until_s=until_s)
        return self._session

    def give_up(self) -> None:
        """Whoever waits on the session hears that it is closed; the server ends what it still does for it."""
        assert self._session is not None
        self._is_late = True
        with contextlib.suppress(asyncpg.InterfaceError):  # it ended meanwhile
            self._session.terminate()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        assert session is not None
        if self._patience is not None:
            self._pool.watch.discard(self)
            self._patience.end(asyncio.get_running_loop().time())
        is_lost = _is_of_loss(error) and (self._is_late or not is_open(session))
        if isinstance(error, asyncio.CancelledError):
            session.terminate()  # a silent line would answer neither what is asked nor that it is not wanted any more
        if error is not None or not self._pool.bring_back(session):
            await self._pool.release(session)
        if is_lost:
            raise NoAnswer from error

    def __await__(self) -> Generator[Any, None, Lent]:
        return self._pool.borrow(self._timeout_s).__await__()


def _is_of_loss(error: BaseException | None) -> bool:
    """Whether an error may come of the session's end. Between a statement's plan and its run the driver stumbles over None."""
    if isinstance(error, AttributeError):
        raised_in = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        return raised_in[-1].startswith("asyncpg.")
    return isinstance(error, _LOST)


def _least(timeout_s: float | None, left_s: float) -> float:
    return left_s if timeout_s is None else min(timeout_s, left_s)


def is_open(session: Lent | asyncpg.Connection[asyncpg.Record]) -> bool:
    """Whether a session that was kept still lives; asyncpg lets go of one that it saw end."""
    try:
        return not session.is_closed()
    except asyncpg.InterfaceError:
        return False
