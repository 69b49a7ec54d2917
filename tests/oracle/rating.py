"""The oracle: charges, lines and shares of a period, from a world, in exact fractions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Literal
from uuid import UUID

from billing.core.money import decimals_of
from tests.oracle.models import TRILLION, charge_cost, half_up, minimum_cost
from tests.oracle.quantities import Piece, Window, meter_pieces, plan_pieces
from tests.oracle.world import Account, Definition, Price, Resource, World, micros, month_start, scope_of

_EXACT = Context(prec=200)


@dataclass(frozen=True, slots=True)
class Charge:
    """The cost of one price for one account (or resource) in a period. `resource_id` is None when resources are pooled.

    `cost_trillionths` is the exact cost rounded half-up to 12 decimals, `amount_minor` that one rounded half-up again.
    """

    kind: Literal["usage", "minimum"]
    account: Account
    price: Price
    resource_id: str | None
    units: Fraction
    quantity: Fraction
    cost_exact: Fraction
    cost_trillionths: int
    amount_minor: int
    pieces: tuple[Piece, ...]

    @property
    def cost(self) -> Decimal:
        """The cost with 12 decimals."""
        return decimal_of(self.cost_trillionths)


@dataclass(frozen=True, slots=True)
class Line:
    """A charge's part in one project and region, with its exact quantity and its part of the cost in trillionths."""

    charge: Charge
    project_id: UUID
    region: str
    quantity: Fraction
    amount_minor: int
    unrounded_trillionths: int


class PriceBook:
    """Finds the price in force for a month."""

    def __init__(self, prices: Iterable[Price], period_start: datetime) -> None:
        self._prices: dict[tuple[str, str, str], list[Price]] = defaultdict(list)
        for price in prices:
            if price.valid_from <= period_start and (price.valid_to is None or period_start < price.valid_to):
                kind = "plan" if "plan" in price.definition else "meter"
                item = price.definition.get("plan") or price.definition.get("meter", "")
                self._prices[kind, item, price.currency].append(price)

    def find(self, account: Account, region: str, kind: str, item: str) -> Price | None:
        """Contract before default, exact region before none, newest start; the account's currency only."""
        fitting = [
            price
            for price in self._prices.get((kind, item, account.currency), ())
            if price.account_id in (None, account.account_id) and price.definition.get("region") in (None, region)
        ]
        return max(
            fitting,
            key=lambda price: (
                price.account_id is not None,
                price.definition.get("region") is not None,
                price.valid_from,
            ),
            default=None,
        )


def window_of(year: int, month: int, as_of: datetime) -> Window:
    """The window of a month as it is seen at an instant."""
    start, end = micros(month_start(year, month)), micros(month_start(year, month + 1))
    return Window(start, end, min(max(micros(as_of), start), end))


def rate(world: World, *, year: int, month: int, as_of: datetime, with_minimums: bool = False) -> list[Charge]:
    """The charges of a month with a quantity above 0, of all accounts; a minimum follows its charge."""
    book, window = PriceBook(world.prices, month_start(year, month)), window_of(year, month, as_of)
    groups: dict[tuple[UUID, UUID, str | None, Fraction], list[Piece]] = defaultdict(list)
    for resource in world.resources:
        for piece in _pieces(world, book, window, resource):
            is_pooled = scope_of(piece.price.definition) == "account"
            key = resource.account_id, piece.price.price_id, None if is_pooled else resource.resource_id, piece.units
            groups[key].append(piece)
    charges: list[Charge] = []
    for (account_id, _, resource_id, units), pieces in groups.items():
        charge = _charge(world.accounts[account_id], resource_id, units, pieces)
        if charge.quantity > 0:
            charges.append(charge)
            charges.extend(_minimum(charge) if with_minimums else ())
    return charges


def lines(charges: Iterable[Charge]) -> list[Line]:
    """Each charge split by project and region; parts with quantity 0 give no line."""
    return [line for charge in charges for line in _lines(charge)]


def unpriced(world: World, *, year: int, month: int, as_of: datetime) -> set[tuple[UUID, str, str, str]]:
    """(account, kind, item, resource) of quantities above 0 that no price is in force for; states billable by default."""
    book, window = PriceBook(world.prices, month_start(year, month)), window_of(year, month, as_of)
    found: set[tuple[UUID, str, str, str]] = set()
    for resource in world.resources:
        account = world.accounts[resource.account_id]

        def missing(kind: str, item: str, account: Account = account, resource: Resource = resource) -> Price | None:
            if book.find(account, resource.region, kind, item) is not None:
                return None
            definition: Definition = {"service": kind, "model": "flat", "plan": item}
            return Price(UUID(int=0), definition, account.currency, month_start(year, month))

        pieces = [
            *plan_pieces(resource, window, missing),
            *meter_pieces(resource, window, world.meters, missing),
        ]
        for piece in pieces:
            definition = piece.price.definition
            if piece.quantity > 0:
                found.add((account.account_id, definition["service"], definition.get("plan", ""), resource.resource_id))
    return found


