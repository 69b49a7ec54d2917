"""How long a call waits for its database in all: for a session, for its statements, and for what is done together with others.

The edge says it for a call, and whoever waits asks here; who is no call, a job or a command, waits as long as it takes. What a
call waits for otherwise, its body or a gateway, uses none of it up.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, Token
from typing import Protocol

_LOOKS_EVERY_S = 0.05


class Patience:
    """What a call has left. Waits within a wait, as for a second session, count once."""

    __slots__ = ("_depth", "_left_s", "_since_s")

    def __init__(self, left_s: float) -> None:
        self._left_s = left_s
        self._depth = 0
        self._since_s = 0.0

    def begin(self, now_s: float) -> float:
        """Begin to wait at a time of the event loop; the time by which it has to end."""
        if self._depth == 0:
            self._since_s = now_s
        self._depth += 1
        return self._since_s + self._left_s

    def end(self, now_s: float) -> None:
        """End it."""
        self._depth -= 1
        if self._depth == 0:
            self._left_s -= now_s - self._since_s


_OF_CALL: ContextVar[Patience | None] = ContextVar("patience", default=None)


def current() -> Patience | None:
    """The patience of the call under way, or None where nobody waits for an answer."""
    return _OF_CALL.get()


class within:  # noqa: N801  read as a word: `with within(2.5):`
    """Let the block wait for the database for so long in all; None: as long as it takes."""

    __slots__ = ("_limit_s", "_token")

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._token: Token[Patience | None] | None = None

    def __enter__(self) -> None:
        self._token = _OF_CALL.set(None if self._limit_s is None else Patience(self._limit_s))

    def __exit__(self, *_: object) -> None:
        assert self._token is not None
        _OF_CALL.reset(self._token)


class Wait(Protocol):
    """Something that may last too long."""

    def give_up(self) -> None:
        """End it."""
        ...


class Watch:
    """Ends waits whose time is over: one timer for all, for one of its own would cost each more than it does itself."""

    __slots__ = ("_timer", "_until_s")

    def __init__(self) -> None:
        self._until_s: dict[Wait, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, wait: Wait, *, until_s: float) -> None:
        """Watch a wait, which ends by a time of the event loop, or up to 50 ms later."""
        self._until_s[wait] = until_s
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOKS_EVERY_S, self._look)

    def discard(self, wait: Wait) -> None:
        """It is over."""
        self._until_s.pop(wait, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for wait in [wait for wait, until_s in self._until_s.items() if until_s <= now_s]:
            del self._until_s[wait]
            wait.give_up()
        self._timer = loop.call_later(_LOOKS_EVERY_S, self._look) if self._until_s else None
