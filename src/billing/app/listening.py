"""Listeners: ports taken early, served by Granian in this process, left in order."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.net import SocketHolder  # pyright: ignore[reportPrivateImportUsage]  # its place is not
from granian.server.embed import Server

from billing.app import stopping
from billing.app.faults import CommandError

if TYPE_CHECKING:
    from litestar import Litestar

_BACKLOG = 1024
_STOP_LIMIT_S = 10.0
_PROBE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_PROBE_LIMIT_S = 10.0


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


class _Listener(Server):
    """Granian over a socket that is bound already: its own would share the port with any process that asks."""

    def __init__(self, app: Litestar, bound: socket.socket) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=_BACKLOG,
            log_level=LogLevels.error,
            log_dictconfig={"formatters": {}, "handlers": {}, "loggers": {"_granian": {"propagate": True}}},
        )
        self._bound = bound

    def _init_shared_socket(self) -> None:
        own = os.dup(self._bound.fileno())  # Granian closes what it is given
        self._shd = SocketHolder(own, False, _BACKLOG)  # pyright: ignore[reportCallIssue]  # the stub lacks it
        self._ssp = None


@asynccontextmanager
async def serving(app: Litestar, bound: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Serve beside the block, which starts when the first request was answered; open requests have 10 s when it ends."""
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        raise CommandError(f"port {bound.getsockname()[1]} was taken meanwhile") from error
    bound.setblocking(False)
    server = _Listener(app, bound)
    task = asyncio.create_task(server.serve(), name="listener")
    try:
        await _probe(bound, task)
        yield task
    finally:
        server.stop()
        await stopping.finish(task, limit_s=_STOP_LIMIT_S)


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
