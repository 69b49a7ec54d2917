"""Commands on a terminal and in a pipe: tables and progress for people, plain text for programs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.support.serving import BILLING, environment, run

ESCAPE = "\x1b"
BASH = shutil.which("bash") or "bash"
INVARIANT = "months written to after their close are corrected within 45 days"


@pytest.fixture
def settings(database_dsn: str, tmp_path: Path) -> dict[str, str]:
    return {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path), "LINESERVE_DEMO_MONTHS": "1"}


def watch(*arguments: str, settings: dict[str, str], columns: int = 100) -> tuple[int, str]:
    """How a command ends, and the text that its terminal was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    variables = {**environment(**settings), "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES"):  # of whatever runs the tests: they would outweigh the terminal's own
        variables.pop(name, None)
    process = subprocess.Popen([BILLING, *arguments], env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    sent = bytearray()
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        sent += part
    os.close(ours)
    return process.wait(timeout=60), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent.decode())


def test_long_work_shows_how_far_it_is(settings: dict[str, str]) -> None:
    ended, demo = watch("demo", settings=settings)
    assert ended == 0
    assert "Making the demo" in demo
    assert "%" in demo
    _, check = watch("check", settings=settings)
    assert "Checking" in check
    assert "┃ violations ┃" in check


def test_tables_fit_a_narrow_terminal(settings: dict[str, str]) -> None:
    ended, check = watch("check", columns=50, settings=settings)
    drawn = [line for line in check.splitlines() if "│" in line]
    assert ended == 0
    assert drawn
    assert max(map(len, drawn)) <= 50
    assert INVARIANT not in check, "it is folded"


def test_a_pipe_gets_plain_text_and_no_progress(settings: dict[str, str]) -> None:
    checked = run("check", **settings)
    assert checked.stderr == ""
    assert ESCAPE not in checked.stdout
    assert f"{INVARIANT}  " in checked.stdout, "one line for each, whatever its length"
    assert "│" not in checked.stdout


def test_a_secret_alone_is_printed_for_programs(settings: dict[str, str]) -> None:
    key = run("keys", "create-operator", **settings)
    assert key.stderr == ""
    assert key.stdout.startswith("ls_op_")
    assert "Keep it" in watch("keys", "create-operator", settings=settings)[1]


def test_whoever_stops_reading_gets_no_error(settings: dict[str, str]) -> None:
    program = f"{BILLING} check | {sys.executable} -c 'import sys; sys.stdin.close()'; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        [BASH, "-c", program], env=environment(**settings), capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    assert ended.stdout.strip() in {"0", "141"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["close", "--period", "2199-01"], "2199-01 has not ended: close it from 2199-02-01 01:00 UTC on"),
        (["replay", "/no/such.csv"], "/no/such.csv cannot be read: No such file or directory"),
        (["keys", "create-operator", "--scopes", "all"], "scopes must be some of accounts, catalog"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(settings: dict[str, str], arguments: list[str], says: str) -> None:
    ended = run(*arguments, **settings)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1
