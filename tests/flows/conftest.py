"""A home for programs that are started as whoever installs them starts them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def installation_folder() -> Iterator[Path]:
    """A folder that the database's login can reach, unlike what is below pytest's private folder."""
    folder = Path(tempfile.mkdtemp(prefix="ls-flow-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
