"""Recomputes every figure of an explanation from the others on it, and each cost from the price's definition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.core.money import decimals_of
from tests.oracle.models import billed_hours, charge_cost, half_up
from tests.oracle.rating import apportion

TRILLION = 10**12
Figures = dict[str, Any]


def recompute(explanation: Figures) -> None:
    """Fail for a figure that does not follow from the others."""
    minor = 10 ** decimals_of(explanation["currency"])
    for charge in explanation["charges"]:
        _charge(charge, minor)
    if explanation["invoice"] is not None:
        _invoice(explanation["invoice"])
        _line(explanation)


def _charge(charge: Figures, minor: int) -> None:
    if charge["kind"] == "minimum":
        missing = Fraction(charge["minimum"]) - Fraction(charge["usage_cost"])
        assert _rounded(missing) == Fraction(charge["cost"])
    else:
        assert charge["usage_cost"] == charge["cost"]
    assert half_up(Fraction(charge["cost"]) * minor) == Fraction(charge["amount"]) * minor
    if charge["source"] == "usage":
        _count(charge)
        _cost(charge)
        _parts(charge, minor)
        _resources(charge, minor)
    else:
        assert [charge[name] for name in ("quantity", "denominator", "days", "resources")] == [None] * 4
        assert _sum(charge["parts"], "amount") == Fraction(charge["amount"])
        assert _sum(charge["parts"], "unrounded") == Fraction(charge["cost"])
    if charge["steps"] is not None:
        _steps(charge)


def _count(charge: Figures) -> None:
    """Days and resources sum to the quantity."""
    quantity = Fraction(charge["quantity"])
    assert _sum(charge["days"], "quantity") == quantity
    assert [day["date"] for day in charge["days"]] == sorted({day["date"] for day in charge["days"]})
    by_day: dict[str, Fraction] = defaultdict(Fraction)
    for resource in charge["resources"]:
        assert _sum(resource["days"], "quantity") == Fraction(resource["quantity"])
        for day in resource["days"]:
            by_day[day["date"]] += Fraction(day["quantity"])
        _readings(resource, charge["aggregation"])
    if len(charge["resources"]) == charge["resources_total"]:
        assert _sum(charge["resources"], "quantity") == quantity
        assert by_day == {day["date"]: Fraction(day["quantity"]) for day in charge["days"]}


def _readings(resource: Figures, aggregation: str | None) -> None:
    """The day that decided, and the highest or last value shared out by the days' own."""
    days, quantity = resource["days"], Fraction(resource["quantity"])
    if aggregation not in {"max", "last"}:
        assert resource["decided_on"] is None
        assert all(day["reading"] == day["quantity"] for day in days)
        return
    readings = {day["date"]: Fraction(day["reading"]) for day in days}
    assert readings[resource["decided_on"]] == quantity
    decided = max(readings) if aggregation == "last" else min(day for day in readings if readings[day] == quantity)
    assert resource["decided_on"] == decided
    assert aggregation == "last" or max(readings.values()) == quantity
    shared = apportion(int(quantity * TRILLION), [readings[day["date"]] for day in days])
    assert [Fraction(day["quantity"]) for day in days] == [Fraction(share, TRILLION) for share in shared]


