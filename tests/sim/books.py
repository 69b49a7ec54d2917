"""What an account of one currency has been billed and what became of it, reckoned from definitions: no transfers, no statements.

Usage is the oracle's, in exact fractions. Amounts are minor units; a month is its first instant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from tests.oracle import rating
from tests.oracle.world import Aggregation, Definition, World, month_start

Part = tuple[str, str, str | None, Fraction, UUID, str]
"""Of a month's charges: kind, plan or meter, its resource (None: pooled), units, project and region."""
PLANS = ("sim-small", "sim-large")
METERS: dict[str, Aggregation] = {"sim-sms": "sum", "sim-tier": "sum", "sim-peak": "max"}
PRICES: list[Definition] = [
    {
        "service": "messaging",
        "model": "per_unit",
        "meter": "sim-sms",
        "unit_price": Decimal("0.0375"),
        "included": Decimal(10),
        "minimum": Decimal("1.25"),
    },
    {
        "service": "messaging",
        "model": "graduated",
        "meter": "sim-tier",
        "tiers": [
            {"up_to": Decimal(100), "unit_price": Decimal("0.05")},
            {"up_to": None, "unit_price": Decimal("0.0173"), "flat": Decimal("0.5")},
        ],
    },
    {
        "service": "messaging",
        "model": "volume",
        "meter": "sim-peak",
        "scope": "resource",
        "discount_percent": Decimal("12.5"),
        "tiers": [
            {"up_to": Decimal(1000), "unit_price": Decimal("0.011")},
            {"up_to": None, "unit_price": Decimal("0.007")},
        ],
    },
    {
        "service": "compute",
        "model": "hourly",
        "plan": "sim-small",
        "hourly_price": Decimal("0.013"),
        "monthly_price": Decimal("6.5"),
    },
    {"service": "compute", "model": "flat", "plan": "sim-large", "amount": Decimal("33.33"), "billable": ["running"]},
]
FOREVER = datetime.max.replace(tzinfo=UTC)
DAY = timedelta(days=1)


def half_away(value: Fraction) -> int:
    """The nearest whole number; half goes away from zero."""
    whole = rating.half_up(abs(value))
    return whole if value >= 0 else -whole


def next_month(month: datetime) -> datetime:
    """The first instant of the month after."""
    return month_start(month.year, month.month + 1)


@dataclass
class Grant:
    """Promotional credit and what is left of it."""

    grant_id: UUID
    priority: int
    granted_at: datetime
    expires_at: datetime | None
    left: int

    @property
    def rank(self) -> tuple[int, datetime, datetime, UUID]:
        """Who pays first."""
        return self.priority, self.expires_at or FOREVER, self.granted_at, self.grant_id

    def days_in(self, month: datetime) -> tuple[datetime, datetime]:
        """Its whole days of a month, half-open; the one of the grant and the one in which it expires count."""
        since = self.granted_at.replace(hour=0, minute=0, second=0, microsecond=0)
        until = next_month(month)
        if self.expires_at is not None:
            last = self.expires_at - timedelta(microseconds=1)
            until = min(until, last.replace(hour=0, minute=0, second=0, microsecond=0) + DAY)
        return max(month, since), until


