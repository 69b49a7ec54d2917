"""Calls that come whether others were answered or not: `python -m tests.support.offered PORT PATH KEY RATE SECONDS`, in a process
of their own. Prints as JSON how many were sent, how they were answered, and how long the good answers took."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

LIMIT_S = 10.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Offered:
    """Calls of one kind over as many connections as are needed."""

    port: int
    request: bytes
    idle: list[Connection] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)

    async def call(self) -> None:
        """One call, and how it ended."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT_S):
                connection = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
                status = await self._ask(*connection)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.ended[type(error).__name__] += 1
            return
        self.idle.append(connection)
        self.ended[status] += 1
        if status == "200":
            self.took_s.append(time.monotonic() - began)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        await reader.readexactly(length)
        return head.split(" ", 2)[1]


async def main(port: str, path: str, key: str, rate: str, seconds: str) -> None:
    """Offer calls, `rate` a second, for so long; a rate of 0: eight callers, each of whom waits for its answer."""
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
    offered = Offered(int(port), head.encode())
    began, lasts_s, per_s = time.monotonic(), float(seconds), float(rate)
    sent = 0

    async def keep_calling() -> None:
        nonlocal sent
        while time.monotonic() < began + lasts_s:
            sent += 1
            await offered.call()

    if per_s == 0:
        await asyncio.gather(*(keep_calling() for _ in range(8)))
    else:
        under_way: set[asyncio.Task[None]] = set()
        while (now := time.monotonic()) < began + lasts_s:
            for _ in range(int((now - began) * per_s) - sent):
                sent += 1
                task = asyncio.create_task(offered.call())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(0.002)
        await asyncio.gather(*under_way)
    took_s = sorted(offered.took_s) or [0.0]
    told = {
        "sent": sent,
        "seconds": time.monotonic() - began,
        "ended": dict(offered.ended),
        "p50_s": took_s[len(took_s) // 2],
        "p99_s": took_s[int(len(took_s) * 0.99)],
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
