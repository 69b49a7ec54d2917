"""GET /account/explain and GET /operator/v1/accounts/{id}/explain: every figure recomputes from the others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from msgspec import Struct

from billing import accounts, catalog, metering
from billing.analytics import operator_routes, routes
from billing.analytics.schemas import explanations
from billing.analytics.schemas.transactions import PeriodShown
from billing.core import ids
from billing.core.period import Period
from billing.invoices import routes as invoice_routes
from billing.invoices.operations import ending
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, price
from tests.support.documents import sections
from tests.support.house import STRANGER, House, Reply, Resident, open_house
from tests.support.recompute import Figures, recompute
from tests.tidy.sources import ROOT

if TYPE_CHECKING:
    from billing.catalog import PriceDefinition

EXPLAIN = "/v1/account/explain"
MARCH = Period(2024, 3)
KINDS: list[tuple[str, str, catalog.Aggregation]] = [
    ("calls", "call", "sum"),
    ("peak", "GB", "max"),
    ("seats", "seat", "last"),
    ("level", "GB", "time_weighted"),
]
METERS = [
    catalog.Meter(meter=name, service="storage", name=name.title(), unit=unit, aggregation=aggregation)
    for name, unit, aggregation in KINDS
]
(SECTION,) = [
    one
    for one in sections((ROOT / "docs/rating.md").read_text(encoding="utf-8"))
    if one.title.endswith("Why this amount")
]
NOT_OURS = {catalog.PriceDefinition, PeriodShown, explanations.ExplanationAnswer}
VAT = catalog.TaxRate(country="KE", name="VAT", percent=Decimal(16), valid_from=date(2020, 1, 1))
LEVY = catalog.TaxRate(country="KE", name="Levy", percent=Decimal("1.5"), valid_from=date(2020, 1, 1))
_names = count(1)


def metered(meter: str = "calls", **members: object) -> PriceDefinition:
    """A price of a meter, per_unit unless told."""
    return price(service="storage", meter=meter, **members)


def plan(**members: object) -> PriceDefinition:
    """A price of the plan `vps`."""
    return price(service="compute", plan="vps", **members)


TIERS = [{"up_to": 10, "unit_price": "1", "flat": "0.5"}, {"up_to": None, "unit_price": "0.333333", "flat": "2"}]


@dataclass
class Story:
    """One account with prices of its own, told by the platform and the operator."""

    house: House
    cloud: Cloud
    jane: Resident

    async def sell(self, *prices: PriceDefinition) -> None:
        """A contract of the account's own."""
        await self.cloud.publish(*prices, account_id=self.jane.account_id)

    async def run(self, resource_id: str = "r", **members: Any) -> None:
        await self.cloud.report(self.jane.account_id, resource_id, **members)

    async def use(self, quantity: object, **members: Any) -> None:
        result = await self.cloud.use(self.jane.account_id, quantity, event_id=f"story-{next(_names)}", **members)
        assert result.outcome == "accepted", result

    async def close(self, period: Period = JANUARY) -> list[Figures]:
        """Close a month ten hours after its end, and give the lines of its document."""
        self.cloud.clock.now = max(self.cloud.clock.now, period.end + timedelta(hours=10))
        progress = await self.cloud.close(period, only_accounts=[self.jane.account_id])
        assert progress.accounts_parked == 0
        listed = (await self.house.call("GET", "/v1/account/invoices", key=self.jane.key)).body["invoices"]
        (own,) = [one["id"] for one in listed if one["period_start"].startswith(str(period))]
        details = await self.house.call("GET", f"/v1/account/invoices/{own}", key=self.jane.key)
        return details.body["invoice"]["lines"]

    async def ask(self, query: str) -> Reply:
        return await self.house.call("GET", f"{EXPLAIN}?{query}", key=self.jane.key)

    async def explain(self, query: str) -> Figures:
        """The answer, recomputed."""
        reply = await self.ask(query)
        assert reply.status == 200, reply.text
        assert list(reply.body) == ["explanation"]
        recompute(reply.body["explanation"])
        return reply.body["explanation"]

    async def explain_line(self, line: Figures) -> Figures:
        """The explanation of a line, recomputed, and about that very line."""
        explanation = await self.explain(f"invoice_line={line['id']}")
        told = explanation["line"]
        assert {name: told[name] for name in told} == {name: line[name] for name in told}
        return explanation


