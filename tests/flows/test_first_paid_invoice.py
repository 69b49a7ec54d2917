"""The first paid invoice, by somebody who has addresses and keys alone: prices, resources, events, money, close, PDF, books.

The story is told once to a real program over HTTP; what was seen at each of its steps is compared with amounts that are
computed here, in fractions, from what the prices say.
"""

from __future__ import annotations

import io
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

import pypdf
import pytest

from tests.support.serving import run, serving
from tests.support.stranger import EVENTS, Sent, Stranger, eventually, stranger_at

SETTINGS = {"LINESERVE_CLOSE_GRACE_S": "0"}
JANUARY, FEBRUARY = "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"
PRICES: list[dict[str, Any]] = [
    {"service": "compute", "plan": "small", "model": "hourly", "hourly_price": 0.0375, "monthly_price": 20},
    {"service": "compute", "plan": "large", "model": "hourly", "hourly_price": "0.11", "monthly_price": "55.00"},
    {
        "service": "messaging",
        "meter": "sms.sent",
        "model": "graduated",
        "tiers": [
            {"up_to": 500, "unit_price": 0.05},
            {"up_to": 1500, "unit_price": 0.0333, "flat": 2.5},
            {"up_to": None, "unit_price": 0.0217},
        ],
    },
    {
        "service": "storage",
        "meter": "traffic.gb",
        "model": "per_unit",
        "unit_price": 0.0123,
        "included": 100,
        "discount_percent": 7.5,
    },
]
# What the platform reports: resource, region, instant, status, plan, units.
STATES = [
    ("web", "nairobi", "2024-01-10T10:30:00Z", "running", "small", 1),
    ("web", "nairobi", "2024-01-15T00:00:00Z", "stopped", "small", 1),
    ("web", "nairobi", "2024-01-20T00:00:00Z", "deleted", "small", 1),
    ("db", "nairobi", "2024-01-17T06:15:30Z", "running", "large", 1),  # out of order: it was small before
    ("db", "nairobi", "2024-01-03T00:00:00Z", "running", "small", 2),
    ("db", "nairobi", FEBRUARY, "deleted", "large", 1),
    ("cache", "lagos", JANUARY, "running", "small", 1),
    ("cache", "lagos", FEBRUARY, "deleted", "small", 1),
    *(
        (name, region, JANUARY, "running", None, 1)
        for name, region in (("a", "nairobi"), ("b", "lagos"), ("c", "lagos"))
    ),
    *(
        (name, region, FEBRUARY, "deleted", None, 1)
        for name, region in (("a", "nairobi"), ("b", "lagos"), ("c", "lagos"))
    ),
]
SERVICES = {"web": "compute", "db": "compute", "cache": "compute", "a": "messaging", "b": "messaging", "c": "storage"}
REGIONS = {"a": "nairobi", "b": "lagos", "c": "lagos"}
EVENTS_TOTAL, REPEATS = 2_000, 500
FIRST_TOP_UP, SECOND_TOP_UP = Decimal("50.00"), Decimal("200.00")

Line = tuple[str, str | None, str]  # plan or meter, resource, region


@dataclass
class Story:
    """What was sent and seen."""

    home: str
    account: dict[str, Any]
    events: list[dict[str, Any]]
    outcomes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    seen: dict[str, Any] = field(default_factory=dict[str, Any])
    pdf: bytes = b""
    checked: str = ""
    replays: list[tuple[Sent, int, bytes, str | None]] = field(
        default_factory=list[tuple[Sent, int, bytes, str | None]]
    )

    @property
    def invoice(self) -> dict[str, Any]:
        """The invoice as it is in the end."""
        return self.seen["paid"]


