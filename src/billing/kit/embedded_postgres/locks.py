"""Two flock files between the processes of one home; the system releases them when a process dies, however it dies.

start.lock   exclusive, while a process starts, joins, restarts or leaves the server
use.lock     shared, as long as a process uses the server; who gets it exclusively is alone
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from billing.kit.embedded_postgres.faults import DatabaseStartError
from billing.kit.embedded_postgres.folders import Folders
from billing.kit.embedded_postgres.processes import POLL_S

_WAIT_LIMIT_S = 120


@asynccontextmanager
async def starting(folders: Folders) -> AsyncGenerator[None]:
    """Holds start.lock, for which it waits at most two minutes."""
    descriptor = folders.open(folders.database / "start.lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            async with asyncio.timeout(_WAIT_LIMIT_S):
                while not _lock(descriptor, fcntl.LOCK_EX):  # noqa: ASYNC110  flock has no event
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise DatabaseStartError(
                f"another process has been starting or stopping the database under {folders.home} for {_WAIT_LIMIT_S} s"
            ) from error
        yield
    finally:
        os.close(descriptor)


class UseLock:
    """This process's share in the server. Call its methods under `starting` only."""

    def __init__(self, folders: Folders) -> None:
        self._descriptor = folders.open(folders.database / "use.lock", os.O_RDWR | os.O_CREAT)

    def is_alone(self) -> bool:
        """Whether no other process uses the server."""
        alone = _lock(self._descriptor, fcntl.LOCK_EX)
        fcntl.flock(
            self._descriptor, fcntl.LOCK_SH
        )  # never waits: nobody takes it exclusively but for an instant under start.lock
        return alone

    def release(self) -> None:
        """Ends the share."""
        os.close(self._descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