@pytest_asyncio.fixture
async def house(module_dsn: str) -> AsyncIterator[House]:
    public = [*routes.HANDLERS, *invoice_routes.HANDLERS]
    values = {"payment_settings": None}  # nothing is paid here
    async with open_house(module_dsn, public=public, operator=operator_routes.HANDLERS, values=values) as opened:
        async with opened.database.transaction() as tx:
            if not await catalog.list_services(tx.connection):
                for meter in METERS:
                    await catalog.define_meter(tx, meter=meter)
                await catalog.set_tax_rates(tx, rates=[VAT, LEVY])
        yield opened


@pytest_asyncio.fixture
async def story(house: House) -> Story:
    return Story(house, Cloud(house.database, house.clock), await house.open_account())


def sole(explanation: Figures) -> Figures:
    """Its one charge."""
    assert explanation["charges_total"] == 1
    (charge,) = explanation["charges"]
    return charge


class TestExplain:
    async def test_needs_a_key_that_may_read(self, story: Story):
        assert (await story.house.call("GET", EXPLAIN)).status == 401
        key = await story.house.issue(story.jane, "write")
        assert (await story.house.call("GET", f"{EXPLAIN}?plan=vps", key=key)).code == "forbidden"

    @pytest.mark.parametrize(
        ("query", "paths"),
        [
            ("", ["invoice_line"]),
            ("plan=vps&meter=calls", ["meter"]),
            ("invoice_line=line_1&plan=vps&period=2024-01&resource_id=r", ["period", "plan", "resource_id"]),
            ("resource_id=r", ["invoice_line"]),
            ("plan=", ["plan"]),
            ("meter=calls&period=2024-13", ["period"]),
            ("meter=calls&period=January", ["period"]),
            ("meter=calls&period=2024-03", ["period"]),
            ("plan=a&meter=b&period=1", ["meter", "period"]),
            ("meter=calls&meter=calls", ["meter"]),
            ("meter=calls&day=1", ["day"]),
        ],
    )
    async def test_names_what_is_wrong(self, story: Story, query: str, paths: list[str]):
        reply = await story.ask(query)
        assert (reply.status, reply.faults) == (400, paths)

    async def test_knows_only_what_the_account_has(self, story: Story):
        other = Story(story.house, story.cloud, await story.house.open_account())
        await other.sell(plan(model="flat", amount="31"), metered(unit_price="1"))
        await other.run(plan="vps")
        await other.use(3, meter="calls")
        (line, _) = await other.close()
        part = ids.decode_part("line", line["id"])
        assert part is not None
        wrong = [ids.encode_part("line", part[0], kind, ordinal) for kind, ordinal in ((1, 9), (2, 1), (1, 2**32 - 1))]
        assert (await other.ask(f"invoice_line={line['id']}")).status == 200
        for query in (f"invoice_line={line['id']}", "invoice_line=line_1", "plan=vps", "plan=none", "meter=none"):
            reply = await story.ask(query)
            assert (reply.status, reply.code) == (404, "not_found"), query
        for query in (*(f"invoice_line={one}" for one in wrong), "plan=vps&resource_id=none"):
            assert (await other.ask(query)).status == 404
        assert (await story.ask("meter=calls&resource_id=r")).status == 404

    async def test_has_no_charge_where_nothing_was_used(self, story: Story):
        await story.sell(metered(unit_price="1"))
        explanation = await story.explain("meter=calls")
        assert (explanation["charges"], explanation["status"], explanation["invoice"]) == ([], "open", None)
        assert explanation["period"] == {"start": "2024-02-01T00:00:00Z", "end": "2024-02-29T23:59:59Z"}
        assert explanation["counted_until"] == "2024-02-01T10:00:00Z"

    async def test_is_the_same_for_the_operator(self, story: Story):
        await story.sell(metered(unit_price="0.07"))
        await story.run()
        await story.use(3, meter="calls")
        (line,) = await story.close()
        path = f"/accounts/{story.jane.id}/explain?invoice_line={line['id']}"
        reply = await story.house.operate("GET", path)
        assert reply.body["explanation"] == await story.explain_line(line)
        assert (await story.house.operate("GET", f"/accounts/{story.jane.id}/explain")).faults == ["invoice_line"]
        assert (await story.house.operate("GET", f"/accounts/{STRANGER}/explain?plan=vps")).status == 404
        assert (await story.house.operate("GET", f"/accounts/x/explain?invoice_line={line['id']}")).status == 404
        lesser = await story.house.issue_operator("audit")
        assert (await story.house.call("GET", f"/operator/v1{path}", key=lesser)).status == 403


