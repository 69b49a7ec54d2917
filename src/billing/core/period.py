"""Billing periods: UTC calendar months, half-open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

_LABEL = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One UTC calendar month, from `start` inclusive to `end` exclusive."""

    year: int
    month: int

    @classmethod
    def parse(cls, label: str) -> Self:
        """Read `2024-01`. Raises ValueError with a reason that a caller can be shown."""
        match = _LABEL.fullmatch(label)
        if match is None or not 1 <= int(match[1]) <= 9998:
            raise ValueError("must be a month like 2024-01")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def containing(cls, instant: datetime) -> Self:
        """The period that holds an aware instant."""
        in_utc = instant.astimezone(UTC)
        return cls(in_utc.year, in_utc.month)

    @property
    def start(self) -> datetime:
        """First instant of the month, UTC, inclusive."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def start_date(self) -> date:
        """First day of the month: how a period is stored."""
        return date(self.year, self.month, 1)

    @property
    def end(self) -> datetime:
        """First instant of the next month, UTC, exclusive."""
        return self.next().start

    @property
    def shown_end(self) -> datetime:
        """The end as the API shows it: 23:59:59 of the last day."""
        return self.end - timedelta(seconds=1)

    @property
    def seconds(self) -> int:
        """Length in seconds: a whole number of days of 86,400."""
        return int((self.end - self.start).total_seconds())

    def next(self) -> Period:
        """The month after."""
        return Period(self.year + self.month // 12, self.month % 12 + 1)

    def previous(self) -> Period:
        """The month before."""
        return Period(self.year - 1, 12) if self.month == 1 else Period(self.year, self.month - 1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"
