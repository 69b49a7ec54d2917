"""The oracle against cases worked out by hand from the specification."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest

from tests.oracle import models, rating
from tests.oracle.world import Account, Aggregation, Definition, Event, Price, Resource, StatePoint, World

ACCOUNT = Account(UUID(int=1), "USD")
PROJECT = UUID(int=10)
D = Decimal
MICROSECOND = timedelta(microseconds=1)
EARLY = datetime(2020, 1, 1, tzinfo=UTC)
AFTER = datetime(2030, 1, 1, tzinfo=UTC)
METERED: Definition = {"service": "s", "meter": "m", "model": "per_unit"}
TIERS: Definition = {
    "service": "messaging",
    "meter": "sms",
    "model": "graduated",
    "tiers": [
        {"up_to": D(100), "unit_price": D("0.10")},
        {"up_to": D(1000), "unit_price": D("0.05"), "flat": D(3)},
        {"up_to": None, "unit_price": D("0.01")},
    ],
}
SMALL: Definition = {
    "service": "compute",
    "plan": "small",
    "model": "hourly",
    "hourly_price": D("0.05"),
    "monthly_price": D(25),
}


def at(text: str) -> datetime:
    """An instant of 2024 in UTC, such as `01-15 12:00`."""
    return datetime.fromisoformat(f"2024-{text}+00:00")


def price(
    definition: Definition,
    *,
    currency: str = "USD",
    valid_from: datetime = EARLY,
    valid_to: datetime | None = None,
    account_id: UUID | None = None,
) -> Price:
    """A price of a card in USD that has been there since 2020, unless told otherwise."""
    shown = repr((definition, currency, valid_from, valid_to, account_id))
    return Price(
        UUID(int=random.Random(shown).getrandbits(128)), definition, currency, valid_from, valid_to, account_id
    )


def resource(name: str, *what: StatePoint | Event, project_id: UUID = PROJECT, region: str = "nairobi") -> Resource:
    """A resource with its points and events; running since January without a plan when no point is given."""
    points = tuple(one for one in what if isinstance(one, StatePoint)) or (StatePoint(at("01-01 00:00"), "running"),)
    events = tuple(one for one in what if isinstance(one, Event))
    return Resource(ACCOUNT.account_id, name, project_id, region, "vps", "compute", points, events)


def charges(
    *resources: Resource,
    prices: list[Price],
    meters: Mapping[str, Aggregation] | None = None,
    month: int = 1,
    as_of: datetime = AFTER,
    with_minimums: bool = False,
) -> list[rating.Charge]:
    """The charges of a month of 2024."""
    world = World({ACCOUNT.account_id: ACCOUNT}, list(resources), dict(meters or {}), prices)
    return rating.rate(world, year=2024, month=month, as_of=as_of, with_minimums=with_minimums)


def cost(definition: Definition, quantity: str | int, units: int = 1) -> Decimal:
    """The cost of a quantity, which must need no rounding."""
    exact = models.charge_cost(definition, Fraction(quantity), Fraction(units))
    assert (exact * 10**12).denominator == 1
    return rating.decimal_of(int(exact * 10**12)).normalize()


class TestModels:
    """A quantity's cost, model by model."""

    @pytest.mark.parametrize(
        ("quantity", "expected"),
        [("0", "0"), ("10", "0"), ("10.000000000001", "0.0000000000005"), ("12.5", "1.25")],
    )
    def test_per_unit_charges_what_is_beyond_the_included_quantity(self, quantity: str, expected: str) -> None:
        definition: Definition = {
            "service": "s",
            "meter": "m",
            "model": "per_unit",
            "unit_price": D("0.5"),
            "included": D(10),
        }
        exact = models.charge_cost(definition, Fraction(quantity), Fraction(1))
        assert exact == Fraction(expected)

    @pytest.mark.parametrize(
        ("quantity", "expected"),
        [("0", "0"), ("100", "10"), ("101", "13.05"), ("1000", "58"), ("1001", "58.01"), ("100.5", "13.025")],
    )
    def test_graduated_bounds_are_inclusive_and_a_flat_is_due_on_entry(self, quantity: str, expected: str) -> None:
        assert cost(TIERS, quantity) == D(expected)

    @pytest.mark.parametrize(
        ("quantity", "expected"), [("0", "0"), ("100", "10"), ("100.1", "8.005"), ("1000", "53"), ("1001", "10.01")]
    )
    def test_volume_prices_all_of_it_at_the_band_that_holds_it(self, quantity: str, expected: str) -> None:
        assert cost({**TIERS, "model": "volume"}, quantity) == D(expected)

    @pytest.mark.parametrize(
        ("quantity", "expected"), [("0", 0), ("1000", 0), ("1000.1", 3), ("1500", 3), ("1500.000000000001", 6)]
    )
    def test_package_rounds_up_what_is_beyond_the_included_quantity(self, quantity: str, expected: int) -> None:
        definition: Definition = {
            "service": "s",
            "meter": "m",
            "model": "package",
            "package_size": D(500),
            "package_price": D(3),
            "included": D(1000),
        }
        assert cost(definition, quantity) == expected

    def test_hours_are_rounded_up_once_and_capped(self) -> None:
        assert cost(SMALL, 1) == D("0.05")
        assert cost(SMALL, 3600) == D("0.05")
        assert cost(SMALL, "3600.000001") == D("0.1")
        assert cost(SMALL, 500 * 3600) == 25
        assert cost(SMALL, 744 * 3600) == 25
        assert cost(SMALL, 744 * 3600, units=3) == 75

    def test_hours_with_another_increment_and_a_minimum(self) -> None:
        definition: Definition = {
            "service": "compute",
            "plan": "p",
            "model": "hourly",
            "hourly_price": D(36),
            "increment_s": 1,
            "minimum_s": 60,
        }
        assert cost(definition, "0.5") == D("0.6")
        assert cost(definition, 60) == D("0.6")
        assert cost(definition, "60.000001") == D("0.61")

    def test_an_hour_is_a_672nd_of_the_month_where_only_the_month_has_a_price(self) -> None:
        definition: Definition = {"service": "compute", "plan": "p", "model": "hourly", "monthly_price": D("67.2")}
        assert cost(definition, 3600) == D("0.1")
        assert cost(definition, 672 * 3600) == cost(definition, 744 * 3600) == D("67.2")

    def test_order_is_cap_discount_units_maximum(self) -> None:
        definition: Definition = {**SMALL, "discount_percent": D(10), "maximum": D(60)}
        assert cost(definition, 3600, units=2) == D("0.09")
        assert cost(definition, 744 * 3600, units=2) == 45
        assert cost(definition, 744 * 3600, units=3) == 60

    def test_a_minimum_fills_up_and_needs_a_quantity(self) -> None:
        definition: Definition = {**TIERS, "minimum": D(5)}
        assert models.minimum_cost(definition, Fraction(10), 10**12) == 4
        assert models.minimum_cost(definition, Fraction(60), 6 * 10**12) == 0
        assert models.minimum_cost(definition, Fraction(0), 0) == 0


