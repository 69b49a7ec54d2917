"""Look-ups made together: who asks while one is under way is asked for in the next, with all others who came meanwhile.

Under load a statement serves many callers; a caller alone waits for nobody. A look-up begins after each of its callers came,
so that it sees what was committed before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from itertools import chain, islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 1_000


class LookUpTimeout(TimeoutError):
    """A look-up took longer than it may."""


class Gathered(Generic[K, V]):
    """Values by key, of a function that looks up many. Its error is that of all who wait for it, as is a LookUpTimeout."""

    def __init__(self, look_up: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, limit_s: float) -> None:
        self._look_up = look_up
        self._limit_s = limit_s
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._work: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """The value of a key, or None."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._work is None:
            self._work = asyncio.create_task(self._work_off(), context=Context())  # it is no single caller's
        return await future

    async def _work_off(self) -> None:
        asked: Mapping[K, list[asyncio.Future[V | None]]] = {}
        try:
            while self._waiting:
                asked = {key: self._waiting.pop(key) for key in list(islice(self._waiting, MOST))}
                await self._answer(asked)
        finally:
            self._work = None
            for future in chain(*asked.values(), *self._waiting.values()):  # there are some only when the program ends
                future.cancel()

    async def _answer(self, asked: Mapping[K, list[asyncio.Future[V | None]]]) -> None:
        found: Mapping[K, V] = {}
        failure: BaseException | None = None
        try:
            async with asyncio.timeout(self._limit_s):
                found = await self._look_up(list(asked))
        except TimeoutError:
            failure = LookUpTimeout()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # whatever it was, its callers hear of it
            failure = error
        for key, futures in asked.items():
            for future in futures:
                if future.done():  # its caller is gone
                    continue
                if failure is None:
                    future.set_result(found.get(key))
                else:
                    future.set_exception(failure)
