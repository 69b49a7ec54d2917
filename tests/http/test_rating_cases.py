"""Cases that other billing systems assert of their own rating, as quotes and as events that a close bills.

Each row names the system and its model, what is priced, a quantity and the amount that system comes to. Ours is the same, or
different by a convention of this one that the row names.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from billing.invoices.operations import closing
from tests.support import databases, postgres
from tests.support.house import House
from tests.support.world import open_app

NOTHING_USED = "a quantity of 0 costs 0 in every model, also where a tier has a flat amount"
NO_MINIMUM = "a minimum is made for charges with a quantity above 0"
NOT_PRORATED = "the band is found by the quantity that is charged, not by what it would be in a whole month"


def tiers(*rows: tuple[int | None, str, str]) -> dict[str, Any]:
    """(up to, price of a unit, flat amount) of each tier."""
    return {"tiers": [{"up_to": up_to, "unit_price": unit, "flat": flat} for up_to, unit, flat in rows]}


def graduated(*rows: tuple[int | None, str, str], **more: str) -> dict[str, Any]:
    return {"model": "graduated", **tiers(*rows), **more}


def volume(*rows: tuple[int | None, str, str], **more: str) -> dict[str, Any]:
    return {"model": "volume", **tiers(*rows), **more}


def package(size: str, amount: str, **more: str) -> dict[str, Any]:
    return {"model": "package", "package_size": size, "package_price": amount, **more}


def per_unit(amount: str, **more: str) -> dict[str, Any]:
    return {"model": "per_unit", "unit_price": amount, **more}


@dataclass(frozen=True)
class Case:
    """What a system says that a quantity costs; `ours` where a convention of ours says otherwise."""

    system: str
    price: dict[str, Any]
    quantity: str
    theirs: str
    ours: str | None = None
    convention: str | None = None

    @property
    def wanted(self) -> Decimal:
        return Decimal(self.ours if self.ours is not None else self.theirs)

    def __str__(self) -> str:
        return f"{self.system} {self.price['model']} {self.quantity}"


def same(system: str, price: dict[str, Any], **costs: str) -> list[Case]:
    """Quantities (`q5`, `q5_001`) and what they cost there and here."""
    return [Case(system, price, name[1:].replace("_", "."), theirs) for name, theirs in costs.items()]


LAGO_TWO = graduated((10, "10", "2"), (None, "5", "3"))
LAGO_THREE = graduated((10, "10", "2"), (20, "5", "3"), (None, "5", "3"))
LAGO_FIXED = graduated((10, "2", "1"), (None, "1", "0"))
LAGO_VOLUME = volume((100, "2", "10"), (200, "1", "0"), (None, "0.5", "50"))
STRIPE_TIERS = ((5, "7", "0"), (10, "6.5", "0"), (None, "6", "0"))
METER_SPLIT = ((5, "0", "100"), (10, "0", "50"), (15, "5", "0"), (None, "1", "0"))
METER_TOTAL = ((5, "0", "100"), (10, "0", "50"), (15, "10", "0"), (None, "5", "0"))
METER_VOLUME = ((5, "0", "100"), (10, "0", "150"), (15, "10", "0"), (None, "5", "0"))
KILL_BILL = ((10, "1.5", "0"), (110, "1", "0"), (None, "0.5", "0"))
CASES: list[Case] = [
    *same("Lago", LAGO_TWO, q0="0", q1="12", q10="102", q11="110", q12="115"),
    *same("Lago", LAGO_THREE, q0="0", q1="12", q10="102", q11="110", q12="115", q21="163"),
    *same("Lago", LAGO_FIXED, q0="0", q5="11", q16="27"),
    *same("Lago", LAGO_VOLUME, q0="0", q1="12", q100="210", q101="101", q200="200", q300="200"),
    Case("Lago", LAGO_VOLUME, "198.6", "149.3", "198.6", NOT_PRORATED),
    *same("Lago", package("10", "100"), q121="1300"),
    *same("Lago", package("10", "100", included="10"), q121="1200"),
    *same("Stripe", volume(*STRIPE_TIERS), q1="7", q5="35", q6="39", q20="120", q25="150"),
    *same("Stripe", graduated(*STRIPE_TIERS), q5="35"),
    *same("OpenMeter", graduated(*METER_SPLIT), q12="160", q22="182"),
    *same("OpenMeter", graduated(*METER_SPLIT, maximum="170"), q22="170"),
    *same("OpenMeter", graduated(*METER_SPLIT, minimum="1000"), q2="1000"),
    Case("OpenMeter", graduated(*METER_SPLIT, minimum="1000"), "0", "1000", "0", NO_MINIMUM),
    *same("OpenMeter", graduated(*METER_TOTAL), q3="100", q5="100", q5_001="150", q7="150", q12="170", q22="235"),
    Case("OpenMeter", graduated(*METER_TOTAL), "0", "100", "0", NOTHING_USED),
    *same("OpenMeter", volume(*METER_VOLUME), q3="100", q5="100", q6="150", q14="140", q15="150", q16="80", q100="500"),
    Case("OpenMeter", volume(*METER_VOLUME), "0", "100", "0", NOTHING_USED),
    *same("OpenMeter", volume((None, "5", "0")), q0="0"),
    *same("OpenMeter", volume(*METER_VOLUME, minimum="150"), q5="150"),
    *same("OpenMeter", volume(*METER_VOLUME, minimum="100"), q5="100", q100="500"),
    Case("OpenMeter", volume(*METER_VOLUME, minimum="150"), "0", "150", "0", NO_MINIMUM),
    *same("OpenMeter", volume(*METER_VOLUME, maximum="100"), q5="100"),
    *same("OpenMeter", volume(*METER_VOLUME, maximum="125"), q7="125"),
    *same("OpenMeter", package("10", "15"), q0="0", q5="15", q10="15", q22="45"),
    *same("OpenMeter", package("10", "1"), q1="1", q9="1", q10="1", q11="2"),
    *same("OpenMeter", package("10", "15", maximum="100"), q10="15", q110="100"),
    Case("OpenMeter", package("10", "15", minimum="100"), "0", "100", "0", NO_MINIMUM),
    *same("OpenMeter", per_unit("10"), q0="0"),
    *same("OpenMeter", per_unit("100"), q10="1000"),
    *same("OpenMeter", per_unit("10", maximum="100"), q10="100", q12="100"),
    *same("OpenMeter", per_unit("10", discount_percent="50", maximum="100"), q27="100"),
    Case("OpenMeter", per_unit("10", minimum="100"), "0", "100", "0", NO_MINIMUM),
    *same("Kill Bill", graduated(*KILL_BILL), q111="115.5"),
    *same("Kill Bill", volume(*KILL_BILL), q111="55.5"),
    *same("Kill Bill", package("100", "1"), q401="5", q199="2", q1000="10"),
    *same("Kill Bill", package("1000", "0.5"), q1000="0.5"),
    *same("Kill Bill", package("512", "0.3"), q30720="18"),
]
NAMES = [f"{number} {case}" for number, case in enumerate(CASES)]
ACCOUNT = {"email": "a@example.org", "name": "A", "currency": "USD"}
RESOURCE = {
    "type": "vps",
    "service": "compute",
    "name": "r",
    "region": "eu",
    "status": "running",
    "effective_at": "2024-01-01T00:00:00Z",
}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(database_server: Path) -> AsyncIterator[House]:
    """The operator API over a database of the module's own."""
    name = await databases.clone(database_server)
    dsn = postgres.dsn(database_server, name)
    async with open_app(dsn) as opened:
        opened.clock.now = datetime(2024, 1, 31, 12, tzinfo=UTC)
        yield replace(opened, operator_key=await opened.issue_operator("*"))
    await databases.drop(database_server, name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quoted(house: House) -> list[Decimal]:
    """What a quote says of each case."""
    amounts: list[Decimal] = []
    for start in range(0, len(CASES), 50):
        lines = [
            {"meter": "draft", "quantity": case.quantity, "price": case.price} for case in CASES[start : start + 50]
        ]
        reply = await house.operate("POST", "/quotes", body={"currency": "USD", "lines": lines})
        assert reply.status == 200, reply.text
        amounts += [line["amount"] for line in json.loads(reply.text, parse_float=Decimal, parse_int=Decimal)["lines"]]
    return amounts


async def make(house: House, method: str, path: str, body: object, **headers: str) -> Any:
    """The answer to a write that goes well."""
    key = {"Idempotency-Key": path} if method == "POST" else {}
    reply = await house.operate(method, path, body=body, headers={**key, **headers})
    assert reply.status < 300, reply.text
    return reply.body


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def billed(house: House) -> dict[str, Decimal]:
    """What an invoice says of each case: a meter of its own, its quantity in two events, one close."""
    prices = [{"service": "messaging", "meter": f"m{number}", **case.price} for number, case in enumerate(CASES)]
    card = {"name": "Card", "currency": "USD", "valid_from": "2024-01-01T00:00:00Z", "prices": prices}
    await make(house, "POST", "/rate-cards", card)
    account_id = (await make(house, "POST", "/accounts", ACCOUNT))["account"]["id"]
    await make(house, "PUT", f"/accounts/{account_id}/resources/r", RESOURCE)
    events = [
        {
            "specversion": "1.0",
            "id": f"{number} {part}",
            "source": "cases",
            "type": "usage",
            "subject": "r",
            "time": f"2024-01-{10 + number % 20}T12:00:00Z",
            "data": {"account_id": account_id, "meter": f"m{number}", "quantity": str(quantity)},
        }
        for number, case in enumerate(CASES)
        for part, quantity in enumerate(
            (Decimal(case.quantity) - Decimal(case.quantity) // 3, Decimal(case.quantity) // 3)
        )
    ]
    assert (await make(house, "POST", "/events", events, **BATCH))["accepted"] == len(events)
    house.clock.now = datetime(2024, 2, 1, 10, tzinfo=UTC)
    run_id = (await make(house, "POST", "/runs", {"kind": "close", "period": "2024-01"}))["run"]["id"]
    await closing.advance_all(house.database, grace=timedelta(0))
    run = (await house.operate("GET", f"/runs/{run_id}")).body["run"]
    assert (run["status"], run["progress"]["invoices"]) == ("completed", 1)
    async with house.database.snapshot() as tx:
        rows = await tx.connection.fetch("SELECT item, sum(amount_minor) AS minor FROM invoice_lines GROUP BY item")
    return {row["item"]: row["minor"] / 100 for row in rows}


class TestCases:
    pytestmark = pytest.mark.asyncio(loop_scope="session")

    @pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
    async def test_are_quoted(self, quoted: list[Decimal], number: int) -> None:
        case = CASES[number]
        if "minimum" not in case.price:  # the close alone makes minimums
            assert quoted[number] == case.wanted

    @pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
    async def test_are_billed(self, billed: dict[str, Decimal], number: int) -> None:
        assert billed.get(f"m{number}", Decimal(0)) == CASES[number].wanted


def test_cases_are_many_and_differ_only_by_a_convention() -> None:
    assert len(CASES) >= 60
    for case in CASES:
        assert (case.ours is None) == (case.convention is None)
        assert case.ours is None or Decimal(case.ours) != Decimal(case.theirs)