@dataclass
class Bill:
    """An invoice, or the credit note that stands in its place when it comes to less than nothing."""

    number: str
    month: datetime
    due_at: datetime
    parts: dict[tuple[datetime, Part], int]
    """What each part of a month's charges adds: lines of its own month, corrections of earlier ones."""
    taxes: dict[str, tuple[Fraction, int]]
    status: str = "pending"
    paid: list[tuple[UUID | None, int]] = field(default_factory=list)
    """By promotional credit, or by money (None), in the order in which it was set against the bill."""
    lowered: int = 0
    given_back: int = 0
    noted_net: int = 0
    noted_taxes: Counter[str] = field(default_factory=Counter)
    noted_lines: Counter[int] = field(default_factory=Counter)

    @property
    def net(self) -> int:
        return sum(self.parts.values())

    @property
    def total(self) -> int:
        return self.net + sum(tax for _, tax in self.taxes.values())

    @property
    def noted(self) -> int:
        """What credit notes took back, taxes included."""
        return self.noted_net + self.noted_taxes.total()

    @property
    def due(self) -> int:
        """What it asks for."""
        if self.status != "pending":
            return 0
        return self.total - sum(minor for _, minor in self.paid) - self.lowered

    def pay(self, amount: int, grant: Grant | None = None) -> None:
        """Set money or promotional credit against it."""
        if grant is not None:
            grant.left -= amount
        self.paid.append((grant.grant_id if grant else None, amount))
        self.settle()

    def settle(self) -> None:
        """Nothing left to ask for is paid."""
        if self.status == "pending" and self.due == 0:
            self.status = "paid"

    def split(self, gross: int) -> tuple[int, dict[str, int]]:
        """(net, taxes) in more of the total that is taken back: of each tax its share of all that was, rounded once."""
        taken = self.noted + gross
        net, taxes = gross, dict[str, int]()
        for name, (_, tax) in self.taxes.items():
            so_far = min(rating.half_up(Fraction(taken * tax, self.total)), tax)
            taxes[name] = min(max(so_far - self.noted_taxes[name], 0), net)
            net -= taxes[name]
        too_much = max(net - (self.net - self.noted_net), 0)
        for name, (_, tax) in self.taxes.items():
            more = min(too_much, tax - self.noted_taxes[name] - taxes[name])
            taxes[name] += more
            net, too_much = net - more, too_much - more
        return net, taxes

    def taxes_on(self, net: int) -> dict[str, int]:
        """The taxes on more of the net that is taken back: on all of it, rounded once, less what went before."""
        so_far = self.noted_net + net
        return {
            name: max(min(rating.half_up(so_far * percent / 100), tax) - self.noted_taxes[name], 0)
            for name, (percent, tax) in self.taxes.items()
        }

    def returned_by(self, net: int, taxes: dict[str, int]) -> list[tuple[UUID | None, int]]:
        """What a credit note gives back: of what was paid the last first, each to where it came from."""
        return self._last_paid(max(net + sum(taxes.values()) - self.due, 0))

    def take_back(self, net: int, taxes: dict[str, int]) -> list[tuple[UUID | None, int]]:
        """Write a credit note: what is asked for goes first."""
        back, returned = max(net + sum(taxes.values()) - self.due, 0), self.returned_by(net, taxes)
        self.noted_net += net
        self.noted_taxes.update(taxes)
        self.lowered += net + sum(taxes.values()) - back
        self.given_back += back
        self.settle()
        return returned

    def _last_paid(self, back: int) -> list[tuple[UUID | None, int]]:
        earlier, returned = self.given_back, list[tuple[UUID | None, int]]()
        for source, paid in reversed(self.paid):
            there = max(paid - earlier, 0)
            earlier = max(earlier - paid, 0)
            if min(there, back):
                returned.append((source, min(there, back)))
                back -= min(there, back)
        assert back == 0
        return returned