class TestPlans:
    """Charges of spans."""

    def test_full_january_is_744_hours_at_the_cap(self) -> None:
        (charge,) = charges(resource("a", StatePoint(at("01-01 00:00"), "running", "small")), prices=[price(SMALL)])
        assert charge.quantity == 744 * 3600
        assert models.billed_hours(charge.price.definition, charge.quantity) == 744
        assert (charge.cost, charge.amount_minor) == (25, 2500)

    def test_flat_is_prorated_by_seconds_of_the_month(self) -> None:
        flat: Definition = {"service": "compute", "plan": "ip", "model": "flat", "amount": D(31)}
        address = resource(
            "a", StatePoint(at("01-05 00:00"), "running", "ip", D(2)), StatePoint(at("01-15 12:00"), "deleted")
        )
        (charge,) = charges(address, prices=[price(flat)])
        assert charge.quantity == Fraction(21, 62)
        assert (charge.cost, charge.amount_minor) == (21, 2100)

    def test_a_resize_is_another_charge_with_its_own_cap(self) -> None:
        large: Definition = {**SMALL, "plan": "large", "hourly_price": D("0.10"), "monthly_price": D(50)}
        resized = resource(
            "a",
            StatePoint(at("01-01 00:00"), "running", "small"),
            StatePoint(at("01-11 00:30"), "running", "large"),
            StatePoint(at("01-21 00:00"), "running", "small"),
        )
        first, second = charges(resized, prices=[price(SMALL), price(large)])
        assert (first.quantity / 3600, first.cost) == (Fraction("504.5"), 25)
        assert (second.quantity / 3600, second.cost) == (Fraction("239.5"), 24)

    def test_other_units_are_another_charge(self) -> None:
        grown = resource(
            "a",
            StatePoint(at("01-01 00:00"), "running", "small"),
            StatePoint(at("01-02 00:00"), "running", "small", D("1.0")),
            StatePoint(at("01-03 00:00"), "running", "small", D("2.5")),
            StatePoint(at("01-03 01:00"), "deleted", "small", D("2.5")),
        )
        assert [(one.units, one.cost) for one in charges(grown, prices=[price(SMALL)])] == [
            (1, D("2.4")),
            (Fraction(5, 2), D("0.125")),
        ]

    def test_only_billable_states_count_and_nothing_after_deletion(self) -> None:
        machine = resource(
            "a",
            StatePoint(at("01-04 00:00"), "running", "small"),
            StatePoint(at("01-01 00:00"), "running", "small"),
            StatePoint(at("01-02 00:00"), "stopped", "small"),
            StatePoint(at("01-05 00:00"), "deleting", "small"),
            StatePoint(at("01-06 00:00"), "deleted", "small"),
        )
        (charge,) = charges(machine, prices=[price(SMALL)])
        assert charge.quantity == 4 * 86400
        (charge,) = charges(machine, prices=[price({**SMALL, "billable": ["running"]})])
        assert charge.quantity == 2 * 86400

    def test_the_open_month_ends_now_and_a_span_carries_over_the_edge(self) -> None:
        machine = resource("a", StatePoint(at("01-31 23:59:59.999999"), "running", "small"))
        (charge,) = charges(machine, prices=[price(SMALL)])
        assert (charge.quantity, charge.cost) == (Fraction(1, 10**6), D("0.05"))
        (charge,) = charges(machine, prices=[price(SMALL)], month=2, as_of=at("02-01 01:00:00.000001"))
        assert (charge.quantity, charge.cost) == (3600 + Fraction(1, 10**6), D("0.10"))
        assert charges(machine, prices=[price(SMALL)], month=2, as_of=at("02-01 00:00")) == []


