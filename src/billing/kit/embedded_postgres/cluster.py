"""A data folder and its configuration: made whole or not at all, and checked before each start."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from billing.kit.embedded_postgres import faults, processes
from billing.kit.embedded_postgres.binaries import Binaries
from billing.kit.embedded_postgres.faults import DatabaseStartError
from billing.kit.embedded_postgres.folders import Folders
from billing.kit.embedded_postgres.run_as import RunAs

OWNER_ROLE = "lineserve_owner"
_INITDB_LIMIT_S = 300
_INITDB_OPTIONS = ("-E", "UTF8", "--no-locale", "--data-checksums", "-A", "peer")

_SETTINGS = """\
# Settings of the embedded PostgreSQL. Written once, then yours to change; addresses and access are given at each start.
shared_buffers = 256MB
max_connections = 100
max_wal_size = 2GB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] '
log_checkpoints = off
# What was acknowledged survives a power cut: these stay on.
fsync = on
full_page_writes = on
synchronous_commit = on
"""
_ACCESS = f"""\
# Written at each start. Only over the socket, only the owner role, only the logins of pg_ident.conf.
local all {OWNER_ROLE} peer map=lineserve
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The data folder with the programs and the login that serve it."""

    folders: Folders
    binaries: Binaries
    run_as: RunAs

    async def create_if_missing(self, log: int) -> None:
        """Makes the data folder beside its place and moves it there when it is complete."""
        data = self.folders.data
        if data.exists():
            return
        for abandoned in data.parent.glob("data.new-*"):  # its initdb may still run, and then fails by itself
            shutil.rmtree(abandoned, ignore_errors=True)
        fresh = self.folders.fresh_private_folder(f"data.new-{secrets.token_hex(4)}", self.run_as)
        start = os.fstat(log).st_size
        command = [self.binaries / "initdb", "-D", fresh, "-U", OWNER_ROLE, *_INITDB_OPTIONS]
        if not await processes.run(command, self.run_as, log=log, limit_s=_INITDB_LIMIT_S):
            shutil.rmtree(fresh, ignore_errors=True)
            raise self.fault(since=start, doing="creating the database")
        fresh.rename(data)
        _sync_folder(data.parent)

    def check_version(self) -> None:
        """Raises DatabaseStartError when the data are of another major version than the programs."""
        path = self.folders.data / "PG_VERSION"
        found = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        if not found:
            raise DatabaseStartError(
                f"{self.folders.data} holds no PostgreSQL data: move it away to start with an empty database"
            )
        if found != str(self.binaries.major):
            raise DatabaseStartError(
                f"the data in {self.folders.data} are of PostgreSQL {found}, the programs in {self.binaries.folder} of "
                f"PostgreSQL {self.binaries.major}: set LINESERVE_POSTGRES_BIN_DIR to a bin folder of PostgreSQL "
                f"{found}, or bring the data over with pg_upgrade or pg_dump"
            )

    def configure(self, socket_folder: Path) -> list[str | Path]:
        """Writes the configuration and returns the server's command."""
        settings = self.folders.database / "postgresql.conf"
        if not settings.exists():
            self.folders.write(settings.name, _SETTINGS)
        logins = sorted({"root", self.run_as.name})
        access = self.folders.write("pg_hba.conf", _ACCESS)
        names = self.folders.write("pg_ident.conf", "".join(f'lineserve "{login}" {OWNER_ROLE}\n' for login in logins))
        given = {
            "config_file": settings,
            "hba_file": access,
            "ident_file": names,
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": socket_folder,
            "unix_socket_permissions": "0700",
        }
        command: list[str | Path] = [self.binaries / "postgres", "-D", self.folders.data]
        for name, value in given.items():
            command += ["-c", f"{name}={value}"]
        return command

    def fault(self, *, since: int, doing: str) -> DatabaseStartError:
        """The line for what the log says from the byte `since` on."""
        with self.folders.log.open("rb") as file:
            file.seek(since)
            text = file.read(1_000_000).decode(errors="replace")
        return faults.from_log(text, doing=doing, home=self.folders.home, log=self.folders.log)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
