"""The tables of docs/rating.md and docs/ledger.md, recomputed by the code that they describe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest

from billing import catalog, ledger, metering, onboarding, projects, rating
from billing.core.period import Period
from billing.rating import QuoteRequest
from billing.wallets.rules import reserve_of
from tests.oracle.rating import apportion
from tests.support.documents import Row, Section, sections
from tests.tidy.sources import ROOT

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.ledger import Transfer

RATING = {section.title: section for section in sections((ROOT / "docs/rating.md").read_text(encoding="utf-8"))}
LEDGER = {section.title: section for section in sections((ROOT / "docs/ledger.md").read_text(encoding="utf-8"))}
PRICES = [section for section in RATING.values() if section.blocks("json")]
STORIES = [section for title, section in LEDGER.items() if title.startswith("A story")]
JANUARY = Period(2024, 1)


def titles(found: list[Section]) -> list[str]:
    return [section.title for section in found]


def minor(amount: str) -> int:
    return int(Decimal(amount).scaleb(2))


@pytest.mark.parametrize("section", PRICES, ids=titles(PRICES))
class TestPrice:
    def test_compiles_to_its_bands(self, section: Section) -> None:
        compiled = catalog.compile_price(terms_of(section))
        shown = [
            (
                Decimal(row["low"]),
                Decimal(row["high"]) if row["high"] else None,
                Decimal(row["base"]),
                Decimal(row["unit"]),
            )
            for row in section.table("low", "high", "base", "unit")
        ]
        assert [(band.low, band.high, band.base, band.unit) for band in compiled.bands] == shown

    async def test_costs_what_its_table_says(self, section: Section, tx: Tx) -> None:
        terms = terms_of(section)
        is_plan = terms.kind == "plan"
        rows = section.table(*(("hours", "units") if is_plan else ("quantity",)), "unrounded", "amount")
        requests = [
            QuoteRequest(
                kind=terms.kind,
                item="example",
                region=None,
                quantity=Decimal(row["hours" if is_plan else "quantity"]),
                units=Decimal(row.get("units", "1")),
                terms=terms,
            )
            for row in rows
        ]
        quoted = await rating.quote(tx, currency="USD", account_id=None, at=JANUARY.start, requests=requests)
        assert [(line.unrounded, line.amount_minor) for line in quoted] == [
            (Decimal(row["unrounded"]), minor(row["amount"])) for row in rows
        ]


def terms_of(section: Section) -> catalog.PriceTerms:
    (text,) = section.blocks("json")
    return msgspec.convert(json.loads(text, parse_float=Decimal, parse_int=Decimal), catalog.InlinePrice)


def test_every_price_model_has_an_example() -> None:
    assert {terms_of(section).model for section in PRICES} == {
        "per_unit",
        "graduated",
        "volume",
        "package",
        "hourly",
        "flat",
    }


def test_minor_units_go_to_the_largest_remainders() -> None:
    for row in RATING["4. Lines and shares"].table("quantities", "parts"):
        weights = [Fraction(weight) for weight in row["quantities"].split(", ")]
        assert apportion(1000, weights) == [minor(part) for part in row["parts"].split(", ")]


class TestMonth:
    """Section 5 and 6 of docs/rating.md."""

    async def test_has_the_charges_and_lines_that_are_shown(self, tx: Tx) -> None:
        account_id, names = await _live_through_january(tx)
        arguments: dict[str, Any] = {"account_ids": [account_id], "period": JANUARY, "as_of": JANUARY.end}
        section = RATING["5. A month"]
        charges = await rating.list_charges(tx.connection, **arguments)
        assert sorted(
            (_charge(charge.charge_resource_id), charge.quantity, charge.cost, charge.amount_minor)
            for charge in charges
        ) == sorted(
            (row["charge"], Decimal(row["quantity"]), Decimal(row["unrounded"]), minor(row["amount"]))
            for row in section.table("charge", "quantity", "unrounded", "amount")
        )
        assert await _amounts_by_line(tx, account_id, names) == {
            (row["line"], row["project"]): minor(row["amount"]) for row in section.table("line", "project", "amount")
        }

    async def test_changes_by_the_corrections_that_are_shown(self, tx: Tx) -> None:
        account_id, names = await _live_through_january(tx)
        before = await _amounts_by_line(tx, account_id, names)
        await _send(tx, account_id, event_id="late", resource_id="web", quantity="300", at=_day("2024-01-20"))
        after = await _amounts_by_line(tx, account_id, names)
        rows = RATING["7. Usage that comes late"].table("line", "project", "was", "is", "correction")
        told = {(row["line"], row["project"]): row for row in rows}
        assert before == {line: minor(row["was"]) for line, row in told.items()}
        assert after == {line: minor(row["is"]) for line, row in told.items()}
        assert {line: after[line] - before[line] for line in told} == {
            line: minor(row["correction"]) for line, row in told.items()
        }

    def test_is_taxed_once_on_the_sum_of_its_lines(self) -> None:
        lines = RATING["5. A month"].table("line", "project", "amount")
        bills = RATING["6. The bill"].table("lines", "percent", "tax", "total")
        assert minor(bills[0]["lines"]) == sum(minor(row["amount"]) for row in lines)
        for row in bills:
            tax_minor = rating.tax_minor(minor(row["lines"]), Decimal(row["percent"]))
            assert tax_minor == minor(row["tax"])
            assert minor(row["lines"]) + tax_minor == minor(row["total"])


def _charge(resource_id: str) -> str:
    return f"plan of {resource_id}" if resource_id else "sms"


async def _live_through_january(tx: Tx) -> tuple[UUID, dict[UUID, str]]:
    """The account of section 5, and its projects' names by id."""
    opened = await onboarding.open_account(tx, email="docs@example.com", name="Docs", currency="USD")
    account_id = opened.account.account_id
    terms = [
        {"service": "compute", "plan": "vps", "model": "hourly", "hourly_price": "0.0149", "monthly_price": "10"},
        {
            "service": "messaging",
            "meter": "sms",
            "model": "graduated",
            "tiers": [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}],
        },
    ]
    prices = [msgspec.convert(one, catalog.PriceDefinition) for one in terms]
    await catalog.publish_rate_card(tx, name="Docs", currency="USD", valid_from=JANUARY.start, prices=prices)
    names: dict[UUID, str] = {}
    for row in RATING["5. A month"].table("project", "resource", "plan from", "plan until", "sms"):
        project = await projects.create(tx, account_id=account_id, name=row["project"])
        names[project.project_id] = row["project"]
        await _live(tx, account_id, project.project_id, row)
    return account_id, names


