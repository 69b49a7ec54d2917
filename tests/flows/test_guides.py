"""The guides: every command and program in them runs as it is written, and prints what they show."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import walk
from tests.support.serving import Serving, serving

ROOT = Path(__file__).parents[2]
GUIDES = sorted(path for path in (ROOT / "docs/guides").glob("*.md") if "```console" in path.read_text("utf-8"))
_PYTHON = re.compile(r"^```python\n(# (?P<file>\w+\.py)\n)?(?P<program>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def home(installation_folder: Path) -> Path:
    """Where the server and the guides' commands find the database."""
    return installation_folder / "home"


@pytest.fixture(scope="module")
def server(installation_folder: Path, home: Path) -> Iterator[Serving]:
    """The system as `make run` starts it."""
    with serving(installation_folder, "--demo", LINESERVE_HOME=str(home)) as started:
        yield started


@pytest.mark.golden
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_runs_as_written(guide: Path, server: Serving, home: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    text = guide.read_text(encoding="utf-8")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for block in _PYTHON.finditer(text):
        (tmp_path / (block["file"] or "sender.py")).write_text(block["program"], encoding="utf-8")
    environment = {
        **os.environ,
        "LINESERVE_HOME": str(home),
        "API": server.ready["base_url"],
        "OPERATOR": server.ready["operator_url"],
        "OPERATOR_KEY": server.ready["operator_key"],
    }
    shown = walk.read_steps(text)
    done = walk.run_steps(shown, folder=tmp_path, environment=environment)
    if pytestconfig.getoption("--rewrite-golden"):
        guide.write_text(walk.write_steps(text, done), encoding="utf-8")
        return
    for was, now in zip(shown, done, strict=True):
        assert walk.without_what_varies(now.output) == walk.without_what_varies(was.output), was.command


def test_endpoint_that_is_shown_is_the_one_that_serves() -> None:
    block, *_ = _PYTHON.finditer((ROOT / "docs/guides/add-an-endpoint.md").read_text(encoding="utf-8"))
    assert block["program"] in (ROOT / "src/billing/wallets/routes.py").read_text(encoding="utf-8")
