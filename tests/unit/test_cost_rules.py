"""How shares become costs: rounding, buckets, ranges of days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.analytics import rules
from billing.analytics.model import DayQuantityRun, DayShares, DaySpan, PlaceShare, Presence, RunShare
from billing.core.errors import InvalidParameter
from billing.core.period import Period
from billing.kit.web import DateFilter

MINOR = 10**40
NOW = datetime(2024, 1, 31, 23, 59, tzinfo=UTC)
JANUARY = DaySpan(date(2024, 1, 1), date(2024, 2, 1))


def place(key: str, share: Fraction | int, *, type: str = "vps", resource_id: str = "r") -> PlaceShare:
    """A share in minor units, cut off where the statement cuts it off."""
    return PlaceShare(key, key, type, int(share * MINOR // 1), frozenset({resource_id}))


class TestGroupsOfPlaces:
    def test_takes_noise_below_for_what_it_is(self):
        """Three thirds are one, and two halves of it that come as thirds and sixths are alike."""
        thirds = [place("a", Fraction(1, 3), resource_id=str(number)) for number in range(3)]
        (group,) = rules.groups_of_places(thirds)
        assert (group.amount_minor, group.types[0].count) == (1, 3)
        half = [place("b", Fraction(1, 3)), place("b", Fraction(1, 6)), place("a", Fraction(1, 2))]
        assert [(group.key, group.amount_minor) for group in rules.groups_of_places(half)] == [("a", 1), ("b", 0)]

    def test_rounds_the_whole_half_up(self):
        assert rules.groups_of_places([place("a", Fraction(5, 2))])[0].amount_minor == 3
        assert rules.groups_of_places([place("a", Fraction(-5, 2))])[0].amount_minor == -2

    def test_puts_the_most_costly_first_then_the_smaller_key(self):
        groups = rules.groups_of_places([place("c", 1), place("a", 1), place("b", 5)])
        assert [group.key for group in groups] == ["b", "a", "c"]

    def test_parts_nothing_into_no_percentages(self):
        groups = rules.groups_of_places([place("a", 3), place("b", -3)])
        assert [group.per_mille for group in groups] == [0, 0]

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.fractions(-50, 500)), max_size=12))
    def test_sums_to_the_rounded_whole(self, parts: list[tuple[str, str, Fraction]]):
        groups = rules.groups_of_places([place(key, share, type=type) for key, type, share in parts])
        total = sum(group.amount_minor for group in groups)
        exact = sum((share for _, _, share in parts), Fraction(0))
        assert abs(total - exact) <= Fraction(1, 2) + Fraction(1, 10**30)
        assert sum(group.per_mille for group in groups) == (1000 if total else 0)
        for group in groups:
            assert sum(one.amount_minor for one in group.types) == group.amount_minor
            own = sum((share for key, _, share in parts if key == group.key), Fraction(0))
            assert abs(group.amount_minor - own) < 1 + Fraction(1, 10**20)


class TestGroupsOfDays:
    def test_sums_days_to_their_month(self):
        """Sixty days of 0.4: the first month has its own 12 of 24, not what is left of the first days."""
        run = [RunShare(date(2024, 1, 2), date(2024, 1, 31), "vps", 4 * MINOR // 10),
               RunShare(date(2024, 2, 1), date(2024, 2, 29), "vps", 4 * MINOR // 10)]  # fmt: skip
        days = rules.groups_of_days(DayShares(run, []), interval="day")
        assert sum(day.amount_minor for day in days if day.key < "2024-02") == 12
        months = rules.groups_of_days(DayShares(run, []), interval="month")
        assert [(month.key, month.amount_minor) for month in months] == [("2024-01-01", 12), ("2024-02-01", 12)]

    def test_counts_a_resource_once_in_a_bucket(self):
        presences = [
            Presence(date(2024, 1, 1), "vps", "a", 0b111 << 28),
            Presence(date(2024, 2, 1), "vps", "a", 1),
            Presence(date(2024, 2, 1), "vps", "b", 1),
        ]
        shares = DayShares([RunShare(date(2024, 1, 29), date(2024, 2, 1), "vps", MINOR)], presences)
        (week,) = rules.groups_of_days(shares, interval="week")
        assert (week.key, week.amount_minor, week.types[0].count) == ("2024-01-29", 4, 2)
        days = rules.groups_of_days(shares, interval="day")
        assert [day.types[0].count for day in days] == [1, 1, 1, 2]


class TestQuantitiesOfBuckets:
    def test_are_shown_to_12_decimals(self):
        runs = [DayQuantityRun(date(2024, 1, 1), date(2024, 1, 3), MINOR // 3)]
        found = rules.quantities_of_buckets(runs, buckets=[date(2024, 1, 1)], interval="month")
        assert found == {date(2024, 1, 1): Decimal(1)}


class TestMonthsAsked:
    @pytest.mark.parametrize(
        ("from_date", "to_date", "first", "last"),
        [
            (None, None, "2024-01-01", "2024-01-31"),
            ("2023-05-20", None, "2023-05-20", "2024-01-31"),
            (None, "2023-05-20", "2023-05-01", "2023-05-20"),
            ("2024-03-05", None, "2024-03-05", "2024-03-31"),
            ("2024-01-05T23:30:00-02:00", "2024-01-07T00:00:00Z", "2024-01-06", "2024-01-07"),
            ("2024-01-05", "2024-01-07T23:59:59Z", "2024-01-05", "2024-01-07"),
            ("2024-01-05", "2024-01-07T00:00:00.5Z", "2024-01-05", "2024-01-07"),
            ("9998-12-31", None, "9998-12-31", "9998-12-31"),
        ],
    )
    def test_is_whole_days(self, from_date: str | None, to_date: str | None, first: str, last: str):
        days = rules.months_asked(_end(from_date), _end(to_date), now=NOW)
        assert (str(days.first_day), str(days.end_day - timedelta(days=1))) == (first, last)

    def test_is_five_years_at_most(self):
        for first, last in (("2019-02-01", "2024-01-31"), ("2019-02-28", "2024-02-27"), ("2020-02-29", "2025-02-27")):
            rules.months_asked(_end(first), _end(last), now=NOW)
        for first, last in (("2019-01-31", "2024-01-31"), ("2019-02-28", "2024-02-28"), ("1970-01-01", "9998-01-01")):
            with pytest.raises(InvalidParameter):
                rules.months_asked(_end(first), _end(last), now=NOW)


class TestBucketsAsked:
    @pytest.mark.parametrize(
        ("interval", "to_date", "first", "last"),
        [
            ("day", None, "2024-01-02", "2024-01-31"),
            ("week", None, "2023-11-13", "2024-02-04"),
            ("month", None, "2023-02-01", "2024-01-31"),
            ("week", "2024-01-03", "2023-10-16", "2024-01-03"),
            ("month", "2023-12-31", "2023-01-01", "2023-12-31"),
        ],
    )
    def test_is_the_last_ones_unless_told(self, interval, to_date, first, last):
        days = rules.buckets_asked(None, _end(to_date), interval=interval, now=NOW)
        assert (str(days.first_day), str(days.end_day - timedelta(days=1))) == (first, last)

    def test_follow_each_other_without_a_gap(self):
        days = DaySpan(date(2023, 12, 28), date(2024, 2, 3))
        assert [str(day) for day in rules.buckets_of(days, "week")] == [
            "2023-12-25", "2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29",
        ]  # fmt: skip
        assert [str(day) for day in rules.buckets_of(days, "month")] == ["2023-12-01", "2024-01-01", "2024-02-01"]

    def test_end_with_the_days_asked_for_or_just_after_now(self):
        buckets = rules.buckets_of(JANUARY, "week")
        ends = rules.ends_of_buckets(buckets, days=JANUARY, interval="week", now=datetime(2024, 1, 9, 12, tzinfo=UTC))
        assert ends == [datetime(2024, 1, 8, tzinfo=UTC), datetime(2024, 1, 9, 12, 0, 0, 1, tzinfo=UTC)]


class TestStretches:
    def test_join_months_that_follow_each_other_within_the_days_asked_for(self):
        days = DaySpan(date(2024, 1, 10), date(2024, 6, 5))
        months = [Period(2024, month) for month in (1, 2, 4, 6)]
        assert rules.stretches(months, within=days) == [
            DaySpan(date(2024, 1, 10), date(2024, 3, 1)),
            DaySpan(date(2024, 4, 1), date(2024, 5, 1)),
            DaySpan(date(2024, 6, 1), date(2024, 6, 5)),
        ]
        assert rules.stretches([], within=days) == []


def _end(text: str | None) -> DateFilter | None:
    return None if text is None else DateFilter.read(text)
