"""A bad line to a database: a TCP proxy in front of its socket, which delays, swallows, cuts or resets when it is told to."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Fault = Literal["none", "slow", "silent", "half-open", "reset"]
_LINGER_NOT = struct.pack("ii", 1, 0)  # a close is a reset then


class BadLine:
    """Forwards from a free port; `fault` says how. Silent: nothing passes. Half-open: what is asked passes, no answer does."""

    def __init__(self, target: Path, *, delay_s: float = 2.0) -> None:
        self._target = str(target)
        self._delay_s = delay_s
        self._fault: Fault = "none"
        self._loop = asyncio.new_event_loop()
        self._healed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._loop.call_soon_threadsafe(self._set, fault)

    def _set(self, fault: Fault) -> None:
        self._fault = fault
        if fault == "none":
            self._healed.set()
        else:
            self._healed.clear()
        if fault == "reset":
            for writer in list(self._open):
                _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == "reset":
            _reset(writer)
            return
        self._open.add(writer)
        if self._fault == "silent":
            await self._healed.wait()
        up_reader, up_writer = await asyncio.open_unix_connection(self._target)
        self._open.add(up_writer)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(reader, up_writer, is_answer=False))
            both.create_task(self._pump(up_reader, writer, is_answer=True))
        self._open -= {writer, up_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(OSError):
            while part := await reader.read(65_536):
                if self._fault == "slow" and is_answer:
                    await asyncio.sleep(self._delay_s)
                if self._fault == "silent" or (self._fault == "half-open" and is_answer):
                    await self._healed.wait()
                writer.write(part)
                await writer.drain()
        writer.close()

    async def _run(self, started: threading.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        async with server:
            await server.serve_forever()

    @contextmanager
    def running(self) -> Iterator[BadLine]:
        """Forward for the length of the block."""
        started = threading.Event()

        def work() -> None:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._main(started))
            self._loop.run_until_complete(asyncio.sleep(0))  # what was cut is closed

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._cancel)
            thread.join(timeout=20)
            self._loop.close()

    async def _main(self, started: threading.Event) -> None:
        self._task = asyncio.current_task()
        await self._run(started)

    def _cancel(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()
