"""Work done together: who asks while work is under way is served by the next, with all others who came meanwhile.

Under load one statement serves many callers; a caller alone waits for nobody. Work begins after each of its callers came, so
that it sees what was committed before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import Context
from itertools import chain
from typing import Any, Generic, TypeVar

from billing.kit import patience

K = TypeVar("K")
V = TypeVar("V")

MOST = 1_000
_AGAIN_S = 0.005
_SOON_S = 0.25
_LATE_S = 0.01  # so long a lane may take before another is opened: together they would serve fewer callers each


class GatheredTimeout(TimeoutError):
    """Work that was done together took longer than it may: what it did is not known."""


class Later:
    """What the function says of a key for which nothing can be done now."""


async def get_soon(gathered: Gathered[K, V | Later], key: K) -> V | None:
    """What is given for a key, asked for again for a quarter of a second while it is said to be done later; then None."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _SOON_S
    while isinstance(given := await gathered.get(key), Later):
        if loop.time() > until_s:
            return None
        await asyncio.sleep(_AGAIN_S)
    return given


class Gathered(Generic[K, V]):
    """What a function gives for keys, many at once, by key; None for a key that it leaves out.

    Its error is that of all who wait for it, as is a GatheredTimeout; a call hears that one too when its patience ends. `lanes`
    of it may be under way at once: who comes while one takes long is served by another, but no two lanes work for one `owner`.
    """

    def __init__(
        self,
        do: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        *,
        limit_s: float,
        lanes: int = 1,
        owner: Callable[[K], Hashable] | None = None,
    ) -> None:
        self._do = do
        self._limit_s = limit_s
        self._lanes = lanes
        self._owner = owner
        self._owners: set[Hashable] = set()
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._watch = patience.Watch()
        self._at_work: set[asyncio.Task[None]] = set()
        self._begun = 0
        self._late: asyncio.TimerHandle | None = None

    async def get(self, key: K) -> V | None:
        """What the function gives for a key, or None."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._line_up(key).append(future)
        patient = patience.current()
        if patient is None:
            return await future
        wait, loop = _Wait(future), asyncio.get_running_loop()
        self._watch.add(wait, until_s=patient.begin(loop.time()))
        try:
            return await future
        finally:
            self._watch.discard(wait)
            patient.end(loop.time())

    def leave(self, key: K) -> None:
        """Have the function do something for a key that nobody waits for; an error of it is not heard."""
        self._line_up(key)

    def _line_up(self, key: K) -> list[asyncio.Future[V | None]]:
        waiting = self._waiting.setdefault(key, [])
        if not self._at_work:
            self._open_lane()
        elif self._late is None and len(self._at_work) < self._lanes:
            self._late = asyncio.get_running_loop().call_later(_LATE_S, self._look_after, self._begun)
        return waiting

    def _open_lane(self) -> None:
        task = asyncio.create_task(self._work_off(), context=Context())  # it is no single caller's
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    def _look_after(self, begun: int) -> None:
        """Open another lane when none has begun anything for a while; look again as long as somebody waits."""
        self._late = None
        if not self._waiting or len(self._at_work) >= self._lanes:
            return
        if self._begun == begun:
            self._open_lane()
        else:
            self._late = asyncio.get_running_loop().call_later(_LATE_S, self._look_after, self._begun)

    async def _work_off(self) -> None:
        asked: Mapping[K, list[asyncio.Future[V | None]]] = {}
        try:
            while asked := self._take():
                await self._answer(asked)
        finally:
            if task := asyncio.current_task():
                self._at_work.discard(task)  # at once: who comes next must find it gone
            is_ending = not self._at_work
            for future in chain(*asked.values(), *(self._waiting.values() if is_ending else ())):
                future.cancel()  # there are some only when the program ends

    def _take(self) -> dict[K, list[asyncio.Future[V | None]]]:
        """Who is served next: all who wait but those whose owner another lane works for."""
        keys = list(self._waiting)
        if self._owner is not None and self._owners:
            keys = [key for key in keys if self._owner(key) not in self._owners]
        return {key: self._waiting.pop(key) for key in keys[:MOST]}

    async def _answer(self, asked: Mapping[K, list[asyncio.Future[V | None]]]) -> None:
        self._begun += 1
        given: Mapping[K, V] = {}
        failure: BaseException | None = None
        owners = {self._owner(key) for key in asked} if self._owner is not None else set[Hashable]()
        self._owners |= owners
        try:
            async with asyncio.timeout(self._limit_s):
                given = await self._do(list(asked))
        except TimeoutError:
            failure = GatheredTimeout()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # whatever it was, its callers hear of it
            failure = error
        finally:
            self._owners -= owners
        for key, futures in asked.items():
            for future in futures:
                if future.done():  # its caller is gone
                    continue
                if failure is None:
                    future.set_result(given.get(key))
                else:
                    future.set_exception(failure)


class _Wait:
    """Of a call that has a patience of its own."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future

    def give_up(self) -> None:
        """What was asked goes on without the call."""
        if not self._future.done():
            self._future.set_exception(GatheredTimeout())