@pytest.fixture(scope="module")
def story(installation_folder: Path) -> Iterator[Story]:
    """The whole story, told to a program of its own."""
    home = str(installation_folder / "home")
    with serving(installation_folder, "--demo", LINESERVE_HOME=home, **SETTINGS) as server:
        with stranger_at(server) as operator:
            _price(operator)
            opened = operator.post(
                "/accounts", {"email": "jane@example.com", "name": "Jane Doe", "currency": "USD", "country": "KE"}
            )
        with stranger_at(server, api_key=opened["api_key"]["key"]) as jane:
            jane.sent.extend(operator.sent)
            told = Story(home, opened["account"], _events(opened["account"]["id"]))
            _use(jane, told)
            _pay_in_part(jane, told)
            _close(jane, told)
            _pay_the_rest(jane, told)
            _look_at_running_month(jane, told)
            _replay(jane, told)
            yield told


def _price(operator: Stranger) -> None:
    operator.put("/issuer", {"name": "Lineserve Ltd", "address": "1 Ngong Road\nNairobi", "tax_id": "P051234567X"})
    operator.put("/tax-rates", [{"country": "KE", "name": "VAT", "percent": 16, "valid_from": "2020-01-01"}])
    operator.post("/rate-cards", {"name": "List", "currency": "USD", "valid_from": "2024-01-01", "prices": PRICES})


def _events(account_id: str) -> list[dict[str, Any]]:
    """2,500 events, 500 of them repeats, in no order."""
    chance = random.Random(20240101)
    events: list[dict[str, Any]] = []
    for number in range(EVENTS_TOTAL):
        resource = chance.choice("aabc")
        meter = "traffic.gb" if resource == "c" else "sms.sent"
        quantity = f"{chance.uniform(0, 3):.6f}" if meter == "traffic.gb" else chance.randint(1, 3)
        time = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(31 * 86_400))
        data = {"account_id": account_id, "meter": meter, "quantity": quantity}
        event = {"specversion": "1.0", "id": f"event-{number}", "source": "/platform", "type": "usage"}
        events.append({**event, "subject": resource, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "data": data})
    events += chance.sample(events, REPEATS)
    chance.shuffle(events)
    return events


def _use(jane: Stranger, told: Story) -> None:
    for name, region, effective_at, status, plan, units in STATES:
        report = {"name": name, "region": region, "status": status, "effective_at": effective_at, "units": units}
        kind = {"type": "vps" if plan else "thing", "service": SERVICES[name]}
        jane.put(f"/accounts/{told.account['id']}/resources/{name}", {**kind, **report, "plan": plan})
    for start in range(0, len(told.events), 1_000):
        batch = told.events[start : start + 1_000]
        told.outcomes.append(jane.post("/events?backfill=true", batch, media_type=EVENTS))


def _top_up(jane: Stranger, amount: Decimal) -> Any:
    (method,) = jane.get("/account/payment-methods")["payment_methods"]
    body = {"amount": str(amount), "currency": "USD", "payment_method": method["id"]}
    return jane.post("/account/wallets/topup", body, plane="public")


def _pay_in_part(jane: Stranger, told: Story) -> None:
    jane.post("/account/payment-methods", {"type": "card", "token": "tok_visa"}, plane="public")
    told.seen["first top-up"] = _top_up(jane, FIRST_TOP_UP)


def _close(jane: Stranger, told: Story) -> None:
    preview = f"/accounts/{told.account['id']}/invoices/preview?period=2024-01"
    told.seen["preview"] = jane.ask(preview)["invoice"]
    told.seen["dry run"] = jane.close_month("2024-01", dry_run=True)
    told.seen["invoices after the dry run"] = jane.get("/account/invoices")["invoices"]
    told.seen["run"] = jane.close_month("2024-01")
    (listed,) = jane.get("/account/invoices")["invoices"]
    told.seen["issued"] = jane.get(f"/account/invoices/{listed['id']}")["invoice"]
    told.pdf = jane.public.get(f"/account/invoices/{listed['id']}/pdf").content
    told.seen["second run"] = jane.close_month("2024-01")
    told.seen["issued, after the second run"] = jane.get(f"/account/invoices/{listed['id']}")["invoice"]
    told.seen["wallet after the close"] = jane.get("/account/wallets")["wallets"]


def _pay_the_rest(jane: Stranger, told: Story) -> None:
    _top_up(jane, SECOND_TOP_UP)
    path = f"/account/invoices/{told.seen['issued']['id']}"
    told.seen["paid"] = eventually(lambda: jane.get(path)["invoice"], lambda invoice: invoice["status"] == "paid")
    _see_the_end(jane, told, "")
    told.checked = run("check", LINESERVE_HOME=told.home, **SETTINGS).stdout


