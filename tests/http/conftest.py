"""Databases of HTTP tests: each module has one that its tests share, each with accounts of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.support import databases, postgres


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_dsn(database_server: Path) -> AsyncIterator[str]:
    """A clone of the module's own, as the schema's owner."""
    name = await databases.clone(database_server)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)
