"""Each change of a source in the lists beside is noticed by the test that it names. At night each is made, in a copy.

`make mutants` runs these, those of statements and those of filters, and writes `nightly.json`: what was noticed, and by what.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import billed, bills, money
from tests.mutation.mutant import Mutant
from tests.support import postgres
from tests.tidy.sources import PACKAGE, ROOT
from tests.tidy.test_proofs import exists

MUTANTS = [*money.MUTANTS, *bills.MUTANTS, *billed.MUTANTS]
LEAST = 50
LIMIT_S = 300
NOTICED = 1  # how pytest ends when a test failed


def copy_with(mutant: Mutant, folder: Path) -> Path:
    """A copy of the package with one place changed; the folder that it is imported from."""
    copied = shutil.copytree(PACKAGE, folder / "src" / PACKAGE.name)
    changed = copied / mutant.file
    changed.write_text(mutant.path.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
    return copied.parent


def run_killer(mutant: Mutant, sources: Path) -> subprocess.CompletedProcess[str]:
    """The test that must notice, in a session with a database of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", postgres.VARIABLE))}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "--no-header",
            *mutant.killer.split(),
        ],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


class TestList:
    def test_is_long_enough_and_says_each_change_once(self) -> None:
        assert len(MUTANTS) >= LEAST
        assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)

    def test_changes_texts_that_stand_once_in_their_files(self) -> None:
        """A text that is not there any more, or twice, changes nothing or something else."""
        assert not [str(mutant) for mutant in MUTANTS if mutant.path.read_text(encoding="utf-8").count(mutant.old) != 1]

    def test_names_tests_that_there_are(self) -> None:
        named = [mutant.killer.split("::") for mutant in MUTANTS]
        assert not [names for names in named if not exists(names[0], names[1:])]


@pytest.mark.nightly
class TestMutant:
    @pytest.mark.parametrize("mutant", MUTANTS, ids=str)
    def test_is_noticed(self, mutant: Mutant, tmp_path: Path) -> None:
        ended = run_killer(mutant, copy_with(mutant, tmp_path))
        last = ended.stdout.strip().rpartition("\n")[2]
        sys.stdout.write(f"{'noticed' if ended.returncode == NOTICED else 'NOT noticed'} by {mutant.killer}: {last}\n")
        assert ended.returncode == NOTICED, ended.stdout[-2_000:] + ended.stderr[-2_000:]