def _see_the_end(jane: Stranger, told: Story, suffix: str) -> None:
    told.seen["wallet" + suffix] = jane.get("/account/wallets")["wallets"]
    told.seen["history" + suffix] = jane.get("/account/billing/history?per_page=100")["transactions"]
    told.seen["ledger" + suffix] = jane.ask(f"/accounts/{told.account['id']}/ledger")["balances"]
    told.seen["invoices" + suffix] = jane.get("/account/invoices")["invoices"]
    told.seen["check" + suffix] = jane.ask("/check")


def _look_at_running_month(jane: Stranger, told: Story) -> None:
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    report = {"type": "vps", "service": "compute", "name": "now", "region": "nairobi", "status": "running"}
    start = {"plan": "small", "effective_at": month.strftime("%Y-%m-%dT%H:%M:%SZ")}
    jane.put(f"/accounts/{told.account['id']}/resources/now", {**report, **start})
    before = datetime.now(UTC)
    told.seen["usage"] = jane.get("/account/usage?detailed=true")["usage"]
    told.seen["usage hours"] = [ceil((at - month) / timedelta(hours=1)) for at in (before, datetime.now(UTC))]


def _replay(jane: Stranger, told: Story) -> None:
    for sent in jane.sent:
        answer = jane.post_again(sent)
        told.replays.append((sent, answer.status_code, answer.content, answer.headers.get("Idempotent-Replayed")))
    stop = {"type": "vps", "service": "compute", "name": "now", "region": "nairobi", "plan": "small"}
    month = told.seen["usage"]["period"]["start"]
    jane.put(
        f"/accounts/{told.account['id']}/resources/now", {**stop, "status": "deleted", "effective_at": month}
    )  # nothing of it is left, so that wallets are what they were
    _see_the_end(jane, told, " after replays")


def rounded(value: Fraction, decimals: int = 2) -> Decimal:
    """Half up, for amounts above 0."""
    whole = floor(value * 10**decimals + Fraction(1, 2))
    return Decimal(whole).scaleb(-decimals)


def hourly(seconds: int, price: str, cap: str, units: int = 1) -> Fraction:
    return min(ceil(Fraction(seconds, 3600)) * Fraction(price), Fraction(cap)) * units


def sms_cost(quantity: Fraction) -> Fraction:
    first, second = min(quantity, Fraction(500)), min(max(quantity - 500, Fraction(0)), Fraction(1000))
    third = max(quantity - 1500, Fraction(0))
    flat = Fraction("2.5") if quantity > 500 else Fraction(0)
    return first * Fraction("0.05") + second * Fraction("0.0333") + flat + third * Fraction("0.0217")


def used(told: Story) -> Counter[tuple[str, str]]:
    """The quantity of each meter and region, each event counted once."""
    sums: Counter[tuple[str, str]] = Counter()
    for event in {event["id"]: event for event in told.events}.values():
        sums[event["data"]["meter"], REGIONS[event["subject"]]] += Fraction(str(event["data"]["quantity"]))  # pyright: ignore[reportArgumentType]  # counts in fractions
    return sums


def expected_lines(told: Story) -> dict[tuple[Line, int], Decimal]:
    """The amount of every line by what it is for and its number among those: a resized resource has two."""
    quantities = used(told)
    day = 86_400
    amounts = {
        ("small", "web", "nairobi"): rounded(hourly(10 * day - 37_800, "0.0375", "20")),
        ("small", "db", "nairobi"): rounded(hourly(14 * day + 22_530, "0.0375", "20", units=2)),
        ("large", "db", "nairobi"): rounded(hourly(15 * day - 22_530, "0.11", "55")),
        ("small", "cache", "lagos"): Decimal("20.00"),
        ("traffic.gb", None, "lagos"): rounded(
            (quantities["traffic.gb", "lagos"] - 100) * Fraction("0.0123") * Fraction("0.925")
        ),
    }
    parts = {region: quantities["sms.sent", region] for region in ("lagos", "nairobi")}
    whole = sum(parts.values())
    cents = int(rounded(sms_cost(Fraction(whole))) * 100)
    shares = {region: Fraction(cents * part, whole) for region, part in parts.items()}
    rest = cents - sum(floor(share) for share in shares.values())
    by_remainder = sorted(shares, key=lambda region: floor(shares[region]) - shares[region])
    for region, share in shares.items():
        amounts["sms.sent", None, region] = Decimal(floor(share) + (region in by_remainder[:rest])).scaleb(-2)
    return {(line, 1): amount for line, amount in amounts.items()}


