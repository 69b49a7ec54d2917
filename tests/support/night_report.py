"""`nightly.md`: what a night proved, for people: a row for each promise of `docs/quality.md` that has a figure of the night."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.support.documents import tables

_OF_NIGHT = re.compile(r"\bN\b")
FIGURES_MOST, LONGEST_MOST = 6, 40
_REPLAY = ".venv/bin/python -m pytest -n 0 --nightly --seed {seed} '{test}'"


def page(night: dict[str, Any], promises: str) -> str:
    """The report of a night, of its document and the page of promises."""
    tests: dict[str, dict[str, Any]] = night["tests"]
    failed = [name for name, told in tests.items() if told["outcome"] == "failed"]
    lines = [
        f"# Night of {night['started_at'][:10]}: {'FAILED' if failed or night['exit_status'] else 'all passed'}",
        "",
        f"- seed {night['seed']}",
        f"- {', '.join(f'{count} {outcome}' for outcome, count in night['outcomes'].items())}",
        f"- {_lasted(night)}, from {night['started_at']} to {night['finished_at']}",
        f"- {', '.join(f'{name} {version}' for name, version in night['versions'].items() if version)}",
    ]
    if failed:
        lines += ["", "## Failed, and how each is run again", "", "```sh"]
        lines += [_REPLAY.format(seed=night["seed"], test=name) for name in failed]
        lines += ["```"]
    lines += [
        "",
        "## Promises",
        "",
        "| row | promise | tests | outcome | seconds | figures |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(row, tests) for row in _rows(promises)]
    longest = sorted(tests, key=lambda name: -tests[name]["seconds"])[:LONGEST_MOST]
    lines += ["", "## What took longest", "", "| test | seconds |", "|---|---|"]
    lines += [f"| `{name}` | {tests[name]['seconds']:.0f} |" for name in longest if tests[name]["seconds"] >= 1]
    return "\n".join(lines) + "\n"


def _lasted(night: dict[str, Any]) -> str:
    took = datetime.fromisoformat(night["finished_at"]) - datetime.fromisoformat(night["started_at"])
    return f"{took.total_seconds() / 60:.0f} minutes"


def _rows(promises: str) -> list[dict[str, str]]:
    found = [row for columns, rows in tables(promises) if columns[0] == "row" for row in rows]
    return [row for row in found if _OF_NIGHT.search(row["how much"])]


def _row(row: dict[str, str], tests: dict[str, dict[str, Any]]) -> str:
    names = list(_named(row["proven by"]))
    ran = {test: told for test, told in tests.items() if any(_is_of(test, name) for name in names)}
    figures = [figure for told in ran.values() for figure in told.get("figures", ())]
    cells = [
        row["row"],
        row["promise"],
        "<br>".join(f"`{name}`" for name in names),
        _outcome([told["outcome"] for told in ran.values()]),
        f"{sum(told['seconds'] for told in ran.values()):.0f}",
        "<br>".join(figure.replace("|", "\\|") for figure in figures[-FIGURES_MOST:]),
    ]
    return f"| {' | '.join(cells)} |"


def _named(proven_by: str) -> Iterator[str]:
    """Each test by its path; a class after another one is of the same file."""
    file = ""
    for name in proven_by.split(", "):
        file = name.partition("::")[0] if name.startswith("tests/") else file
        yield name if name.startswith("tests/") else f"{file}::{name}"


def _is_of(test: str, name: str) -> bool:
    return test == name or test.startswith((f"{name}::", f"{name}["))


def _outcome(outcomes: list[str]) -> str:
    if not outcomes:
        return "not run"
    bad = [outcome for outcome in outcomes if outcome != "passed"]
    return f"**{len(bad)} of {len(outcomes)} {bad[0]}**" if bad else f"{len(outcomes)} passed"
