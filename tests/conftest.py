"""Fixtures of the whole suite: one PostgreSQL server per session, one migrated template, clones of it.

- `connection`, `tx`: the application's role inside a transaction that is rolled back; quick, for stores and operations.
- `owner_connection`: the schema's owner in the same database, rolled back too.
- `database_dsn`: a database of the test's own, for tests that commit.
"""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from billing.kit.db import APP_ROLE, Tx
from tests.support import databases, postgres

if TYPE_CHECKING:
    from billing.kit.db import Connection

pytest_plugins = ["tests.support.night", "tests.support.nightly"]
NOW = datetime(2024, 2, 1, 10, 0, tzinfo=UTC)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run checks with their whole figures, and the slow ones")
    parser.addoption(
        "--rewrite-golden", action="store_true", help="write the expected files as the code now makes them"
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server is stopped then too
        folder = postgres.make_folder()
        config.add_cleanup(lambda: postgres.remove_folder(folder))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what stays: modules and thousands of tests, which it would look at for ever again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--nightly"):
        for item in items:
            if item.get_closest_marker("nightly"):
                item.add_marker(pytest.mark.skip(reason="runs with --nightly"))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a committed file; `make golden` writes the file instead. Mark the test `golden`."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--rewrite-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path.name} is not what the code makes; see `make golden`"

    return compare


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def database_server() -> AsyncIterator[Path]:
    """The folder of the running server, its template database ready to be cloned."""
    folder = Path(os.environ[postgres.VARIABLE])
    async with postgres.running(folder):
        await databases.ensure_template(folder)
        yield folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_dsn(database_server: Path) -> AsyncIterator[str]:
    """A clone that all tests of this worker share; they roll back what they do."""
    name = await databases.clone(database_server)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


@pytest_asyncio.fixture
async def database_dsn(database_server: Path) -> AsyncIterator[str]:
    """A fresh clone of the test's own, as the schema's owner; role `lineserve_app` is what the application has."""
    name = await databases.clone(database_server)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


@pytest_asyncio.fixture
async def connection(shared_dsn: str) -> AsyncIterator[Connection]:
    """A connection with the application's rights inside a transaction that is rolled back."""
    async with _rolled_back(shared_dsn, role=APP_ROLE) as opened:
        yield opened


@pytest_asyncio.fixture
async def owner_connection(shared_dsn: str) -> AsyncIterator[Connection]:
    """The owner's rights, in a transaction that is rolled back; it does not see `connection`'s rows."""
    async with _rolled_back(shared_dsn, role=None) as opened:
        yield opened


@pytest.fixture
def now(request: pytest.FixtureRequest) -> datetime:
    """The instant of `tx`: `@pytest.mark.parametrize("now", [...], indirect=True)` sets another."""
    return getattr(request, "param", NOW)


@pytest.fixture
def tx(connection: Connection, now: datetime) -> Tx:
    """A transaction at a fixed instant with repeatable ids, rolled back when the test ends."""
    return Tx(connection, now, random.Random(1).getrandbits)


@asynccontextmanager
async def _rolled_back(dsn: str, *, role: str | None) -> AsyncIterator[Connection]:
    settings = {"timezone": "UTC", "jit": "off", **({"role": role} if role else {})}
    opened = await asyncpg.connect(dsn, server_settings=settings)
    transaction = opened.transaction()
    await transaction.start()
    try:
        yield opened
    finally:
        await transaction.rollback()
        await opened.close()