def amounts_of(lines: list[dict[str, Any]]) -> dict[tuple[Line, int], Decimal]:
    numbers: Counter[Line] = Counter()
    amounts: dict[tuple[Line, int], Decimal] = {}
    for line in lines:
        of = (line["plan"] or line["meter"], line["resource_id"], line["region"])
        numbers[of] += 1
        amounts[of, numbers[of]] = line["amount"]
    return amounts


class TestFirstPaidInvoice:
    def test_counts_every_event_once(self, story: Story):
        assert all(len(outcome["results"]) <= 1_000 for outcome in story.outcomes)
        names = ("accepted", "duplicates", "quarantined", "rejected")
        totals = [sum(outcome[name] for outcome in story.outcomes) for name in names]
        assert totals == [EVENTS_TOTAL, REPEATS, 0, 0]

    def test_has_every_line_exact_to_the_cent(self, story: Story):
        expected = expected_lines(story)
        assert amounts_of(story.invoice["lines"]) == expected
        assert len(expected) == len(story.invoice["lines"]) == story.invoice["lines_total"]

    def test_shows_quantities_that_give_the_amounts(self, story: Story):
        lines = {(line["plan"] or line["meter"], line["resource_id"]): line for line in story.invoice["lines"]}
        assert [lines["small", "web"][name] for name in ("quantity", "unit", "unit_price", "unrounded")] == [
            230,
            "hour",
            Decimal("0.0375"),
            Decimal("8.625"),
        ]
        sms = sum(line["quantity"] for line in story.invoice["lines"] if line["meter"] == "sms.sent")
        assert sms == sum(amount for (meter, _), amount in used(story).items() if meter == "sms.sent")
        assert lines["sms.sent", None]["unit_price"] is None
        assert lines["traffic.gb", None]["quantity"] == Decimal(str(float(used(story)["traffic.gb", "lagos"])))

    def test_adds_up_with_its_tax(self, story: Story):
        subtotal = sum(expected_lines(story).values())
        tax = rounded(Fraction(subtotal) * Fraction(16, 100))
        invoice = story.invoice
        assert (invoice["subtotal"], invoice["tax"], invoice["amount"]) == (subtotal, tax, subtotal + tax)
        assert invoice["taxes"] == [{"name": "VAT", "rate": Decimal("16.0"), "base": subtotal, "amount": tax}]

    def test_is_what_preview_and_dry_run_said(self, story: Story):
        preview, issued = story.seen["preview"], story.seen["issued"]
        assert [{**line, "id": None} for line in issued["lines"]] == preview["lines"]
        members = ("currency", "period_start", "period_end", "amount", "subtotal", "tax", "taxes")
        assert {name: issued[name] for name in members} == {name: preview[name] for name in members}
        assert preview["status"] == "draft"
        assert story.seen["invoices after the dry run"] == []
        dry_run, real = story.seen["dry run"], story.seen["run"]
        assert (dry_run["status"], dry_run["dry_run"]) == ("completed", True)
        assert dry_run["progress"] == real["progress"]
        assert real["progress"]["amount_by_currency"] == {"USD": issued["amount"]}

    def test_is_made_once_however_often_the_month_is_closed(self, story: Story):
        assert story.seen["run"]["progress"]["invoices"] == 1
        assert story.seen["second run"]["status"] == "completed"
        assert story.seen["second run"]["progress"]["invoices"] == 0
        assert story.seen["issued, after the second run"] == story.seen["issued"]
        assert len(story.seen["invoices"]) == 1

    def test_has_a_number_a_period_and_dates(self, story: Story):
        invoice = story.invoice
        issued_at = datetime.fromisoformat(invoice["created_at"])
        assert invoice["number"] == f"INV-{issued_at.year}-001"
        assert (invoice["period_start"], invoice["period_end"]) == (JANUARY, "2024-01-31T23:59:59Z")
        due_date = issued_at.replace(hour=0, minute=0, second=0) + timedelta(days=14)
        assert datetime.fromisoformat(invoice["due_date"]) == due_date

    def test_takes_what_the_wallet_has_and_later_money_pays_the_rest_by_itself(self, story: Story):
        issued, paid = story.seen["issued"], story.invoice
        assert story.seen["first top-up"]["wallet"]["reserved_balance"] == FIRST_TOP_UP
        assert (issued["status"], issued["amount_paid"]) == ("pending", FIRST_TOP_UP)
        assert issued["amount_due"] == issued["amount"] - FIRST_TOP_UP
        assert story.seen["wallet after the close"][0]["total_balance"] == 0
        assert (paid["amount_paid"], paid["amount_due"]) == (paid["amount"], 0)
        assert [payment["amount"] for payment in paid["payments"]] == [FIRST_TOP_UP, issued["amount_due"]]
        assert {payment["source"] for payment in paid["payments"]} == {"wallet"}
        assert paid["paid_at"] >= paid["created_at"]