async def _live(tx: Tx, account_id: UUID, project_id: UUID, row: Row) -> None:
    """A resource's plan from one day to another, and its messages."""
    points: list[tuple[metering.Status, str]] = [("running", row["plan from"]), ("deleted", row["plan until"])]
    for status, day in points:
        await metering.record_state(
            tx,
            metering.StateReport(
                account_id=account_id,
                resource_id=row["resource"],
                project_id=project_id,
                type="vps",
                service="compute",
                name=row["resource"],
                region="nairobi",
                status=status,
                effective_at=_day(day),
                plan="vps" if status == "running" else None,
                units=Decimal(1),
            ),
        )
    sent = {"event_id": row["resource"], "resource_id": row["resource"], "quantity": row["sms"]}
    await _send(tx, account_id, at=_day(row["plan from"]), **sent)


async def _send(tx: Tx, account_id: UUID, *, event_id: str, resource_id: str, quantity: str, at: datetime) -> None:
    event = metering.UsageEvent(account_id, "docs", event_id, resource_id, "sms", Decimal(quantity), at)
    assert await metering.ingest(tx, [event]) == [metering.IngestResult("accepted", None)]


async def _amounts_by_line(tx: Tx, account_id: UUID, names: dict[UUID, str]) -> dict[tuple[str, str], int]:
    lines = await rating.list_lines(tx.connection, account_ids=[account_id], period=JANUARY, as_of=JANUARY.end)
    return {(_charge(line.charge_resource_id), names[line.project_id]): line.amount_minor for line in lines}


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


