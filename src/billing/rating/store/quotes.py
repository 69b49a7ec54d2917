"""The SQL of quotes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog
from billing.catalog import Band, PriceTerms
from billing.core.period import Period
from billing.kit.statements import load_statement
from billing.rating.model import QuoteRequest

if TYPE_CHECKING:
    from billing.kit.db import Connection

_FIND_PRICES = load_statement(Path(__file__).parent.parent / "sql" / "find_prices.sql")
_QUOTE = load_statement(Path(__file__).parent.parent / "sql" / "quote.sql")


@dataclass(frozen=True, slots=True)
class QuotePrice:
    """A price to quote with: of a rate card, or a draft that stands in none."""

    price_id: UUID
    model: str
    bands: tuple[Band, ...]
    step: Decimal | None
    minimum_quantity: Decimal
    per: Decimal
    cap: Decimal | None
    maximum: Decimal | None


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one line, with 12 decimals, and what it was reckoned from."""

    cost: Decimal
    amount_minor: int
    billed_quantity: Decimal
    cap_applied: bool


def draft_price(price_id: UUID, terms: PriceTerms) -> QuotePrice:
    """A price that stands in no rate card, compiled as if it did."""
    compiled = catalog.compile_price(terms)
    return QuotePrice(
        price_id,
        terms.model,
        compiled.bands,
        compiled.step,
        compiled.minimum_quantity,
        compiled.per,
        compiled.cap,
        compiled.maximum,
    )


async def find_prices(
    connection: Connection,
    *,
    account_id: UUID | None,
    currency: str,
    period: Period,
    requests: Sequence[QuoteRequest],
) -> dict[int, QuotePrice]:
    """By position, the price in force in a month for each request without terms; those without one are left out."""
    asked = [(position, request) for position, request in enumerate(requests) if request.terms is None]
    rows = await connection.fetch(
        _FIND_PRICES,
        [position for position, _ in asked],
        [request.kind for _, request in asked],
        [request.item for _, request in asked],
        [request.region for _, request in asked],
        currency,
        account_id,
        period.start,
    )
    return {
        row["position"]: QuotePrice(
            row["price_id"],
            row["model"],
            tuple(map(Band, row["lows"], row["highs"], row["bases"], row["unit_prices"])),
            row["step"],
            row["minimum_quantity"],
            row["per"],
            row["cap"],
            row["maximum"],
        )
        for row in rows
    }


async def list_costs(
    connection: Connection,
    *,
    currency: str,
    prices: Sequence[QuotePrice],
    drafts: Sequence[QuotePrice],
    units: Sequence[Decimal],
    quantities: Sequence[Decimal],
    denominators: Sequence[Decimal],
) -> dict[int, Cost]:
    """By position, what each quantity / denominator costs; a quantity of 0 has no band and is left out."""
    bands = [(draft.price_id, band) for draft in drafts for band in draft.bands]
    rows = await connection.fetch(
        _QUOTE,
        list(range(len(prices))),
        [price.price_id for price in prices],
        list(units),
        list(quantities),
        list(denominators),
        currency,
        [draft.price_id for draft in drafts],
        [draft.step for draft in drafts],
        [draft.minimum_quantity for draft in drafts],
        [draft.per for draft in drafts],
        [draft.cap for draft in drafts],
        [draft.maximum for draft in drafts],
        [price_id for price_id, _ in bands],
        [band.low for _, band in bands],
        [band.high for _, band in bands],
        [band.base for _, band in bands],
        [band.unit for _, band in bands],
    )
    return {
        row["position"]: Cost(row["cost"], int(row["amount_minor"]), row["billed_quantity"], bool(row["cap_applied"]))
        for row in rows
    }
