"""Each price model compiles to the bands that its table shows, and the bands cost what the model says."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import catalog
from billing.catalog import Band, CompiledPrice, PriceTerms
from tests.oracle.models import charge_cost
from tests.oracle.world import Definition

# A price as in JSON, numbers as text; the bands as `low-high: base + unit`, with `inf` for no end.
PER_UNIT = [
    ({"unit_price": "0.05"}, ["0-inf: 0 + 0.05"]),
    ({"unit_price": "0.05", "included": "100"}, ["0-100: 0 + 0", "100-inf: 0 + 0.05"]),
    ({"unit_price": "0.05", "included": "0"}, ["0-inf: 0 + 0.05"]),
    ({"unit_price": "0.05", "included": "0.5"}, ["0-0.5: 0 + 0", "0.5-inf: 0 + 0.05"]),
    ({"unit_price": "0.05", "discount_percent": "20"}, ["0-inf: 0 + 0.04"]),
    ({"unit_price": "0.05", "discount_percent": "100"}, ["0-inf: 0 + 0"]),
    ({"unit_price": "0"}, ["0-inf: 0 + 0"]),
    ({"unit_price": "1e-20", "discount_percent": "33.3"}, ["0-inf: 0 + 0.00000000000000000000667"]),
    ({"unit_price": "0.1", "maximum": "5", "minimum": "1"}, ["0-inf: 0 + 0.1"]),
]
GRADUATED = [
    ([("null", "0.1", None)], ["0-inf: 0 + 0.1"]),
    ([("10", "1", None), ("null", "0.5", None)], ["0-10: 0 + 1", "10-inf: 10 + 0.5"]),
    (
        [("10", "0", None), ("100", "1", None), ("null", "0.5", None)],
        ["0-10: 0 + 0", "10-100: 0 + 1", "100-inf: 90 + 0.5"],
    ),
    ([("10", "1", "2"), ("null", "0.5", "3")], ["0-10: 2 + 1", "10-inf: 15 + 0.5"]),
    ([("10", "0", "2"), ("20", "0", "3"), ("null", "0", "4")], ["0-10: 2 + 0", "10-20: 5 + 0", "20-inf: 9 + 0"]),
    ([("0.5", "1", None), ("null", "3", None)], ["0-0.5: 0 + 1", "0.5-inf: 0.5 + 3"]),
]
VOLUME = [
    ([("null", "0.1", None)], ["0-inf: 0 + 0.1"]),
    ([("10", "1", None), ("null", "0.5", None)], ["0-10: 0 + 1", "10-inf: 5 + 0.5"]),
    ([("10", "1", "2"), ("null", "0.5", "3")], ["0-10: 2 + 1", "10-inf: 8 + 0.5"]),
    (
        [("10", "3", None), ("100", "2", None), ("null", "1", None)],
        ["0-10: 0 + 3", "10-100: 20 + 2", "100-inf: 100 + 1"],
    ),
]
# The bands, then the step, which is also what is divided by.
PACKAGE = [
    ({"package_size": "1000", "package_price": "2.5"}, ["0-inf: 0 + 2.5"], "1000"),
    ({"package_size": "3", "package_price": "10"}, ["0-inf: 0 + 10"], "3"),
    ({"package_size": "0.5", "package_price": "1", "included": "2"}, ["0-2: 0 + 0", "2-inf: 0 + 1"], "0.5"),
    ({"package_size": "3", "package_price": "10", "discount_percent": "15"}, ["0-inf: 0 + 8.5"], "3"),
]
# unit, per, step, minimum quantity (seconds), cap
HOURLY = [
    ({"hourly_price": "0.01"}, ("0.01", "3600", "3600", "0", None)),
    ({"hourly_price": "0.01", "monthly_price": "5"}, ("0.01", "3600", "3600", "0", "5")),
    ({"monthly_price": "5"}, ("5", "2419200", "3600", "0", "5")),
    ({"hourly_price": "0.01", "increment_s": 1, "minimum_s": 60}, ("0.01", "3600", "1", "60", None)),
    ({"hourly_price": "0.01", "monthly_price": "5", "discount_percent": "10"}, ("0.009", "3600", "3600", "0", "4.5")),
    ({"monthly_price": "5", "discount_percent": "50"}, ("2.5", "2419200", "3600", "0", "2.5")),
    ({"hourly_price": "0", "monthly_price": "0"}, ("0", "3600", "3600", "0", "0")),
]


def terms(model: str, **members: object) -> PriceTerms:
    return msgspec.convert({"model": model, **members}, PriceTerms)


def tiered(model: str, tiers: Sequence[tuple[str, str, str | None]], **members: object) -> PriceTerms:
    given_tiers = [
        {"up_to": None if up_to == "null" else up_to, "unit_price": unit_price, "flat": flat}
        for up_to, unit_price, flat in tiers
    ]
    return terms(model, tiers=given_tiers, **members)


def shown(bands: tuple[Band, ...]) -> list[str]:
    def number(value: Decimal | None) -> str:
        return "inf" if value is None else f"{value.normalize():f}"

    return [f"{number(b.low)}-{number(b.high)}: {number(b.base)} + {number(b.unit)}" for b in bands]


class TestPerUnit:
    @pytest.mark.parametrize(("members", "bands"), PER_UNIT)
    def test_is_a_free_band_and_one_without_end(self, members: dict[str, str], bands: list[str]):
        assert shown(catalog.compile_price(terms("per_unit", **members)).bands) == bands

    def test_pools_an_account_unless_it_says_otherwise(self):
        assert catalog.compile_price(terms("per_unit", unit_price="1")).scope == "account"
        assert catalog.compile_price(terms("per_unit", unit_price="1", scope="resource")).scope == "resource"

    def test_keeps_maximum_and_minimum_out_of_the_discount(self):
        compiled = catalog.compile_price(
            terms("per_unit", unit_price="1", maximum="10", minimum="2", discount_percent="50")
        )
        assert (compiled.maximum, compiled.minimum) == (Decimal(10), Decimal(2))

    def test_counts_events_whatever_the_resource_does(self):
        assert catalog.compile_price(terms("per_unit", unit_price="1")).billable == ()


class TestGraduated:
    @pytest.mark.parametrize(("tiers", "bands"), GRADUATED)
    def test_adds_up_the_bands_below(self, tiers: list[tuple[str, str, str | None]], bands: list[str]):
        assert shown(catalog.compile_price(tiered("graduated", tiers)).bands) == bands

    def test_discounts_bases_and_units(self):
        tiers = [("10", "1", "2"), ("null", "0.5", "3")]
        compiled = catalog.compile_price(tiered("graduated", tiers, discount_percent="10"))
        assert shown(compiled.bands) == ["0-10: 1.8 + 0.9", "10-inf: 13.5 + 0.45"]


class TestVolume:
    @pytest.mark.parametrize(("tiers", "bands"), VOLUME)
    def test_prices_everything_at_the_band_reached(self, tiers: list[tuple[str, str, str | None]], bands: list[str]):
        assert shown(catalog.compile_price(tiered("volume", tiers)).bands) == bands


class TestPackage:
    @pytest.mark.parametrize(("members", "bands", "size"), PACKAGE)
    def test_steps_by_the_size_and_divides_by_it_last(self, members: dict[str, str], bands: list[str], size: str):
        compiled = catalog.compile_price(terms("package", **members))
        assert shown(compiled.bands) == bands
        assert (compiled.step, compiled.per) == (Decimal(size), Decimal(size))


class TestFlat:
    def test_prices_the_whole_month_as_one(self):
        compiled = catalog.compile_price(terms("flat", amount="29.99", discount_percent="10"))
        assert shown(compiled.bands) == ["0-inf: 0 + 26.991"]
        assert (compiled.per, compiled.step, compiled.cap) == (1, None, None)
        assert (compiled.scope, compiled.billable) == ("resource", ("running", "stopped"))


class TestHourly:
    @pytest.mark.parametrize(("members", "expected"), HOURLY)
    def test_counts_seconds_and_caps_at_the_monthly_price(
        self, members: dict[str, Any], expected: tuple[str, str, str, str, str | None]
    ):
        unit, per, step, minimum_quantity, cap = expected
        compiled = catalog.compile_price(terms("hourly", **members))
        assert [band.unit for band in compiled.bands] == [Decimal(unit)]
        assert (compiled.per, compiled.step) == (Decimal(per), Decimal(step))
        assert (compiled.minimum_quantity, compiled.cap) == (
            Decimal(minimum_quantity),
            None if cap is None else Decimal(cap),
        )

    def test_bills_the_states_it_names(self):
        assert catalog.compile_price(terms("hourly", hourly_price="1", billable=["running"])).billable == ("running",)


prices = st.decimals(min_value=0, max_value=10**15, places=20)
quantities = st.decimals(min_value="0.000000000001", max_value=Decimal(10) ** 29 - 1, places=12)
percents = st.none() | st.decimals(min_value=0, max_value=100, places=20)


@st.composite
def tier_lists(draw: st.DrawFn) -> list[dict[str, object]]:
    bounds: list[Decimal | None] = [*sorted(draw(st.sets(quantities, max_size=6))), None]
    return [
        {"up_to": bound, "unit_price": draw(prices), **({"flat": draw(prices)} if draw(st.booleans()) else {})}
        for bound in bounds
    ]


@st.composite
def any_terms(draw: st.DrawFn, *, models: tuple[str, ...]) -> PriceTerms:
    model = draw(st.sampled_from(models))
    members: dict[str, object] = {}
    match model:
        case "per_unit":
            members = {"unit_price": draw(prices), "included": draw(st.none() | quantities)}
        case "package":
            size = draw(st.decimals(min_value="0.000001", max_value=10**9, places=6))
            members = {"package_size": size, "package_price": draw(prices), "included": draw(st.none() | quantities)}
        case "flat":
            members = {"amount": draw(prices)}
        case "hourly":
            which = draw(st.sampled_from(("hourly_price", "monthly_price", "both")))
            names = ("hourly_price", "monthly_price") if which == "both" else (which,)
            members = {name: draw(prices) for name in names}
            members["increment_s"] = draw(st.none() | st.integers(1, 86_400))
            members["minimum_s"] = draw(st.none() | st.integers(0, 86_400))
        case _:
            members = {"tiers": draw(tier_lists())}
    return terms(model, discount_percent=draw(percents), maximum=draw(st.none() | prices), **members)


METER_MODELS = ("per_unit", "graduated", "volume", "package")
ALL_MODELS = (*METER_MODELS, "flat", "hourly")


def cost_by_bands(compiled: CompiledPrice, quantity: Fraction, units: Fraction) -> Fraction:
    """What the rating statement does with bands, in fractions."""
    band = next(b for b in compiled.bands if Fraction(b.low) < quantity and (b.high is None or quantity <= b.high))
    x = quantity - Fraction(band.low)
    if compiled.step is not None:
        step = Fraction(compiled.step)
        x = -(-x // step) * step
    x = max(x, Fraction(compiled.minimum_quantity))
    cost = Fraction(band.base) + Fraction(band.unit) * x / Fraction(compiled.per)
    if compiled.cap is not None:
        cost = min(cost, Fraction(compiled.cap))
    cost *= units
    return cost if compiled.maximum is None else min(cost, Fraction(compiled.maximum))


def definition_of(price: PriceTerms) -> Definition:
    given = {name: getattr(price, name) for name in PriceTerms.__struct_fields__}
    members = {name: value for name, value in given.items() if value is not None and name != "tiers"}
    if price.tiers is not None:
        members["tiers"] = [
            {"up_to": tier.up_to, "unit_price": tier.unit_price, "flat": tier.flat or 0} for tier in price.tiers
        ]
    return cast("Definition", {"service": "any", **members})


class TestEveryModel:
    @given(price=any_terms(models=ALL_MODELS))
    def test_has_bands_that_follow_each_other_without_a_gap(self, price: PriceTerms):
        bands = catalog.compile_price(price).bands
        assert bands[0].low == 0
        assert bands[-1].high is None
        assert [band.high for band in bands[:-1]] == [band.low for band in bands[1:]]
        assert all(band.high is None or band.low < band.high for band in bands)

    @given(price=any_terms(models=ALL_MODELS), numerator=st.integers(1, 10**41), units=st.integers(1, 1000))
    def test_costs_what_the_oracle_says(self, price: PriceTerms, numerator: int, units: int):
        denominator = {"hourly": 1, "flat": 2_678_400}.get(price.model, 10**12)
        quantity, multiple = Fraction(numerator, denominator), Fraction(units)
        expected = charge_cost(definition_of(price), quantity, multiple)
        assert cost_by_bands(catalog.compile_price(price), quantity, multiple) == expected

    @given(price=any_terms(models=METER_MODELS), data=st.data())
    def test_costs_what_the_oracle_says_at_the_bounds(self, price: PriceTerms, data: st.DataObject):
        compiled = catalog.compile_price(price)
        bound = data.draw(
            st.sampled_from([band.high for band in compiled.bands if band.high is not None] or [Decimal(1)])
        )
        for trillionths in (-1, 0, 1):
            quantity = Fraction(bound) + Fraction(trillionths, 10**12)
            expected = charge_cost(definition_of(price), quantity, Fraction(1))
            assert quantity <= 0 or cost_by_bands(compiled, quantity, Fraction(1)) == expected

    @given(price=any_terms(models=("graduated",)))
    def test_graduated_without_flats_never_jumps(self, price: PriceTerms):
        assert price.tiers is not None
        tiers = [msgspec.structs.replace(tier, flat=None) for tier in price.tiers]
        bands = catalog.compile_price(msgspec.structs.replace(price, tiers=tiers)).bands
        for band, following in pairwise(bands):
            assert band.high is not None
            reached = Fraction(band.base) + Fraction(band.unit) * (Fraction(band.high) - Fraction(band.low))
            assert Fraction(following.base) == reached

    @given(price=any_terms(models=ALL_MODELS))
    def test_reads_back_from_json_digit_by_digit(self, price: PriceTerms):
        encoded = msgspec.json.Encoder(decimal_format="number").encode(price)
        assert msgspec.json.decode(encoded, type=PriceTerms) == price