class TestModels:
    @pytest.mark.parametrize(
        ("members", "quantity", "subtotal", "amount"),
        [
            ({"unit_price": "0.05", "included": 3}, "7.5", "0.225", "0.23"),
            ({"model": "graduated", "tiers": TIERS}, "12.5", "13.3333325", "13.33"),
            ({"model": "volume", "tiers": TIERS}, "12.5", "6.1666625", "6.17"),
            ({"model": "package", "package_size": 3, "package_price": "2", "included": 6}, "10", "4", "4.00"),
            ({"unit_price": "2", "discount_percent": 25, "maximum": 10}, "8", "12", "10.00"),
        ],
    )
    async def test_of_meters(self, story: Story, members: dict[str, Any], quantity: str, subtotal: str, amount: str):
        await story.sell(metered(**members))
        await story.run()
        first = Decimal("2.25")
        await story.use(first, meter="calls", occurred_at=at("01-03 23:59:59"))
        await story.use(Decimal(quantity) - first, meter="calls", occurred_at=at("01-04"))
        (line,) = await story.close()
        charge = sole(await story.explain_line(line))
        assert charge["days"] == [
            {"date": "2024-01-03", "quantity": first},
            {"date": "2024-01-04", "quantity": Decimal(quantity) - first},
        ]
        assert (charge["meter"], charge["plan"], charge["resource_id"], charge["unit"]) == ("calls", None, None, "call")
        assert (charge["quantity"], charge["denominator"]) == (Decimal(quantity), 1)
        assert (charge["subtotal"], charge["amount"]) == (Decimal(subtotal), Decimal(amount))
        definition = charge["price"]["definition"]
        assert definition.keys() == {"service", "meter", "model", *members}

    async def test_of_hourly_plans_with_a_cap(self, story: Story):
        await story.sell(plan(model="hourly", hourly_price="0.0149", monthly_price="10", discount_percent=10))
        await story.run(plan="vps", units=Decimal(3), effective_at=at("01-01 12:00"))
        await story.run("short", plan="vps", effective_at=at("01-30 22:59:59.5"))
        await story.run("short", status="deleted", effective_at=at("01-31 00:30"))
        capped, short = await story.close()
        charge = sole(await story.explain_line(capped))
        assert (charge["cap"], charge["cap_applied"], charge["cost"], charge["units"]) == (27, True, 27, 3)
        assert (charge["counted_in"], charge["unit"], charge["unit_quantity"]) == ("second", "hour", 732)
        assert [day["quantity"] for day in charge["days"]] == [43_200, *[86_400] * 30]
        charge = sole(await story.explain_line(short))
        assert [day["quantity"] for day in charge["days"]] == [Decimal("3600.5"), 1800]
        assert (charge["quantity"], charge["billed_quantity"]) == (Decimal("5400.5"), 2)
        assert charge["steps"] == [
            {
                "from": 0,
                "to": None,
                "quantity": 2,
                "unit_price": Decimal("0.01341"),
                "amount": Decimal("0.02682"),
            }
        ]
        assert (charge["cap_applied"], charge["amount"]) == (False, Decimal("0.03"))

    async def test_of_hourly_plans_with_a_monthly_price_and_a_minimum_time(self, story: Story):
        await story.sell(plan(model="hourly", monthly_price="10", increment_s=60, minimum_s=90))
        await story.run(plan="vps", effective_at=at("01-30 00:00"))
        await story.run(status="stopped", plan="vps", effective_at=at("01-30 00:00:10"))
        await story.run(status="deleted", effective_at=at("01-30 00:00:20"))
        (line,) = await story.close()
        charge = sole(await story.explain_line(line))
        assert (charge["quantity"], charge["billed_quantity"]) == (20, Decimal("0.025"))

    async def test_of_flat_plans(self, story: Story):
        await story.sell(plan(model="flat", amount=20))
        await story.run(plan="vps", effective_at=at("01-01"))
        await story.run(plan=None, effective_at=at("01-11 08:00"))
        (line,) = await story.close()
        charge = sole(await story.explain_line(line))
        assert (charge["quantity"], charge["denominator"]) == (892_800, 2_678_400)
        assert (charge["unit"], charge["unit_quantity"]) == ("month", Decimal("0.333333333333"))
        assert (charge["cost"], charge["amount"]) == (Decimal("6.666666666667"), Decimal("6.67"))

    async def test_of_gauges_that_were_carried_in(self, story: Story):
        await story.sell(metered("level", model="graduated", tiers=TIERS))
        await story.run(effective_at=at("01-01"))
        await story.use(30, meter="level", occurred_at=at("01-30 06:00"))
        await story.close()
        story.house.clock.now = at("02-11 00:00")
        await story.use(60, meter="level", occurred_at=at("02-03 12:00"))
        await story.run(status="deleting", effective_at=at("02-10"))
        await story.run(status="deleted", effective_at=at("02-11"))
        (line,) = await story.close(FEBRUARY)
        charge = sole(await story.explain_line(line))
        days = {day["date"]: day["quantity"] / 86_400 for day in charge["days"]}
        assert days == {f"2024-02-{day:02}": {1: 30, 2: 30, 3: 45}.get(day, 60) for day in range(1, 10)}
        assert (charge["counted_in"], charge["denominator"]) == ("GB × second", 29 * 86_400)

    @pytest.mark.parametrize(("meter", "decided_on", "whole"), [("peak", "2024-01-05", 7), ("seats", "2024-01-09", 3)])
    async def test_of_the_highest_and_the_last_value(self, story: Story, meter: str, decided_on: str, whole: int):
        await story.sell(metered(meter, unit_price="0.11"))
        await story.run()
        for day, quantity in (("02", 1), ("05", 7), ("07", 7), ("09", 3)):
            await story.use(quantity, meter=meter, occurred_at=at(f"01-{day} 09:00"))
        charge = sole(await story.explain(f"meter={meter}&period=2024-01"))
        (resource,) = charge["resources"]
        assert (resource["decided_on"], charge["quantity"]) == (decided_on, whole)
        assert [day["reading"] for day in resource["days"]] == [1, 7, 7, 3]
        assert charge["days"][0]["quantity"] == round(Decimal(whole) / 18, 12)


