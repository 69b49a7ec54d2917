"""How a charge is taken apart, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.analytics import rules
from billing.analytics.model import (
    ChargeKey,
    ChargePart,
    Count,
    DayQuantity,
    ExplainedCharge,
    ExplainedPrice,
    RatedCharge,
)
from billing.catalog import PriceDefinition, compile_price
from billing.core.period import Period
from billing.invoices import BilledLine
from billing.invoices.model import InvoiceLine
from tests.support.cloud import price

PRICE, INVOICE, HOME, OTHER = (UUID(int=number) for number in range(1, 5))
JANUARY, FEBRUARY, MARCH = (Period(2024, month) for month in (1, 2, 3))
TIERS = [{"up_to": 10, "unit_price": "1"}, {"up_to": 20, "unit_price": "0.7"}, {"up_to": None, "unit_price": "0.31"}]


def explained_price(definition: PriceDefinition) -> ExplainedPrice:
    compiled = compile_price(definition)
    same = ("step", "minimum_quantity", "per", "cap", "maximum", "minimum", "scope")
    return ExplainedPrice(
        **{name: getattr(compiled, name) for name in same},
        price_id=PRICE,
        rate_card_id=PRICE,
        rate_card="Card",
        is_contract=False,
        kind=definition.kind,
        item=definition.item,
        service=definition.service,
        region=None,
        model=definition.model,
        definition=definition,
        valid_from=JANUARY.start,
        valid_to=None,
        bands=list(compiled.bands),
        unit="call",
        aggregation="sum",
    )


def line(amount_minor: int, quantity: object = 1, **members: Any) -> BilledLine:
    """A line of January's document, of a meter in HOME, unless told."""
    told: dict[str, Any] = {
        "ordinal": 1, "kind": "usage", "item_kind": "meter", "item": "calls", "resource_id": "", "units": Decimal(1),
        "service_period": JANUARY, "service": "storage", "type": "vps", "project_id": HOME, "project_name": "Home",
        "resource_name": None, "region": "eu", "description": "Calls", "quantity": Decimal(str(quantity)), "unit": "call",
        "unit_price": None, "amount_minor": amount_minor, "unrounded": Decimal(amount_minor).scaleb(-2),
    }  # fmt: skip
    document_period: Period = members.pop("document_period", JANUARY)
    charge_kind: Literal["usage", "minimum"] = members.pop("charge_kind", "usage")
    return BilledLine(
        invoice_id=INVOICE,
        number="INV-2024-001",
        rated_at=datetime(2024, 2, 1, tzinfo=UTC),
        seen_version=0,
        price_id=PRICE,
        document_period=document_period,
        charge_kind=charge_kind,
        line=InvoiceLine(**{**told, **members}),
    )


def rated(definition: PriceDefinition, parts: list[tuple[UUID, object, int]]) -> ExplainedCharge:
    """A charge of a meter at 1 a unit, with (project, quantity, amount) parts."""
    quantity = sum((Decimal(str(one)) for _, one, _ in parts), Decimal(0))
    charge = RatedCharge(
        key=ChargeKey("usage", PRICE, "", Decimal(1)),
        quantity=quantity,
        denominator=Decimal(1),
        billed_above=quantity,
        usage_cost=quantity,
        cost=quantity,
        amount_minor=sum(minor for *_, minor in parts),
    )
    shown = [
        ChargePart(
            project_id=project_id,
            project_name="Home",
            region="eu",
            quantity=Decimal(str(one)),
            amount_minor=minor,
            unrounded=Decimal(minor).scaleb(-2),
        )
        for project_id, one, minor in parts
    ]
    count = Count(quantity=quantity, denominator=Decimal(1), days=[], resources=[], resources_total=0)
    return rules.rated_charge(charge, price=explained_price(definition), count=count, parts=shown)