class TestEverythingElse:
    def test_wallet_holds_the_rest(self, story: Story):
        rest = FIRST_TOP_UP + SECOND_TOP_UP - story.invoice["amount"]
        balances = {"available_balance": rest, "pending_balance": 0, "reserved_balance": 0, "total_balance": rest}
        assert story.seen["wallet"] == [{"currency": "USD", **balances}]

    def test_history_has_each_line_tax_and_payment(self, story: Story):
        kinds: dict[str, list[Decimal]] = {}
        for row in story.seen["history"]:
            kinds.setdefault(row["type"], []).append(row["amount"])
        invoice = story.invoice
        charged = [*(line["amount"] for line in invoice["lines"]), invoice["tax"]]
        assert sorted(kinds["charge"]) == sorted(charged)
        assert kinds.keys() == {"charge", "payment"}
        assert kinds["payment"] == [SECOND_TOP_UP, FIRST_TOP_UP]

    def test_pdf_says_the_same(self, story: Story):
        text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(story.pdf)).pages)
        invoice = story.invoice
        said = ["Jane Doe", "Lineserve Ltd", "P051234567X", invoice["number"], "VAT", "16"]
        figures = [
            invoice["amount"],
            invoice["subtotal"],
            invoice["tax"],
            *(line["amount"] for line in invoice["lines"]),
        ]
        for wanted in (*said, *(f"{figure:,}" for figure in figures)):
            assert wanted in text, wanted

    def test_books_agree(self, story: Story):
        balances = {balance["ledger_account"]: balance["balance"] for balance in story.seen["ledger"]}
        invoice = story.invoice
        paid_in = FIRST_TOP_UP + SECOND_TOP_UP
        shown = {name: balance for name, balance in balances.items() if balance}
        assert shown == {
            "gateway:sandbox": -paid_in,
            "revenue": invoice["subtotal"],
            "tax:VAT": invoice["tax"],
            "wallet:cash": paid_in - invoice["amount"],
        }

    def test_check_finds_nothing(self, story: Story):
        assert story.seen["check"]["ok"] is True
        assert {check["violations"] for check in story.seen["check"]["checks"]} == {0}
        assert "All invariants hold." in story.checked
        assert story.seen["check after replays"]["ok"] is True

    def test_usage_shows_the_running_month(self, story: Story):
        usage = story.seen["usage"]
        (resource,) = usage["services"]["compute"]["resources"]
        assert resource["hours"] in story.seen["usage hours"]
        cost = rounded(min(Fraction(resource["hours"]) * Fraction("0.0375"), Fraction(20)))
        assert resource["cost"] == usage["services"]["compute"]["cost"] == usage["total_cost"] == cost

    def test_every_post_sent_again_gets_the_same_bytes_and_does_nothing(self, story: Story):
        assert len(story.replays) >= 10
        for sent, status, content, replayed in story.replays:
            assert (status, replayed) == (sent.status, "true"), sent.path
            first = sent.answer
            if sent.path == "/accounts":  # the key is shown once
                secret = content.replace(b'"key":null', b"")
                assert len(secret) < len(content)
                continue
            assert content == first, sent.path
        for name in ("wallet", "history", "ledger", "invoices"):
            assert story.seen[f"{name} after replays"] == story.seen[name]


