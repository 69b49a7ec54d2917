"""How shares become usage: sums, figures, the cost of a message."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.analytics import rules
from billing.analytics.model import ServiceUsage
from billing.rating import Share

ACCOUNT, PROJECT, PRICE, OTHER_PRICE = (UUID(int=number) for number in range(1, 5))
MONTH_S = Decimal(31 * 86_400)
PLAIN_SHARE: dict[str, Any] = {
    "kind": "usage",
    "account_id": ACCOUNT,
    "price_id": PRICE,
    "units": Decimal(1),
    "project_id": PROJECT,
    "region": "nairobi",
    "resource_id": "vps_1",
    "resource_name": "web-server",
    "type": "vps",
    "service": "compute",
    "item_kind": "plan",
    "item": "vps-2",
    "shows_as": None,
    "quantity": Decimal(3600),
    "denominator": Decimal(1),
    "billed_quantity": Decimal(3600),
    "amount_minor": 10,
}


def share(**members: Any) -> Share:
    return Share(**{**PLAIN_SHARE, **members})


def metered(quantity: object, *, amount_minor: int = 10, **members: Any) -> Share:
    """A share of messages, unless told otherwise."""
    counted = Decimal(str(quantity))
    given: dict[str, Any] = {
        "service": "messaging",
        "item_kind": "meter",
        "item": "sms",
        "shows_as": "messages_sent",
        "quantity": counted,
        "billed_quantity": counted,
        "amount_minor": amount_minor,
    }
    return share(**{**given, **members})


def one(*shares: Share) -> ServiceUsage:
    (service,) = rules.summarize(shares, services=[shares[0].service])
    return service


class TestQuantityOf:
    @pytest.mark.parametrize(
        ("quantity", "denominator", "billed_quantity", "hours"),
        [
            ("2678400", "1", "2678400", "744"),
            ("3600.000001", "1", "7200", "2"),  # by the hour
            ("90", "1", "90", "0.025"),  # by the second
            ("5", "1", "60", "0.016666666667"),  # by the second, a minute at least
            ("3601", MONTH_S, "3601", "2"),  # a flat price bills parts of the month: whole hours are shown
            ("3600", MONTH_S, "3600", "1"),
            ("0.000001", MONTH_S, "0.000001", "1"),
        ],
    )
    def test_is_the_billable_hours_of_a_plan(self, quantity, denominator, billed_quantity, hours):
        plan = share(
            quantity=Decimal(quantity), denominator=Decimal(denominator), billed_quantity=Decimal(billed_quantity)
        )
        assert rules.figure_of(plan) == "hours"
        assert str(rules.plain(rules.quantity_of(plan))) == hours

    def test_is_the_level_of_a_gauge_over_the_month(self):
        gauge = metered(100 * MONTH_S / 2, shows_as="storage_gb", denominator=MONTH_S)
        assert (rules.figure_of(gauge), rules.quantity_of(gauge)) == ("storage_gb", 50)

    def test_is_a_meters_own_whatever_was_billed(self):
        package = metered(5, billed_quantity=Decimal(1000))
        assert rules.quantity_of(package) == 5

    def test_is_shown_as_nothing_by_a_meter_that_says_nothing(self):
        assert rules.figure_of(metered(5, shows_as=None)) is None


class TestSummarize:
    def test_shows_services_without_usage(self):
        services = rules.summarize([], services=rules.services_shown(["video", "compute", "audio"]))
        assert [service.service for service in services] == ["compute", "storage", "messaging", "audio", "video"]
        assert {(service.amount_minor, len(service.resources)) for service in services} == {(0, 0)}
        assert [service.figures for service in services] == [
            ("hours",),
            ("storage_gb", "bandwidth_gb"),
            ("messages_sent",),
            (),
            (),
        ]

    def test_shows_a_resource_once_per_service(self):
        shares = [
            share(amount_minor=10),
            share(amount_minor=20, price_id=OTHER_PRICE, item="vps-4", billed_quantity=Decimal(7200)),
            metered(2, amount_minor=3, service="compute", item="traffic", shows_as="bandwidth_gb"),
            metered(4, amount_minor=5),
        ]
        compute, messaging = rules.summarize(shares, services=["compute", "messaging"])
        (resource,) = compute.resources
        assert (resource.resource_id, resource.amount_minor) == ("vps_1", 33)
        assert resource.figures == {"hours": 3, "bandwidth_gb": 2}
        assert compute.figures == ("hours", "bandwidth_gb")
        assert (messaging.amount_minor, messaging.resources[0].figures) == (5, {"messages_sent": 4})

    def test_leaves_other_services_out(self):
        (compute,) = rules.summarize([share(amount_minor=10), metered(1, amount_minor=90)], services=["compute"])
        assert compute.amount_minor == 10

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["compute", "storage", "messaging", "video"]),
                st.sampled_from(["a", "b", "c"]),
                st.integers(0, 10**15),
                st.decimals(0, 10**29, places=12),
            )
        )
    )
    def test_keeps_every_cent_and_every_unit(self, parts: list[tuple[str, str, int, Decimal]]):
        shares = [
            metered(quantity, service=service, resource_id=resource_id, amount_minor=amount_minor)
            for service, resource_id, amount_minor, quantity in parts
        ]
        services = rules.summarize(shares, services=rules.services_shown(["video"]))
        assert sum(service.amount_minor for service in services) == sum(part[2] for part in parts)
        for service in services:
            assert service.amount_minor == sum(resource.amount_minor for resource in service.resources)
            counted = sum((Fraction(part[3]) for part in parts if part[0] == service.service), Fraction(0))
            assert service.total("messages_sent") == counted


class TestCostPerMessage:
    @pytest.mark.parametrize(
        ("amount_minor", "messages", "currency", "cost"),
        [
            (2000, 400, "USD", "0.05"),
            (100, 3, "USD", "0.3333"),
            (200, 3, "USD", "0.6667"),
            (1, 8, "USD", "0.0013"),  # 0.00125 goes up
            (0, 5, "USD", "0"),
            (100, 400, "JPY", "0.25"),
            (5, 4, "KWD", "0.0013"),
            (3000, 3, "USD", "10"),
        ],
    )
    def test_is_the_cost_over_the_messages(self, amount_minor: int, messages: int, currency: str, cost: str):
        messaging = one(metered(messages, amount_minor=amount_minor))
        assert str(rules.cost_per_message(messaging, currency=currency, price=None)) == cost

    def test_is_a_plain_price_in_full(self):
        messaging = one(metered(3, amount_minor=1))
        assert rules.price_id_of_messages([messaging]) == PRICE
        assert rules.cost_per_message(messaging, currency="USD", price=Decimal("0.0034567")) == Decimal("0.0034567")

    def test_has_no_one_price_beside_another_price(self):
        messaging = one(metered(3), share(service="messaging", item="number", price_id=OTHER_PRICE))
        assert rules.price_id_of_messages([messaging]) is None

    def test_is_nothing_without_messages(self):
        (messaging,) = rules.summarize([], services=["messaging"])
        assert rules.cost_per_message(messaging, currency="USD", price=None) is None
        assert rules.price_id_of_messages([messaging]) is None


class TestPlain:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [("744", "744"), ("100.000", "100"), ("107.50", "107.5"), ("1e29", "1" + "0" * 29), ("0", "0")],
    )
    def test_has_no_trailing_zeros(self, value: str, shown: str):
        assert str(rules.plain(Fraction(value))) == shown

    def test_rounds_half_up_to_12_decimals(self):
        assert rules.plain(Fraction(1, 3)) == Decimal("0.333333333333")
        assert rules.plain(Fraction(15, 10**13)) == Decimal("0.000000000002")
