"""Databases of the session's server: the migrated template and its clones."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import asyncpg

from billing.kit.migrate import migrate
from tests.support import postgres

_numbers = itertools.count(1)


async def ensure_template(folder: Path) -> None:
    """Build the template database, once per session."""
    with postgres.locked(folder):
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
    await migrate(postgres.dsn(folder, postgres.TEMPLATE))


async def _administer(folder: Path, statement: str) -> None:
    connection = await asyncpg.connect(postgres.dsn(folder, "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