@dataclass
class Books:
    """Everything billed of an account, its promotional credit, and which months are closed."""

    percents: dict[str, Fraction]
    first_month: datetime
    numbers: Counter[str]
    """Of each series the last number that was given out."""
    terms: timedelta = timedelta(days=14)
    bills: dict[UUID, Bill] = field(default_factory=dict)
    grants: dict[UUID, Grant] = field(default_factory=dict)
    closed: list[datetime] = field(default_factory=list)
    made: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)
    """Of payments made for an invoice, which one and how much, until they are set against it."""

    @property
    def month(self) -> datetime:
        """The first month that is not closed."""
        return next_month(self.closed[-1]) if self.closed else self.first_month

    @property
    def open(self) -> list[UUID]:
        """The invoices that ask for money, the one due first first."""
        asking = [bill_id for bill_id, bill in self.bills.items() if bill.due > 0]
        return sorted(asking, key=lambda bill_id: (self.bills[bill_id].due_at, bill_id))

    @property
    def receivable(self) -> int:
        return sum(bill.due for bill in self.bills.values())

    def draft(self, world: World) -> dict[tuple[datetime, Part], int]:
        """What the next close bills: the month, and what months before it cost by now that was not billed of them."""
        now = {(self.month, part): minor for part, minor in reckon(world, self.month).items()}
        for month in self.closed:
            cost, billed = reckon(world, month), self.billed(month)
            differences = {part: cost.get(part, 0) - billed.get(part, 0) for part in cost.keys() | billed.keys()}
            now.update({(month, part): minor for part, minor in differences.items() if minor})
        return now

    def billed(self, month: datetime) -> Counter[Part]:
        """What was billed of a month, on whatever invoice that stands."""
        billed: Counter[Part] = Counter()
        for bill in self.bills.values():
            if bill.status != "void":
                billed.update({part: minor for (of, part), minor in bill.parts.items() if of == month})
        return billed

    def close(self, world: World, *, now: datetime, cash: int) -> tuple[Bill | None, int]:
        """The bill of the next month, without its id, and what it leaves of the cash (or adds to it); none without charges."""
        if not (parts := self.draft(world)):
            self.end_month()
            return None, cash
        net = sum(parts.values())
        taxes = {name: (percent, half_away(net * percent / 100)) for name, percent in self.percents.items()}
        total = net + sum(tax for _, tax in taxes.values())
        series = f"{'CN' if total < 0 else 'INV'}-{now.year}"
        self.numbers[series] += 1
        due_at = now.replace(hour=0, minute=0, second=0, microsecond=0) + self.terms
        bill = Bill(f"{series}-{self.numbers[series]:03}", self.month, due_at, parts, taxes)
        if total <= 0:
            bill.status, cash = "paid", cash - total
        else:
            self.spend(bill, world)
            if min(bill.due, cash) > 0:
                amount = min(bill.due, cash)
                bill.pay(amount)
                cash -= amount
        self.end_month()
        return bill, cash

    def end_month(self) -> None:
        """It is closed, and what is left of grants that ended in it is gone."""
        self.expire(next_month(self.month))
        self.closed.append(self.month)

    def spend(self, bill: Bill, world: World) -> None:
        """Set promotional credit against an invoice: of its month's days alone, by priority, soonest expiry, oldest."""
        end = next_month(bill.month)
        for grant in sorted(self.grants.values(), key=lambda grant: grant.rank):
            if grant.left == 0 or grant.granted_at >= end or (grant.expires_at or FOREVER) <= bill.month:
                continue
            used = sum(minor for source, minor in bill.paid if source == grant.grant_id)
            amount = min(grant.left, self.most(bill, grant, world) - used, bill.due)
            if amount > 0:
                bill.pay(amount, grant)

    def most(self, bill: Bill, grant: Grant, world: World) -> int:
        """What a grant may pay of an invoice: gross x net of its whole days / net of the month, rounded down."""
        since, until = grant.days_in(bill.month)
        if (since, until) == (bill.month, next_month(bill.month)):
            return bill.total
        inside, net = net_within(world, bill.month, since, until)
        return bill.total * inside // net if net else 0

    def expire(self, until: datetime) -> None:
        """What is left of grants that ended is gone."""
        for grant in self.grants.values():
            if (grant.expires_at or FOREVER) <= until:
                grant.left = 0

    def grant(
        self, grant_id: UUID, amount: int, priority: int, *, granted_at: datetime, expires_at: datetime | None
    ) -> None:
        """Give promotional credit."""
        self.grants[grant_id] = Grant(grant_id, priority, granted_at, expires_at, left=amount)

    def use_made(self, cash: int) -> int:
        """Set payments made for invoices against them, as far as the cash goes; how much was used."""
        used = 0
        for payment_id, (bill_id, brought) in list(self.made.items()):
            bill = self.bills[bill_id]
            amount = min(cash - used, brought, bill.due)
            if amount > 0:
                bill.pay(amount)
                used += amount
                del self.made[payment_id]
        return used

    def use(self, bill_id: UUID, cash: int) -> int:
        """Set cash against one invoice; how much was used."""
        amount = min(cash, self.bills[bill_id].due)
        if amount > 0:
            self.bills[bill_id].pay(amount)
        return max(amount, 0)

    def collect(self, cash: int) -> int:
        """Set cash against the invoices, first what was paid for one, then the one due first; how much was used."""
        used = self.use_made(cash)
        for bill_id in self.open:
            used += self.use(bill_id, cash - used)
        return used

    def give_back(self, returned: Iterable[tuple[UUID | None, int]]) -> int:
        """Promotional credit goes back to its grants; the money among what is returned."""
        money = 0
        for source, minor in returned:
            if source is None:
                money += minor
            else:
                self.grants[source].left += minor
        return money


def reckon(world: World, month: datetime) -> dict[Part, int]:
    """What the parts of a whole month's charges come to; a charge without cost has a line too."""
    found: dict[Part, int] = {}
    for line in _lines(world, month):
        definition = line.charge.price.definition
        item = definition.get("plan") or definition.get("meter", "")
        charge = line.charge
        part = (charge.kind, item, charge.resource_id, charge.units, line.project_id, line.region)
        assert part not in found
        found[part] = line.amount_minor
    return found


def net_within(world: World, month: datetime, since: datetime, until: datetime) -> tuple[Fraction, int]:
    """(net of some whole days of a month, net of the month): each resource's share by what weighs on those days."""
    inside, net = Fraction(0), 0
    for line in _lines(world, month):
        weights = {piece.resource.resource_id: piece.day_weights() for piece in line.charge.pieces}
        for resource_id, (_, minor) in rating.line_shares(line).items():
            days = weights[resource_id]
            chosen = sum((weight for day, weight in days.items() if since.date() <= day < until.date()), Fraction(0))
            net += minor
            inside += minor * chosen / sum(days.values(), Fraction(0))
    return inside, net


def _lines(world: World, month: datetime) -> list[rating.Line]:
    return rating.lines(
        rating.rate(world, year=month.year, month=month.month, as_of=next_month(month), with_minimums=True)
    )
