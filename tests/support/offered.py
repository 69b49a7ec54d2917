"""Calls that come whether others were answered or not: `python -m tests.support.offered PORT PATH KEY RATE SECONDS`, in a process
of their own. Prints as JSON how many were sent, how they were answered, how long the good answers took, and the CPU that it took.

`--connections` bounds how many are open at once, as a proxy's pool does: a call that finds none free is not sent, and counted as
`no connection`; it takes the one that was idle for longest. `--open` opens all of them before the first call, `--new` begins one
for each call. Who waits for longer than 10 s goes, and closes his connection.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import uvloop

LIMIT_S = 10.0
_OPENED_AT_ONCE = 50
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Offered:
    """Calls of one kind over as many connections as there may be."""

    port: int
    request: bytes
    connections: int
    is_new: bool
    until: float = 0.0
    """When no more calls come, by the monotonic clock."""
    opened: int = 0
    good: int = 0
    """Calls that were answered well while calls still came."""
    sent: int = 0
    idle: deque[Connection] = field(default_factory=deque)
    ended: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)

    async def call(self) -> None:
        """One call, and how it ended."""
        if not self.idle and self.opened >= self.connections:
            self.ended["no connection"] += 1
            return
        began = time.monotonic()
        connection = self.idle.popleft() if self.idle else None
        self.opened += connection is None
        is_kept = False
        try:
            async with asyncio.timeout(LIMIT_S):
                connection = connection or await asyncio.open_connection("127.0.0.1", self.port)
                self.sent += 1
                status = await self._ask(*connection)
            self.ended[status] += 1
            if status == "200":
                self.good += time.monotonic() < self.until
                self.took_s.append(time.monotonic() - began)
            is_kept = not self.is_new
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.ended[type(error).__name__] += 1
        if is_kept and connection is not None:
            self.idle.append(connection)
            return
        self.opened -= 1
        if connection is not None:
            connection[1].transport.abort()

    async def open_all(self) -> None:
        """Open as many connections as there may be, some at a time."""
        while self.opened < self.connections:
            some = min(_OPENED_AT_ONCE, self.connections - self.opened)
            self.idle += await asyncio.gather(*(asyncio.open_connection("127.0.0.1", self.port) for _ in range(some)))
            self.opened += some

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        await reader.readexactly(length)
        return head.split(" ", 2)[1]

    async def keep_calling(self) -> None:
        """Call, wait for the answer, and call again."""
        while time.monotonic() < self.until:
            await self.call()

    async def come(self, per_s: float) -> None:
        """Call as often as that, whatever came of others."""
        began, came = time.monotonic(), 0
        under_way: set[asyncio.Task[None]] = set()
        while (now := time.monotonic()) < self.until:
            for _ in range(int((now - began) * per_s) - came):
                came += 1
                if not self.idle and self.opened >= self.connections:
                    self.ended["no connection"] += 1
                    continue
                task = asyncio.create_task(self.call())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(0.002)
        if under_way:
            await asyncio.wait(under_way)


async def main(arguments: argparse.Namespace) -> None:
    """Offer calls; a rate of 0: callers each of whom waits for his answer."""
    closing = "Connection: close\r\n" if arguments.new else ""
    head = f"GET {arguments.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {arguments.key}\r\n{closing}\r\n"
    offered = Offered(arguments.port, head.encode(), arguments.connections, arguments.new)
    if arguments.open:
        await offered.open_all()
    offered.until = time.monotonic() + arguments.seconds
    if arguments.rate == 0:
        await asyncio.gather(*(offered.keep_calling() for _ in range(arguments.callers)))
    else:
        await offered.come(arguments.rate)
    took_s = sorted(offered.took_s) or [0.0]
    told = {
        "sent": offered.sent,
        "good": offered.good,
        "seconds": arguments.seconds,
        "ended": dict(offered.ended),
        "p50_s": took_s[len(took_s) // 2],
        "p99_s": took_s[int(len(took_s) * 0.99)],
        "cpu_s": time.process_time(),
        "took_s": took_s if arguments.times else [],
    }
    sys.stdout.write(json.dumps(told) + "\n")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("key")
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--connections", type=int, default=1_000)
    parser.add_argument("--new", action="store_true")
    parser.add_argument("--open", action="store_true", help="open all connections first")
    parser.add_argument("--times", action="store_true", help="print how long each good answer took, too")
    return parser.parse_args()


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(main(read_arguments()))
