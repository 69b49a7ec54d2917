"""How a ratio is measured on a noisy machine: ours and the yardstick in turn, the median of the pairs."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Work = Callable[[], Awaitable["int | Rate"]]
"""Does a fixed amount of work and says how many operations that were, or their rate if it has timed them itself."""

PAIRS = 5
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Rate:
    """What one side did in one turn."""

    operations: int
    elapsed_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Operations a second."""
        return self.operations / self.elapsed_s

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of an operation, of this program and PostgreSQL together."""
        return self.cpu_s / self.operations * 1e6


@dataclass(frozen=True, slots=True)
class Compared:
    """Ours and the yardstick, turn by turn."""

    ours: list[Rate]
    yardstick: list[Rate]

    @property
    def ratios(self) -> list[float]:
        """Ours in units of the yardstick, pair by pair."""
        return [our.per_s / their.per_s for our, their in zip(self.ours, self.yardstick, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the pairs."""
        return statistics.median(self.ratios)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: an operation, its figure, and whether it is good enough."""

    id: str
    operation: str
    ours: str
    yardstick: str
    ratio: float
    spread: tuple[float, float]
    bounds: tuple[float, float, float]
    """Floor, target and moonshot."""
    better: Literal["more", "less"] = "more"
    target_by: float | None = None
    """What is held against the target, where that asks about something else than floor and moonshot do."""
    also: tuple[bool, bool, bool] = (True, True, True)
    """What else each bound asks for."""
    figures: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def met(self) -> tuple[bool, bool, bool]:
        """Whether it is as good as each bound asks for."""
        judged = (self.ratio, self.ratio if self.target_by is None else self.target_by, self.ratio)
        floor, target, moonshot = (
            also and (one >= bound if self.better == "more" else one <= bound)
            for one, bound, also in zip(judged, self.bounds, self.also, strict=True)
        )
        return floor, target, moonshot


async def compare(
    ours: Work, yardstick: Work, *, postmaster: int | None, servers: Sequence[int] = (), pairs: int = PAIRS
) -> Compared:
    """Both, warmed, in turn. With `servers` the CPU of those processes counts, and not this one's, which only asks."""
    await ours()
    await yardstick()
    found = Compared([], [])
    for _ in range(pairs):
        found.ours.append(await measure(ours, postmaster=postmaster, servers=servers))
        found.yardstick.append(await measure(yardstick, postmaster=postmaster, servers=servers))
    return found


async def measure(work: Work, *, postmaster: int | None, servers: Sequence[int] = ()) -> Rate:
    """One turn of one side."""
    cpu_before, started = _cpu_s(postmaster, servers), time.perf_counter()
    done = await work()
    if isinstance(done, Rate):
        return done
    return Rate(done, time.perf_counter() - started, _cpu_s(postmaster, servers) - cpu_before)


def row_of(
    compared: Compared,
    *,
    id: str,
    operation: str,
    unit: str,
    bounds: tuple[float, float, float],
    also: tuple[bool, bool, bool] = (True, True, True),
    **figures: object,
) -> Row:
    """The line of a comparison of rates."""
    ours, yardstick = (statistics.median(rate.per_s for rate in side) for side in (compared.ours, compared.yardstick))
    cpu_us, yardstick_cpu_us = (
        round(statistics.median(rate.cpu_us for rate in side), 1) for side in (compared.ours, compared.yardstick)
    )
    return Row(
        id=id,
        operation=operation,
        ours=f"{ours:,.0f} {unit}/s",
        yardstick=f"{yardstick:,.0f} {unit}/s",
        ratio=compared.ratio,
        spread=(min(compared.ratios), max(compared.ratios)),
        bounds=bounds,
        also=also,
        figures={"cpu_us": cpu_us, "yardstick_cpu_us": yardstick_cpu_us, **figures},
    )


def _cpu_s(postmaster: int | None, servers: Sequence[int]) -> float:
    """CPU seconds of this process, or else of the servers, and of PostgreSQL with its sessions, those that have ended too."""
    own = sum(map(_process_cpu_s, servers)) if servers else time.process_time()
    if postmaster is None:
        return own
    processes = [postmaster, *_children(postmaster)]
    return own + sum(_process_cpu_s(pid) for pid in processes)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


def _process_cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) * _TICK_S