ACCOUNT = UUID(int=1)
CREDIT = UUID(int=2)
Make = Callable[[int], "Transfer"]


def makers(at: datetime, reference: UUID, row: Row) -> dict[str, Make]:
    """By template, how the transfer of a row is made; what comes in parts is made by `document_of`."""
    moved: dict[str, Any] = {"account_id": ACCOUNT, "currency": "USD", "at": at}
    payment: dict[str, Any] = {"payment_id": reference, **moved}
    outside: dict[str, Any] = {"gateway_name": "sandbox", **payment}
    hold: dict[str, Any] = {"hold_id": reference, **moved}
    refund: dict[str, Any] = {"refund_id": reference, **moved}
    credit: dict[str, Any] = {"credit_id": CREDIT, **moved}
    paid: dict[str, Any] = {"invoice_id": reference, "ordinal": int(row["#"]), **moved}
    made: dict[str, tuple[Callable[..., Transfer], dict[str, Any]]] = {
        "topup.started": (ledger.topup_started, outside),
        "topup.settled": (ledger.topup_settled, payment),
        "topup.failed": (ledger.topup_failed, outside),
        "payment.recorded": (ledger.payment_recorded, payment),
        "refund.started": (ledger.refund_started, refund),
        "refund.settled": (ledger.refund_settled, {"gateway_name": "sandbox", **refund}),
        "refund.failed": (ledger.refund_failed, refund),
        "owed.paid": (ledger.owed_paid, {"reference": reference, **moved}),
        "credit.granted": (ledger.credit_granted, credit),
        "credit.expired": (ledger.credit_expired, {"ordinal": 0, **credit}),
        "hold.placed": (ledger.hold_placed, hold),
        "hold.captured": (ledger.hold_captured, hold),
        "hold.released": (ledger.hold_released, hold),
        "invoice.paid_from_credit": (ledger.invoice_paid_from_credit, {"credit_id": CREDIT, **paid}),
        "invoice.paid_from_cash": (ledger.invoice_paid_from_cash, paid),
        "invoice.payment_started": (ledger.invoice_payment_started, outside),
        "invoice.payment_settled": (ledger.invoice_payment_settled, payment),
        "invoice.payment_failed": (ledger.invoice_payment_failed, outside),
        "invoice.paid_from_method": (ledger.invoice_paid_from_method, paid),
        "credit.undone": (ledger.credit_undone, credit),
        "invoice.payment_returned": (
            ledger.invoice_payment_returned,
            {"destination": row["to"].replace("<grant>", str(CREDIT)), **paid},
        ),
        "invoice.written_off": (ledger.invoice_written_off, {"invoice_id": reference, **moved}),
        "credit_note.returned": (
            ledger.credit_note_returned,
            {
                "credit_note_id": reference,
                "ordinal": int(row["to"] != ledger.WALLET_CASH),
                "destination": row["to"].replace("<grant>", str(CREDIT)),
                **moved,
            },
        ),
    }
    return {name: partial(_made, make, members) for name, (make, members) in made.items()}


def _made(make: Callable[..., Transfer], members: dict[str, Any], amount_minor: int) -> Transfer:
    return make(amount_minor=amount_minor, **members)


# Documents post a transfer for each part: how, what names them, which column names the part, and the sign of its amount there.
DOCUMENTS: dict[str, tuple[Callable[..., list[Transfer]], str, str, int]] = {
    "invoice.issued": (ledger.invoice_issued, "invoice_id", "to", 1),
    "invoice.credited": (ledger.invoice_credited, "invoice_id", "from", -1),
    "invoice.voided": (ledger.invoice_voided, "invoice_id", "from", 1),
    "credit_note.issued": (ledger.credit_note_issued, "credit_note_id", "from", 1),
}


def transfers_of(rows: list[Row], at: datetime) -> list[Transfer]:
    """The transfers of a story, each made by its template; rows of one template in a row are the parts of one thing."""
    made: list[Transfer] = []
    for template, group in groupby(rows, key=lambda row: row["template"]):
        parts = list(group)
        reference = UUID(int=100 + int(parts[0]["#"]))
        if template in DOCUMENTS:
            made += document_of(template, parts, reference, at)
        elif template == "chargeback.taken":
            made += chargeback_of(parts, reference, at)
        else:
            made += [makers(at, reference, row)[template](minor(row["amount"])) for row in parts]
    return made


