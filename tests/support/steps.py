"""How much the program itself does: lines of its own Python, counted as they are run. Unlike time they are the same everywhere."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import billing

if TYPE_CHECKING:
    from types import FrameType

_OWN = str(Path(billing.__file__).parent)


async def count_lines(do: Callable[[], Awaitable[object]]) -> int:
    """Lines of the program that this thread runs while something is done."""
    lines = 0

    def trace_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace_line

    def trace_call(frame: FrameType, event: str, _: Any) -> Any:
        return trace_line if frame.f_code.co_filename.startswith(_OWN) else None

    before = sys.gettrace()
    sys.settrace(trace_call)
    try:
        await do()
    finally:
        sys.settrace(before)
    return lines
