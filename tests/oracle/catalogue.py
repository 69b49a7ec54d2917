"""Random rate cards: every model, scope and option, in round and in wild numbers.

A meter has a magnitude: its quantities are around 10 ** magnitude and its prices fit them, so that costs stay sums of
money.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal
from random import Random
from typing import Literal, get_args
from uuid import UUID

from tests.oracle.world import Aggregation, Definition, Price, Tier, month_start

CURRENCIES = ("USD", "JPY", "KWD", "KES")
REGIONS = ("af-east", "af-west", "eu")
MAGNITUDES = (-4, 0, 0, 1, 2, 3, 3, 6, 9, 14, 19)
TRILLION = 10**12
_EXACT = Context(prec=100)
_ROUND_NUMBERS = tuple(Decimal(text) for text in ("1", "2", "5", "10", "0.5", "0.05", "0.005", "0.25", "7", "100"))
_METER_MODELS = ("per_unit", "graduated", "volume", "package")


@dataclass(slots=True)
class Catalogue:
    """Random prices of some plans and meters around one month, and the quantities at which they bend.

    `bends` holds trillionths of a meter's unit by (meter, currency), `bends_s` seconds by (plan, currency).
    """

    rng: Random
    prefix: str
    year: int
    month: int
    meters: dict[str, Aggregation] = field(default_factory=dict[str, Aggregation])
    magnitudes: dict[str, int] = field(default_factory=dict[str, int])
    plans: list[str] = field(default_factory=list[str])
    prices: list[Price] = field(default_factory=list[Price])
    bends: dict[tuple[str, str], list[int]] = field(default_factory=dict[tuple[str, str], list[int]])
    bends_s: dict[tuple[str, str], list[int]] = field(default_factory=dict[tuple[str, str], list[int]])

    def start(self, months: int) -> datetime:
        """The first instant of the month that is `months` from the rated one."""
        return month_start(self.year + (self.month - 1 + months) // 12, (self.month - 1 + months) % 12 + 1)

    def fill(self, *, meters: int, plans: int) -> None:
        """Make meters, plans and their prices on default cards."""
        for number in range(meters):
            meter = f"{self.prefix}meter-{number}"
            self.meters[meter] = get_args(Aggregation)[number % 4]
            self.magnitudes[meter] = self.rng.choice(MAGNITUDES)
        self.plans = [f"{self.prefix}plan-{number}" for number in range(plans)]
        for currency in CURRENCIES:
            for kind, items in (("meter", list(self.meters)), ("plan", self.plans)):
                for item in items:
                    self._add_default(kind, item, currency)

    def add_contract(self, account_id: UUID, currency: str) -> None:
        """Give an account prices of its own, some of which never apply."""
        items = [("meter", meter) for meter in self.meters] + [("plan", plan) for plan in self.plans]
        for kind, item in self.rng.sample(items, min(len(items), self.rng.randint(1, 4))):
            regions = self.rng.choice(((None,), (None, REGIONS[0]), (REGIONS[1],), (None, *REGIONS)))
            card_currency = currency if self.rng.random() < 0.9 else self.rng.choice(CURRENCIES)
            for region in regions:
                self._add(kind, item, card_currency, region, self.rng.choice((-7, -1, 0, 0, 1)), account_id)

    def _add_default(self, kind: str, item: str, currency: str) -> None:
        chance = self.rng.random()
        if chance < 0.03:
            return
        self._add(kind, item, currency, None, -12, None)
        if chance < 0.3:
            self._add(kind, item, currency, None, self.rng.choice((-2, 0, 1)), None)
        for region in REGIONS:
            if self.rng.random() < 0.2:
                self._add(kind, item, currency, region, self.rng.choice((-13, 0, 1)), None)

    def _add(
        self, kind: str, item: str, currency: str, region: str | None, months: int, account_id: UUID | None
    ) -> None:
        definition = self._plan_price(item) if kind == "plan" else self._meter_price(item)
        if region is not None:
            definition["region"] = region
        self._add_options(definition)
        ends = self.rng.choice((*[None] * 9, months + 1, 0, 1))
        self.prices.append(
            Price(
                price_id=UUID(int=0x7 << 76 | self.rng.getrandbits(40) << 80 | len(self.prices) << 16),
                definition=definition,
                currency=currency,
                valid_from=self.start(months),
                valid_to=self.start(ends) if ends is not None and ends > months else None,
                account_id=account_id,
            )
        )
        if kind == "plan":
            self.bends_s.setdefault((item, currency), []).extend(_bends_s(definition))
        else:
            self.bends.setdefault((item, currency), []).extend(_bends(definition))

    def _meter_price(self, meter: str) -> Definition:
        scale = self.magnitudes[meter]
        model: Literal["per_unit", "graduated", "volume", "package"] = self.rng.choice(_METER_MODELS)
        definition: Definition = {"service": "messaging", "meter": meter, "model": model}
        if self.rng.random() < 0.5:
            definition["scope"] = self.rng.choice(("resource", "account"))
        if model == "per_unit":
            definition["unit_price"] = self._amount(-scale)
        elif model == "package":
            definition["package_size"] = self._quantity(scale - 1)
            definition["package_price"] = self._amount(0)
        else:
            definition["tiers"] = self._tiers(scale)
        if model in ("per_unit", "package") and self.rng.random() < 0.5:
            definition["included"] = self.rng.choice((self._quantity(scale), self._quantity(scale - 1), Decimal(0)))
        return definition

    def _plan_price(self, plan: str) -> Definition:
        if self.rng.random() < 0.3:
            return {"service": "compute", "plan": plan, "model": "flat", "amount": self._amount(1)}
        definition: Definition = {"service": "compute", "plan": plan, "model": "hourly"}
        which = self.rng.choice(("hour", "month", "both", "both"))
        if which != "month":
            definition["hourly_price"] = self._amount(-1)
        if which != "hour":
            hours = self.rng.choice((100, 168, 480, 500, 672, 696, 744))
            definition["monthly_price"] = definition.get("hourly_price", self._amount(-1)) * hours
        if self.rng.random() < 0.5:
            definition["increment_s"] = self.rng.choice((1, 1, 7, 60, 900, 3600, 86400))
        if self.rng.random() < 0.4:
            definition["minimum_s"] = self.rng.choice((0, 60, 90, 3600, 100000))
        if self.rng.random() < 0.4:
            definition["billable"] = self.rng.choice((["running"], ["stopped"], ["running", "stopped"]))
        return definition

    def _add_options(self, definition: Definition) -> None:
        if self.rng.random() < 0.3:
            percent = self.rng.choice(("0", "10", "12.5", "33.333333", "99.999999999999", "100"))
            definition["discount_percent"] = Decimal(percent)
        if self.rng.random() < 0.2:
            definition["maximum"] = self._amount(self.rng.choice((-1, 1, 2)))
        if self.rng.random() < 0.2:
            definition["minimum"] = self._amount(self.rng.choice((-1, 1, 2)))

    def _tiers(self, scale: int) -> list[Tier]:
        bounds = sorted({self._quantity(scale + self.rng.choice((-1, 0, 0))) for _ in range(self.rng.randint(0, 4))})
        tiers: list[Tier] = []
        for up_to in (*bounds, None):
            tier: Tier = {"up_to": up_to, "unit_price": self._amount(-scale)}
            if self.rng.random() < 0.3:
                tier["flat"] = self._amount(0)
            if self.rng.random() < 0.1:
                tier["unit_price"] = Decimal(0)
            tiers.append(tier)
        return tiers

    def _amount(self, scale: int) -> Decimal:
        """A price above 0 around 10 ** scale: a round number, or one with up to 20 decimals."""
        if self.rng.random() < 0.6:
            value = self.rng.choice(_ROUND_NUMBERS)
        else:
            value = Decimal(self.rng.randint(1, 10**18)).scaleb(-self.rng.choice((16, 17, 18)), _EXACT)
        value = _EXACT.quantize(value.scaleb(scale, _EXACT), Decimal("1e-20"))
        return _EXACT.normalize(value or Decimal("1e-20"))

    def _quantity(self, scale: int) -> Decimal:
        """A quantity above 0 around 10 ** scale: a round number, or one with 12 decimals."""
        if self.rng.random() < 0.7:
            value = self.rng.choice(_ROUND_NUMBERS).scaleb(scale, _EXACT)
        else:
            value = Decimal(self.rng.randint(1, 10 ** max(scale + 13, 1))).scaleb(-12, _EXACT)
        return _EXACT.normalize(_EXACT.quantize(value, Decimal("1e-12")) or Decimal("1e-12"))


def trillionths(value: Decimal) -> int:
    """A quantity of at most 12 decimals in whole trillionths."""
    return int(value.scaleb(12, _EXACT))


def quantity_of(count: int) -> Decimal:
    """A quantity from its trillionths, without trailing zeros."""
    return _EXACT.normalize(Decimal(count).scaleb(-12, _EXACT))


def _bends(definition: Definition) -> list[int]:
    """The quantities at which a meter's price changes its course."""
    bounds = [trillionths(tier["up_to"]) for tier in definition.get("tiers", []) if tier["up_to"] is not None]
    included = trillionths(definition.get("included", Decimal(0)))
    size = definition.get("package_size")
    if size is not None:
        bounds += [included + count * trillionths(size) for count in (1, 2, 3, 10)]
    return [bound for bound in (*bounds, included) if bound > 0]


def _bends_s(definition: Definition) -> list[int]:
    """The seconds at which a plan's price changes its course."""
    increment_s = definition.get("increment_s", 3600)
    bounds = [count * increment_s for count in (1, 2, 10)] + [definition.get("minimum_s", 0)]
    if "monthly_price" in definition:
        hourly = definition.get("hourly_price", definition["monthly_price"] / 672)
        bounds.append(int(definition["monthly_price"] / hourly * 3600))
    return [bound for bound in bounds if bound > 0]