class TestLines:
    async def test_of_a_meter_pooled_over_projects_and_regions(self, story: Story):
        await story.sell(metered(model="graduated", tiers=TIERS))
        project = await story.cloud.open_project(story.jane.account_id, "Staging")
        await story.run()
        await story.run("far", region="us")
        await story.run("other", project_id=project)
        for resource_id in ("r", "far", "other"):
            await story.use(7, meter="calls", resource_id=resource_id)
        lines = await story.close()
        told = [await story.explain_line(line) for line in lines]
        assert len(lines) == 3
        assert all(one["charges"] == told[0]["charges"] for one in told)
        charge = sole(told[0])
        assert (charge["quantity"], charge["resources_total"]) == (21, 3)
        assert [step["quantity"] for step in charge["steps"]] == [10, 11]
        assert {part["project"] for part in charge["parts"]} == {"Default", "Staging"}
        narrowed = sole(await story.explain("meter=calls&period=2024-01&resource_id=far"))
        assert [resource["id"] for resource in narrowed["resources"]] == ["far"]
        assert narrowed["resources_total"] == 3
        assert {**narrowed, "resources": charge["resources"]} == charge

    async def test_of_a_minimum(self, story: Story):
        await story.sell(metered(unit_price="0.01", minimum=5))
        await story.run()
        await story.use(7, meter="calls")
        usage, minimum = await story.close()
        charge = sole(await story.explain_line(minimum))
        assert (charge["kind"], charge["minimum"], charge["usage_cost"]) == ("minimum", 5, Decimal("0.07"))
        assert charge["amount"] == Decimal("4.93")
        assert sole(await story.explain_line(usage))["kind"] == "usage"
        both = await story.explain("meter=calls&period=2024-01")
        assert [one["kind"] for one in both["charges"]] == ["usage", "minimum"]

    async def test_shows_the_document_with_its_taxes_and_transfers(self, story: Story):
        await story.sell(metered(unit_price="1"))
        await story.run()
        await story.use(100, meter="calls")
        await story.cloud.pay_in(story.jane.account_id, 5_000)
        async with story.cloud.database.transaction() as tx:
            await accounts.change(tx, account_id=story.jane.account_id, changes={"country": "KE"})
        (line,) = await story.close()
        document = (await story.explain_line(line))["invoice"]
        assert [(tax["name"], tax["amount"]) for tax in document["taxes"]] == [
            ("Levy", Decimal("1.50")),
            ("VAT", Decimal("16.00")),
        ]
        moved = {(one["template"], one["source"], one["destination"]): one["amount"] for one in document["transfers"]}
        assert moved == {
            ("invoice.issued", "receivable", "revenue"): 100,
            ("invoice.issued", "receivable", "tax:Levy"): Decimal("1.50"),
            ("invoice.issued", "receivable", "tax:VAT"): 16,
            ("invoice.paid_from_cash", "wallet:cash", "receivable"): 50,
        }
        assert (document["number"][:4], document["amount"]) == ("INV-", Decimal("117.50"))

    async def test_says_whose_price_it_is(self, story: Story):
        await story.sell(metered(unit_price="1", region="eu"))
        await story.run()
        await story.use(1, meter="calls")
        price_shown = sole(await story.explain("meter=calls&period=2024-01"))["price"]
        assert (price_shown["contract"], price_shown["region"], price_shown["rate_card"]) == (True, "eu", "Card")
        assert price_shown["id"].startswith("price_")
        assert price_shown["rate_card_id"].startswith("card_")
        assert (price_shown["valid_from"], price_shown["valid_to"]) == ("2023-01-01T00:00:00Z", None)


