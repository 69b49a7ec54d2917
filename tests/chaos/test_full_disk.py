"""K7: the database's disk is full while calls come, then there is room again: nothing acknowledged is lost, nobody has to help."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from tests.chaos.test_embedded_postgres import as_root
from tests.chaos.test_kills import NO_LIMITS, nothing_lost, under_load, unexpected_in
from tests.support.serving import Serving, run, serving

FULL_S = 8.0
HEALED_S = 60.0
_names = count(1)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of 400 MB that the database's login can reach."""
    with tempfile.TemporaryDirectory(prefix="ls-full-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        mounted = Path(folder) / "disk"
        mounted.mkdir()
        command = ["/bin/mount", "-t", "tmpfs", "-o", "size=400m,mode=0711", "tmpfs", mounted]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
        yield mounted
        subprocess.run(["/bin/umount", "-l", mounted], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that there is, while others take some too."""
    filling = disk / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65_536))
    return filling


def try_both(server: Serving, reads: Counter[int], writes: Counter[int]) -> int:
    """One read and one write; the status of the write."""
    name = f"full-{next(_names)}"
    with server.operator() as operator:
        reads[operator.get("/accounts?per_page=1").status_code] += 1
        body = {"email": f"{name}@example.com", "name": name, "currency": "USD"}
        status = operator.post("/accounts", json=body, headers={"Idempotency-Key": name}).status_code
    writes[status] += 1
    return status


@as_root
@pytest.mark.nightly
class TestFullDisk:
    def test_under_load_loses_nothing_and_heals_by_itself(self, disk: Path, tmp_path: Path, seed: int) -> None:
        settings = {"LINESERVE_HOME": str(disk / "home"), "LINESERVE_ALLOW_UNSAFE_DATABASE": "", **NO_LIMITS}
        reads, writes = Counter[int](), Counter[int]()
        with serving(tmp_path, **settings) as server:
            with under_load(server, tmp_path) as load:
                time.sleep(1)
                filling = fill(disk)
                full_at = time.monotonic()
                while time.monotonic() < full_at + FULL_S:
                    try_both(server, reads, writes)
                filling.unlink()
                freed_at = time.monotonic()
                while time.monotonic() < freed_at + HEALED_S and try_both(server, Counter(), Counter()) != 201:
                    time.sleep(0.1)
                healed_s = time.monotonic() - freed_at
            data = disk / "home" / "database" / "data"
            socket_folder = (data / "postmaster.pid").read_text().splitlines()[4]
            unexpected = unexpected_in(server)
            told = asyncio.run(nothing_lost(f"postgresql://lineserve_owner@/lineserve?host={socket_folder}", load))
        sys.stdout.write(
            f"seed {seed}: full for {FULL_S:.0f} s, reads {dict(reads)}, writes {dict(writes)}, "
            f"well {healed_s:.1f} s after, {told}\n"
        )
        assert unexpected == []
        assert set(writes) <= {201, 503}
        assert writes[503] > 0
        assert set(reads) <= {200, 503}
        assert healed_s < HEALED_S
        assert "All invariants hold." in run("check", **settings).stdout
