"""Every alarm has its runbook: events that the program logs as warnings or worse, and metrics."""

from __future__ import annotations

import ast
import re

from prometheus_client import REGISTRY

from billing.app import metrics
from billing.kit import log
from tests.support.documents import Row, tables
from tests.tidy.sources import PACKAGE, ROOT, parsed, python_files

LEVELS = {"warning": "warning", "error": "error", "exception": "error", "critical": "error"}
TEXT = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def logged() -> dict[str, set[str]]:
    """The level of each event that is logged at one of these."""
    found: dict[str, set[str]] = {}
    for path in python_files(PACKAGE):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            holder = node.func.value
            if node.func.attr in LEVELS and isinstance(holder, ast.Name) and holder.id in {"log", "_log"}:
                event = node.args[0]
                assert isinstance(event, ast.Constant), f"{path.name}: an event has a fixed name"
                found.setdefault(str(event.value), set()).add(LEVELS[node.func.attr])
    return found


def rows(*columns: str) -> list[Row]:
    (found,) = [rows for names, rows in tables(TEXT) if names == columns]
    return found


class TestAlarms:
    def test_have_a_runbook_each(self) -> None:
        told = {row["event"]: {row["level"]} for row in rows("event", "level", "means", "do")}
        assert told == logged()

    def test_say_what_to_do(self) -> None:
        assert not [row["event"] for row in rows("event", "level", "means", "do") if not (row["means"] and row["do"])]


class TestMetrics:
    def test_are_all_told_with_when_they_ring(self) -> None:
        assert log.count_alarms  # whose module has metrics of its own
        ours = {family.name for family in REGISTRY.collect() if family.name.startswith("lineserve_")}
        told = {row["metric"]: row for row in rows("metric", "labels", "tells", "rings when")}
        assert set(told) == ours
        assert all(row["tells"] and row["rings when"] for row in told.values())

    def test_kinds_of_work_are_told(self) -> None:
        kinds = set(re.findall(r"SELECT '(\w+)'", metrics._WAITING_SQL + metrics._STUCK_SQL))
        assert all(f"`{kind}`" in TEXT for kind in kinds)
