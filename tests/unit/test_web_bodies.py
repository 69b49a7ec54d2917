"""Bodies as they arrive: in parts, not at all, or from a sender who takes too long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from billing.core.errors import InvalidParameter
from billing.kit.patience import Watch
from billing.kit.web import bodies

SCOPE: Any = {"headers": []}


def receiving(*parts: dict[str, Any]) -> Any:
    """An ASGI `receive` of some messages, after which nothing comes any more."""
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return receive


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class TestReading:
    """What becomes of a body."""

    async def test_puts_parts_together(self):
        receive = receiving(part(b"ab", more=True), part(b"", more=True), part(b"c", more=False))
        assert await bodies.read_content(SCOPE, receive, watch=Watch()) == b"abc"

    async def test_waits_for_no_more_than_was_announced(self):
        scope: Any = {"headers": [(b"content-length", b"3")]}
        receive = receiving(part(b"ab", more=True), part(b"c", more=True))
        assert await bodies.read_content(scope, receive, watch=Watch()) == b"abc"

    async def test_gives_up_a_sender_who_takes_too_long(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0)
        with pytest.raises(InvalidParameter) as caught:
            await bodies.read_content(SCOPE, receiving(part(b"ab", more=True)), watch=Watch())
        assert [fault.reason for fault in caught.value.faults] == ["was not sent within 0 seconds"]
        await asyncio.sleep(0)  # the task was not cancelled

    async def test_of_a_caller_who_is_gone_ends_the_call(self):
        task = asyncio.create_task(bodies.read_content(SCOPE, receiving(), watch=Watch()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_hears_that_the_sender_went_away(self):
        with pytest.raises(InvalidParameter, match="not"):
            await bodies.read_content(SCOPE, receiving({"type": "http.disconnect"}), watch=Watch())
