"""Every fault of every price of a card is named, with its path."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from billing.catalog import rules
from billing.catalog.model import PriceDefinition
from billing.core.errors import InvalidParameter

METER = {"service": "storage", "meter": "storage.gb"}
PLAN = {"service": "compute", "plan": "c2"}
PER_UNIT = {**METER, "model": "per_unit", "unit_price": "1"}
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
GRADUATED = {**METER, "model": "graduated", "tiers": TIERS}
PACKAGE = {**METER, "model": "package", "package_size": "10", "package_price": "1"}
FLAT = {**PLAN, "model": "flat", "amount": "5"}
HOURLY = {**PLAN, "model": "hourly", "hourly_price": "1"}

WITHOUT_FAULTS = [
    PER_UNIT,
    {**PER_UNIT, "unit_price": "0", "included": "0", "scope": "resource", "region": "af-east_1"},
    {**PER_UNIT, "unit_price": "0.00000000000000000001", "meter": "a/b:c.d_e-f", "discount_percent": "100"},
    {**PER_UNIT, "unit_price": "0.100000000000000000000000"},
    {**PER_UNIT, "maximum": "1", "minimum": "1"},
    GRADUATED,
    {**GRADUATED, "model": "volume"},
    {**GRADUATED, "tiers": [{"up_to": None, "unit_price": "0", "flat": "3"}]},
    {**PACKAGE, "included": "5"},
    FLAT,
    {**FLAT, "scope": "resource"},
    HOURLY,
    {**HOURLY, "monthly_price": "5", "increment_s": 1, "minimum_s": 60, "billable": ["running"]},
    {**PLAN, "model": "hourly", "monthly_price": "5"},
]
# The price, then the paths of its faults, with a part of each reason.
WITH_FAULTS = [
    ({**METER, "model": "per_unit"}, {"unit_price": "is required for the model per_unit"}),
    ({**METER, "model": "volume"}, {"tiers": "is required"}),
    ({**GRADUATED, "tiers": []}, {"tiers": "must have at least one tier"}),
    ({**METER, "model": "package"}, {"package_size": "is required", "package_price": "is required"}),
    ({**PLAN, "model": "flat"}, {"amount": "is required"}),
    ({**PLAN, "model": "hourly"}, {"hourly_price": "is required unless monthly_price is given"}),
    ({**PER_UNIT, "tiers": TIERS}, {"tiers": "does not belong to the model per_unit"}),
    ({**GRADUATED, "included": "5", "amount": "1"}, {"included": "does not belong", "amount": "does not belong"}),
    ({**FLAT, "hourly_price": "5"}, {"hourly_price": "does not belong"}),
    ({**FLAT, "billable": ["running"]}, {"billable": "does not belong"}),
    ({**HOURLY, "included": "5"}, {"included": "does not belong"}),
    ({**PER_UNIT, "meter": None}, {"meter": "is required for the model per_unit"}),
    ({**PER_UNIT, **PLAN}, {"plan": "which names a meter"}),
    ({**HOURLY, "plan": None, "meter": "m"}, {"plan": "is required", "meter": "which names a plan"}),
    ({**FLAT, "scope": "account"}, {"scope": "must be resource"}),
    ({**HOURLY, "scope": "account"}, {"scope": "must be resource"}),
    ({**PER_UNIT, "unit_price": "-1"}, {"unit_price": "must not be negative"}),
    ({**PER_UNIT, "unit_price": "0.000000000000000000001"}, {"unit_price": "has more than 20 decimals"}),
    ({**PER_UNIT, "unit_price": "1000000000000000.01"}, {"unit_price": "must be at most 1000000000000000"}),
    ({**PER_UNIT, "unit_price": "NaN"}, {"unit_price": "must be a number"}),
    ({**PER_UNIT, "included": "-1"}, {"included": "must not be negative"}),
    ({**PER_UNIT, "included": "0.0000000000001"}, {"included": "has more than 12 decimals"}),
    ({**PER_UNIT, "included": "1e30"}, {"included": "must be at most 1000"}),
    ({**PACKAGE, "package_size": "0"}, {"package_size": "must be greater than 0"}),
    ({**PACKAGE, "package_price": "-1"}, {"package_price": "must not be negative"}),
    ({**FLAT, "amount": "-5"}, {"amount": "must not be negative"}),
    ({**HOURLY, "monthly_price": "-5"}, {"monthly_price": "must not be negative"}),
    ({**HOURLY, "increment_s": 0}, {"increment_s": "must be from 1 to 2678400"}),
    ({**HOURLY, "minimum_s": -1}, {"minimum_s": "must be from 0 to 2678400"}),
    ({**HOURLY, "minimum_s": 2678401}, {"minimum_s": "must be from 0 to 2678400"}),
    ({**HOURLY, "billable": []}, {"billable": "at least one"}),
    ({**HOURLY, "billable": ["running", "running"]}, {"billable": "each state once"}),
    ({**PER_UNIT, "discount_percent": "100.5"}, {"discount_percent": "must be at most 100"}),
    ({**PER_UNIT, "discount_percent": "-1"}, {"discount_percent": "must not be negative"}),
    ({**PER_UNIT, "maximum": "1", "minimum": "2"}, {"maximum": "must not be less than the minimum"}),
    ({**PER_UNIT, "minimum": "-2"}, {"minimum": "must not be negative"}),
    ({**PER_UNIT, "service": "Storage"}, {"service": "must be 1 to 100 of a-z"}),
    ({**PER_UNIT, "meter": "a" * 101}, {"meter": "must be 1 to 100 of a-z"}),
    ({**PER_UNIT, "meter": "m\n"}, {"meter": "must be 1 to 100 of a-z"}),
    ({**PER_UNIT, "meter": ""}, {"meter": "must be 1 to 100 of a-z"}),
    ({**PER_UNIT, "region": "eu west"}, {"region": "must be 1 to 50 of a-z"}),
    ({**PER_UNIT, "region": ""}, {"region": "must be 1 to 50 of a-z"}),
]
# The upper bounds of the tiers, then the faults below `tiers`.
TIER_FAULTS = [
    (["10", "10", None], {"[1].up_to": "must be greater than 10"}),
    (["10", "5", "20", None], {"[1].up_to": "must be greater than 10"}),
    (["0", None], {"[0].up_to": "must be greater than 0"}),
    (["-1", None], {"[0].up_to": "must not be negative"}),
    (["10", "20"], {"[1].up_to": "must be null"}),
    (["10"], {"[0].up_to": "must be null"}),
    ([None, None], {"[0].up_to": "only the last tier is without end"}),
    ([None, "5"], {"[0].up_to": "only the last", "[1].up_to": "must be null"}),
    (["0.0000000000001", None], {"[0].up_to": "has more than 12 decimals"}),
]


def definition(members: dict[str, Any]) -> PriceDefinition:
    return msgspec.convert(members, PriceDefinition)


def faults_of(price: dict[str, Any]) -> dict[str, str]:
    return {fault.path: fault.reason for fault in rules.price_faults(definition(price))}


def card_faults_of(*prices: dict[str, Any]) -> dict[str, str]:
    return {fault.path: fault.reason for fault in rules.card_faults([definition(price) for price in prices])}


def assert_faults(found: dict[str, str], expected: dict[str, str]) -> None:
    assert list(found) == list(expected)
    for path, part in expected.items():
        assert part in found[path]


class TestPriceFaults:
    @pytest.mark.parametrize("price", WITHOUT_FAULTS)
    def test_finds_none_in_a_good_price(self, price: dict[str, Any]):
        assert faults_of(price) == {}

    @pytest.mark.parametrize(("price", "expected"), WITH_FAULTS)
    def test_names_each_fault_of_a_price(self, price: dict[str, Any], expected: dict[str, str]):
        assert_faults(faults_of(price), expected)

    @pytest.mark.parametrize(("bounds", "expected"), TIER_FAULTS)
    def test_names_tiers_that_do_not_rise_to_an_open_end(self, bounds: list[str | None], expected: dict[str, str]):
        tiers = [{"up_to": bound, "unit_price": "1"} for bound in bounds]
        for model in ("graduated", "volume"):
            found = faults_of({**METER, "model": model, "tiers": tiers})
            assert_faults(found, {f"tiers{path}": part for path, part in expected.items()})

    def test_names_the_prices_of_tiers(self):
        tiers = [{"up_to": "1", "unit_price": "-1"}, {"up_to": None, "unit_price": "1", "flat": "-1"}]
        paths = ["tiers[0].unit_price", "tiers[1].flat"]
        assert list(faults_of({**METER, "model": "graduated", "tiers": tiers})) == paths

    def test_bounds_the_number_of_tiers(self):
        tiers = [*({"up_to": str(n), "unit_price": "1"} for n in range(1, 101)), {"up_to": None, "unit_price": "1"}]
        assert faults_of({**METER, "model": "graduated", "tiers": tiers[1:]}) == {}
        assert list(faults_of({**METER, "model": "graduated", "tiers": tiers})) == ["tiers"]

    def test_keeps_a_given_price_from_being_made(self):
        with pytest.raises(InvalidParameter) as refused:
            msgspec.convert({**FLAT, "amount": "-5", "region": "EU"}, rules.GivenPrice)
        assert [fault.path for fault in refused.value.faults] == ["region", "amount"]


class TestCardFaults:
    def test_wants_a_price(self):
        assert card_faults_of() == {"prices": "must have at least one price"}

    def test_bounds_the_number_of_prices(self):
        prices = [{**PER_UNIT, "meter": f"m{number}"} for number in range(1001)]
        assert card_faults_of(*prices[:-1]) == {}
        assert card_faults_of(*prices) == {"prices": "must have at most 1000 prices"}

    def test_names_the_same_key_twice(self):
        found = card_faults_of(PER_UNIT, {**PER_UNIT, "region": "eu"}, {**PER_UNIT, "unit_price": "2"})
        assert found == {"prices[2]": "is for the same meter and region as prices[0]"}

    def test_lets_a_plan_and_a_meter_share_a_name(self):
        assert card_faults_of({**PER_UNIT, "meter": "c2"}, FLAT) == {}

    def test_names_a_meter_under_two_services(self):
        found = card_faults_of(PER_UNIT, {**PER_UNIT, "region": "eu", "service": "compute"})
        assert found == {"prices[1].service": "must be storage, as before for this meter"}


class TestInlinePrice:
    def test_is_a_model_and_its_members_alone(self):
        price = msgspec.convert({"model": "flat", "amount": "5"}, rules.InlinePrice)
        assert (price.kind, price.amount) == ("plan", 5)
        assert msgspec.convert({"model": "volume", "tiers": TIERS}, rules.InlinePrice).kind == "meter"

    def test_cannot_be_made_with_faults(self):
        with pytest.raises(InvalidParameter) as refused:
            msgspec.convert({"model": "flat", "scope": "account"}, rules.InlinePrice)
        assert [fault.path for fault in refused.value.faults] == ["amount", "scope"]
