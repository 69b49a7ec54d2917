"""The seed of a session, and what `make test-nightly` leaves in `nightly.json`: the seed, each test's end and its figures.

A figure is a line that a test printed. The seed is that of `--seed`; else 20240201, and with `--nightly` a fresh one.
"""

from __future__ import annotations

import json
import platform
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

DEFAULT_SEED = 20_240_201
REPORT = Path("nightly.json")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, default=None, help="of everything that is random; printed when it is chosen here"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--seed") is None:
        config.option.seed = secrets.randbelow(2**31) if config.getoption("--nightly") else DEFAULT_SEED
    if config.getoption("--nightly") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Report(config.option.seed), "nightly-report")


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed {config.option.seed}"


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """What random checks begin with; the same one gives the same run."""
    return request.config.option.seed


class _Report:
    """Takes down how each test ended and what it printed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._started_at = datetime.now(UTC)
        self._tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        figures = [line for line in report.capstdout.splitlines() if line and len(line) < 200]
        told: dict[str, Any] = {"outcome": report.outcome, "seconds": round(report.duration, 1)}
        self._tests[report.nodeid] = told | ({"figures": figures[-5:]} if figures else {})

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        outcomes = [told["outcome"] for told in self._tests.values()]
        document = {
            "seed": self._seed,
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "exit_status": int(exitstatus),
            "outcomes": {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
            "tests": dict(sorted(self._tests.items())),
        }
        REPORT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
