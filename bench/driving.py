"""A load driver over loopback: requests that are bytes already, on connections that stay open.

Closed loop for throughput (each connection sends its next request when it has its answer), open loop for latency (requests leave
at their time, however late earlier answers are, and wait for a free connection at their own cost).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass(frozen=True, slots=True)
class Answered:
    """The statuses that came, and how long each request took, in seconds."""

    statuses: dict[int, int]
    latencies_s: list[float]

    def percentile_ms(self, share: float) -> float:
        """The latency that a share of the requests did not exceed, in milliseconds."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    def require(self, status: int) -> None:
        """Raises RuntimeError unless every answer had this status: a benchmark of errors says nothing."""
        if set(self.statuses) != {status}:
            raise RuntimeError(f"answers were {self.statuses}, not all {status}")


def request(method: str, path: str, *, key: str | None = None, body: bytes = b"", **headers: str) -> bytes:
    """A request as it goes over the wire; names of headers with _ for -."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Line:
    """One connection: a request, its answer, the next."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> _Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, sent: bytes) -> tuple[int, bytes]:
        self._writer.write(sent)
        head = await self._reader.readuntil(_END_OF_HEAD)
        start = head.lower().find(_LENGTH)
        length = int(head[start + len(_LENGTH) : head.index(b"\r", start)]) if start >= 0 else 0
        body = await self._reader.readexactly(length) if length else b""
        return int(head[9:12]), body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def ask(port: int, sent: bytes) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    line = await _Line.open(port)
    try:
        return await line.send(sent)
    finally:
        await line.close()


async def closed_loop(port: int, requests: Sequence[bytes], *, connections: int) -> Answered:
    """Send all requests over a number of connections, each as fast as it is answered."""
    found = Answered({}, [])
    lines = [await _Line.open(port) for _ in range(connections)]

    async def work(number: int) -> None:
        for sent in requests[number::connections]:
            await _timed(lines[number], sent, time.perf_counter(), found)

    await asyncio.gather(*(work(number) for number in range(connections)))
    for line in lines:
        await line.close()
    return found


async def open_loop(port: int, requests: Sequence[bytes], *, per_s: float, connections: int) -> Answered:
    """Send requests at a steady rate; one that finds no free connection waits, and its wait counts."""
    found = Answered({}, [])
    free: asyncio.LifoQueue[_Line] = asyncio.LifoQueue()
    for _ in range(connections):
        free.put_nowait(await _Line.open(port))

    async def one(sent: bytes, due: float) -> None:
        line = await free.get()
        await _timed(line, sent, due, found)
        free.put_nowait(line)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, sent in enumerate(requests):
            due = started + number / per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(sent, due))
    while not free.empty():
        await free.get_nowait().close()
    return found


async def _timed(line: _Line, sent: bytes, since: float, found: Answered) -> None:
    status, _ = await line.send(sent)
    found.latencies_s.append(time.perf_counter() - since)
    found.statuses[status] = found.statuses.get(status, 0) + 1
