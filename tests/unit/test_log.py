"""Log lines: one JSON object each, with what is bound, without what is secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

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
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class TestLines:
    def test_hold_what_is_bound(self, stream: io.StringIO) -> None:
        with structlog.contextvars.bound_contextvars(request_id="r1"):
            structlog.get_logger("billing.x").info("said", amount_minor=5)
        (line,) = lines(stream)
        assert (line["event"], line["request_id"], line["amount_minor"]) == ("said", "r1", 5)

    def test_take_in_what_libraries_say(self, stream: io.StringIO) -> None:
        logging.getLogger("asyncio").warning("slow %s", "thing")
        (line,) = lines(stream)
        assert (line["event"], line["logger"], line["level"]) == ("slow thing", "asyncio", "warning")

    def test_stay_one_line_whatever_is_in_them(self, stream: io.StringIO) -> None:
        structlog.get_logger("billing.x").info("said", name='a\n{"event": "forged"}')
        assert len(lines(stream)) == 1

    def test_leave_out_what_is_below_the_level(self, stream: io.StringIO) -> None:
        structlog.get_logger("billing.x").debug("said")
        assert stream.getvalue() == ""


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
        assert "canary" not in stream.getvalue()
        assert log.HIDDEN in stream.getvalue()

    def test_are_hidden_in_tracebacks(self, stream: io.StringIO) -> None:
        try:
            raise ValueError("postgres://owner:canary@host/d refused")
        except ValueError:
            structlog.get_logger("billing.x").exception("failed")
        assert "canary" not in stream.getvalue()
