"""K11: a stop under load loses no call. What was taken is answered; what comes later is refused before anything is sent."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.support.serving import Serving, serving

CALLERS = 8
HEAD = "Host: x\r\nAuthorization: Bearer {key}\r\n"


@dataclass
class Caller:
    """Calls again and again over connections of its own, on each as often as the server lets it, and notes how each call ended."""

    address: tuple[str, int]
    key: str
    number: int
    keeps: bool
    ended: Counter[str] = field(default_factory=Counter)
    acknowledged: list[str] = field(default_factory=list)
    calls: int = 0

    def run(self) -> None:
        while True:
            try:
                connection = socket.create_connection(self.address, timeout=15)
            except OSError:
                return  # nothing listens any more
            with connection:
                while self._call(connection) and self.keeps:
                    pass

    def _call(self, connection: socket.socket) -> bool:
        """One call; whether another may follow on the connection."""
        self.calls += 1
        name = f"{self.number}-{self.calls}"
        body = json.dumps({"email": f"{name}@example.com", "name": name, "currency": "USD"})
        request = (
            f"POST /operator/v1/accounts HTTP/1.1\r\n{HEAD.format(key=self.key)}Idempotency-Key: {name}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"{'' if self.keeps else 'Connection: close' + chr(13) + chr(10)}\r\n{body}"
        )
        try:
            connection.sendall(request.encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                part = connection.recv(65_536)
                if not part:
                    break
                answer += part
        except OSError as error:
            self.ended[type(error).__name__] += 1
            return False
        if not answer:
            self.ended["closed unanswered"] += 1
            return False
        self.ended[answer.split(b" ", 2)[1].decode()] += 1
        if answer.startswith(b"HTTP/1.1 201"):
            self.acknowledged.append(name)
        return b"connection: close" not in answer.lower() and b"content-length" in answer.lower()


async def names(dsn: str) -> set[str]:
    """The names of all accounts."""
    connection = await asyncpg.connect(dsn)
    try:
        return {row["name"] for row in await connection.fetch("SELECT name FROM accounts")}
    finally:
        await connection.close()


class TestStop:
    @pytest.mark.parametrize("keeps", [False, True], ids=["a connection for each call", "connections that are kept"])
    def test_under_load_fails_no_call(self, database_dsn: str, tmp_path: Path, keeps: bool) -> None:
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path)}
        with serving(tmp_path, **settings) as server:
            callers = self.start(server, keeps=keeps)
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(timeout=30) == 0
        ended = Counter[str]()
        for caller, thread in callers:
            thread.join(timeout=20)
            ended += caller.ended
        assert set(ended) == {"201"}, ended
        acknowledged = {name for caller, _ in callers for name in caller.acknowledged}
        assert asyncio.run(names(database_dsn)) == acknowledged

    def start(self, server: Serving, *, keeps: bool) -> list[tuple[Caller, threading.Thread]]:
        parts = urlsplit(server.ready["operator_url"])
        address = (parts.hostname or "", parts.port or 80)
        callers = [Caller(address, server.ready["operator_key"], number, keeps) for number in range(CALLERS)]
        threads = [threading.Thread(target=caller.run) for caller in callers]
        for thread in threads:
            thread.start()
        return list(zip(callers, threads, strict=True))
