"""Databases of the session's server: the migrated template and its clones."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import asyncpg

from tests.support import postgres

SQL = Path(__file__).parents[2] / "src" / "billing" / "sql"

_numbers = itertools.count(1)


async def ensure_template(folder: Path) -> None:
    """Start the server and build the template database, once per session."""
    with postgres.locked(folder):
        postgres.start(folder)
        ready = folder / "template-ready"
        if not ready.exists():
            await _build_template(folder)
            ready.touch()


async def clone(folder: Path, *, template: str = postgres.TEMPLATE) -> str:
    """The name of a new database, a copy of the template."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    # Its two checkpoints cost nothing without fsync: a half of what WAL_LOG takes for a database of this size.
    await _administer(folder, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    return name


async def drop(folder: Path, name: str) -> None:
    """Remove a database, whoever is still connected."""
    await _administer(folder, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _build_template(folder: Path) -> None:
    await _administer(folder, f"CREATE DATABASE {postgres.TEMPLATE}")
    _migrate(folder)
    connection = await asyncpg.connect(postgres.dsn(folder, postgres.TEMPLATE))
    try:
        for path in [*sorted((SQL / "functions").glob("*.sql")), *sorted((SQL / "views").glob("*.sql"))]:
            await connection.execute(path.read_text(encoding="utf-8"))
    finally:
        await connection.close()


def _migrate(folder: Path) -> None:
    dbmate = Path(sys.executable).parent / "dbmate"
    url = f"postgres://postgres@/{postgres.TEMPLATE}?host={folder / 'socket'}&sslmode=disable"
    done = subprocess.run(
        [dbmate, "--migrations-dir", SQL / "migrations", "--no-dump-schema", "up"],
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"migrations failed: {done.stderr.strip()}")


async def _administer(folder: Path, statement: str) -> None:
    connection = await asyncpg.connect(postgres.dsn(folder, "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