class TestLateUsage:
    async def test_leaves_a_line_explained_by_what_it_stored(self, story: Story):
        await story.sell(metered(model="graduated", tiers=TIERS))
        await story.run()
        await story.use(12, meter="calls")
        (line,) = await story.close()
        before = await story.explain_line(line)
        assert (before["changed_since"], sole(before)["source"]) == (False, "usage")
        await story.use(0, meter="calls")
        proven = await story.explain_line(line)
        assert (proven["changed_since"], sole(proven)["source"]) == (True, "usage")
        await story.use(5, meter="calls")
        after = await story.explain_line(line)
        charge = sole(after)
        assert (after["changed_since"], charge["source"], charge["days"]) == (True, "lines", None)
        same = ("unit_quantity", "billed_quantity", "steps", "subtotal", "usage_cost", "cost", "amount")
        assert {name: charge[name] for name in same} == {name: sole(before)[name] for name in same}
        now = await story.explain("meter=calls&period=2024-01")
        assert (now["status"], now["changed_since"], sole(now)["quantity"]) == ("billed", True, 17)

    @pytest.mark.parametrize("model", ["hourly", "flat", "level"])
    async def test_tells_no_steps_that_do_not_come_to_the_cost(self, story: Story, model: str):
        terms = {"hourly": {"monthly_price": "10"}, "flat": {"amount": "20"}, "level": {"unit_price": "20"}}[model]
        await story.sell(metered("level", **terms) if model == "level" else plan(model=model, **terms))
        await story.run(plan=None if model == "level" else "vps")
        if model == "level":
            await story.use(1, meter="level", occurred_at=at("01-01"))
        await story.run(status="deleted", effective_at=at("01-11 08:00:00.1"))
        (line,) = await story.close()
        await story.run("late", effective_at=at("01-02"), plan=None)
        if model == "level":
            await story.use(1, meter="level", resource_id="late")
        else:
            await story.run(plan="vps", units=Decimal(2), effective_at=at("01-01 01:00"))
        charge = sole(await story.explain_line(line))
        assert charge["source"] == "lines"
        assert (charge["steps"] is None) == (model != "hourly")

    async def test_makes_corrections_whose_difference_is_shown(self, story: Story):
        await story.sell(metered(model="graduated", tiers=TIERS))
        await story.run()
        await story.run("far", region="us")
        await story.use(12, meter="calls")
        await story.use(3, meter="calls", resource_id="far")
        first = await story.close()
        await story.use(6, meter="calls")
        second = await story.close(FEBRUARY)
        assert [line["kind"] for line in second] == ["correction"] * 2
        told = [await story.explain_line(line) for line in second]
        assert [one["changed_since"] for one in told] == [False, False]
        assert {one["invoice_number"] for one in told[0]["correction"]["billed"]} == {
            (await story.explain_line(first[0]))["invoice"]["number"]
        }
        await story.use(6, meter="calls")
        (third, _) = await story.close(MARCH)
        correction = (await story.explain_line(third))["correction"]
        assert len(correction["billed"]) == 2
        for line in (*first, *second):
            charge = sole(await story.explain_line(line))
            assert (charge["source"], charge["quantity"]) == ("lines", None)
        assert sole(await story.explain_line(second[0]))["unit_quantity"] == 21

    async def test_makes_credit_notes(self, story: Story):
        await story.sell(metered(unit_price="0.333"))
        async with story.cloud.database.transaction() as tx:
            await accounts.change(tx, account_id=story.jane.account_id, changes={"country": "KE"})
        await story.run()
        await story.cloud.use(story.jane.account_id, 50, event_id="wrong", meter="calls")
        await story.close()
        async with story.cloud.database.transaction() as tx:
            await metering.void(tx, account_id=story.jane.account_id, source="test", event_id="wrong")
        (line,) = await story.close(FEBRUARY)
        explanation = await story.explain_line(line)
        assert (explanation["charges"], explanation["invoice"]["kind"]) == ([], "credit_note")
        assert explanation["correction"]["rated_amount"] == 0
        assert explanation["correction"]["difference"] == Decimal("-16.65")
        assert {one["template"] for one in explanation["invoice"]["transfers"]} == {"invoice.credited"}

    async def test_of_a_voided_invoice_counts_from_its_voiding_on(self, story: Story):
        await story.sell(metered(unit_price="1"))
        await story.run()
        await story.use(5, meter="calls")
        (voided,) = await story.close()
        part = ids.decode_part("line", voided["id"])
        assert part is not None
        async with story.cloud.database.transaction() as tx:
            await ending.void(tx, invoice_id=part[0])
        (again,) = await story.close(FEBRUARY)
        correction = (await story.explain_line(again))["correction"]
        assert (correction["billed"], correction["rated_amount"]) == ([], 5)
        explanation = await story.explain_line(voided)
        assert (explanation["changed_since"], sole(explanation)["source"]) == (True, "usage")
        templates = [one["template"] for one in explanation["invoice"]["transfers"]]
        assert templates == ["invoice.issued", "invoice.voided"]