class TestMeters:
    """Charges of usage events."""

    def test_hundred_gb_for_half_the_month_are_fifty_gb_months(self) -> None:
        storage: Definition = {"service": "storage", "meter": "gb", "model": "per_unit", "unit_price": D("0.02")}
        bucket = resource(
            "b",
            StatePoint(at("01-01 00:00"), "running"),
            StatePoint(at("02-16 12:00"), "deleted"),
            Event("gb", D(100), at("01-16 12:00")),
        )
        half, carried = (
            charges(bucket, prices=[price(storage)], meters={"gb": "time_weighted"}, month=month)[0] for month in (1, 2)
        )
        assert (half.quantity, half.cost) == (50, 1)
        assert carried.quantity == Fraction(100 * 31, 58)
        (part,) = charges(bucket, prices=[price(storage)], meters={"gb": "time_weighted"}, as_of=at("01-17 00:00"))
        assert part.quantity == Fraction(100, 62)
        assert charges(bucket, prices=[price(storage)], meters={"gb": "time_weighted"}, month=3) == []

    def test_pooled_tiers_split_their_cost_by_quantity_with_ties_to_the_first_project(self) -> None:
        definition: Definition = {
            "service": "s",
            "meter": "m",
            "model": "per_unit",
            "unit_price": D("0.01"),
            "included": D(2),
        }
        noon = at("01-10 12:00")
        parts = [
            resource("a", Event("m", D(1), noon), project_id=UUID(int=30)),
            resource("b", Event("m", D(1), noon), project_id=UUID(int=20), region="b"),
            resource("c", Event("m", D(1), noon), project_id=UUID(int=20), region="a"),
        ]
        (charge,) = charges(*parts, prices=[price(definition)], meters={"m": "sum"})
        assert (charge.quantity, charge.cost, charge.amount_minor) == (3, D("0.01"), 1)
        split = [
            (line.project_id.int, line.region, line.amount_minor, line.unrounded_trillionths)
            for line in rating.lines([charge])
        ]
        assert split == [(20, "a", 1, 3333333334), (20, "b", 0, 3333333333), (30, "nairobi", 0, 3333333333)]
        assert [share for _, _, share in rating.resource_shares(charge)] == [Fraction(1, 300)] * 3
        alone = charges(*parts, prices=[price({**definition, "scope": "resource"})], meters={"m": "sum"})
        assert [one.cost for one in alone] == [0, 0, 0]

    def test_max_last_and_ties_of_last(self) -> None:
        definition: Definition = {**METERED, "unit_price": D(1)}
        readings = [
            Event("m", D(100), at("01-01 00:00") - MICROSECOND),
            Event("m", D(4), at("01-02 00:00")),
            Event("m", D(9), at("01-03 00:00"), is_voided=True),
            Event("m", D(2), at("01-31 23:59:59.999999")),
            Event("m", D(3), at("01-31 23:59:59.999999")),
            Event("m", D(100), at("02-01 00:00")),
        ]
        cases: list[tuple[Aggregation, int, dict[date, Fraction]]] = [
            ("max", 4, {date(2024, 1, 2): Fraction(16, 7), date(2024, 1, 31): Fraction(12, 7)}),
            ("last", 3, {date(2024, 1, 2): Fraction(12, 7), date(2024, 1, 31): Fraction(9, 7)}),
            ("sum", 9, {date(2024, 1, 2): Fraction(4), date(2024, 1, 31): Fraction(5)}),
        ]
        for aggregation, expected, days in cases:
            for events in (readings, readings[::-1]):
                (charge,) = charges(resource("r", *events), prices=[price(definition)], meters={"m": aggregation})
                assert charge.quantity == expected
                assert rating.day_shares(charge) == {("r", day): share for day, share in days.items()}
            assert charges(resource("r", *events), prices=[price(definition)], meters={"m": aggregation}, month=3) == []

    def test_minimums_are_charges_of_the_close_alone(self) -> None:
        definition: Definition = {
            "service": "s",
            "meter": "m",
            "model": "per_unit",
            "unit_price": D("0.001"),
            "minimum": D(1),
        }
        used = resource("r", Event("m", D(5), at("01-10 12:00")))
        (charge,) = charges(used, prices=[price(definition)], meters={"m": "sum"})
        assert (charge.cost, charge.amount_minor) == (D("0.005"), 1)
        _, minimum = charges(used, prices=[price(definition)], meters={"m": "sum"}, with_minimums=True)
        assert (minimum.kind, minimum.cost, minimum.amount_minor) == ("minimum", D("0.995"), 100)


