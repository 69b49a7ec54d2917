"""Log lines: one JSON object each, with what is bound, without what is secret."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import REGISTRY

from billing.kit import log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    written = io.StringIO()
    log.configure(level="info", style="json", stream=written)
    yield written
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in text(stream).splitlines()]


def text(stream: io.StringIO) -> str:
    """What was written once all is."""
    logging.getLogger().handlers[0].flush()
    return stream.getvalue()


def say(numbers: range) -> None:
    for number in numbers:
        structlog.get_logger("billing.x").info("said", number=number)


class TestLines:
    def test_hold_what_is_bound(self, stream: io.StringIO) -> None:
        set_before = log.REQUEST_ID.set("r1")
        with structlog.contextvars.bound_contextvars(job="j1"):
            structlog.get_logger("billing.x").info("said", amount_minor=5)
        log.REQUEST_ID.reset(set_before)
        (line,) = lines(stream)
        assert (line["event"], line["request_id"], line["job"], line["amount_minor"]) == ("said", "r1", "j1", 5)

    def test_take_in_what_libraries_say(self, stream: io.StringIO) -> None:
        logging.getLogger("asyncio").warning("slow %s", "thing")
        (line,) = lines(stream)
        assert (line["event"], line["logger"], line["level"]) == ("slow thing", "asyncio", "warning")

    def test_stay_one_line_whatever_is_in_them(self, stream: io.StringIO) -> None:
        structlog.get_logger("billing.x").info("said", name='a\n{"event": "forged"}')
        assert len(lines(stream)) == 1

    def test_leave_out_what_is_below_the_level(self, stream: io.StringIO) -> None:
        structlog.get_logger("billing.x").debug("said")
        assert text(stream) == ""


class TestSecrets:
    @pytest.mark.parametrize(
        "members",
        [
            {"token": "canary"},
            {"Authorization": "Bearer canary"},
            {"url": "postgresql://owner:canary@host/d"},
            {"text": "key ls_prod_canary was sent"},
            {"text": "ls_op_canary"},
            {"text": "signed with whsec_canary+/="},
        ],
    )
    def test_are_hidden(self, stream: io.StringIO, members: dict[str, str]) -> None:
        structlog.get_logger("billing.x").info("said", **members)
        assert "canary" not in text(stream)
        assert log.HIDDEN in text(stream)

    def test_are_hidden_in_tracebacks(self, stream: io.StringIO) -> None:
        try:
            raise ValueError("postgres://owner:canary@host/d refused")
        except ValueError:
            structlog.get_logger("billing.x").exception("failed")
        assert "canary" not in text(stream)


class TestReaderThatStandsStill:
    def test_costs_lines_that_are_counted_and_no_time(self, stream: io.StringIO) -> None:
        """A pipe that nobody empties: each call that is denied would otherwise wait for it, and all others behind."""
        read_end, write_end = os.pipe()
        lost_before = lost()
        with os.fdopen(read_end, "rb") as reader, os.fdopen(write_end, "w") as writer:
            log.configure(level="info", style="json", stream=writer)
            saying = threading.Thread(target=say, args=(range(log.LINES_MAX + 5_000),), daemon=True)
            saying.start()
            saying.join(30)
            was_held_up = saying.is_alive()
            lost_lines = lost() - lost_before
            numbers: list[int] = []
            while len(numbers) + lost_lines < log.LINES_MAX + 5_000:
                numbers.append(json.loads(reader.readline())["number"])
            say(range(1))
            logging.getLogger().handlers[0].flush()
            assert json.loads(reader.readline())["number"] == 0
        assert (was_held_up, lost_lines > 0) == (False, True)
        assert numbers[: log.LINES_MAX] == list(range(log.LINES_MAX))
        assert numbers == sorted(set(numbers))  # in order, each once; the pipe itself may take some in between
        assert stream.getvalue() == ""

    def test_that_is_gone_costs_its_lines(self, stream: io.StringIO) -> None:
        lost_before = lost()
        stream.close()
        say(range(3))
        logging.getLogger().handlers[0].flush()
        assert lost() - lost_before == 3


def lost() -> float:
    found = REGISTRY.get_sample_value("lineserve_log_lines_lost_total")
    assert found is not None
    return found
