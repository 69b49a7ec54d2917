"""The night's order, its bounds and what it leaves behind."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from tests.support import night, night_report, nightly
from tests.tidy.test_proofs import exists

PROMISES = """\
| row | promise | proven by | how much |
|---|---|---|---|
| K1 | killed | `tests/chaos/test_kills.py::TestServer` | C 2 kills, N 250 |
| K2 | killed too | `tests/chaos/test_kills.py::TestDatabase`, `TestMore` | N 100 kills |
| L8 | never | `tests/chaos/test_kills.py::TestOther` | C |
| X3 | keys | `tests/unit/test_keys.py` | N a million |
"""
KILLS = "tests/chaos/test_kills.py"
SERVER = f"{KILLS}::TestServer::test_killed"


def night_of(**tests: Any) -> dict[str, Any]:
    return {
        "seed": 7,
        "started_at": "2026-11-23T01:00:00+00:00",
        "finished_at": "2026-11-23T02:10:30+00:00",
        "versions": {"Python": "3.11.7", "commit": ""},
        "exit_status": 0,
        "outcomes": {"passed": len(tests)},
        "tests": tests,
    }


class TestSharedOut:
    def test_gives_each_worker_its_part_of_the_long_ones_first(self) -> None:
        seconds = [0, 60, 0, 40, 30, 0, 0, 0]
        order = night.shared_out("abcdefgh", seconds, workers=2)
        assert [*order[:4]] == [*"bacf"]
        assert [*order[4:]] == [*"degh"]

    def test_loses_nothing_whatever_is_long(self) -> None:
        for workers in (1, 2, 3, 5):
            for long in range(9):
                seconds = [10 * (place + 1) if place < long else 0 for place in range(9)]
                assert sorted(night.shared_out(range(9), seconds, workers=workers)) == [*range(9)]

    def test_leaves_as_they_are_what_is_short(self) -> None:
        assert night.shared_out("abc", [0, 0, 0], workers=2) == [*"abc"]


class TestLong:
    def test_names_tests_that_there_are(self) -> None:
        named = [name.split("::") for name in (*night.LONG, *night.ALONE)]
        assert not [names for names in named if not exists(names[0], names[1:])]

    def test_is_given_ten_minutes_and_twice_as_long(self) -> None:
        name, seconds = max(night.LONG.items(), key=lambda item: item[1])
        assert night.bound_of(f"{name}[a]") == 600 + 2 * seconds
        assert night.bound_of(f"{name}x") == night.BOUND_LEAST_S


class TestBounded:
    def test_gives_up_what_takes_too_long_with_its_stacks(self, capsys: pytest.CaptureFixture[str]) -> None:
        ended = threading.Event()
        other = threading.Thread(target=ended.wait)
        other.start()
        with pytest.raises(night.TookTooLong), night.bounded(0.01):
            asyncio.run(hang())
        ended.set()
        other.join()
        told = capsys.readouterr().err
        assert "in hang" in told
        assert "Current thread" in told
        assert "Thread 0x" in told

    def test_is_over_with_its_block(self) -> None:
        with night.bounded(0.01):
            pass
        time.sleep(0.02)


async def hang() -> None:
    await asyncio.sleep(60)


class TestPage:
    def test_tells_how_each_promise_of_the_night_ended(self) -> None:
        figures = ["seed 7: 250 kills"]
        told = night_report.page(
            night_of(
                **{
                    SERVER: {"outcome": "passed", "seconds": 600.2, "figures": figures},
                    f"{KILLS}::TestMore::test_a": {"outcome": "failed", "seconds": 1.0},
                    f"{KILLS}::TestDatabase::test_a[b]": {"outcome": "passed", "seconds": 2.0},
                    "tests/unit/test_night.py::test_it": {"outcome": "passed", "seconds": 0.1},
                }
            ),
            PROMISES,
        )
        rows = [line for line in told.splitlines() if line.startswith(("| K", "| L", "| X"))]
        assert rows == [
            f"| K1 | killed | `{KILLS}::TestServer` | 1 passed | 600 | seed 7: 250 kills |",
            f"| K2 | killed too | `{KILLS}::TestDatabase`<br>`{KILLS}::TestMore` | **1 of 2 failed** | 3 |  |",
            "| X3 | keys | `tests/unit/test_keys.py` | not run | 0 |  |",
        ]
        assert told.startswith("# Night of 2026-11-23: FAILED\n\n- seed 7\n- 4 passed\n- 70 minutes, from")
        assert "pytest -n 0 --nightly --seed 7 'tests/chaos/test_kills.py::TestMore::test_a'\n" in told
        assert "- Python 3.11.7\n" in told

    def test_is_good_news_when_all_passed(self) -> None:
        told = night_report.page(night_of(**{SERVER: {"outcome": "passed", "seconds": 1.0}}), PROMISES)
        assert told.startswith("# Night of 2026-11-23: all passed\n")
        assert "Failed" not in told


def test_a_figure_is_a_line_that_is_no_log() -> None:
    assert nightly.is_figure("t = 1.02")
    assert not nightly.is_figure("2026-11-23 09:55:55 [warning  ] charge_unknown")
    assert not nightly.is_figure("")
