"""G15: how long `billing serve` takes until it answers, on an embedded database that is there already."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench import serving
from bench.measuring import Row

STARTS = 7
_LIMIT_S = 120


async def rows() -> list[Row]:
    """The row; its ratio is in seconds."""
    home = Path(tempfile.mkdtemp(prefix="ls-bench-"))
    home.chmod(0o755)  # noqa: ASYNC240  nothing else runs
    try:
        await _start(home)
        taken = [await _start(home) for _ in range(STARTS)]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    median_s = statistics.median(taken)
    return [
        Row(
            id="G15",
            operation="start on an initialised database",
            ours=f"{median_s:.2f} s",
            yardstick="seconds",
            ratio=median_s,
            spread=(min(taken), max(taken)),
            bounds=(4, 2, 1),
            better="less",
        )
    ]


async def _start(home: Path) -> float:
    """Seconds from the command to its ready file; then it is stopped."""
    ready_file = home / "ready.json"
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        str(serving.BILLING), "serve", "--port", "0", "--ready-file", str(ready_file),
        env=serving.settings(home=home), stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_LIMIT_S):
            while not ready_file.exists():
                if process.returncode is not None:
                    raise RuntimeError(f"billing serve ended with {process.returncode}")
                await asyncio.sleep(0.005)
        taken_s = time.perf_counter() - started
        json.loads(ready_file.read_text("utf-8"))
        return taken_s
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
