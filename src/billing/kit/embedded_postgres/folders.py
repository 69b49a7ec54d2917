"""What lies where under the home, and who may reach it.

    HOME/database/            0711, its owner is the home's owner
        start.lock  use.lock  flock files, see locks.py
        postgresql.conf       written once, then the operator's
        pg_hba.conf  pg_ident.conf   written at every start
        server.log  server.log.1
        binaries/             a copy of the programs, only where the database's login cannot run the originals
        data/                 0700, of the database's login
        run/                  0700, of the database's login: the socket (or a short folder under /tmp, see `socket_folder`)

Folders above HOME are never changed, nor is HOME when it exists.
"""

from __future__ import annotations

import hashlib
import os
import re
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
        """Makes the home and its database folder where they are missing, passable by the database's login when this runs as root."""
        missing = [folder for folder in (self.home, *self.home.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        if not self.database.exists():
            self.database.mkdir(exist_ok=True)
            _give(self.database, like=self.home)
            self.database.chmod(0o711)

    def check_reachable(self, run_as: RunAs) -> None:
        """Raises DatabaseStartError, naming the folder that is closed, when the database's login cannot come to the database's folder."""
        if not run_as.is_other:
            return
        for folder in (*reversed(self.database.parents), self.database):
            if processes.quick(["/bin/sh", "-c", 'cd "$1"', "sh", folder], run_as).returncode != 0:
                raise DatabaseStartError(
                    f"the database runs as {run_as.name}, which cannot pass {folder}: choose another home with LINESERVE_HOME (such as /var/lib/lineserve), or open that folder with chmod o+x"
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

    def private_folder(self, path: Path, run_as: RunAs) -> Path:
        """Makes a folder that only the database's login (and root) can enter; one that exists must be just that."""
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if not _is_private(path, run_as):
                raise
        else:
            if run_as.is_other:
                os.chown(path, run_as.uid, run_as.gid, follow_symlinks=False)
        return path

    def socket_folder(self, run_as: RunAs) -> Path:
        """A private folder for the socket: under the home, or, when that path is too long or not plain, a short one under /tmp.

        /tmp is everyone's: a folder of that name made by another login is passed over for the next name.
        """
        wanted = self.database / "run"
        if len(os.fsencode(wanted / SOCKET_NAME)) <= _SOCKET_PATH_LIMIT and _PLAIN_PATH.fullmatch(str(wanted)):
            return self.private_folder(wanted, run_as)
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        for number in range(_SHORT_NAMES):
            try:
                return self.private_folder(_SHORT_FOLDERS / f"lineserve-{digest}-{number}", run_as)
            except FileExistsError:
                continue
        raise DatabaseStartError(
            f"the path {wanted} is too long for a socket and others occupy {_SHORT_FOLDERS}/lineserve-{digest}-*: choose a shorter home with LINESERVE_HOME"
        )


def _is_private(path: Path, run_as: RunAs) -> bool:
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == run_as.uid and stat.S_IMODE(found.st_mode) == 0o700


def _give(path: Path | int, *, like: Path) -> None:
    """Gives what root made to the owner of the folder around it."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
