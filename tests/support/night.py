"""How a night runs: what is long first, what must be alone apart, and nothing for ever.

With `--nightly` each worker begins with its share of LONG, so that all come to their end at about the same time: what is left
then is short, and xdist lets who is idle steal it. Beside others a test of ALONE would judge the machine; `--alone` runs those.
A test that takes ten minutes and twice what it is known to take fails with the stacks of its threads and tasks; in that time
Hypothesis can also find the shortest of what goes wrong, for which it takes five minutes at most.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import pytest

Item = TypeVar("Item")
# Seconds on two processors, where it is more than half a minute.
LONG = {
    "tests/chaos/test_kills.py::TestServer": 1100,
    "tests/flows/test_webhooks_sent.py::TestManyMessages::test_are_each_taken_once_however_many_attempts_and_processes_fail": 870,
    "tests/chaos/test_schedulers.py::TestSchedulers": 530,
    "tests/chaos/test_overload.py::TestOverload": 350,
    "tests/http/test_schemathesis.py::test_answers_are_as_described_whatever_is_sent": 300,
    "tests/sim/test_model.py::TestMoney": 300,
    "tests/store/test_rating_differential.py::TestStatement::test_agrees_with_the_oracle_on_a_million_charges": 270,
    "tests/mutation/test_filters.py::TestUnseen": 250,
    "tests/sim/test_bills.py::TestBills": 200,
    "tests/chaos/test_overload.py::TestNoisyAccount": 130,
    "tests/chaos/test_bad_line.py::TestLine": 125,
    "tests/store/test_growth.py::TestGrowth::test_reads_no_more_with_a_million_things_behind_it": 90,
    "tests/sim/test_year.py::TestYear": 80,
    "tests/chaos/test_kills.py::TestDatabase": 65,
    "tests/sim/test_clock.py::TestJumps": 42,
    "tests/store/test_close.py::TestPdf::test_made_anew_is_what_was_kept": 40,
    "tests/store/test_account_filters.py": 30,
    "tests/http/test_secrecy.py::TestKeys::test_that_are_nearly_right_take_no_longer_than_others": 30,
    "tests/chaos/test_crash_points.py::TestCrash": 30,
}
ALONE = ("tests/chaos/test_overload.py",)
BOUND_LEAST_S = 600
BOUND_TIMES = 2
AGAIN_S = 30.0  # who swallowed the first exception gets another


class TookTooLong(BaseException):
    """Nobody's to catch: code under test and Hypothesis take an Exception for a failure of their own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--alone", action="store_true", help="with --nightly, the tests that must be alone, after a night of the others"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--nightly"):
        return
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    if config.getoption("--alone") or workers > 1:
        chosen = [item for item in items if is_alone(item.nodeid) == config.getoption("--alone")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen
    items[:] = shared_out(items, [seconds_of(item.nodeid) for item in items], workers=workers)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """One of the night's two sessions may have nothing to do, when some tests are asked for."""
    if session.config.getoption("--nightly") and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


def is_alone(nodeid: str) -> bool:
    return _is_of(nodeid, ALONE)


def seconds_of(nodeid: str) -> int:
    """How long a test is known to take; 0 if it is short."""
    return next((seconds for name, seconds in LONG.items() if _is_of(nodeid, [name])), 0)


def bound_of(nodeid: str) -> int:
    """Seconds after which a test is given up."""
    return BOUND_LEAST_S + BOUND_TIMES * seconds_of(nodeid)


def _is_of(nodeid: str, names: Sequence[str]) -> bool:
    return any(nodeid == name or nodeid.startswith((f"{name}::", f"{name}[")) for name in names)


def shared_out(items: Sequence[Item], seconds: Sequence[int], *, workers: int) -> list[Item]:
    """Items in an order of which each worker gets an equal number in a row: its share of the long ones, then the others."""
    by_length = sorted(range(len(items)), key=lambda place: -seconds[place])
    shares: list[list[Item]] = [[] for _ in range(workers)]
    loads_s = [0] * workers
    for place in by_length:
        if not seconds[place]:
            break
        least = loads_s.index(min(loads_s))
        shares[least].append(items[place])
        loads_s[least] += seconds[place]
    others = [item for item, taken_s in zip(items, seconds, strict=True) if not taken_s]
    left = len(items)
    for number, share in enumerate(shares):
        size = left // (workers - number)
        left -= size
        more = max(0, size - len(share))
        share.extend(others[:more])
        del others[:more]
    return [item for share in shares for item in share] + others


def _give_up(*_: object) -> None:
    with tempfile.TemporaryFile("w+") as stacks:
        faulthandler.dump_traceback(stacks, all_threads=True)
        stacks.seek(0)
        sys.stderr.write(stacks.read())
    with suppress(RuntimeError):  # no loop runs
        for task in asyncio.all_tasks():
            task.print_stack(file=sys.stderr)
    raise TookTooLong


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Give up what the block does after so many seconds. In the main thread."""
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _within(item: pytest.Item) -> Generator[None, object, object]:
    if not item.config.getoption("--nightly"):
        return (yield)
    with bounded(bound_of(item.nodeid)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _within(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _within(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _within(item))
