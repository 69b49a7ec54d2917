"""A home for programs that are started as whoever installs them starts them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import Serving, serving


@pytest.fixture(scope="session")
def demo() -> Iterator[Serving]:
    """The demo with its year, as a newcomer starts it."""
    folder = Path(tempfile.mkdtemp(prefix="ls-demo-"))
    folder.chmod(0o755)
    with serving(folder, "--demo", LINESERVE_HOME=str(folder / "home"), LINESERVE_DEMO_MONTHS="12") as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def installation_folder() -> Iterator[Path]:
    """A folder that the database's login can reach, unlike what is below pytest's private folder."""
    folder = Path(tempfile.mkdtemp(prefix="ls-flow-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
