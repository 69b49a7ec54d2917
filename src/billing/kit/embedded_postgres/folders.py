"""What lies where under the home, and who may reach it.

    HOME/database/            0711, its owner is the home's owner
        start.lock  use.lock  flock files, see locks.py
        postgresql.conf       written once, then the operator's
        pg_hba.conf  pg_ident.conf   written at every start
        server.log  server.log.1
        binaries/             a copy of the programs, only where the database's login cannot run the originals
        data/                 0700, of the database's login
        run/                  0700, of the database's login: the socket (see `socket_folder`)

Folders above HOME are never changed, nor is HOME when it exists.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from billing.kit.embedded_postgres import processes
from billing.kit.embedded_postgres.faults import DatabaseStartError
from billing.kit.embedded_postgres.run_as import RunAs

SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103
_PLAIN_PATH = re.compile(
    r"[A-Za-z0-9_./+-]+"
)  # comma, quote and space have a meaning in unix_socket_directories and in addresses
_SHORT_FOLDERS = Path("/tmp")  # noqa: S108  the folder made there is checked to be ours alone
_SHORT_NAMES = 10
_LOG_LIMIT_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Folders:
    """The paths of one home."""

    home: Path

    @classmethod
    def of(cls, home: Path) -> Folders:
        """The paths of a home, all links resolved, so that every process calls it by the same name."""
        return cls(Path(home).resolve())

    @property
    def database(self) -> Path:
        """Everything of the embedded database."""
        return self.home / "database"

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.database / "data"

    @property
    def log(self) -> Path:
        """What initdb and the server write."""
        return self.database / "server.log"

    def create(self) -> None:
        """Makes the home and its database folder where they are missing; what root makes, other logins may pass."""
        missing = [folder for folder in (self.home, *self.home.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        if not self.database.exists():
            self.database.mkdir(exist_ok=True)
            _give(self.database, like=self.home)
            self.database.chmod(0o711)
        if not os.access(self.database, os.W_OK | os.X_OK):
            raise DatabaseStartError(
                f"this login may not write to {self.database}, which belongs to {_owner(self.database)}: "
                "run this as its owner, or choose another home with LINESERVE_HOME"
            )

    def check_reachable(self, run_as: RunAs) -> None:
        """Raises DatabaseStartError, naming the folder that is closed, when the database's login cannot come here."""
        if not run_as.is_other or _can_pass(self.database, run_as):
            return
        closed = next(
            folder for folder in (*reversed(self.database.parents), self.database) if not _can_pass(folder, run_as)
        )
        raise DatabaseStartError(
            f"the database runs as {run_as.name}, which cannot pass {closed}: choose another home with LINESERVE_HOME "
            f"(such as /var/lib/lineserve), or open the way with chmod o+x {closed}"
        )

    def open_log(self) -> int:
        """A descriptor that appends to the log; a log that has grown too long is put aside first."""
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            self.log.rename(self.log.with_suffix(".log.1"))
        return self.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def open(self, path: Path, flags: int) -> int:
        """A descriptor of one of our own files, which is given to the owner of the database's folder."""
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        _give(descriptor, like=self.database)
        return descriptor

    def write(self, name: str, text: str) -> Path:
        """Puts a text that everyone may read under the database's folder, whole or not at all."""
        path = self.database / name
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(self.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.chmod(0o644)
        return fresh.rename(path)

    def fresh_private_folder(self, name: str, run_as: RunAs) -> Path:
        """Makes an empty folder beside the data that only the database's login (and root) can enter."""
        path = self.database / name
        if path.is_dir():
            shutil.rmtree(path)
        path.mkdir(mode=0o700)
        if not _take(path, run_as):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        return path

    def socket_folder(self, run_as: RunAs) -> Path:
        """A private folder for the socket: under the home, or a short one under /tmp when that path is too long.

        Also when it holds signs that mean something in addresses. /tmp is everyone's: a folder made there by another
        login is passed over for the next name.
        """
        wanted = self.database / "run"
        if len(os.fsencode(wanted / SOCKET_NAME)) <= _SOCKET_PATH_LIMIT and _PLAIN_PATH.fullmatch(str(wanted)):
            return self.fresh_private_folder("run", run_as)
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        for number in range(_SHORT_NAMES):
            path = _SHORT_FOLDERS / f"lineserve-{digest}-{number}"
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
            if _take(path, run_as):
                return path
        raise DatabaseStartError(
            f"the path {wanted} is too long for a socket and others occupy {_SHORT_FOLDERS}/lineserve-{digest}-*: "
            "choose a shorter home with LINESERVE_HOME"
        )


def remove_short(socket_folder: Path) -> None:
    """Removes a stopped server's folder under /tmp: nothing stays elsewhere than under the home."""
    if socket_folder.parent == _SHORT_FOLDERS:
        with contextlib.suppress(OSError):
            socket_folder.rmdir()


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"the user id {path.stat().st_uid}"


def _can_pass(folder: Path, run_as: RunAs) -> bool:
    return processes.quick(["/bin/sh", "-c", 'cd "$1"', "sh", folder], run_as).returncode == 0


def _take(path: Path, run_as: RunAs) -> bool:
    """Gives a private folder to the database's login; False when another login than it or ours made or may enter it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        if found.st_uid not in {run_as.uid, os.geteuid()} or stat.S_IMODE(found.st_mode) != 0o700:
            return False
        if run_as.is_other:
            os.fchown(descriptor, run_as.uid, run_as.gid)
    finally:
        os.close(descriptor)
    return True


def _give(path: Path | int, *, like: Path) -> None:
    """Gives what root made to the owner of the folder around it."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
