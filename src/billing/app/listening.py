"""Listeners: ports taken early, served by Granian in this process, left in order.

Who stops under load loses no call: no connection is begun any more, answers end those that are kept, and when none comes the
server stops. A connection that is begun then is refused before anything was sent.

A listener holds so many connections at once; others wait with the system until one ends, and cost this process nothing. One that
brings no call for 30 s is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import resource
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # pyright: ignore[reportPrivateImportUsage]  # its place is not
from granian.server.embed import Server

from billing.app import stopping
from billing.app.faults import CommandError

if TYPE_CHECKING:
    from billing.app.metrics import Served

_BACKLOG = 1024
_HEADERS_MAX_BYTES = 32 * 1024
"""Of the first line and all headers of a call together, which are read in growing parts: beyond it, and at twice as many for sure,
the answer is 431."""
_OTHER_FILES = 256
"""That a process has open beside its connections: to the database, gateways and receivers of webhooks."""
_STOP_LIMIT_S = 10.0
_QUIET_S = 0.05  # so long no call has come: none is on its way
_DRAIN_LIMIT_S = 2.0
_PROBE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_PROBE_LIMIT_S = 10.0

_log = structlog.get_logger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """A TCP port of ours, not listening yet; 0 takes a free one. Raises CommandError when it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CommandError(f"cannot listen on {host}: {error.strerror or error}") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"port {port} on {host} is in use: stop what listens there, or choose another with --port"
            ) from error
        raise CommandError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return bound


def allow_files(connections_max: int, *, listeners: int) -> int:
    """Let the process open a file for each connection of its listeners. Returns how many each may have, fewer where it must."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = listeners * connections_max + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections_max
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    possible = max(1, (allowed - _OTHER_FILES) // listeners)
    if possible < connections_max:
        _log.warning("few_connections", possible=possible, wanted=connections_max)
    return min(possible, connections_max)


@dataclass(slots=True)
class _Calls:
    """An application whose calls are counted, so that it can be left when none is under way."""

    app: Served
    under_way: int = 0
    last_at: float = 0.0
    is_ending: bool = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.under_way += 1
        try:
            await self.app(scope, receive, self._ending(send) if self.is_ending else send)
        finally:
            self.under_way -= 1
            self.last_at = time.monotonic()

    async def drain(self, bound: socket.socket) -> None:
        """Let connections come to their end, for 2 s at most."""
        self.is_ending = True
        _refuse_connections(bound)
        begun_at = self.last_at = time.monotonic()
        while (now := time.monotonic()) < begun_at + _DRAIN_LIMIT_S:
            if not self.under_way and now >= self.last_at + _QUIET_S:
                return
            await asyncio.sleep(_QUIET_S / 5)

    def _ending(self, send: Any) -> Any:
        async def send_and_close(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        return send_and_close


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


_SO_ATTACH_FILTER = 26  # of Linux
# Load the flags of the TCP header, keep SYN and ACK of them; a lone SYN is dropped, all else is let through.
_NO_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0x40000))


def _refuse_connections(bound: socket.socket) -> None:
    """Begin no connection any more, and still take those that have begun: closing the socket would cut them off.

    Whoever tries hears of it when the socket is closed. Elsewhere than on Linux nothing is done, and some are cut off.
    """
    instructions = (_Instruction * len(_NO_SYN))(*_NO_SYN)
    program = _Program(len(_NO_SYN), instructions)
    with contextlib.suppress(OSError):
        bound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(program))


class _Listener(Server):
    """Granian over a socket that is bound already: its own would share the port with any process that asks."""

    def __init__(self, app: Served, bound: socket.socket, connections_max: int) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            websockets=False,
            http1_settings=HTTP1Settings(max_buffer_size=_HEADERS_MAX_BYTES),
            backlog=_BACKLOG,
            backpressure=connections_max,
            log_level=LogLevels.error,
            log_dictconfig={"formatters": {}, "handlers": {}, "loggers": {"_granian": {"propagate": True}}},
        )
        self._bound = bound

    def _init_shared_socket(self) -> None:
        own = os.dup(self._bound.fileno())  # Granian closes what it is given
        self._shd = SocketHolder(own, False, _BACKLOG)  # pyright: ignore[reportCallIssue]  # the stub lacks it
        self._ssp = None


@asynccontextmanager
async def serving(app: Served, bound: socket.socket, *, connections_max: int) -> AsyncIterator[asyncio.Task[None]]:
    """Serve beside the block, which starts when the first request was answered; open requests have 10 s when it ends."""
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        raise CommandError(f"port {bound.getsockname()[1]} was taken meanwhile") from error
    bound.setblocking(False)
    calls = _Calls(app)
    server = _Listener(calls, bound, connections_max)
    task = asyncio.create_task(server.serve(), name="listener")
    try:
        await _probe(bound, task)
        yield task
    finally:
        await calls.drain(bound)
        server.stop()
        await stopping.finish(task, limit_s=_STOP_LIMIT_S)
        bound.close()


async def _probe(bound: socket.socket, serving: asyncio.Task[None]) -> None:
    probing = asyncio.create_task(_ask(bound), name="probe")
    async with asyncio.timeout(_PROBE_LIMIT_S):
        await asyncio.wait([probing, serving], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        probing.cancel()
        serving.result()
    if not (await probing).startswith(b"HTTP/1.1 200"):
        raise CommandError("the server does not answer")


async def _ask(bound: socket.socket) -> bytes:
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  only compared
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_PROBE)
        return await reader.readline()
    finally:
        writer.close()