class TestLookUp:
    """Which price is in force."""

    def test_contract_then_region_then_newest_start(self) -> None:
        since = datetime(2023, 6, 1, tzinfo=UTC)
        mine = ACCOUNT.account_id
        ordered = [
            price({**SMALL, "region": "nairobi"}, valid_from=since, account_id=mine),
            price({**SMALL, "region": "nairobi"}, account_id=mine),
            price(SMALL, valid_from=since, account_id=mine),
            price({**SMALL, "region": "nairobi"}, valid_from=since),
            price(SMALL, valid_from=since),
            price(SMALL),
        ]
        never = [
            price(SMALL, account_id=UUID(int=2)),
            price(SMALL, currency="KES", account_id=mine),
            price({**SMALL, "region": "lagos"}, account_id=mine),
            price(SMALL, valid_from=at("02-01 00:00"), account_id=mine),
            price(SMALL, valid_from=since, valid_to=at("01-01 00:00"), account_id=mine),
        ]
        machine = resource("a", StatePoint(at("01-01 00:00"), "running", "small"))
        for count in range(len(ordered)):
            (charge,) = charges(machine, prices=[*never, *reversed(ordered[count:])])
            assert charge.price is ordered[count]
        assert charges(machine, prices=never) == []

    def test_a_price_holds_in_its_last_month(self) -> None:
        ending = price(SMALL, valid_to=at("02-01 00:00"))
        machine = resource("a", StatePoint(at("01-01 00:00"), "running", "small"))
        assert len(charges(machine, prices=[ending])) == 1
        assert charges(machine, prices=[ending], month=2) == []


class TestRounding:
    """Twelve decimals, then minor units, then parts."""

    @pytest.mark.parametrize(("value", "expected"), [("0.5", 1), ("0.4999999", 0), ("1.5", 2), ("7", 7), ("0", 0)])
    def test_half_goes_up(self, value: str, expected: int) -> None:
        assert models.half_up(Fraction(value)) == expected

    def test_twelve_decimals_come_before_minor_units(self) -> None:
        definition: Definition = {
            "service": "s",
            "meter": "m",
            "model": "per_unit",
            "unit_price": D("0.0049999999999996"),
        }
        (charge,) = charges(
            resource("r", Event("m", D(1), at("01-02 00:00"))), prices=[price(definition)], meters={"m": "sum"}
        )
        assert (charge.cost, charge.amount_minor) == (D("0.005"), 1)

    def test_largest_remainder_gives_ties_to_the_earlier(self) -> None:
        assert rating.apportion(10, [Fraction(1), Fraction(1), Fraction(1)]) == [4, 3, 3]
        assert rating.apportion(2, [Fraction(1), Fraction(0), Fraction(2)]) == [1, 0, 1]
        assert rating.apportion(0, [Fraction(1), Fraction(5)]) == [0, 0]