class TestBilledCharge:
    """What lines tell of a charge: steps, where they come to the very cost."""

    @given(st.lists(st.integers(1, 40_000_000), min_size=1, max_size=4))
    def test_is_the_sum_of_its_lines(self, thousandths: list[int]):
        whole = Fraction(sum(thousandths), 1000)
        tiers = ((Fraction(10), Fraction(1)), (Fraction(10), Fraction("0.7")), (whole, Fraction("0.31")))
        cost, rest = Fraction(0), whole
        for width, unit_price in tiers:
            cost, rest = cost + min(rest, width) * unit_price, max(rest - width, Fraction(0))
        unrounded = Decimal(cost.numerator) / Decimal(cost.denominator)
        told = [line(0, Decimal(one) / 1000, unrounded=Decimal(0)) for one in thousandths]
        told[0] = replace(told[0], line=replace(told[0].line, unrounded=unrounded))
        charge = rules.billed_charge(told, price=explained_price(price(meter="calls", model="graduated", tiers=TIERS)))
        assert charge.subtotal == charge.cost == unrounded
        assert sum(step.amount for step in charge.steps) == unrounded
        assert Fraction(charge.billed_quantity or 0) == whole == Fraction(charge.unit_quantity or 0)

    def test_has_no_steps_where_they_would_not_come_to_the_cost(self):
        charge = rules.billed_charge([line(100, 1)], price=explained_price(price(meter="calls", unit_price="1.01")))
        assert (charge.steps, charge.subtotal, charge.billed_quantity) == ([], None, None)
        assert (charge.cost, charge.amount_minor, charge.is_at_maximum) == (1, 100, False)

    def test_takes_the_hours_that_were_billed_as_they_are(self):
        terms = price(service="compute", plan="vps", model="hourly", hourly_price="1", increment_s=60, minimum_s=90)
        charge = rules.billed_charge([line(3, "0.025", unrounded=Decimal("0.025"))], price=explained_price(terms))
        assert (charge.billed_quantity, charge.unit_quantity, charge.cost) == (Decimal("0.025"), None, Decimal("0.025"))
        assert [step.quantity for step in charge.steps] == [Decimal("0.025")]

    def test_rounds_up_to_packages(self):
        terms = price(meter="calls", model="package", package_size=3, package_price="2", included=6)
        charge = rules.billed_charge([line(400, 10)], price=explained_price(terms))
        assert (charge.unit_quantity, charge.billed_quantity, charge.subtotal) == (10, 12, 4)

    @pytest.mark.parametrize(("quantity", "cost", "is_at_maximum"), [(7, "5", True), (5, "5", False), (4, "4", False)])
    def test_sees_the_maximum(self, quantity: int, cost: str, is_at_maximum: bool):
        terms = explained_price(price(meter="calls", unit_price="1", maximum="5"))
        charge = rules.billed_charge([line(int(cost) * 100, quantity)], price=terms)
        assert (charge.is_at_maximum, charge.subtotal) == (is_at_maximum, quantity)

    def test_of_a_minimum_tells_the_cost_before_it(self):
        terms = explained_price(price(meter="calls", unit_price="1", minimum="5"))
        charge = rules.billed_charge([line(493, charge_kind="minimum")], price=terms)
        assert (charge.usage_cost, charge.cost, charge.subtotal) == (Decimal("0.07"), Decimal("4.93"), None)

    def test_adds_up_lines_of_one_place(self):
        terms = explained_price(price(meter="calls", unit_price="1"))
        told = [line(300, 3, project_id=OTHER), line(200, 2), line(-100, -1, document_period=FEBRUARY)]
        charge = rules.billed_charge(told, price=terms)
        assert [(part.project_id, part.amount_minor) for part in charge.parts] == [(HOME, 100), (OTHER, 300)]
        assert (charge.amount_minor, charge.unit_quantity) == (400, 4)


class TestSaysTheSame:
    """Whether rating still says what lines said, figure by figure."""

    @pytest.mark.parametrize(
        "told",
        [
            [line(200, 2)],
            [line(200, 2), line(301, 3, project_id=OTHER)],
            [line(200, 2), line(300, "3.1", project_id=OTHER)],
            [line(200, 2), line(300, 3, project_id=OTHER, unrounded=Decimal("3.001"))],
            [line(200, 2), line(300, 3, project_id=OTHER), line(0, 0, region="us")],
        ],
    )
    def test_sees_each_difference(self, told: list[BilledLine]):
        charge = rated(price(meter="calls", unit_price="1"), [(HOME, 2, 200), (OTHER, 3, 300)])
        assert rules.says_the_same(charge, [line(200, 2), line(300, 3, project_id=OTHER)])
        assert not rules.says_the_same(charge, told)


class TestCorrection:
    def test_is_none_of_another_line(self):
        assert rules.find_correction(line(1), [line(1)]) is None

    def test_counts_earlier_documents_of_the_same_place(self):
        earlier = [line(100), line(50, kind="correction", document_period=FEBRUARY)]
        own = line(-20, kind="correction", document_period=MARCH)
        told = [*earlier, line(7, project_id=OTHER), line(7, region="us"), own]
        correction = rules.find_correction(own, told)
        assert correction is not None
        assert (correction.rated_minor, correction.billed_minor, correction.billed) == (130, 150, earlier)


DAYS = [DayQuantity(date(2024, 1, day), Decimal(level), Decimal(1)) for day, level in ((2, 3), (4, 9), (6, 9), (8, 1))]


class TestDecidedOn:
    @pytest.mark.parametrize(("aggregation", "day"), [("max", 4), ("last", 8), ("sum", None), (None, None)])
    def test_is_the_first_highest_or_the_last(self, aggregation: str | None, day: int | None):
        decided = rules.decided_on(DAYS, aggregation=aggregation)
        assert decided == (None if day is None else date(2024, 1, day))
