"""A server that is gone at once without a word, as one that something killed: started once more, then told."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from billing.kit import embedded_postgres
from billing.kit.embedded_postgres import DatabaseStartError
from tests.support.postgres import binaries_folder

POSTGRES = """#!/bin/sh
if [ "$1" = -D ] && [ "$(cat {deaths})" != 0 ]; then
    echo $(($(cat {deaths}) - 1)) > {deaths}
    exit 137
fi
exec {real} "$@"
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every login reaches, with a short path for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def mortal_bin_folder(place: Path, *, deaths: int) -> Path:
    """Programs of PostgreSQL whose server dies so many times as it is started."""
    folder = place / "bin"
    folder.mkdir()
    counter = place / "deaths"
    counter.write_text(str(deaths))
    counter.chmod(0o666)
    real = binaries_folder()
    (folder / "initdb").symlink_to(real / "initdb")
    (folder / "postgres").write_text(POSTGRES.format(deaths=counter, real=real / "postgres"))
    (folder / "postgres").chmod(0o755)
    return folder


class TestSilentDeath:
    async def test_is_followed_by_one_more_try(self, place: Path):
        bin_dir = mortal_bin_folder(place, deaths=1)
        async with embedded_postgres.running(home=place / "home", bin_dir=bin_dir) as database:
            connection = await asyncpg.connect(database.dsn)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()

    async def test_is_told_when_it_happens_again(self, place: Path):
        bin_dir = mortal_bin_folder(place, deaths=3)
        with pytest.raises(DatabaseStartError, match=r"was gone at once and said nothing \(its log: .*server\.log\)"):
            await embedded_postgres.start(home=place / "home", bin_dir=bin_dir)
        assert (place / "deaths").read_text().strip() == "1"
