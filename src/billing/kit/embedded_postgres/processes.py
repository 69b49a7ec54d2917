"""Programs run as another login, and which processes work in a data folder."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from billing.kit.embedded_postgres.faults import DatabaseStartError
from billing.kit.embedded_postgres.run_as import RunAs

POLL_S = 0.01
_PROC = Path("/proc/self/cwd")
_UMASK = 0o077


def quick(argv: Sequence[str | Path], run_as: RunAs) -> subprocess.CompletedProcess[str]:
    """Runs a program that answers at once. Raises PermissionError when `run_as` may not execute it."""
    return subprocess.run(
        argv,
        cwd="/",
        env=_environment(),
        umask=_UMASK,
        check=False,
        timeout=30,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        user=run_as.switch_uid,
        group=run_as.switch_gid,
        extra_groups=run_as.switch_groups,
    )


async def run(argv: Sequence[str | Path], run_as: RunAs, *, log: int, limit_s: float) -> bool:
    """Runs a program to its end with its output in `log`; whether it succeeded."""
    child = subprocess.Popen(
        argv,
        cwd="/",
        env=_environment(),
        umask=_UMASK,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        user=run_as.switch_uid,
        group=run_as.switch_gid,
        extra_groups=run_as.switch_groups,
    )
    try:
        async with asyncio.timeout(limit_s):
            while child.poll() is None:
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise DatabaseStartError(f"{argv[0]} did not finish within {limit_s:.0f} s") from error
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return child.returncode == 0


def detach(argv: Sequence[str | Path], run_as: RunAs, *, folder: Path, log: int) -> int:
    """Starts a program in `folder` that outlives this one, and is nobody's child to wait for; its process id."""
    launcher = subprocess.run(
        ["/bin/sh", "-c", 'exec 3>&1 >&2; "$@" 3>&- & echo $! >&3', "sh", *argv],
        cwd=folder,
        env=_environment(),
        umask=_UMASK,
        check=True,
        timeout=30,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
        user=run_as.switch_uid,
        group=run_as.switch_gid,
        extra_groups=run_as.switch_groups,
    )
    return int(launcher.stdout)


def works_in(pid: int, folder: Path) -> bool:
    """Whether the process is alive (not a zombie, not another one with a reused id) and its working folder is `folder`."""
    if _PROC.exists():
        try:
            return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), folder.stat())
        except OSError:
            return False
    listing = subprocess.run(
        ["ps", "-o", "stat=,command=", "-p", str(pid)], check=False, capture_output=True, text=True, errors="replace"
    )
    return str(folder) in listing.stdout and not listing.stdout.startswith("Z")


def all_in(folder: Path) -> list[int]:
    """All processes whose working folder is `folder`; none where the system has no /proc."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()] if _PROC.exists() else []
    return [pid for pid in pids if works_in(pid, folder)]


def _environment() -> dict[str, str]:
    """What a program of PostgreSQL may know of our environment: no PG* variable, no language but C."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