class TestOpenMonth:
    async def test_is_explained_as_it_stands(self, story: Story):
        await story.sell(plan(model="hourly", hourly_price="0.1"), metered(unit_price="2"))
        await story.run(plan="vps", effective_at=at("02-01"))
        await story.run("s", plan="vps", effective_at=at("02-01 09:30"))
        await story.use(2, meter="calls", occurred_at=at("02-01 08:00"))
        explanation = await story.explain("plan=vps")
        assert explanation["charges_total"] == 2
        assert [one["billed_quantity"] for one in explanation["charges"]] == [10, 1]
        charge = sole(await story.explain("plan=vps&resource_id=s"))
        assert charge["days"] == [{"date": "2024-02-01", "quantity": 1800}]
        assert sole(await story.explain("meter=calls"))["amount"] == 4

    async def test_takes_a_moved_resource_along(self, story: Story):
        await story.sell(metered(unit_price="2"))
        await story.run()
        await story.use(2, meter="calls", occurred_at=at("02-01 08:00"))
        project = await story.cloud.open_project(story.jane.account_id, "Other")
        await story.run(project_id=project, effective_at=at("02-01 09:00"))
        (part,) = sole(await story.explain("meter=calls"))["parts"]
        assert part["project"] == "Other"

    async def test_shows_at_most_50_charges(self, story: Story):
        await story.sell(plan(model="flat", amount=29))
        for number in range(52):
            await story.run(f"r{number}", plan="vps", effective_at=at("02-01"))
        explanation = await story.explain("plan=vps")
        assert (len(explanation["charges"]), explanation["charges_total"]) == (50, 52)


class TestDocument:
    """Section 8 of docs/rating.md."""

    async def test_shows_an_answer_as_it_is(self, story: Story):
        tiers = [{"up_to": 1000, "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}]
        await story.sell(metered("sms", model="graduated", tiers=tiers))
        for project, resource_id, sent, day in (("Production", "web", 1200, "20"), ("Staging", "ci", 300, "10")):
            story.house.clock.advance(timedelta(seconds=1))  # parts are in the order of the projects' ids
            project_id = await story.cloud.open_project(story.jane.account_id, project)
            await story.run(resource_id, project_id=project_id)
            await story.use(sent, meter="sms", resource_id=resource_id, occurred_at=at(f"01-{day}"))
        (_, line) = await story.close()
        (shown,) = SECTION.blocks("explanation")
        assert_within(json.loads(shown, parse_float=Decimal), await story.explain_line(line))

    def test_names_every_member(self):
        shapes = [
            value for value in vars(explanations).values() if isinstance(value, type) and issubclass(value, Struct)
        ]
        members = {name for shape in shapes for name in shape.__struct_encode_fields__ if shape not in NOT_OURS}
        assert len(members) > 60
        assert not [name for name in members if f"`{name}`" not in SECTION.text]


def assert_within(shown: Any, whole: Any) -> None:
    """What is shown is part of the whole."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert_within(value, whole[name])
    elif isinstance(shown, list):
        for one, other in zip(shown, whole, strict=True):
            assert_within(one, other)
    else:
        assert shown == whole
