"""Programs run as another login, and whether a process id is still the server that it was."""

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
_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "cwd").exists()
_UMASK = 0o077

# The launcher ends at once, so that the server is not our child: nobody has to wait for it and it may outlive us.
_LAUNCHER = 'exec 3>&1 >&2; "$@" 3>&- & echo $! >&3'


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
    child = subprocess.Popen(  # noqa: ASYNC220  returns in a millisecond; uvloop's own way cannot switch the login
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
            while child.poll() is None:  # noqa: ASYNC110  a child has no event on every loop
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise DatabaseStartError(f"{argv[0]} did not finish within {limit_s:.0f} s") from error
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return child.returncode == 0


def detach(argv: Sequence[str | Path], run_as: RunAs, *, folder: Path, log: int) -> int:
    """Starts a program in `folder` that outlives this one; its process id."""
    launcher = subprocess.run(
        ["/bin/sh", "-c", _LAUNCHER, "sh", *argv],
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


def is_server(pid: int, data: Path) -> bool:
    """Whether the process is alive, a PostgreSQL server and at work on `data`: process ids are given anew."""
    return is_postgres(pid) and is_at_work_in(pid, data)


def is_postgres(pid: int) -> bool:
    """Whether the process is a program called postgres; one that is dying, or dead and unreaped, is not."""
    program = _arguments(pid)[0]
    if not _HAS_PROC:
        return program.endswith("/postgres")
    try:
        name = (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return bool(program) and name == "postgres\n"


def is_at_work_in(pid: int, folder: Path) -> bool:
    """Whether the process is alive (a zombie is not) and `folder` is its working folder.

    Where that cannot be seen (root of a container without CAP_SYS_PTRACE): whether its command line names the folder.
    """
    if _HAS_PROC:
        try:
            return os.path.samestat((_PROC / str(pid) / "cwd").stat(), folder.stat())
        except PermissionError:
            pass
        except OSError:
            return False
    return str(folder) in _arguments(pid)


def folder_of(pid: int) -> Path | None:
    """The data folder on a server's command line."""
    arguments = _arguments(pid)
    return Path(arguments[arguments.index("-D") + 1]) if "-D" in arguments[:-1] else None


def servers_in(data: Path) -> list[int]:
    """The server's processes that can be seen to work on `data`, sessions too."""
    pids = [int(path.name) for path in _PROC.iterdir() if path.name.isdecimal()] if _HAS_PROC else []
    return [pid for pid in pids if is_server(pid, data)]


def is_alive(pid: int) -> bool:
    """Whether a process that we may signal has the id, were it a dead one that its parent never reaps.

    Another login's process is left out: PostgreSQL does not take it for its own server either.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _arguments(pid: int) -> list[str]:
    """The process's command line, at least one text; an empty one when it is gone or dying."""
    if _HAS_PROC:
        try:
            return os.fsdecode((_PROC / str(pid) / "cmdline").read_bytes()).split("\0")
        except OSError:
            return [""]
    listing = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]  # a folder with a space is not recognised there
    return subprocess.run(listing, check=False, capture_output=True, text=True, errors="replace").stdout.split(" ")


def _environment() -> dict[str, str]:
    """What a program of PostgreSQL may know of our environment: no PG* variable, no language but C."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
