"""Limits on calls within an hour that moves: every call counts for 3600 s, then it is as if it had never been.

A call is counted in several limits at once or in none; what is refused counts nowhere. In memory for one process
(`MemoryWindows`), in Redis or Valkey for several (`SharedWindows`).
"""

from billing.kit.ratelimit.memory import MemoryWindows, Recent
from billing.kit.ratelimit.model import WINDOW_S, Limit, Quota, Verdict, Windows, microseconds
from billing.kit.ratelimit.shared import SharedWindows

__all__ = [
    "WINDOW_S",
    "Limit",
    "MemoryWindows",
    "Quota",
    "Recent",
    "SharedWindows",
    "Verdict",
    "Windows",
    "microseconds",
]
