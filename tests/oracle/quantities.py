"""Quantities of a period, one piece per resource and price, each able to say how it spreads over days."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from tests.oracle.world import DAY_US, SECOND_US, Aggregation, Event, Price, Resource, StatePoint, instant_of, micros

METERED = ("running", "stopped")  # metering stops while a resource is being deleted, gauges too
FindPrice = Callable[[str, str], Price | None]  # kind and item, for the resource's account and region


@dataclass(frozen=True, slots=True)
class Window:
    """The period, half-open in microseconds, and the instant that spans and gauges are clipped to."""

    start_us: int
    end_us: int
    clip_us: int

    @property
    def seconds(self) -> int:
        """Seconds of the whole month."""
        return (self.end_us - self.start_us) // SECOND_US


@dataclass(frozen=True, slots=True)
class Piece:
    """A resource's part of a charge.

    `segments` are (start, end, level) in microseconds: level 1 for billable time, the reading for a gauge. `days` are
    the day aggregates of the meters that count events. Exactly one of the two is used.
    """

    resource: Resource
    price: Price
    units: Fraction
    quantity: Fraction
    segments: tuple[tuple[int, int, Fraction], ...] = ()
    days: tuple[tuple[date, Fraction], ...] = ()

    def day_weights(self) -> dict[date, Fraction]:
        """What each day adds; a day's share of the piece is its weight over their sum."""
        weights: dict[date, Fraction] = dict(self.days)
        for start, end, level in self.segments:
            for day, length in _days_of(start, end):
                weights[day] = weights.get(day, Fraction(0)) + length * level
        return weights


def spans(resource: Resource, start_us: int, end_us: int) -> Iterator[tuple[int, int, StatePoint]]:
    """The resource's spans inside [start, end), cut at its deletion."""
    points = sorted(resource.points, key=lambda point: point.effective_at)
    for index, point in enumerate(points):
        if point.status == "deleted":
            return
        begin = max(micros(point.effective_at), start_us)
        until = end_us if index + 1 == len(points) else min(micros(points[index + 1].effective_at), end_us)
        if begin < until:
            yield begin, until, point


def plan_pieces(resource: Resource, window: Window, find_price: FindPrice) -> Iterator[Piece]:
    """One piece per price and units that the resource's spans were billable under."""
    found: dict[tuple[str, Fraction], list[tuple[int, int, Fraction]]] = {}
    prices: dict[str, Price | None] = {}
    for start, end, point in spans(resource, window.start_us, window.clip_us):
        if point.plan is None:
            continue
        if point.plan not in prices:
            prices[point.plan] = find_price("plan", point.plan)
        price = prices[point.plan]
        if price is not None and point.status in _billable(price):
            found.setdefault((point.plan, Fraction(point.units)), []).append((start, end, Fraction(1)))
    for (plan, units), segments in found.items():
        price = prices[plan]
        assert price is not None, "segments exist only under a price"
        seconds = Fraction(sum(end - start for start, end, _ in segments), SECOND_US)
        quantity = seconds if price.definition["model"] == "hourly" else seconds / window.seconds
        yield Piece(resource, price, units, quantity, segments=tuple(segments))


def meter_pieces(
    resource: Resource, window: Window, meters: dict[str, Aggregation], find_price: FindPrice
) -> Iterator[Piece]:
    """One piece per meter of the resource that has a quantity in the window and a price."""
    by_meter: dict[str, list[Event]] = {}
    for event in resource.events:
        if not event.is_voided:
            by_meter.setdefault(event.meter, []).append(event)
    for meter, events in by_meter.items():
        price = find_price("meter", meter)
        if price is None:
            continue
        if meters[meter] == "time_weighted":
            piece = _gauge(resource, price, window, events)
        else:
            piece = _counted(resource, price, window, events, meters[meter])
        if piece is not None:
            yield piece


def _gauge(resource: Resource, price: Price, window: Window, events: Collection[Event]) -> Piece | None:
    """Each reading holds until the next one or the resource's end; of readings at one instant the largest holds."""
    readings = sorted((micros(event.occurred_at), event.quantity) for event in events)
    living = [
        (start, end)
        for start, end, point in spans(resource, window.start_us, window.clip_us)
        if point.status in METERED
    ]
    segments: list[tuple[int, int, Fraction]] = []
    for index, (read_at, level) in enumerate(readings):
        until = window.clip_us if index + 1 == len(readings) else readings[index + 1][0]
        for start, end in living:
            if max(read_at, start) < min(until, end):
                segments.append((max(read_at, start), min(until, end), Fraction(level)))
    if not segments:
        return None
    total = sum((level * (end - start) for start, end, level in segments), Fraction(0))
    return Piece(resource, price, Fraction(1), total / (window.seconds * SECOND_US), segments=tuple(segments))


def _counted(
    resource: Resource, price: Price, window: Window, events: Iterable[Event], aggregation: Aggregation
) -> Piece | None:
    """Sum, highest or last of the period's events, and the same of each day."""
    inside = sorted(
        (at, Fraction(event.quantity))
        for event in events
        if window.start_us <= (at := micros(event.occurred_at)) < window.end_us
    )
    if not inside:
        return None
    by_day: dict[date, list[Fraction]] = {}
    for at, quantity in inside:
        by_day.setdefault(instant_of(at).date(), []).append(quantity)
    days = tuple((day, _aggregate(quantities, aggregation)) for day, quantities in by_day.items())
    whole = _aggregate([quantity for _, quantity in inside], aggregation)
    return Piece(resource, price, Fraction(1), whole, days=days)


def _aggregate(quantities: list[Fraction], aggregation: Aggregation) -> Fraction:
    """Of quantities ordered by their times, equal times by size: the last is the largest of the last instant."""
    if aggregation == "sum":
        return sum(quantities, Fraction(0))
    return max(quantities) if aggregation == "max" else quantities[-1]


def _billable(price: Price) -> Collection[str]:
    return price.definition.get("billable", ("running", "stopped"))


def _days_of(start_us: int, end_us: int) -> Iterator[tuple[date, int]]:
    while start_us < end_us:
        until = min((start_us // DAY_US + 1) * DAY_US, end_us)
        yield instant_of(start_us).date(), until - start_us
        start_us = until
