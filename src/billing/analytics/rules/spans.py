"""Which days are asked for, and how time falls into buckets. Everything is about whole UTC days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from billing.analytics.model import DaySpan, Interval
from billing.core.errors import InvalidParameter
from billing.core.period import Period

MONTHS_MAX = 60
FIRST_YEAR, LAST_YEAR = 1970, 9998  # nothing is reported from before; beyond, dates end
BUCKETS_DEFAULT: dict[Interval, int] = {"day": 30, "week": 12, "month": 12}
_DAY = timedelta(days=1)


class End(Protocol):
    """One end of what a query names: the instants that it means as `from` and, exclusive, as `to`."""

    @property
    def start(self) -> datetime:
        """As `from`, inclusive."""
        ...

    @property
    def end(self) -> datetime:
        """As `to`, exclusive."""
        ...


def months_asked(from_date: End | None, to_date: End | None, *, now: datetime) -> DaySpan:
    """The days from one filter to another; what is left out is the running month's start or end.

    A day counts whole, whatever instant of it is named. Without `from_date` the month of `to_date`, without `to_date` up to the
    end of the running month. Raises InvalidParameter for a wrong order and for more than five years.
    """
    first_day, last_day = _first_day(from_date), _last_day(to_date)
    running = Period.containing(now).start_date
    if last_day is None:
        month = max(first_day or running, running)
        last_day = Period(month.year, month.month).next().start_date - _DAY
    return _checked(first_day or last_day.replace(day=1), last_day)


def buckets_asked(from_date: End | None, to_date: End | None, *, interval: Interval, now: datetime) -> DaySpan:
    """The same for trends; what is left out follows from 30 days, 12 weeks or 12 months, the running one the last."""
    first_day, last_day = _first_day(from_date), _last_day(to_date)
    today = now.astimezone(UTC).date()
    if last_day is None:
        last_day = next_bucket(bucket_of(max(first_day or today, today), interval), interval) - _DAY
    if first_day is None:
        first_day = bucket_of(last_day, interval)
        for _ in range(BUCKETS_DEFAULT[interval] - 1):
            first_day = bucket_of(first_day - _DAY, interval)
    return _checked(first_day, last_day)


def _first_day(from_date: End | None) -> date | None:
    if from_date is None:
        return None
    day = from_date.start.astimezone(UTC).date()
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InvalidParameter.one("query", "from_date", "is out of range")
    return day


def _last_day(to_date: End | None) -> date | None:
    if to_date is None:
        return None
    day = (to_date.end.astimezone(UTC) - timedelta(microseconds=1)).date()
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InvalidParameter.one("query", "to_date", "is out of range")
    return day


def _checked(first_day: date, last_day: date) -> DaySpan:
    end_day = last_day + _DAY
    months = (end_day.year - first_day.year) * 12 + end_day.month - first_day.month + (end_day.day > first_day.day)
    if months > MONTHS_MAX:
        raise InvalidParameter.one("query", "from_date", f"must be at most {MONTHS_MAX} months before to_date")
    return DaySpan(first_day, end_day)


def bucket_of(day: date, interval: Interval) -> date:
    """The first day of the bucket that holds a day; weeks are ISO's, from Monday on."""
    if interval == "day":
        return day
    return day.replace(day=1) if interval == "month" else day - timedelta(days=day.weekday())


def next_bucket(first_day: date, interval: Interval) -> date:
    """The first day of the bucket after the one that begins on a day."""
    if interval == "month":
        return Period(first_day.year, first_day.month).next().start_date
    return first_day + (_DAY if interval == "day" else 7 * _DAY)


def buckets_of(days: DaySpan, interval: Interval) -> list[date]:
    """The first days of the buckets that some days fall into; the first bucket may begin before them."""
    buckets = [bucket_of(days.first_day, interval)]
    while (following := next_bucket(buckets[-1], interval)) < days.end_day:
        buckets.append(following)
    return buckets


def ends_of_buckets(buckets: Sequence[date], *, days: DaySpan, interval: Interval, now: datetime) -> list[datetime]:
    """The end of each bucket that has begun, exclusive: its days' that are asked for, or just after now."""
    just_after = now.astimezone(UTC) + timedelta(microseconds=1)
    return [
        min(midnight(min(next_bucket(bucket, interval), days.end_day)), just_after)
        for bucket in buckets
        if midnight(bucket) <= now
    ]


def stretches(months: Sequence[Period], *, within: DaySpan) -> list[DaySpan]:
    """The days of some months, in order, that lie within others: months that follow each other are one stretch."""
    found: list[DaySpan] = []
    for month in months:
        first_day = max(month.start_date, within.first_day)
        end_day = min(month.next().start_date, within.end_day)
        if found and found[-1].end_day == first_day:
            first_day = found.pop().first_day
        found.append(DaySpan(first_day, end_day))
    return found


def midnight(day: date) -> datetime:
    """The first instant of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