def _cost(charge: Figures) -> None:
    """The cost follows from the definition, and from the bands as docs/rating.md has it."""
    definition, compiled = charge["price"]["definition"], charge["price"]["compiled"]
    quantity = Fraction(charge["quantity"]) / Fraction(charge["denominator"])
    units, unit_s = Fraction(charge["units"]), 3600 if definition["model"] == "hourly" else 1
    by_definition = charge_cost(definition, quantity, units)
    assert _rounded(by_definition) == Fraction(charge["usage_cost"])
    assert _rounded(quantity / unit_s) == Fraction(charge["unit_quantity"])
    (band,) = [
        one
        for one in compiled["bands"]
        if quantity > Fraction(one["low"]) and (one["high"] is None or quantity <= Fraction(one["high"]))
    ]
    above = quantity - Fraction(band["low"])
    if compiled["step"] is not None:
        above = -(-above // Fraction(compiled["step"])) * Fraction(compiled["step"])
    above = max(above, Fraction(compiled["minimum_quantity"]))
    assert _rounded((Fraction(band["low"]) + above) / unit_s) == Fraction(charge["billed_quantity"])
    if definition["model"] == "hourly":
        assert billed_hours(definition, quantity) == above / unit_s
    subtotal = (Fraction(band["base"]) + Fraction(band["unit"]) * above / Fraction(compiled["per"])) * units
    assert _rounded(subtotal) == Fraction(charge["subtotal"])
    capped = subtotal
    if charge["cap"] is not None:
        assert Fraction(charge["cap"]) == Fraction(compiled["cap"]) * units
        capped = min(subtotal, Fraction(charge["cap"]))
    assert charge["cap_applied"] == (capped < subtotal)
    assert charge["maximum"] == compiled["maximum"]
    cost = capped if charge["maximum"] is None else min(capped, Fraction(charge["maximum"]))
    assert charge["maximum_applied"] == (cost < capped)
    assert cost == by_definition


def _steps(charge: Figures) -> None:
    """Steps follow on each other, and come to the billed quantity and the subtotal."""
    steps = charge["steps"]
    assert _sum(steps, "quantity") == Fraction(charge["billed_quantity"])
    assert _sum(steps, "amount") == Fraction(charge["subtotal"])
    assert steps[0]["from"] == 0
    assert [step["to"] for step in steps[:-1]] == [step["from"] for step in steps[1:]]
    bounds = [charge[name] for name in ("subtotal", "cap", "maximum") if charge[name] is not None]
    assert _rounded(min(Fraction(bound) for bound in bounds)) == Fraction(charge["usage_cost"])


def _parts(charge: Figures, minor: int) -> None:
    """Parts share the charge by quantity, with the largest remainder; ties: project id, then region."""
    parts = charge["parts"]
    quantities = [Fraction(part["quantity"]) for part in parts]
    assert sum(quantities, Fraction(0)) == Fraction(charge["quantity"])
    assert [(part["project_id"], part["region"]) for part in parts] == sorted(
        (part["project_id"], part["region"]) for part in parts
    )
    amounts = apportion(int(Fraction(charge["amount"]) * minor), quantities)
    assert [Fraction(part["amount"]) * minor for part in parts] == amounts
    costs = apportion(int(Fraction(charge["cost"]) * TRILLION), quantities)
    assert [Fraction(part["unrounded"]) * TRILLION for part in parts] == costs


def _resources(charge: Figures, minor: int) -> None:
    """Resources share their part by quantity; ties: resource id."""
    if len(charge["resources"]) < charge["resources_total"]:
        return
    for part in charge["parts"]:
        inside = sorted(
            (one["id"], Fraction(one["quantity"]), Fraction(one["amount"]) * minor)
            for one in charge["resources"]
            if (one["project_id"], one["region"]) == (part["project_id"], part["region"])
        )
        assert sum((quantity for _, quantity, _ in inside), Fraction(0)) == Fraction(part["quantity"])
        amounts = apportion(int(Fraction(part["amount"]) * minor), [quantity for _, quantity, _ in inside])
        assert [amount for *_, amount in inside] == amounts


def _invoice(invoice: Figures) -> None:
    """Taxes on the lines' sum, each rounded once; what the document says is what was posted."""
    for tax in invoice["taxes"]:
        assert tax["base"] == invoice["subtotal"]
        assert abs(tax["amount"] - tax["base"] * tax["rate"] / 100) <= Decimal("0.005")
    assert sum(tax["amount"] for tax in invoice["taxes"]) == invoice["tax"]
    assert invoice["subtotal"] + invoice["tax"] == invoice["amount"]
    sign = -1 if invoice["kind"] == "credit_note" else 1
    template = "invoice.credited" if sign < 0 else "invoice.issued"
    posted = [one for one in invoice["transfers"] if one["template"] == template]
    assert sum(one["amount"] for one in posted) == sign * invoice["amount"]
    assert [one["number"] for one in invoice["transfers"]] == sorted(one["number"] for one in invoice["transfers"])


def _line(explanation: Figures) -> None:
    """A line is its part of the charge, or what that part came to less what earlier lines said."""
    line, correction = explanation["line"], explanation["correction"]
    place = line["project_id"], line["region"]
    parts = [
        part
        for charge in explanation["charges"]
        for part in charge["parts"]
        if (part["project_id"], part["region"]) == place
    ]
    amount = parts[0]["amount"] if parts else 0
    if correction is None:
        assert (line["kind"] == "correction", line["amount"], line["unrounded"]) == (
            False,
            amount,
            parts[0]["unrounded"],
        )
        return
    assert line["kind"] == "correction"
    assert correction["rated_amount"] == amount
    assert sum(one["amount"] for one in correction["billed"]) == correction["billed_amount"]
    assert correction["rated_amount"] - correction["billed_amount"] == correction["difference"] == line["amount"]


def _sum(rows: Sequence[Figures], name: str) -> Fraction:
    return sum((Fraction(row[name]) for row in rows), Fraction(0))


def _rounded(value: Fraction) -> Fraction:
    return Fraction(half_up(value * TRILLION), TRILLION)
