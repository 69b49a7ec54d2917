"""Stopping in order: a first signal ends what runs, and what ends has a limit."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def on_signals() -> Iterator[None]:
    """Leave the block without an error at the first SIGTERM or SIGINT; more of them change nothing."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if not received:
            task.cancel()
        received.append(number)

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    except asyncio.CancelledError:
        if not received:
            raise
        task.uncancel()
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def finish(task: asyncio.Task[None], *, limit_s: float) -> None:
    """Wait for a task that was told to end; after the limit it is cancelled. Its failure was reported elsewhere."""
    done, _ = await asyncio.wait([task], timeout=limit_s)
    if not done:
        task.cancel()
        await asyncio.wait([task], timeout=limit_s)
