"""`billing serve` as a process of its own, as whoever installs it starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

BILLING = Path(sys.executable).parent / "billing"
_READY_LIMIT_S = 40


@dataclass(frozen=True)
class Serving:
    """A running program, its ready file and clients for both planes."""

    process: subprocess.Popen[bytes]
    ready: dict[str, str]
    output: Path

    def public(self) -> httpx2.Client:
        return _client(self.ready["base_url"], self.ready.get("api_key"))

    def operator(self) -> httpx2.Client:
        return _client(self.ready["operator_url"], self.ready.get("operator_key"))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it; returns all that it printed."""
        self.process.send_signal(number)
        self.process.wait(timeout=40)
        return self.output.read_text()


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of its own, and these; the demo has no history unless told, and the
    suite's own database, which keeps nothing, will do."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LINESERVE_", "DATABASE_URL"))}
    return {**kept, "LINESERVE_DEMO_MONTHS": "0", "LINESERVE_ALLOW_UNSAFE_DATABASE": "true", **variables}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [BILLING, *arguments], env=environment(**variables), capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[Serving]:
    """Serve on a free port for the length of the block."""
    ready_file = folder / "ready.json"
    ready_file.unlink(missing_ok=True)
    command = [BILLING, "serve", "--port", "0", "--ready-file", ready_file, *arguments]
    output = folder / "output.log"  # a file, so that a failed start can be told with what it said
    with output.open("wb") as file:
        process = subprocess.Popen(command, env=environment(**variables), stdout=file, stderr=subprocess.STDOUT)
    try:
        yield Serving(process, _wait_for(ready_file, process, output), output)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=40)


def _wait_for(ready_file: Path, process: subprocess.Popen[bytes], output: Path) -> dict[str, str]:
    deadline = time.monotonic() + _READY_LIMIT_S
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"not ready: {output.read_text()}")
        time.sleep(0.02)
    return json.loads(ready_file.read_text())


def _client(base_url: str, key: str | None) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx2.Client(base_url=base_url, headers=headers, trust_env=False, timeout=15)