def document_of(template: str, parts: list[Row], reference: UUID, at: datetime) -> list[Transfer]:
    post, name, column, sign = DOCUMENTS[template]
    net, *taxes = parts
    return post(
        **{name: reference},
        account_id=ACCOUNT,
        currency="USD",
        net_minor=sign * minor(net["amount"]),
        taxes_minor={row[column].removeprefix("tax:"): sign * minor(row["amount"]) for row in taxes},
        at=at,
    )


def chargeback_of(parts: list[Row], reference: UUID, at: datetime) -> list[Transfer]:
    taken = {row["from"]: minor(row["amount"]) for row in parts}
    return ledger.chargeback_taken(
        account_id=ACCOUNT,
        chargeback_id=reference,
        gateway_name="sandbox",
        currency="USD",
        cash_minor=taken.get("wallet:cash", 0),
        owed_minor=taken.get("owed", 0),
        at=at,
    )


def shown(ledger_account: str) -> str:
    return ledger_account.replace(str(CREDIT), "<grant>")


class TestStory:
    @pytest.mark.parametrize("section", STORIES, ids=titles(STORIES))
    async def test_posts_what_is_shown(self, section: Section, tx: Tx) -> None:
        rows = section.table("#", "template", "from", "to", "amount")
        await ledger.open_head(tx.connection, account_id=ACCOUNT)
        transfers = transfers_of(rows, tx.now)
        assert await ledger.post_all(tx.connection, transfers, recorded_at=tx.now) == len(rows)
        posted = await ledger.list_transfers(tx.connection, account_id=ACCOUNT, limit=100)
        assert [
            (str(one.number), one.template, shown(one.source), shown(one.destination), one.amount_minor)
            for one in reversed(posted)
        ] == [(row["#"], row["template"], row["from"], row["to"], minor(row["amount"])) for row in rows]
        balances = await ledger.list_balances(tx.connection, account_id=ACCOUNT)
        assert {shown(name): balance for (_, name), balance in balances.items()} == {
            row["ledger account"]: minor(row["balance"]) for row in section.table("ledger account", "balance")
        }
        assert sum(balances.values()) == 0
        assert await ledger.post_all(tx.connection, transfers, recorded_at=tx.now) == 0

    async def test_cannot_take_what_is_not_there(self, tx: Tx) -> None:
        await ledger.open_head(tx.connection, account_id=ACCOUNT)
        held = makers(tx.now, ACCOUNT, {"#": "1", "to": "wallet:held"})["hold.placed"](1)
        with pytest.raises(ledger.InsufficientBalance):
            await ledger.post(tx.connection, held, recorded_at=tx.now)


def test_every_template_is_shown_and_told_in_a_story() -> None:
    source = (ROOT / "src/billing/ledger/rules.py").read_text(encoding="utf-8")
    templates = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', source))
    assert {row["template"] for row in LEDGER["Templates"].table("template", "from", "to")} == templates
    told = {row["template"] for story in STORIES for row in story.table("#", "template", "from", "to", "amount")}
    assert told == templates


def test_the_reserve_is_what_its_table_says() -> None:
    for row in LEDGER["What the wallet shows"].table("cash", "U", "P", "F", "R", "available"):
        reserve_minor = reserve_of(
            cash_minor=minor(row["cash"]),
            unbilled_minor=minor(row["U"]),
            credit_minor=minor(row["P"]),
            next_day_minor=minor(row["F"]),
        )
        assert (reserve_minor, minor(row["cash"]) - reserve_minor) == (minor(row["R"]), minor(row["available"]))


async def test_the_invariants_are_those_that_are_checked(tx: Tx) -> None:
    text = " ".join(LEDGER["Invariants"].text.split())
    assert not [check.name for check in await ledger.run_checks(tx.connection) if check.name not in text]
