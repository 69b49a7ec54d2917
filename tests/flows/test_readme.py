"""The README's first walk: every command runs as it is written, and its output is the one that is shown."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import walk
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@dataclass(frozen=True)
class Reader:
    """Somebody who has done what comes before the walk: a folder to work in, an environment, what was printed."""

    folder: Path
    environment: dict[str, str]
    printed: str


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """A reader of the README, up to its walk."""
    folder = Path(tempfile.mkdtemp(prefix="ls-walk-"))
    folder.chmod(0o755)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    home = str(folder / "home")
    with serving(folder, "--demo", LINESERVE_HOME=home, LINESERVE_DEMO_MONTHS="1") as server:
        environment = {
            **os.environ,
            "LINESERVE_HOME": home,
            "API": server.ready["base_url"],
            "OPERATOR": server.ready["operator_url"],
            "OPERATOR_KEY": server.ready["operator_key"],
        }
        yield Reader(folder, environment, server.output.read_text(encoding="utf-8"))
    shutil.rmtree(folder)


@pytest.mark.golden
def test_walk_runs_as_written(reader: Reader, pytestconfig: pytest.Config) -> None:
    text = README.read_text(encoding="utf-8")
    shown = walk.read_steps(text)
    done = walk.run_steps(shown, folder=reader.folder, environment=reader.environment)
    if pytestconfig.getoption("--rewrite-golden"):
        README.write_text(walk.write_steps(text, done), encoding="utf-8")
        return
    for was, now in zip(shown, done, strict=True):
        assert walk.without_what_varies(now.output) == walk.without_what_varies(was.output), was.command
    for name in ("invoice.pdf", "receipt.pdf"):
        assert (reader.folder / name).read_bytes().startswith(b"%PDF-1.7")


def test_walk_has_ten_commands() -> None:
    walked, _, _ = README.read_text(encoding="utf-8").partition("The invoice as a document")
    titles = re.findall(r"^\*\*(\d+)\. ", walked, re.MULTILINE)
    assert titles == [str(number) for number in range(1, len(walk.read_steps(walked)) + 1)]
    assert len(titles) == 10


def test_start_prints_what_is_shown(reader: Reader) -> None:
    shown = re.search(r"^Public API .*?^Ready\.[^\n]*$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown is not None
    printed = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", reader.printed)
    assert re.sub(r"(ls_(prod|op)_)\w+", r"\1…", printed).strip() == shown[0]
