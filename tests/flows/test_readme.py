"""The README's first walk: every command runs as it is written, and its output is the one that is shown."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import walk
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@pytest.fixture(scope="module")
def reader() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder to work in and the environment of somebody who has done what comes before the walk."""
    folder = Path(tempfile.mkdtemp(prefix="ls-walk-"))
    folder.chmod(0o755)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    home = str(folder / "home")
    with serving(folder, "--demo", LINESERVE_HOME=home, LINESERVE_DEMO_MONTHS="1") as server:
        yield (
            folder,
            {
                **os.environ,
                "LINESERVE_HOME": home,
                "API": server.ready["base_url"],
                "OPERATOR": server.ready["operator_url"],
                "OPERATOR_KEY": server.ready["operator_key"],
            },
        )
    shutil.rmtree(folder)


@pytest.mark.golden
def test_walk_runs_as_written(reader: tuple[Path, dict[str, str]], pytestconfig: pytest.Config) -> None:
    folder, environment = reader
    text = README.read_text(encoding="utf-8")
    shown = walk.read_steps(text)
    done = walk.run_steps(shown, folder=folder, environment=environment)
    if pytestconfig.getoption("--rewrite-golden"):
        README.write_text(walk.write_steps(text, done), encoding="utf-8")
        return
    for was, now in zip(shown, done, strict=True):
        assert walk.without_what_varies(now.output) == walk.without_what_varies(was.output), was.command
    assert (folder / "invoice.pdf").read_bytes().startswith(b"%PDF-1.7")
