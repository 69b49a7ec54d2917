"""So many calls under way at once; who comes beyond waits in line for a while, and is turned away then.

A call in line costs next to nothing, and who is turned away had to wait first: callers who come again at once, however many they
are, so leave the time of the process to the calls that it serves.
"""

from __future__ import annotations

import asyncio
from collections import deque

# Half of what a good answer may take. After half a second callers came again so often that a slow machine lost a quarter.
WAIT_S = 1.0


class Turnstile:
    """Places for calls, and the line of those that wait for one."""

    def __init__(self, most: int, *, wait_s: float = WAIT_S) -> None:
        self._free = most
        self._wait_s = wait_s
        self._line: deque[tuple[float, asyncio.Future[bool]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_line(self) -> int:
        """How many wait."""
        return len(self._line)

    def take(self) -> bool:
        """Take a place, if one is free."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def wait(self) -> bool:
        """Stand in line for a place; whether it came in time."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        until_s = loop.time() + self._wait_s
        self._line.append((until_s, waiting))
        if self._timer is None:
            self._timer = loop.call_at(until_s, self._end_waits)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.result():
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back: the next in line has it."""
        while self._line:
            _, waiting = self._line.popleft()
            if not waiting.done():
                waiting.set_result(True)
                return
        self._free += 1

    def _end_waits(self) -> None:
        """One timer for all: each may wait equally long, so that the first in line is the first to give up."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        while self._line and self._line[0][0] <= now_s:
            _, waiting = self._line.popleft()
            if not waiting.done():
                waiting.set_result(False)
        self._timer = loop.call_at(self._line[0][0], self._end_waits) if self._line else None