class TestKill9:
    """The program dies at the worst moments; the next start on the same home carries on."""

    MONTHS = ("2024-01", "2024-02")
    DELAYS_S = (0.0, 0.06)
    PATIENCE_S = 90  # the work of a worker that was killed is taken up after 30 s, twice at the worst

    def test_loses_and_doubles_nothing(self, installation_folder: Path):
        home = str(installation_folder / "killed")
        with killed(installation_folder, home) as one:
            _price(one)
            keys = [_open_with_server(one, number) for number in range(8)]
            one.public.headers["Authorization"] = f"Bearer {keys[0]}"
            one.post("/account/payment-methods", {"type": "card", "token": "tok_visa"}, plane="public")
            _top_up(one, FIRST_TOP_UP)
            topped_up = one.sent[-1]
        for month, delay_s in zip(self.MONTHS, self.DELAYS_S, strict=True):
            with killed(installation_folder, home, key=keys[0], after_s=delay_s) as one:
                assert one.post_again(topped_up).content == topped_up.answer
                one.post("/runs", {"kind": "close", "period": month})
        with serving(installation_folder, "--demo", LINESERVE_HOME=home, **SETTINGS) as server:
            for key in keys:
                with stranger_at(server, api_key=key) as one:
                    runs = eventually(
                        lambda: one.ask("/runs")["runs"],
                        lambda runs: all(run["status"] == "completed" for run in runs),
                        patience_s=self.PATIENCE_S,
                    )
                    invoices = one.get("/account/invoices")["invoices"]
                    assert len(runs) == len(self.MONTHS)
                    assert sorted(invoice["period_start"][:7] for invoice in invoices) == list(self.MONTHS)
                    assert {invoice["amount"] for invoice in invoices} == {Decimal("23.20")}  # 20.00 and 16 %
                    history = one.get("/account/billing/history?type=payment")["transactions"]
                    assert [row["amount"] for row in history] == ([FIRST_TOP_UP] if key == keys[0] else [])
                    paid = sum(
                        one.get(f"/account/invoices/{each['id']}")["invoice"]["amount_paid"] for each in invoices
                    )
                    (wallet,) = one.get("/account/wallets")["wallets"]
                    assert paid + wallet["total_balance"] == (FIRST_TOP_UP if key == keys[0] else 0)
            with stranger_at(server) as one:
                assert one.ask("/check")["ok"] is True
        assert "All invariants hold." in run("check", LINESERVE_HOME=home, **SETTINGS).stdout


@contextmanager
def killed(folder: Path, home: str, *, key: str | None = None, after_s: float = 0) -> Iterator[Stranger]:
    """A program that is killed when the block ends."""
    with serving(folder, "--demo", LINESERVE_HOME=home, **SETTINGS) as server:
        with stranger_at(server, api_key=key) as one:
            yield one
        time.sleep(after_s)
        server.process.kill()
        server.process.wait()


def _open_with_server(one: Stranger, number: int) -> str:
    """An account whose server costs 20.00 a month; returns its key."""
    person = {"email": f"jane{number}@example.com", "name": "Jane", "currency": "USD", "country": "KE"}
    opened = one.post("/accounts", person)
    report = {"type": "vps", "service": "compute", "name": "web", "region": "nairobi", "status": "running"}
    one.put(f"/accounts/{opened['account']['id']}/resources/web", {**report, "plan": "small", "effective_at": JANUARY})
    return opened["api_key"]["key"]
