"""The seed of a session, and what `make test-nightly` leaves: the seed, each test's end and its figures.

`nightly.json` is for programs, `nightly.md` for people. A figure is a line that a test printed. The seed is that of `--seed`; else
20240201, and with `--nightly` a fresh one. What must be alone on the machine (`tests/support/night.py`) is a second session, with
`--alone`, that goes on with the first one's seed and report.
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support import night_report, postgres

DEFAULT_SEED = 20_240_201
REPORT, PAGE = Path("nightly.json"), Path("nightly.md")
PROMISES = Path(__file__).parents[2] / "docs/quality.md"
NOTHING_TO_DO = pytest.ExitCode.NO_TESTS_COLLECTED
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, default=None, help="of everything that is random; printed when it is chosen here"
    )


def pytest_configure(config: pytest.Config) -> None:
    before = _before() if config.getoption("--alone") else {}
    if config.getoption("--seed") is None:
        fresh = secrets.randbelow(2**31) if config.getoption("--nightly") else DEFAULT_SEED
        config.option.seed = before.get("seed", fresh)
    if config.getoption("--nightly") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(config.option.seed, before), "nightly-report")


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed {config.option.seed}"


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """What random checks begin with; the same one gives the same run."""
    return request.config.option.seed


class Report:
    """Takes down how each test ended and what it printed, after what an earlier session `before` it did."""

    def __init__(self, seed: int, before: dict[str, Any]) -> None:
        self._seed = seed
        self._before = before
        self._started_at = before.get("started_at") or datetime.now(UTC).isoformat(timespec="seconds")
        self._tests: dict[str, dict[str, Any]] = dict(before.get("tests", {}))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        figures = [line for line in report.capstdout.splitlines() if is_figure(line)]
        told: dict[str, Any] = {"outcome": report.outcome, "seconds": round(report.duration, 1)}
        known = self._tests.get(report.nodeid, {}) if report.when == "teardown" else {}
        self._tests[report.nodeid] = known | told | ({"figures": figures[-5:]} if figures else {})

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        outcomes = [told["outcome"] for told in self._tests.values()]
        document = {
            "seed": self._seed,
            "started_at": self._started_at,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": self._before.get("versions") or _versions(),
            "exit_status": max(
                0 if exitstatus == NOTHING_TO_DO else int(exitstatus), self._before.get("exit_status", 0)
            ),
            "outcomes": {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
            "tests": dict(sorted(self._tests.items())),
        }
        REPORT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(night_report.page(document, PROMISES.read_text(encoding="utf-8")), encoding="utf-8")


def is_figure(line: str) -> bool:
    """Whether a test tells something by a line: logs are on the same stream."""
    return bool(line) and len(line) < 200 and not _LOGGED.match(line)


def _before() -> dict[str, Any]:
    """What the session before this one left; nothing, if there was none."""
    return json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.is_file() else {}


def _versions() -> dict[str, str]:
    """What was tested, and on what."""
    postgres_version = _told([str(postgres.binaries_folder() / "postgres"), "--version"])
    return {
        "program": metadata.version("lineserve-billing"),
        "commit": _told(["git", "rev-parse", "--short", "HEAD"]),
        "Python": platform.python_version(),
        "PostgreSQL": postgres_version.rpartition(" ")[2],
        "processors": str(len(os.sched_getaffinity(0))),
    }


def _told(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