def line_shares(line: Line) -> dict[str, tuple[Fraction, int]]:
    """Resource → its quantity and its part of the line's amount by largest remainder, ties in the order of ids."""
    pieces = {
        piece.resource.resource_id: piece.quantity
        for piece in line.charge.pieces
        if piece.quantity > 0 and (piece.resource.project_id, piece.resource.region) == (line.project_id, line.region)
    }
    ids = sorted(pieces)
    amounts = apportion(line.amount_minor, [pieces[resource_id] for resource_id in ids])
    return {resource_id: (pieces[resource_id], amount) for resource_id, amount in zip(ids, amounts, strict=True)}


def resource_shares(charge: Charge) -> list[tuple[str, Fraction, Fraction]]:
    """Resource, its quantity above 0 and its exact part of the charge's cost, in the order of their ids."""
    cost = Fraction(charge.cost_trillionths, TRILLION)
    by_id = sorted((piece.resource.resource_id, piece.quantity) for piece in charge.pieces if piece.quantity > 0)
    return [(resource_id, quantity, cost * quantity / charge.quantity) for resource_id, quantity in by_id]


def day_shares(charge: Charge) -> dict[tuple[str, date], Fraction]:
    """(resource, UTC day) → exact part of the charge's cost; days that weigh nothing are left out."""
    cost = Fraction(charge.cost_trillionths, TRILLION)
    shares: dict[tuple[str, date], Fraction] = {}
    for piece in charge.pieces:
        weights = piece.day_weights()
        whole = sum(weights.values(), Fraction(0))
        for day, weight in weights.items():
            if weight > 0 and piece.quantity > 0:
                part = cost * piece.quantity / charge.quantity * weight / whole
                shares[piece.resource.resource_id, day] = part
    return shares


def apportion(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Whole units in proportion to weights, their sum above 0, by largest remainder; ties go to the earlier weight."""
    whole = sum(weights, Fraction(0))
    exact = [total * weight / whole for weight in weights]
    parts = [value.numerator // value.denominator for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda index: (parts[index] - exact[index], index))
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def decimal_of(trillionths: int) -> Decimal:
    """A cost in trillionths as a decimal."""
    return Decimal(trillionths).scaleb(-12, _EXACT)


def _pieces(world: World, book: PriceBook, window: Window, resource: Resource) -> Iterator[Piece]:
    account = world.accounts[resource.account_id]

    def find_price(kind: str, item: str) -> Price | None:
        return book.find(account, resource.region, kind, item)

    yield from plan_pieces(resource, window, find_price)
    yield from meter_pieces(resource, window, world.meters, find_price)


def _charge(account: Account, resource_id: str | None, units: Fraction, pieces: list[Piece]) -> Charge:
    price = pieces[0].price
    quantity = sum((piece.quantity for piece in pieces), Fraction(0))
    exact = charge_cost(price.definition, quantity, units)
    trillionths = half_up(exact * TRILLION)
    return Charge(
        kind="usage",
        account=account,
        price=price,
        resource_id=resource_id,
        units=units,
        quantity=quantity,
        cost_exact=exact,
        cost_trillionths=trillionths,
        amount_minor=_minor(trillionths, account.currency),
        pieces=tuple(pieces),
    )


def _minimum(charge: Charge) -> Iterator[Charge]:
    """The charge that fills up to the price's minimum, shared like the charge it belongs to."""
    exact = minimum_cost(charge.price.definition, charge.quantity, charge.cost_trillionths)
    if exact > 0:
        trillionths = half_up(exact * TRILLION)
        amount_minor = _minor(trillionths, charge.account.currency)
        yield replace(charge, kind="minimum", cost_exact=exact, cost_trillionths=trillionths, amount_minor=amount_minor)


def _minor(trillionths: int, currency: str) -> int:
    return half_up(Fraction(decimal_of(trillionths).scaleb(decimals_of(currency), _EXACT)))


def _lines(charge: Charge) -> Iterator[Line]:
    quantities: dict[tuple[UUID, str], Fraction] = defaultdict(Fraction)
    for piece in charge.pieces:
        if piece.quantity > 0:
            quantities[piece.resource.project_id, piece.resource.region] += piece.quantity
    places = sorted(quantities)
    weights = [quantities[place] for place in places]
    amounts = apportion(charge.amount_minor, weights)
    unrounded = apportion(charge.cost_trillionths, weights)
    for (project_id, region), weight, amount_minor, trillionths in zip(
        places, weights, amounts, unrounded, strict=True
    ):
        yield Line(charge, project_id, region, weight, amount_minor, trillionths)
